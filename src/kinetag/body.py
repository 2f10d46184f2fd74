"""How large a person is in the picture: the unit that makes thresholds the same for the near and the far."""

import numpy as np

from kinetag.sequence import PoseSequence
from kinetag.skeletons import get_layout

# Bone lengths in torso lengths (mid-shoulder to mid-hip), from the body segment proportions of Drillis and Contini
# (1966): torso 0.288, thigh 0.245, shank 0.246, upper arm 0.186, forearm 0.146 of the body height.
_BONES = (
    ("left_shoulder", "left_hip", 1.02),
    ("right_shoulder", "right_hip", 1.02),
    ("left_hip", "left_knee", 0.85),
    ("right_hip", "right_knee", 0.85),
    ("left_knee", "left_ankle", 0.85),
    ("right_knee", "right_ankle", 0.85),
    ("left_shoulder", "left_elbow", 0.65),
    ("right_shoulder", "right_elbow", 0.65),
    ("left_elbow", "left_wrist", 0.51),
    ("right_elbow", "right_wrist", 0.51),
    ("left_shoulder", "right_shoulder", 0.75),
)
_QUANTILE = 0.8
_BLOCK = 0.5  # seconds; lengths are first summed up by blocks
_SPAN = 4  # blocks to each side of the running median


def torso_length(sequence: PoseSequence) -> np.ndarray:
    """Length of the person's torso in pixels as if seen unforeshortened, (T,); NaN if no bone was ever seen.

    Projection only ever shortens a bone, so each bone seen is a lower bound of the body's size; their 80th percentile
    is taken in every frame, and a running median over about four seconds. So it hardly changes when the person bends
    towards the camera, but follows a person who walks up to it.
    """
    lengths = _frame_lengths(sequence)  # (T,)
    known = np.isfinite(lengths)
    if not known.any():
        return np.full(len(sequence), np.nan)
    times, lengths = sequence.times[known], lengths[known]
    block = np.floor((times - times[0]) / _BLOCK).astype(int)
    starts = np.flatnonzero(np.diff(block, prepend=-1))
    values = np.array([np.median(part) for part in np.split(lengths, starts[1:])])
    centres = np.array([part.mean() for part in np.split(times, starts[1:])])
    padded = np.pad(values, _SPAN, constant_values=np.nan)
    running = np.nanmedian(np.lib.stride_tricks.sliding_window_view(padded, 2 * _SPAN + 1), axis=1)
    return np.interp(sequence.times, centres, running)


def _frame_lengths(sequence: PoseSequence) -> np.ndarray:
    """The torso length that each frame by itself suggests, (T,)."""
    body = sequence.to_layout("blazepose")
    layout = get_layout("blazepose")
    points = np.where(body.confidence[..., None] > 0, body.keypoints, np.nan).astype(float)
    first = layout.indices(tuple(a for a, _, _ in _BONES))
    second = layout.indices(tuple(b for _, b, _ in _BONES))
    proportion = np.array([ratio for _, _, ratio in _BONES])
    lengths = np.linalg.norm(points[:, first] - points[:, second], axis=-1) / proportion  # (T, B)
    lengths = np.sort(lengths, axis=1)  # NaN last
    seen = np.isfinite(lengths).sum(axis=1)
    place = _QUANTILE * np.maximum(seen - 1, 0)
    low, rows = place.astype(int), np.arange(len(lengths))
    high = np.minimum(low + 1, np.maximum(seen - 1, 0))
    out = lengths[rows, low] + (place - low) * (lengths[rows, high] - lengths[rows, low])
    return np.where(out > 1e-6, out, np.nan)
