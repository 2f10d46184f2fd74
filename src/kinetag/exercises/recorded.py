"""Training windows from recordings: what BlazePose really made of people of whom the truth is known.

The recorded clips stand beside the synthetic motions in a `kinetag.exercises.bank.Bank`: their errors are no
imitation, but there are far fewer of them, and all come from one estimator.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kinetag.errors import KinetagError
from kinetag.exercises.recordings import Recording
from kinetag.exercises.synthesis import Observation, drop
from kinetag.features import LAYOUT, RATE, WINDOW
from kinetag.skeletons import get_layout
from kinetag.smoothing import smooth

_JOINTS = len(get_layout(LAYOUT))


@dataclass
class Recorded:
    """Clips (R,) of F frames on the classifier's time grid: ``points`` (R, F, V, 5) are x, y of the picture and the
    world's x, y, z; ``confidence`` (R, F, V), 0 where a joint or the whole person was not seen."""

    points: np.ndarray
    confidence: np.ndarray

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
        for row, clip in enumerate(clips):
            if clip.found.sum() < 2:
                continue
            seen = smooth(clip.sequence()).to_layout(LAYOUT)
            at = np.round(seen.times * RATE).astype(int)
            world = seen.world if seen.world is not None else np.full((*seen.keypoints.shape[:2], 3), np.nan)
            points[row, at] = np.nan_to_num(np.concatenate([seen.keypoints, world], axis=-1))
            confidence[row, at] = seen.confidence
        return cls(points, confidence)

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
