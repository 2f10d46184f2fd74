"""Smoothing of keypoints: the One Euro filter on true time.

Casiez, Roussel and Vogel, "1 Euro Filter: A Simple Speed-based Low-pass Filter for Noisy Input in Interactive Systems",
CHI 2012. A first-order low-pass filter whose cutoff rises with speed: little jitter at rest, little lag in motion.

    x_hat(i)  = a(f_c) x(i) + (1 - a(f_c)) x_hat(i - 1)                  low-pass
    a(f)      = 1 / (1 + tau / dt),  tau = 1 / (2 pi f)                  dt = t(i) - t(i - 1), whatever it is
    dx_hat(i) = a(f_d) dx(i) + (1 - a(f_d)) dx_hat(i - 1)                dx(i) = (x(i) - x_hat(i - 1)) / dt
    f_c       = f_min + beta |dx_hat(i)|

Differences to the paper: |dx_hat| is the speed of the point, not of each coordinate, so the answer turns with the
picture; and a doubtful measurement (low confidence) moves the estimate less.
"""

from dataclasses import replace

import numpy as np

from kinetag.body import torso_length
from kinetag.sequence import PoseSequence

MAX_GAP = 0.5  # seconds without a joint after which its filter starts anew
FILL_GAP = 0.3  # seconds of absence that `smooth` bridges

_FILLED = 0.5  # factor on the confidence of a joint that was filled in
# Poses smoothed at a time, and how many more on both sides: the filter forgets in far less than 10 s.
_PIECE, _MARGIN = 1500, 200
_SPIKE = 0.5  # torso lengths: a joint that leaves and comes back within one frame by more than this was mistaken
_TRUST = 0.5  # confidence from which on a measurement is fully believed
_LEAST_TRUST = 0.3
_METRES = 0.5  # an adult's torso length, the unit for world points


class OneEuroFilter:
    """The filter for any number of points at once, one sample at a time, for live use.

    ``min_cutoff`` (Hz): smaller smooths more at rest. ``beta`` (Hz per unit of speed, a unit being what the values are
    measured in, per second): larger follows quick movement more closely. ``derivative_cutoff`` (Hz) smooths the speed.
    A point that was absent (NaN) for more than ``max_gap`` seconds starts anew.
    """

    def __init__(
        self,
        min_cutoff: float = 1.0,
        beta: float = 0.0,
        derivative_cutoff: float = 1.0,
        *,
        max_gap: float = MAX_GAP,
    ) -> None:
        self.min_cutoff = min_cutoff
        self.beta = beta
        self.derivative_cutoff = derivative_cutoff
        self.max_gap = max_gap
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next sample passes unchanged."""
        self._value: np.ndarray | None = None  # (..., C)
        self._speed: np.ndarray | None = None  # (..., C)
        self._seen: np.ndarray | None = None  # (...,) when each point was last measured

    def __call__(
        self,
        value: np.ndarray,
        time: float | np.ndarray,
        trust: np.ndarray | float = 1.0,
        unit: np.ndarray | float = 1.0,
    ) -> np.ndarray:
        """Filter points ``value`` (..., C), C coordinates each, measured at ``time`` (s, increasing).

        NaN stays NaN. ``trust`` in [0, 1] scales how far a point may be moved by this measurement. ``unit`` is the
        length that speeds are measured in. These three are numbers or arrays (...,), one for each point.
        """
        value = np.asarray(value, float)
        if self._value is None or self._speed is None or self._seen is None:
            self._value = np.full(value.shape, np.nan)
            self._speed = np.zeros(value.shape)
            self._seen = np.full(value.shape[:-1], -np.inf)
        given: np.ndarray = np.asarray(np.isfinite(value).all(axis=-1))  # (...,)
        elapsed = time - self._seen
        known: np.ndarray = np.asarray(given & (elapsed <= self.max_gap))
        step = np.where(known, elapsed, 1.0)  # (...,)
        distance = np.where(known[..., None], value - self._value, 0.0)  # (..., C)
        gain = smoothing_factor(self.derivative_cutoff, step)[..., None]
        speed = np.where(known[..., None], self._speed + gain * (distance / step[..., None] - self._speed), 0.0)
        cutoff = self.min_cutoff + self.beta * np.sqrt((speed * speed).sum(axis=-1)) / unit
        gain = np.where(known, smoothing_factor(cutoff, step) * trust, 0.0)[..., None]
        filtered = np.where(known[..., None], self._value + gain * distance, value)
        self._value = np.where(given[..., None], filtered, self._value)
        self._speed = np.where(given[..., None], speed, self._speed)
        self._seen = np.where(given, time, self._seen)
        return np.where(given[..., None], filtered, np.nan)


def smoothing_factor(cutoff, step):
    """a(f) of the paper: the weight of the new sample, for a cutoff in Hz and a time step in seconds."""
    return 1.0 / (1.0 + 1.0 / (2.0 * np.pi * np.maximum(cutoff, 1e-9) * step))


def smooth(
    sequence: PoseSequence,
    *,
    min_cutoff: float = 1.5,
    beta: float = 4.0,
    max_gap: float = MAX_GAP,
    fill_gap: float = FILL_GAP,
) -> PoseSequence:
    """A PoseSequence without jitter, and without lag: the mean of the filter run forward and run backward in time.

    Looks into the future, so it is for recorded poses; live use has `OneEuroFilter`. ``min_cutoff`` is in Hz, ``beta``
    in Hz per torso length a second: people near and far are smoothed alike. A joint missing for at most ``fill_gap``
    seconds is interpolated, with its confidence halved; one that jumps away for a single frame is taken as missing.
    After ``max_gap`` seconds of absence, and where the film is cut, the filter starts anew. World points are treated
    the same. Times, layout and frames are kept; a longer absence stays NaN with confidence 0.
    """
    if len(sequence) < 2:
        return sequence
    options = {"min_cutoff": min_cutoff, "beta": beta, "max_gap": max_gap, "fill_gap": fill_gap}
    smoothed = replace(
        sequence,
        keypoints=np.empty_like(sequence.keypoints),
        confidence=np.empty_like(sequence.confidence),
        world=None if sequence.world is None else np.empty_like(sequence.world),
    )
    for begin, end in ((shot.start, shot.stop) for shot in sequence.shots()):
        for first in range(begin, end, _PIECE):
            low = max(begin, first - _MARGIN)
            piece = _smooth_piece(sequence.rows(slice(low, min(first + _PIECE + _MARGIN, end))), **options)
            here = slice(first, min(first + _PIECE, end))
            inside = slice(first - low, first - low + here.stop - here.start)
            smoothed.keypoints[here] = piece.keypoints[inside]
            smoothed.confidence[here] = piece.confidence[inside]
            if smoothed.world is not None and piece.world is not None:
                smoothed.world[here] = piece.world[inside]
    return smoothed


def _smooth_piece(
    sequence: PoseSequence, *, min_cutoff: float, beta: float, max_gap: float, fill_gap: float
) -> PoseSequence:
    """`smooth` all at once; takes about 14 kB of memory a pose."""
    if len(sequence) < 2:
        return sequence
    size = torso_length(sequence)
    size = np.where(np.isfinite(size), size, max(sequence.frame_size[1] * 0.15, 1.0))  # (T,)
    points = sequence.keypoints.astype(float)
    seen = np.isfinite(points).all(axis=-1) & (sequence.confidence > 0)
    seen &= ~_spikes(np.where(seen[..., None], points / size[:, None, None], np.nan))
    fill = _fillable(sequence.times, seen, fill_gap)
    confidence = np.where(seen, sequence.confidence, 0.0)
    confidence = np.where(fill, _FILLED * _nearest_least(confidence, seen), confidence)
    tracks = [points] if sequence.world is None else [points, sequence.world.astype(float)]
    tracks = [_filled(sequence.times, np.where(seen[..., None], track, np.nan), fill) for track in tracks]
    units = [size, np.full_like(size, _METRES)][: len(tracks)]
    trust = np.clip(confidence / _TRUST, _LEAST_TRUST, 1.0)  # (T, V)
    one_euro = OneEuroFilter(min_cutoff, beta, max_gap=max_gap)
    filtered = _both_ways(one_euro, sequence.times, tracks, trust, units)
    world = None if sequence.world is None else filtered[1]
    return replace(sequence, keypoints=filtered[0], confidence=confidence, world=world)


def _both_ways(
    one_euro: OneEuroFilter, times: np.ndarray, tracks: list[np.ndarray], trust: np.ndarray, units: list[np.ndarray]
) -> list[np.ndarray]:
    """Mean of a forward and a backward pass over each track (T, V, C); the passes run side by side, as one filter.

    ``trust`` (T, V); ``units`` (T,) a track: the length that its speeds are measured in.
    """
    widest = max(track.shape[-1] for track in tracks)
    padded = [np.pad(track, ((0, 0), (0, 0), (0, widest - track.shape[-1]))) for track in tracks]
    both = np.stack([np.stack([track, track[::-1]], axis=1) for track in padded], axis=1)  # (T, tracks, 2, V, C)
    moments = np.stack([times, -times[::-1]], axis=1)[..., None]  # (T, 2, 1)
    beliefs = np.stack([trust, trust[::-1]], axis=1)  # (T, 2, V)
    lengths = np.stack([np.stack([unit, unit[::-1]], axis=1) for unit in units], axis=1)[..., None]  # (T, tracks, 2, 1)
    rows = zip(both, moments, beliefs, lengths, strict=True)
    out = np.stack([one_euro(value, time, belief, unit) for value, time, belief, unit in rows])
    mean = (out[:, :, 0] + out[::-1, :, 1]) / 2  # (T, tracks, V, C)
    return [mean[:, i, :, : track.shape[-1]] for i, track in enumerate(tracks)]


def _spikes(points: np.ndarray) -> np.ndarray:
    """Joints that are elsewhere for one frame only, bool (T, V), from points (T, V, C) in torso lengths."""
    out = np.zeros(points.shape[:2], bool)
    if len(points) < 3:
        return out
    before, here, after = points[:-2], points[1:-1], points[2:]
    away = np.linalg.norm(here - (before + after) / 2, axis=-1)
    moved = np.linalg.norm(after - before, axis=-1)
    out[1:-1] = (away > _SPIKE) & (moved < away / 2)  # comparisons with NaN are False
    return out


def _fillable(times: np.ndarray, seen: np.ndarray, longest: float) -> np.ndarray:
    """Unseen joints between two sightings at most ``longest`` seconds apart (plus one frame), bool (T, V)."""
    index = np.arange(len(times))[:, None]
    before = np.maximum.accumulate(np.where(seen, index, -1), axis=0)
    after = np.minimum.accumulate(np.where(seen, index, len(times))[::-1], axis=0)[::-1]
    inside = ~seen & (before >= 0) & (after < len(times))
    gap = times[np.minimum(after, len(times) - 1)] - times[np.maximum(before, 0)]
    frame = np.median(np.diff(times))
    return inside & (gap <= longest + frame)


def _filled(times: np.ndarray, points: np.ndarray, fill: np.ndarray) -> np.ndarray:
    """Points (T, V, C) with the marked ones (T, V) put on the line between their neighbours in time.

    A joint that is known nowhere, as a world point may be whose place in the picture is known, stays so.
    """
    points = points.copy()
    known: np.ndarray = np.asarray(np.isfinite(points).all(axis=-1))  # (T, V)
    for joint in np.flatnonzero(fill.any(axis=0) & known.any(axis=0)):
        rows, given = fill[:, joint], known[:, joint]
        for axis in range(points.shape[-1]):
            points[rows, joint, axis] = np.interp(times[rows], times[given], points[given, joint, axis])
    return points


def _nearest_least(confidence: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """For each frame and joint the smaller confidence of its last and its next sighting, (T, V)."""
    index = np.arange(len(seen))[:, None]
    before = np.maximum(np.maximum.accumulate(np.where(seen, index, -1), axis=0), 0)
    after = np.minimum.accumulate(np.where(seen, index, len(seen))[::-1], axis=0)[::-1]
    after = np.minimum(after, len(seen) - 1)
    columns = np.arange(seen.shape[1])
    return np.minimum(confidence[before, columns], confidence[after, columns])
