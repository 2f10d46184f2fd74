"""Repetitions as the classifier's network sees them: how far each moment is from rest to a turning point.

The network learned that from people whose repetitions are known, through the errors of a pose estimator, and looks at
all joints at once. So it often tells repetitions apart where the one signal that the library counts by is hidden, or
drowns in noise. How far a repetition goes, and when exactly it turns, remains the matter of that signal.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from kinetag.cycles import RATE, Cycle, cleanness, find_cycles, low_pass, resample, usual_swing

SLOWEST_QUICK = 0.5  # seconds: repetitions that may be as quick as this are too quick for the network's frames
_LEAST = 0.2  # of the way from rest to the turning point: less movement than this is no repetition
_SMOOTH = 0.6  # of the shortest repetition: what is quicker is smoothed away at first
_TEMPO = 0.45  # and this of the usual repetition's duration, once that is known
_HOLE = 0.5  # seconds without an answer beside which nothing is counted
_AGREED = 0.5  # of the network's repetitions, which a signal that is trusted must have, too
_SAME = 0.5  # of the longer of two cycles, in which both go on: they are one repetition


@dataclass(frozen=True)
class Progress:
    """``times`` (G,) s, increasing; ``values`` (G,): 0 at rest, 1 at a turning point, NaN where nothing was seen."""

    times: np.ndarray
    values: np.ndarray


def progress_cycles(
    progress: Progress, start: float, end: float, shortest: float, longest: float
) -> tuple[list[Cycle], float]:
    """Repetitions between ``start`` and ``end`` (s) that last from ``shortest`` to ``longest`` seconds, and how clear
    they are, in [0, 1]; NaN where too little was seen to tell."""
    here = (progress.times >= start) & (progress.times <= end) & np.isfinite(progress.values)
    times, values = progress.times[here], progress.values[here]
    if len(times) < 8:
        return [], float("nan")
    grid = np.arange(times[0], times[-1] + 1e-9, 1 / RATE)
    raw = resample(times, values, grid)

    def cycles(period: float) -> tuple[np.ndarray, list[Cycle]]:
        """What is slower than ``period``, and the repetitions in it."""
        clean = low_pass(raw, period)
        return clean, find_cycles(grid, clean, threshold=_LEAST, min_period=shortest, max_period=longest)

    clean, found = cycles(_SMOOTH * shortest)
    lasts = [_lasts(grid, clean, cycle) for cycle in found if not cycle.partial]
    if lasts and _TEMPO * np.median(lasts) > _SMOOTH * shortest:
        clean, found = cycles(_TEMPO * float(np.median(lasts)))
    found = [cycle for cycle in found if np.abs(times - cycle.peak).min() <= _HOLE]
    return found, usual_swing(clean, _LEAST) * cleanness(clean, _LEAST)


def placed(told: Sequence[Cycle], ruled: Sequence[Cycle], *, trusted: bool) -> list[Cycle]:
    """The network's repetitions ``told``, each where the exercise's own signal has it, if it has it too.

    ``ruled`` are that signal's. Where it is ``trusted``, one is partial that it calls so; else both must. And where it
    is trusted and has few of the network's repetitions, the network follows another movement, or the same one from its
    other end, and the signal alone counts.
    """
    free, out = list(ruled), []
    for cycle in told:
        same = max(free, key=lambda own: _together(cycle, own), default=None)
        if same is None or _together(cycle, same) < _SAME:
            out.append(cycle)
            continue
        free.remove(same)
        out.append(replace(same, partial=same.partial and (trusted or cycle.partial)))
    if trusted and len(ruled) - len(free) < _AGREED * len(told):
        return list(ruled)
    return sorted(out, key=lambda cycle: cycle.turn)


def _lasts(times: np.ndarray, values: np.ndarray, cycle: Cycle) -> float:
    """Seconds that a repetition takes; where it seems to begin or end in a long rest, as its upper half lets expect."""
    inside = (times >= cycle.start) & (times <= cycle.end)
    upper = (values[inside] >= values[inside].max() - cycle.excursion / 2).sum() / RATE
    return min(cycle.end - cycle.start, 2 * float(upper))


def _together(a: Cycle, b: Cycle) -> float:
    """Share of the longer of two cycles in which both go on."""
    return (min(a.end, b.end) - max(a.start, b.start)) / max(a.end - a.start, b.end - b.start, 1e-9)
