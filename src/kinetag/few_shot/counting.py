"""What a repetition of a taught exercise is counted by: of all signals, the one with the clearest periodic swing.

The signals are those of `kinetag.angles`. Each is judged by how much of it was seen, how surely, how far it swings and
how regularly; what is best over all clips counts, with its rest, its peak and its period measured from them. Which end
is rest, and of several signals which one, the library has a say in: real clips are cut anywhere (see `known`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from kinetag.angles import signal_confidence, signals
from kinetag.cycles import RATE, Cycle, find_cycles, low_pass, periodicity, resample, turning_points, usual_swing
from kinetag.exercises.library import Counting
from kinetag.few_shot.known import Known
from kinetag.network_reps import Progress
from kinetag.sequence import PoseSequence

REGULAR = 0.5  # autocorrelation from which on a movement is one that repeats itself
PERIODS = (0.4, 12.0)  # seconds: the quickest and the slowest repetition that is looked for

Sides = Literal["both", "either", "alternate"]

_SIGNALS = get_args(Counting.model_fields["signal"].annotation)
_QUICKEST = 0.4  # seconds: what is quicker is smoothed away
_LEAST, _FULL = 18.0, 60.0  # degrees: swings below the first are none, beyond the second are not clearer
_TORSO = 180.0  # degrees that a height of one torso length counts as much as
_COVERAGE = 0.5  # share of the poses in which a signal must be seen
_TURN = 0.45  # of the usual swing: what counts as turning around
# Joint angles first: they depend least on camera and body. Turns are seen in depth only, heights shift with a camera.
_TRUST = {"elbow": 1.0, "shoulder": 1.0, "hip": 1.0, "knee": 1.0, "trunk": 0.9, "ankle": 0.6, "across": 0.6}
_TRUST_OTHERS = 0.6
_ALONE = 0.3  # factor on what swings, but was not seen to do so twice
_IDLE = 0.5  # of the busier side's swing: a side that moves less is idle
_TOGETHER, _IN_TURN = 0.3, -0.2  # correlation of left and right from and up to which they move as one, or in turn
_FAVOUR = 1.0  # added to the factor on the signal that the library counts by, where it is sure of the exercise
_SHOWN = 0.5  # how much begins, ends and pauses tell of rest, beside the network's word
_FEW, _CLEAR_WAY = 8, 0.5  # moments of that word, and the way that it must go, to be told at all, and fully
_EDGE = 0.4  # seconds at the ends of a clip that tell what rest is


@dataclass(frozen=True)
class Swing:
    """One signal of one clip: ``values`` (G,) on a grid from ``start`` at RATE, and how clearly it swings."""

    name: str
    start: float
    values: np.ndarray
    size: float  # usual way from one turning point to the next, in the signal's unit
    regular: float  # autocorrelation
    clarity: float  # [0, 1]

    @property
    def signal(self) -> str:
        """The name without its side."""
        return _base(self.name)

    @property
    def times(self) -> np.ndarray:
        return self.start + np.arange(len(self.values)) / RATE


def swings(poses: PoseSequence) -> dict[str, Swing]:
    """Every signal of a clip that swings at all, by its name with its side."""
    if len(poses) < 4 or poses.duration < 2 * PERIODS[0]:
        return {}
    grid = np.arange(poses.times[0], poses.times[-1] + 1e-9, 1 / RATE)
    sure = signal_confidence(poses)
    found = {}
    for name, values in signals(poses).items():
        known = np.isfinite(values)
        if _base(name) in _SIGNALS and known.mean() >= _COVERAGE and known.sum() >= 4:
            swing = _swing(name, low_pass(resample(poses.times, values, grid), _QUICKEST), float(grid[0]))
            seen = float(known.mean()) * (0.3 + 0.7 * float(sure[name][known].mean()))
            if swing is not None:
                found[name] = Swing(**{**vars(swing), "clarity": seen * swing.clarity})
    return found


def _swing(name: str, values: np.ndarray, start: float) -> Swing | None:
    unit = _unit(name)
    size = usual_swing(values, _LEAST / unit)
    if size <= 0:
        return None
    regular = periodicity(values, *PERIODS)
    trust = _TRUST.get(_base(name), _TRUST_OTHERS) * (regular if regular >= REGULAR else _ALONE)
    return Swing(name, start, values, size, regular, trust * min(size * unit / _FULL, 1.0))


def _unit(name: str) -> float:
    """Degrees that one of the signal's own units counts as much as."""
    return _TORSO if name.endswith("_height") else 1.0


def _base(name: str) -> str:
    side, _, rest = name.partition("_")
    return rest if side in ("left", "right") else name


def find_counting(clips: Sequence[tuple[dict[str, Swing], Known]]) -> Counting | None:
    """The rule that fits all clips best; None where nothing swings.

    Each clip is what `swings` gives of it, and what the library makes of it."""
    found = {swing.signal for clip, _ in clips for swing in clip.values()}

    def clarity(signal: str) -> float:
        """Over all clips, with more weight on the worst: a rule should fit every one of them."""
        return float(np.mean(np.sqrt([_clarity(_of(clip, signal), known) for clip, known in clips])))

    for signal in sorted(found, key=lambda signal: (-clarity(signal), signal)):
        rule = _rule(signal, [(sides, known) for clip, known in clips if (sides := _of(clip, signal))])
        if rule is not None:
            return rule
    return None


def _clarity(sides: list[Swing], known: Known) -> float:
    """How clearly a signal swings in a clip, with more weight on what the library counts that exercise by."""
    if not sides:
        return 0.0
    favoured = known.counting is not None and known.counting.signal == sides[0].signal
    return sides[0].clarity * (1 + _FAVOUR * known.share * favoured)


def _of(clip: dict[str, Swing], signal: str) -> list[Swing]:
    """The clip's swings of a signal, the clearer side first."""
    return sorted((swing for swing in clip.values() if swing.signal == signal), key=lambda swing: -swing.clarity)


def _rule(signal: str, shown: list[tuple[list[Swing], Known]]) -> Counting | None:
    """Rest, peak, sides and periods of a signal, as the clips show them; None where it usually swings too little."""
    clips = [sides for sides, _ in shown]
    ends = [_turning_values(sides[0]) for sides in clips]
    low, high = (float(np.median([pair[i] for pair in ends])) for i in (0, 1))
    rests_high = sum(_rests_high(sides[0], known, low, high) for sides, known in shown)
    rest, peak = (high, low) if rests_high >= 0 else (low, high)
    if abs(high - low) * _unit(signal) < _LEAST:
        return None
    votes: set[Sides] = {_sides(each) for each in clips}
    # 'either' counts both sides at once as one, so it fits clips that differ.
    sides: Sides = votes.pop() if len(votes) == 1 else "either"
    lasts = [_period(clip[0]) for clip in clips]
    known = [period for period in lasts if period > 0] or [2.0]
    share = 2 if sides == "alternate" else 1
    return Counting(
        signal=signal,  # type: ignore[arg-type] - one of the literals, by `swings`
        rest=round(rest, 2),
        peak=round(peak, 2),
        sides=sides,
        min_period=round(0.45 * min(known) / share, 2),
        max_period=round(min(3.0 * max(known), 60.0) / share, 2),
    )


def _turning_values(swing: Swing) -> tuple[float, float]:
    """The usual low and high turning points."""
    index, is_high = turning_points(swing.values, _TURN * swing.size)
    values = swing.values[index]
    return float(np.median(values[~is_high])), float(np.median(values[is_high]))


def _rests_high(swing: Swing, known: Known, low: float, high: float) -> float:
    """Above 0 where rest seems to be at the high turning points, below 0 where at the low ones.

    How people begin, end and dwell tells little of a clip that is cut anywhere; the network knows how repetitions go.
    """
    shown = 2 * _position_of_rest(swing, low, high) - 1
    return _SHOWN * shown - (_follows(swing, known.progress) if known.progress is not None else 0.0)


def _follows(swing: Swing, progress: Progress) -> float:
    """How a signal goes with the way from rest to the turning points: 1 high at these, -1 low; towards 0 where the
    network hardly sees a repetition."""
    inside = (progress.times >= swing.times[0]) & (progress.times <= swing.times[-1]) & np.isfinite(progress.values)
    told = progress.values[inside]
    values = np.interp(progress.times[inside], swing.times, swing.values)
    if len(told) < _FEW or min(told.std(), values.std()) < 1e-6:
        return 0.0
    return float(np.corrcoef(told, values)[0, 1]) * min(float(np.ptp(told)) / _CLEAR_WAY, 1.0)


def _position_of_rest(swing: Swing, low: float, high: float) -> float:
    """Where rest lies between the low (0) and the high (1) turning points.

    Sets begin and end at rest, and most people dwell there.
    """
    edge = max(1, round(_EDGE * RATE))
    share = np.clip((swing.values - low) / max(high - low, 1e-6), 0, 1)
    return float((share[:edge].mean() + share[-edge:].mean() + share.mean()) / 3)


def _sides(sides: list[Swing]) -> Sides:
    """How left and right go together."""
    if len(sides) < 2:
        return "both" if _base(sides[0].name) == sides[0].name else "either"
    if sides[1].size < _IDLE * sides[0].size:
        return "either"
    together = float(np.corrcoef(sides[0].values, sides[1].values)[0, 1])
    return "both" if together >= _TOGETHER else "alternate" if together <= _IN_TURN else "either"


def _period(swing: Swing) -> float:
    """Seconds from one high to the next, as usual; 0 where there is only one."""
    index, is_high = turning_points(swing.values, _TURN * swing.size)
    for which in (is_high, ~is_high):
        if which.sum() >= 2:
            return float(np.median(np.diff(index[which]))) / RATE
    return 0.0


def cycles(clip: dict[str, Swing], counting: Counting) -> list[Cycle]:
    """The cycles of a clip's clearest side of the counting signal, in seconds of the clip."""
    sides = _of(clip, counting.signal)
    if not sides:
        return []
    swing = sides[0]
    progress = (swing.values - counting.rest) / (counting.peak - counting.rest)
    return find_cycles(
        swing.times, progress, threshold=0.3, min_period=counting.min_period, max_period=2 * counting.max_period
    )
