"""Cycles of a one-dimensional signal: rest -> peak -> rest, found by turning points with hysteresis.

A turning point is one only when the signal comes back from it by a threshold; a first pass with a small threshold
learns how far this signal usually swings, a second pass counts with a threshold in proportion to that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

RATE = 30.0  # samples a second of the uniform grid that signals are cleaned on

_FULL = 0.6  # of the usual excursion: less is a partial repetition
_RETURN = 0.45  # of the usual excursion: the signal must come back this far between two repetitions
_PARTIAL = 0.25  # of the usual excursion: less is no repetition at all
_REST = 0.05  # of a repetition's excursion: below this it has not begun or is over
_NEAR = 0.2  # of a repetition's excursion: within this of the peak it is near its turning point
_HOLD = 0.3  # seconds
_TURNING = 0.2  # a cosine is within _REST of an end for this share of the time that the rest of the way takes
_HELD = 0.5  # of that: what is left of it where somebody stops, measured on synthetic repetitions
_EDGE = 0.15  # of the usual excursion: how much of a repetition's far side must be seen for its peak to be a peak


@dataclass(frozen=True)
class Cycle:
    """``start``, ``peak`` and ``end`` in seconds; ``excursion`` from rest to peak in the signal's unit.

    From ``arrives`` to ``leaves`` the signal stays at the turning point. ``peak`` is its extreme, which noise puts
    anywhere in there; ``turn``, the middle of the time near the turning point, is when the repetition happened.
    ``seen``: from when to when there is a signal.
    """

    start: float
    peak: float
    end: float
    excursion: float
    partial: bool
    arrives: float
    leaves: float
    turn: float
    seen: tuple[float, float] = (-np.inf, np.inf)


class Phases(NamedTuple):
    """Four moments of a repetition (s, not decreasing): it leaves rest, arrives at its turning point, leaves that, and
    is back at rest."""

    start: float
    arrives: float
    leaves: float
    end: float


def resample(times: np.ndarray, values: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Values (T,) with NaN holes, put on ``grid`` by linear interpolation; needs at least one number."""
    known = np.isfinite(values)
    return np.interp(grid, times[known], values[known])


def low_pass(values: np.ndarray, period: float, rate: float = RATE) -> np.ndarray:
    """Zero-phase Gaussian low-pass along axis 0 that keeps three quarters of a sine of that ``period`` (s)."""
    from scipy.ndimage import gaussian_filter1d  # slow to load

    return gaussian_filter1d(values, 0.12 * period * rate, axis=0, mode="nearest")


def turning_points(values: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Indices of alternating lows and highs, and bool: which are highs.

    Neighbouring turning points differ by at least ``threshold`` but perhaps for the first and last, which are the
    extremes towards the ends of the signal. Nothing is returned for a signal that never moves that far.
    """
    slope = np.sign(np.diff(values))
    bends = np.flatnonzero(slope[1:] * slope[:-1] <= 0) + 1
    points: list[int] = []
    rising = 0  # 1: looking for a high, -1: for a low, 0: not known yet
    low = high = 0
    for i in (*bends.tolist(), len(values) - 1):
        if values[i] > values[high]:
            high = i
        if values[i] < values[low]:
            low = i
        if rising >= 0 and values[i] <= values[high] - threshold:
            # At the very first turn what lies before the high is the lowest point on the way there.
            points += [_extreme(values, 0, high, -1)] * (rising == 0 and high > 0) + [high]
            rising, low, high = -1, i, i
        elif rising <= 0 and values[i] >= values[low] + threshold:
            points += [_extreme(values, 0, low, 1)] * (rising == 0 and low > 0) + [low]
            rising, low, high = 1, i, i
    if rising:
        points.append(high if rising > 0 else low)
    index = np.array(points, int)
    if not len(index):
        return index, np.zeros(0, bool)
    first_is_high = values[index[0]] > values[index[1]]
    return index, (np.arange(len(index)) % 2 == 0) == first_is_high


def _extreme(values: np.ndarray, start: int, stop: int, sign: int) -> int:
    """Index of the highest (sign 1) or lowest (sign -1) value in [start, stop]."""
    return start + int((sign * values[start : stop + 1]).argmax())


def usual_swing(values: np.ndarray, threshold: float) -> float:
    """How far the signal usually goes from one turning point to the next; 0 when it never goes ``threshold`` far.

    The median of the swings that are at least half as large as the large ones, so neither fidgeting between the
    repetitions nor one stray movement counts for much.
    """
    index, _ = turning_points(values, threshold)
    swings = np.abs(np.diff(values[index]))
    if not len(swings):
        return 0.0
    return float(np.median(swings[swings >= 0.5 * np.quantile(swings, 0.9)]))


def cleanness(values: np.ndarray, threshold: float) -> float:
    """Share of the signal's way that goes into real swings rather than wiggles, in [0, 1]."""
    index, _ = turning_points(values, threshold)
    way = np.abs(np.diff(values)).sum()
    return float(np.abs(np.diff(values[index])).sum() / way) if way > 0 and len(index) else 0.0


def periodicity(values: np.ndarray, min_period: float, max_period: float) -> float:
    """Highest autocorrelation at a lag (s) that is a possible period, after the first time it falls below half.

    ``values`` (T,) at RATE; 0 when they are too short to tell.
    """
    values = values - values.mean()
    count = len(values)
    spectrum = np.abs(np.fft.rfft(values, 2 * count)) ** 2
    correlation = np.fft.irfft(spectrum)[:count] / (values @ values + 1e-12)
    correlation *= count / np.arange(count, 0, -1)  # as many products as there are
    falls = np.flatnonzero(correlation < 0.5)
    low = max(int(min_period * RATE), int(falls[0]) if len(falls) else count)
    high = min(int(max_period * RATE), count // 2) + 1
    return float(correlation[low:high].max()) if low < high else 0.0


def find_cycles(
    times: np.ndarray,
    values: np.ndarray,
    *,
    threshold: float,
    min_period: float,
    max_period: float,
    norm: float = np.inf,
    hold_counts: bool = False,
) -> list[Cycle]:
    """Repetitions in a clean signal (T,) that is low at rest and high at the turning point.

    ``threshold``: the least excursion that can be one. A repetition is partial that reaches less than 60 % of the usual
    excursion, or of ``norm`` if that is less. Peaks nearer than 0.7 ``min_period`` seconds are one; a cycle
    longer than twice ``max_period`` is none. At the ends of the signal, a repetition that is cut counts when its peak
    is seen to be one: the signal is lower on both sides, or, with ``hold_counts``, it rises and then stays.
    """
    usual = usual_swing(values, threshold)
    if usual <= 0:
        return []
    index, is_high = turning_points(values, max(threshold, _RETURN * usual))
    peaks = [i for i in index[is_high].tolist() if _is_peak(values, i, _EDGE * usual)]
    if hold_counts and len(index) and is_high[-1] and int(index[-1]) not in peaks:
        peaks += _held(times, values, int(index[-2]), _EDGE * usual)
    peaks = _thinned(times, values, peaks, 0.7 * min_period)
    peaks = sorted({*peaks, *_partial_peaks(values, peaks, threshold, usual)})
    cycles = []
    for i, peak in enumerate(peaks):
        before = peaks[i - 1] if i else 0
        after = peaks[i + 1] if i + 1 < len(peaks) else len(values) - 1
        cycle = _cycle(times, values, (before, peak, after), _FULL * min(usual, norm))
        if cycle.end - cycle.start <= 2 * max_period and cycle.excursion >= threshold:
            cycles.append(cycle)
    return cycles


def _is_peak(values: np.ndarray, peak: int, margin: float) -> bool:
    """Whether the signal is seen to be lower on both sides of a high (at the ends it may just be cut off there)."""
    return values[: peak + 1].min() <= values[peak] - margin and values[peak:].min() <= values[peak] - margin


def _held(times: np.ndarray, values: np.ndarray, low: int, margin: float) -> list[int]:
    """Where the last rise, from ``low`` on, arrives at a height that is then held until the end; empty if it is not."""
    arrived = low + int(np.flatnonzero(values[low:] >= values[low:].max() - margin)[0])
    stays = values[arrived:].min() >= values[low:].max() - 2 * margin
    return [arrived] if stays and times[-1] - times[arrived] >= _HOLD else []


def _thinned(times: np.ndarray, values: np.ndarray, peaks: list[int], distance: float) -> list[int]:
    """Peaks without those that follow nearer than ``distance`` seconds on a higher one."""
    kept: list[int] = []
    for peak in peaks:
        if kept and times[peak] - times[kept[-1]] < distance:
            if values[peak] > values[kept[-1]]:
                kept[-1] = peak
        else:
            kept.append(peak)
    return kept


def _partial_peaks(values: np.ndarray, peaks: list[int], threshold: float, usual: float) -> list[int]:
    """Small highs between the full repetitions: those that stay well below them and are no part of one."""
    index, is_high = turning_points(values, max(threshold, _PARTIAL * usual))
    found = []
    for i in np.flatnonzero(is_high):
        at = int(index[i])
        if at in peaks or i == 0 or i == len(index) - 1:
            continue
        before = max((peak for peak in peaks if peak < at), default=0)
        after = min((peak for peak in peaks if peak > at), default=len(values) - 1)
        rest = min(values[before : at + 1].min(), values[at : after + 1].min())
        if values[at] - rest < _FULL * usual:
            found.append(at)
    return found


def _cycle(times: np.ndarray, values: np.ndarray, around: tuple[int, int, int], full: float) -> Cycle:
    """The repetition around the middle one of three peaks (or ends of the signal)."""
    before, peak, after = around
    left, right = _extreme(values, before, peak, -1), _extreme(values, peak, after, -1)
    rises = np.array([values[peak] - values[left], values[peak] - values[right]])
    # A side that the end of the signal cuts off says little about how far this repetition went.
    excursion = float(rises.mean() if rises.min() >= 0.5 * rises.max() else rises.max())
    start = left + int(np.flatnonzero(values[left : peak + 1] <= values[left] + _REST * rises[0])[-1])
    end = peak + int(np.flatnonzero(values[peak : right + 1] <= values[right] + _REST * rises[1])[0])

    def within(share: float) -> tuple[int, int]:
        """The first and last index around the peak that is within this share of the excursion of it."""
        first = np.flatnonzero(values[start : peak + 1] >= values[peak] - share * rises[0])[0]
        last = np.flatnonzero(values[peak : end + 1] >= values[peak] - share * rises[1])[-1]
        return start + int(first), peak + int(last)

    arrives, leaves = within(_REST)
    return Cycle(
        start=float(times[start]),
        peak=float(times[peak]),
        end=float(times[end]),
        excursion=excursion,
        partial=excursion < full,
        arrives=float(times[arrives]),
        leaves=float(times[leaves]),
        turn=float(times[list(within(_NEAR))].mean()),
        seen=(float(times[0]), float(times[-1])),
    )


def phases(cycles: Sequence[Cycle], first: float, last: float) -> list[Phases]:
    """When each of one person's repetitions begins, arrives at its turning point, leaves it and is over.

    ``cycles`` are in order of ``turn``, which lies in [``first``, ``last``] seconds. A cosine is within 5 % of an end
    for a while that is no pause: that time is given back to both ways, at rest as at the turning point. A repetition
    stays within [``first``, ``last``] and where its signal was seen, and is over before the next one begins: what two
    share, as sides that take turns do, is divided somewhere between their turning points.
    """
    if not cycles:
        return []
    ways = [(cycle.arrives - cycle.start, cycle.end - cycle.leaves) for cycle in cycles]
    # Nobody sees whether the rest before the first and after the last is long; mostly it is.
    starts, ends = [cycles[0].start - _HELD * _TURNING * ways[0][0]], []
    for (cycle, (_, back)), (following, (there, _)) in pairwise(zip(cycles, ways, strict=True)):
        over, begun = np.clip(_turned(cycle.end, following.start, back, there), cycle.turn, following.turn).tolist()
        ends.append(over)
        starts.append(begun)
    ends.append(cycles[-1].end + _HELD * _TURNING * ways[-1][1])
    out = []
    for cycle, (there, back), start, end in zip(cycles, ways, starts, ends, strict=True):
        start, end = max(start, first, cycle.seen[0]), min(end, last, cycle.seen[1])
        arrives, leaves = np.clip(_turned(cycle.arrives, cycle.leaves, there, back), start, end).tolist()
        out.append(Phases(start, arrives, leaves, end))
    return out


def _turned(first: float, second: float, before: float, after: float) -> tuple[float, float]:
    """When the way that seems over at ``first`` (s) really is, and when the one that seems to begin at ``second`` does.

    ``before`` and ``after``: seconds that these ways seem to take, in proportion to which they share what lies between:
    all of it where it is no longer than a swing takes to turn; where somebody stops, less: they turn more abruptly.
    """
    swing, between = _TURNING * (before + after), second - first
    turning = between if between <= swing else max(2 * swing - between, _HELD * swing)
    share = before / (before + after) if before + after > 0 else 0.5
    over = first + share * turning
    return over, over + (between - turning)
