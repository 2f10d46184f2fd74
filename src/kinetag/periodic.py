"""Repetitions of a movement that nothing is known about: the strongest periodic movement of all joints.

Joint angles and heights are split into what both sides have in common and how they differ. The period is where all of
that is most like itself, or like its mirror image, since left and right in turn are two repetitions (autocorrelation,
as in Cutler and Davis, "Robust real-time periodic motion detection", PAMI 2000, there of pictures). The principal
component that swings most with that period is then counted.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from kinetag.angles import HEIGHTS, STEPS, WIDTHS, signal_confidence, signals, world_is_sane
from kinetag.cycles import RATE, Cycle, find_cycles, low_pass, resample, usual_swing
from kinetag.sequence import PoseSequence

SHORTEST, LONGEST = 0.3, 12.0  # seconds that a repetition of anything may take

_LONGEST = (1.2, 4.0, np.inf)  # seconds: periods up to these are looked for, since slow drift hides quick movements
_ALIKE = 0.45  # autocorrelation from which on a movement is periodic
_AS_GOOD = 0.6  # of the best autocorrelation: a shorter period that is as good as this is the period
_DEGREES, _LENGTHS = 60.0, 0.6  # movements of so many degrees and torso lengths weigh the same
_LARGE = 0.1  # least usual excursion, in that unit
_SEEN = 0.6  # share of the poses in which a signal must be seen
_SURE = 0.3  # least mean confidence
_QUICK = 0.6  # of the period: what is quicker is smoothed away
_COMPONENTS = 4


class _Movement(NamedTuple):
    """What both sides have in common (G, C) and how they differ (G, D), on a uniform grid."""

    common: np.ndarray
    different: np.ndarray


@dataclass(frozen=True)
class _Beat:
    """A period in seconds; ``mirrored``: left and right take turns; ``score``: how large and how regular."""

    period: float
    mirrored: bool
    score: float
    movement: _Movement


def periodic_cycles(cut: PoseSequence, shortest: float = SHORTEST, longest: float = LONGEST) -> list[Cycle]:
    """Cycles of the strongest periodic movement in one stretch of poses; none where nothing repeats.

    ``shortest`` and ``longest``: seconds between which a repetition's duration lies. Where the sides take turns, each
    side's is a repetition.
    """
    if len(cut) < 8 or cut.duration < 2 * shortest:
        return []
    grid = np.arange(cut.times[0], cut.times[-1] + 1e-9, 1 / RATE)
    movement = _movement(cut, grid, shortest)
    beats = [_beat(movement, shortest, min(high, longest, 0.6 * cut.duration)) for high in _LONGEST]
    beat = max((beat for beat in beats if beat is not None), key=lambda beat: beat.score, default=None)
    return [] if beat is None else _cycles(grid, beat, longest)


def _movement(cut: PoseSequence, grid: np.ndarray, shortest: float) -> _Movement:
    """Every signal that is mostly seen, in units that weigh the same."""
    spaces = ("2d", "3d") if world_is_sane(cut) else ("2d",)
    confidences = signal_confidence(cut)
    pairs = [pair for space in spaces for pair in _pairs(signals(cut, space), confidences)]

    def stack(columns: list[np.ndarray]) -> np.ndarray:
        noise = np.array([_noise(column) for column in columns])
        weight = 2 / (1 + noise / max(float(np.median(noise)), 1e-3))  # the shakier, the less
        clean = [low_pass(resample(cut.times, column, grid), shortest) for column in columns]
        return weight * np.stack(clean, axis=1)

    if not pairs:
        return _Movement(*np.zeros((2, len(grid), 0)))
    common, different = zip(*(((left + right), (left - right)) for left, right in pairs), strict=True)
    return _Movement(stack([c / np.sqrt(2) for c in common]), stack([d / np.sqrt(2) for d in different]))


def _noise(column: np.ndarray) -> float:
    """Standard deviation of what changes from one pose to the next, by the second difference (robust)."""
    column = column[np.isfinite(column)]
    return float(np.median(np.abs(np.diff(column, 2))) / (0.6745 * np.sqrt(6)))


def _pairs(
    values: dict[str, np.ndarray], confidences: dict[str, np.ndarray]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Signals (T,) of left and right; one without sides, or whose other side is not seen, twice."""
    seen = {
        name: signal / (_LENGTHS if name in HEIGHTS + WIDTHS else _DEGREES)
        for name, signal in values.items()
        if name not in STEPS
        and np.isfinite(signal).mean() >= _SEEN
        and confidences[name][np.isfinite(signal)].mean() >= _SURE
    }
    for name in {name.removeprefix("left_").removeprefix("right_"): None for name in seen}:
        sides = [seen[key] for key in (f"left_{name}", f"right_{name}", name) if key in seen]
        if len(sides) == 1 or np.isfinite(sides[0] + sides[1]).sum() < 2:
            yield sides[0], sides[0]
        else:
            yield sides[0], sides[1]


def _beat(movement: _Movement, shortest: float, longest: float) -> _Beat | None:
    """The best period between two durations (s), if there is one."""
    if longest <= shortest or not movement.common.shape[1]:
        return None
    parts = _Movement(*(_components(part - low_pass(part, 2 * longest)) for part in movement))
    products, energy = zip(*(_products(part) for part in parts), strict=True)
    whole = np.maximum(sum(energy), 1e-9)
    like, mirrored = (products[0] + products[1]) / whole, (products[0] - products[1]) / whole
    lag = _lag(np.maximum(like, mirrored), shortest, longest)
    if lag is None:
        return None
    size = np.sqrt(sum(part.var(axis=0).sum() for part in parts))
    is_mirrored = bool(mirrored[lag] > like[lag] + 0.1)
    return _Beat(lag / RATE, is_mirrored, float(max(like[lag], mirrored[lag]) * size), parts)


def _components(movement: np.ndarray) -> np.ndarray:
    """The strongest principal components (G, C), each the size of the movement of one typical signal."""
    movement = movement - movement.mean(axis=0)
    _, directions = np.linalg.eigh(movement.T @ movement)  # weakest first
    return movement @ directions[:, : -_COMPONENTS - 1 : -1] / np.sqrt(max(movement.shape[1], 1) / 4)


def _products(components: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Autocorrelation (G,) of all components (G, C) at once by lag, and what it would be if all were alike."""
    count = len(components)
    spectrum = (np.abs(np.fft.rfft(components, 2 * count, axis=0)) ** 2).sum(axis=1)
    energy = np.concatenate([[0], np.cumsum((components**2).sum(axis=1))])
    lags = np.arange(count)
    # Energy of what overlaps, at either end, so that a pause at one end does not count as unlike.
    overlap = np.sqrt(energy[count - lags] * (energy[count] - energy[lags]))
    return np.fft.irfft(spectrum)[:count], np.maximum(overlap, 0.05 * energy[count])


def _lag(alike: np.ndarray, shortest: float, longest: float) -> int | None:
    """The shortest lag at which the movement is about as much like itself as at any between two durations (s)."""
    falls = np.flatnonzero(alike < _ALIKE)
    first = max(round(shortest * RATE), int(falls[0]) if len(falls) else len(alike), 1)
    last = min(round(longest * RATE), len(alike) - 2)
    peaks = [i for i in range(first, last + 1) if alike[i] >= max(alike[i - 1], alike[i + 1], _ALIKE)]
    if not peaks:
        return None
    best = max(alike[i] for i in peaks)
    return next(i for i in peaks if alike[i] >= _AS_GOOD * best)


def _component(beat: _Beat) -> tuple[int, np.ndarray]:
    """The component (G,) that swings most with the period, and in how many repetitions it comes back."""
    lag = round(beat.period * RATE)
    judged: list[tuple[float, int, np.ndarray]] = []
    for part, turns in zip(beat.movement, (1, 2 if beat.mirrored else 1), strict=True):
        for values in low_pass(part, _QUICK * turns * beat.period).T:
            products, energy = _products(values[:, None])
            alike = float(products[lag] / max(energy[lag], 1e-9)) * (1 if turns == 1 else -1)  # half-way it is opposite
            judged.append((alike * float(values.var()), turns, values))
    return max(judged, key=lambda item: item[0])[1:]


def _cycles(grid: np.ndarray, beat: _Beat, longest: float) -> list[Cycle]:
    """Cycles of the component that swings most; where sides take turns, its highs are one side's and its lows the
    other's."""
    turns, values = _component(beat)
    swing = usual_swing(values, max(float(values.std()), 1e-6))
    if swing < _LARGE:
        return []
    periods = (0.6 * turns * beat.period, turns * min(1.6 * beat.period, longest))
    signs = (1, -1) if turns == 2 else (_sign(values),)
    cycles = [
        cycle
        for sign in signs
        for cycle in find_cycles(
            grid, sign * values / swing, threshold=0.4, min_period=periods[0], max_period=periods[1]
        )
    ]
    if turns == 2:  # rest is half-way between the sides, so what seems half a repetition is none
        cycles = [cycle for cycle in cycles if not cycle.partial]
    return sorted(cycles, key=lambda cycle: cycle.turn)


def _sign(values: np.ndarray) -> int:
    """1 where rest is low in a signal (G,), -1 where it is high.

    Sets begin and end at rest; where the two ends say nothing, most exercises dwell there, and the longer tail of the
    values is the turning point.
    """
    low, middle, high = np.quantile(values, (0.05, 0.5, 0.95))
    ends = (np.array([values[0], values[-1]]) - (low + high) / 2) / max(high - low, 1e-9)
    if abs(ends.sum()) > 0.5:
        return -1 if ends.sum() > 0 else 1
    return 1 if ((values - middle) ** 3).mean() >= 0 else -1
