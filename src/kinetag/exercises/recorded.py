"""Training windows from recordings: what BlazePose really made of people of whom the truth is known.

The recorded clips stand beside the synthetic motions in a `kinetag.exercises.bank.Bank`, and lend them their errors:
those are no imitation. But there are far fewer clips than motions, and all come from one estimator.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kinetag.errors import KinetagError
from kinetag.exercises.hiding import drop
from kinetag.exercises.kinematics import BODY
from kinetag.exercises.recordings import Recording
from kinetag.exercises.synthesis import Errors, Observation, Stances, own_scale, unit_scale
from kinetag.features import LAYOUT, RATE, WINDOW
from kinetag.sequence import PoseSequence
from kinetag.skeletons import get_layout
from kinetag.smoothing import smooth

_SKELETON = get_layout(LAYOUT)
_JOINTS = len(_SKELETON)
_BODY = [BODY.index(joint) for joint in _SKELETON.joints]
_WILD = 3.0  # body scales: an error beyond it is another person, or nobody


@dataclass
class Recorded:
    """Clips (R,) of F frames on the classifier's time grid: ``points`` (R, F, V, 5) are x, y of the picture and the
    world's x, y, z; ``confidence`` (R, F, V), 0 where a joint or the whole person was not seen. ``errors``
    (R, F, V, 5): how far the points are off, in body scales, with ``slope`` (R,), how much of the depth came out, taken
    out; ``stances``, how each person is seen."""

    points: np.ndarray
    confidence: np.ndarray
    errors: np.ndarray
    slope: np.ndarray
    stances: Stances

    def __len__(self) -> int:
        return len(self.points)

    @classmethod
    def of(cls, clips: Sequence[Recording]) -> "Recorded":
        """Clips in the classifier's layout, smoothed as an analysis smooths them."""
        frames = {len(clip) for clip in clips}
        rates = {clip.rate for clip in clips}
        if frames and (len(frames) > 1 or min(frames) < WINDOW or rates != {RATE}):
            raise KinetagError(
                f"recordings of {min(frames)} to {max(frames)} frames at {min(rates):g} to {max(rates):g} frames/s; "
                f"training needs all alike, {WINDOW} frames or more at {RATE:g}"
            )
        length = max(frames, default=WINDOW)
        points = np.zeros((len(clips), length, _JOINTS, 5), np.float32)
        confidence = np.zeros(points.shape[:3], np.float32)
        errors, slope = np.zeros_like(points), np.ones(len(clips), np.float32)
        for row, clip in enumerate(clips):
            if clip.found.sum() < 2:
                continue
            seen = smooth(clip.sequence()).to_layout(LAYOUT)
            at = np.round(seen.times * RATE).astype(int)
            world = seen.world if seen.world is not None else np.full((*seen.keypoints.shape[:2], 3), np.nan)
            points[row, at] = np.nan_to_num(np.concatenate([seen.keypoints, world], axis=-1))
            confidence[row, at] = seen.confidence
            errors[row, at], slope[row] = _errors(clip, seen, at)
        lost = ~np.isfinite(errors).all(axis=-1) | (np.abs(errors) > _WILD).any(axis=-1)
        errors[lost] = 0
        space = np.stack([clip.joints[:, _BODY] for clip in clips]) if clips else np.zeros((0, 1, _JOINTS, 3))
        stances = Stances.of(space, np.array([clip.up for clip in clips]).reshape(-1, 3))
        return cls(points, confidence, errors, slope, stances)

    def lent(self, to: Stances, rng: np.random.Generator) -> Errors:
        """What went wrong in windows of clips of people who are seen like those ``to`` whom it is lent, more or less.

        Where no clip is as alike, one of the same posture will do, and else any. From the side, the near side of the
        one is that of the other; else some clips are in a mirror.
        """
        count = len(to.posture)
        rows, own = np.zeros(count, int), self.stances
        for posture, view in sorted(set(zip(to.posture.tolist(), to.view.tolist(), strict=True))):
            same = own.posture == posture
            pools = (np.flatnonzero(same & (own.view == view)), np.flatnonzero(same), np.arange(len(self)))
            wanted = np.flatnonzero((to.posture == posture) & (to.view == view))
            rows[wanted] = rng.choice(next(pool for pool in pools if len(pool)), len(wanted))
        flip = np.where(to.view == 1, to.left != own.left[rows], rng.random(count) < 0.5)
        at = rng.integers(0, self.points.shape[1] - WINDOW + 1, count)[:, None] + np.arange(WINDOW)  # (N, T)
        errors, confidence = self.errors[rows[:, None], at], self.confidence[rows[:, None], at]
        twins = _SKELETON.mirror
        errors[flip] = errors[flip][:, :, twins] * np.array([-1, 1, -1, 1, 1], np.float32)
        confidence[flip] = confidence[flip][:, :, twins]
        amount = rng.uniform(0.5, 1.3, (count, 1, 1, 1)).astype(np.float32)
        return Errors(errors[..., :2] * amount, errors[..., 2:] * amount, self.slope[rows], confidence)

    def windows(self, rows: np.ndarray, rng: np.random.Generator) -> Observation:
        """A window of each clip in ``rows`` (N,), from a random moment in a random tempo, with more left out."""
        last = self.points.shape[1] - 1
        step = np.exp(rng.uniform(np.log(0.6), np.log(last / (WINDOW - 1)), (len(rows), 1)))
        start = rng.uniform(0, 1, (len(rows), 1)) * (last - (WINDOW - 1) * step)
        at = start + np.arange(WINDOW) * step  # (N, T)
        left = np.minimum(at.astype(int), last - 1)
        part = (at - left).astype(np.float32)[..., None]
        before, after = self.confidence[rows[:, None], left], self.confidence[rows[:, None], left + 1]
        confidence = np.where((before > 0) & (after > 0), before + part * (after - before), 0)
        first, second = self.points[rows[:, None], left], self.points[rows[:, None], left + 1]
        points = first + part[..., None] * (second - first)
        points[..., :2] *= 1 + 0.08 * rng.standard_normal((len(rows), 1, 1, 2), np.float32)  # lenses and proportions
        confidence = confidence * np.where(rng.random((len(rows), 1, 1)) < 0.5, 1, drop(confidence.shape, rng))
        flat = rng.random((len(rows), 1, 1, 1)) < 0.3  # without depth, as from other estimators
        return Observation(points[..., :2], confidence.astype(np.float32), np.where(flat, np.nan, points[..., 2:]))


def _errors(clip: Recording, seen: PoseSequence, at: np.ndarray) -> tuple[np.ndarray, float]:
    """Errors (n, V, 5) of what was seen in frames ``at`` (n,), in body scales, and how much of the depth came out."""
    truth = clip.joints[at][:, _BODY].astype(np.float32)  # x right, y down, z away
    flat = clip.pixels[at][:, _BODY].astype(np.float32)
    size = unit_scale(flat[None])
    off = (seen.keypoints - flat) / size[0]
    if seen.world is None:
        return np.concatenate([off, np.full((*off.shape[:2], 3), np.nan)], axis=-1), 1.0
    true, found = own_scale(np.stack([truth, seen.world]))
    slope = float((true[..., 2] * found[..., 2]).sum() / max(float((true[..., 2] ** 2).sum()), 1e-6))
    slope = float(np.clip(slope, 0.2, 1.3))
    return np.concatenate([off, found - true * np.array([1, 1, slope], np.float32)], axis=-1).astype(np.float32), slope
