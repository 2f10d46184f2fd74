"""What an estimator does not see: limbs behind something, joints, moments, and what is outside of the picture."""

import numpy as np

from kinetag.features import LAYOUT
from kinetag.skeletons import KINETAG13, get_layout

Rng = np.random.Generator

_SKELETON = get_layout(LAYOUT)
# Ears and feet: not every estimator has them.
_EXTRA = [joint for joint, name in enumerate(_SKELETON.joints) if name not in KINETAG13.joints]
FEET = tuple(f"{side}_{part}" for part in ("heel", "foot_index") for side in ("left", "right"))

# Parts that vanish together, and how often: what occluders and picture edges really hide.
PARTS: tuple[tuple[float, tuple[str, ...]], ...] = (
    (0.04, ("left_elbow", "left_wrist")),
    (0.04, ("right_elbow", "right_wrist")),
    (0.03, ("left_elbow", "left_wrist", "right_elbow", "right_wrist")),
    (0.03, ("left_wrist", "right_wrist")),
    (0.07, ("left_knee", "right_knee", "left_ankle", "right_ankle", *FEET)),
    (0.06, ("left_ankle", "right_ankle", *FEET)),
    (0.03, ("left_knee", "left_ankle", *FEET[0::2])),
    (0.03, ("right_knee", "right_ankle", *FEET[1::2])),
    (0.03, ("left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle", *FEET)),
    (0.03, ("left_shoulder", "right_shoulder", "left_hip", "right_hip")),
    (0.03, ("nose", "left_ear", "right_ear")),
    (0.04, FEET),
)


def crop_visibility(points: np.ndarray, rng: Rng, chance: float = 0.3) -> np.ndarray:
    """Confidence factor (N, T, V) of a picture whose edge cuts some bodies off: low or 0 outside, 1 inside."""
    count = len(points)
    low, high = (np.quantile(points[:, ::6], q, axis=(1, 2)) for q in (0.02, 0.98))  # (N, 2)
    size = high - low
    # How much of the body's extent each edge cuts; the bottom edge cuts most often.
    cut = rng.uniform(0.05, 0.5, (count, 4)) * (rng.random((count, 4)) < np.array([0.2, 0.15, 0.2, 0.6]))
    cut *= rng.random((count, 1)) < chance
    cut[cut == 0] = -9
    left_top, right_bottom = low + cut[:, :2] * size, high - cut[:, 2:] * size
    outside = ((points < left_top[:, None, None]) | (points > right_bottom[:, None, None])).any(axis=-1)
    # Off the picture BlazePose still guesses with little confidence; others give nothing.
    guess = rng.uniform(0.01, 0.5, (count, 1, 1)) * (rng.random((count, 1, 1)) < 0.6)
    return np.where(outside, guess, 1)


def drop(shape: tuple[int, int, int], rng: Rng) -> np.ndarray:
    """Dropout factor (N, T, V) in {0, 1}: parts, joints, stretches, flicker, whole frames, and gaps."""
    count, frames, joints = shape
    keep = np.ones(shape, bool)
    keep[:, :, _EXTRA] &= rng.random((count, 1, 1)) < 0.7  # the rest comes from an estimator of 13 joints
    for chance, names in PARTS:
        gone = rng.random(count) < chance
        keep[:, :, _SKELETON.indices(names)] &= ~gone[:, None, None]

    harsh = rng.random((count, 1, 1)) < 0.5  # the other half is seen by an estimator that always answers

    def some(chance: float) -> np.ndarray:
        return harsh & (rng.random((count, 1, 1)) < chance)

    keep &= ~(some(0.25) & (rng.random((count, 1, joints)) < rng.uniform(0, 0.5, (count, 1, 1))))
    keep &= ~(some(0.3) & (rng.random(shape) < rng.uniform(0, 0.4, (count, 1, 1))))
    stretch = stretches(rng, count * joints, frames, 2, 28).reshape(count, joints, frames).transpose(0, 2, 1)
    keep &= ~(some(0.4) & (rng.random((count, 1, joints)) < 0.3) & stretch)
    keep &= ~(some(0.25) & (rng.random((count, frames, 1)) < rng.uniform(0, 0.5, (count, 1, 1))))
    keep &= ~(some(0.15) & stretches(rng, count, frames, 4, 16)[..., None])
    return keep & _extent(rng, count, frames)[..., None]


def _extent(rng: Rng, count: int, frames: int) -> np.ndarray:
    """Windows at the ends of a track, and short clips, are only partly filled, bool (N, T)."""
    short = rng.random(count) < 0.3
    length = np.where(short, rng.integers(12, frames, count), frames)
    start = rng.integers(0, frames - length + 1)
    at = np.arange(frames)
    return (at >= start[:, None]) & (at < (start + length)[:, None])


def stretches(rng: Rng, count: int, frames: int, shortest: int, longest: int) -> np.ndarray:
    """One random stretch of frames a sample, bool (N, T)."""
    start = rng.uniform(-shortest, frames, (count, 1))
    length = rng.uniform(shortest, longest, (count, 1))
    at = np.arange(frames)
    return (at >= start) & (at < start + length)
