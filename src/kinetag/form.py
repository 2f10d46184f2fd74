"""Form: the library's typical faults, what is missing to its norms, and how left and right differ.

A fault is reported only when it is clearly there: its signal seen with confident joints, from where it can be seen,
beyond the limit by more than a margin, in at least half of the repetitions that could be judged, in a quarter of all
and in two of them. Where it can be measured in more than one way (both sides, the picture and the world points), all
must agree; but of sides that need not do the same, only what those do that are at work is judged.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kinetag.alignment import View, form_confidence, form_signals, in_degrees, is_height, lies_flat, view_of
from kinetag.angles import Space, world_is_sane
from kinetag.sequence import PoseSequence
from kinetag.timeline import WAYS, Asymmetry, FormFault, Repetition, Segment

if TYPE_CHECKING:
    from kinetag.exercises.library import Counting, Exercise, Fault

_SURE = 0.5  # least median confidence of the joints of what is judged
_SEEN = 0.6  # least share of the poses that show it
_SHARE, _LEAST = 0.5, 2  # of the judged repetitions, and how many, must show a fault
_OF_ALL = 0.25  # of all repetitions must show it: sides that take turns are judged half of the time
_DEGREES, _LENGTHS = 5.0, 0.05  # beyond the limit by so much: what measuring alone may bring about
_AROUND = (0.07, 0.25)  # seconds looked at before and after a moment, at least and at most
_MOST = 0.75  # of the time is 'whole'
_SECOND = 1.0  # a pose that is held is judged second by second
_MOVES = 15.0  # degrees: joints that move less are not compared
_WORKS = 0.15  # of the library's excursion: a side whose counted signal goes so far does the repetition
_IDLE = 0.5  # of the busier side's way: a side that moves less does something else, or moves along a little
_UNEVEN = 35.0  # percent by which ranges of motion must differ to be a fault, and degrees:
_UNEVEN_DEGREES = 25.0

_SIDES = ("left", "right")

Window = tuple[float, float]


@dataclass(frozen=True)
class _Look:
    """The signals of a stretch of poses in each space that can be used, (T,) each, and from where it was seen."""

    times: np.ndarray
    values: dict[Space, dict[str, np.ndarray]]
    confidence: dict[str, np.ndarray]
    flat: dict[str, np.ndarray]  # whether the picture shows a joint angle as it is
    view: View
    symmetric: bool  # whether both sides do the same, in turn or together
    as_one: bool  # whether both sides always do the same, so that their mean is meant
    counting: "Counting | None"

    def within(self, start: float, end: float) -> np.ndarray:
        return (self.times >= start) & (self.times <= end)

    def at_work(self, repetition: Repetition) -> set[str]:
        """The sides that do the repetition: what is counted goes from rest to the peak on them.

        One that moves along while the other goes much farther does not, however unsurely the other was seen.
        """
        goes = {side: self._goes(side, repetition) for side in _SIDES}
        farthest = max((way for way in goes.values() if np.isfinite(way)), default=0.0)
        return {side for side, way in goes.items() if way >= max(_WORKS, _IDLE * farthest)}

    def _goes(self, side: str, repetition: Repetition) -> float:
        """How far a side's counted signal goes from rest to the peak, of the library's excursion; NaN if not seen."""
        if self.counting is None or f"{side}_{self.counting.signal}" not in self.confidence:
            return float("nan")
        name, around = f"{side}_{self.counting.signal}", _around(repetition)
        moments = [self.within(t - around, t + around) for t in (repetition.start, repetition.time, repetition.end)]
        ways = []
        for values in self.values.values():
            start, peak, end = (_middle(values[name][inside]) for inside in moments)
            ways.append(peak - _mean([start, end]))
        return _mean(ways) / (self.counting.peak - self.counting.rest)

    def is_flat(self, name: str, inside: np.ndarray) -> bool:
        """Whether the picture shows that angle as it is in most of the frames ``inside`` (T,)."""
        return bool(inside.any() and self.flat[name][inside].mean() >= _SEEN)


def assess(poses: PoseSequence, exercise: "Exercise", segment: Segment) -> None:
    """Fill in the segment's faults, tempo names and what it is judged by, and its repetitions' asymmetry and distance
    from the norm.

    ``poses`` (smoothed) are the person's, ``segment`` has its repetitions already.
    """
    segment.tempo_names = tempo_names(exercise.counting)
    counted = () if exercise.counting is None else (exercise.counting.signal,)
    segment.judged_by = tuple(dict.fromkeys((*counted, *exercise.norms)))
    cut = poses.between(segment.start - 1, segment.end + 1)
    if len(cut) < 4 or not (exercise.static or segment.repetitions):
        return
    spaces: list[Space] = ["2d", "3d"] if world_is_sane(cut) else ["2d"]
    values: dict[Space, dict[str, np.ndarray]] = {space: form_signals(cut, space) for space in spaces}
    always = exercise.symmetric and set(exercise.sides or ("both",)) == {"both"}
    seen = form_confidence(cut), lies_flat(cut), view_of(cut)
    look = _Look(cut.times, values, *seen, exercise.symmetric, always, exercise.counting)
    working = [look.at_work(repetition) for repetition in segment.repetitions]
    held = exercise.static
    found = [_found(name, fault, look, segment, None if held else working) for name, fault in exercise.faults.items()]
    if exercise.symmetric:
        _compare_sides(look, segment.repetitions)
    for repetition in segment.repetitions:
        repetition.not_compared = "" if repetition.asymmetry else _why_not_compared(look)
    if always:
        found.append(_uneven(exercise.counting, segment.repetitions))
    _measure_by_norm(exercise, look, segment.repetitions, working)
    segment.faults = [fault for fault in found if fault is not None]


def tempo_names(counting: "Counting | None") -> tuple[str, ...]:
    """The parts of a repetition's tempo: which way is eccentric where the library says it."""
    if counting is None or counting.concentric is None:
        return WAYS
    ways = ("concentric", "eccentric") if counting.concentric == "there" else ("eccentric", "concentric")
    return ways[0], WAYS[1], ways[1], WAYS[3]


def _found(
    name: str, fault: "Fault", look: _Look, segment: Segment, working: list[set[str]] | None
) -> FormFault | None:
    """The fault, if it is clearly there. ``working``: each repetition's sides at work; None for a pose that is held."""
    if working is None:
        wholes = _seconds(segment)
        windows, working = [[whole] for whole in wholes], [set() for _ in wholes]
    else:
        wholes = [(repetition.start, repetition.end) for repetition in segment.repetitions]
        windows = [_windows(fault, repetition) for repetition in segment.repetitions]
    judged = [_best(fault, group, look, sides) for group, sides in zip(windows, working, strict=True)]
    judged = [
        (_inside(best[0], whole), best[1]) for best, whole in zip(judged, wholes, strict=True) if best is not None
    ]
    above, limit = (True, fault.above) if fault.above is not None else (False, fault.below)
    assert limit is not None
    margin = _margin(fault)
    shown = [(t, v) for t, v in judged if (v > limit + margin if above else v < limit - margin)]
    if len(shown) < max(_LEAST, _SHARE * len(judged), _OF_ALL * len(wholes)):
        return None
    times, values = zip(*shown, strict=True)
    return FormFault(name, fault.description, fault.angle, above, limit, times, values, len(judged))


def _inside(time: float, whole: Window) -> float:
    """A moment of rest lies between two repetitions; it is told as one of its own repetition."""
    return float(np.clip(time, whole[0] + 0.001, whole[1] - 0.001))


def _margin(fault: "Fault") -> float:
    return _DEGREES if in_degrees(fault.angle) else _LENGTHS


def _seconds(segment: Segment) -> list[Window]:
    """A held pose second by second, without how it is taken up and left."""
    starts = np.arange(segment.start + _SECOND, segment.end - 2 * _SECOND + 1e-9, _SECOND)
    return [(float(start), float(start) + _SECOND) for start in starts]


def _windows(fault: "Fault", repetition: Repetition) -> list[Window]:
    """The moments (from, to) of a repetition at any of which it would be right not to show the fault."""
    around = _around(repetition)
    if fault.at == "peak":
        return [(repetition.time - around, repetition.time + around)]
    if fault.at == "rest":
        return [
            (repetition.start - around, repetition.start + around),
            (repetition.end - around, repetition.end + around),
        ]
    return [(repetition.start, repetition.end)]


def _around(repetition: Repetition) -> float:
    """Seconds that are looked at on either side of a moment of a repetition."""
    return float(np.clip(0.08 * repetition.duration, *_AROUND))


def _middle(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")


def _mean(values: list[float]) -> float:
    """The mean of those that are known."""
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")


def _best(fault: "Fault", windows: list[Window], look: _Look, working: set[str]) -> tuple[float, float] | None:
    """The time and value that speak least for the fault, of all windows, sides and spaces; None if it was not seen.

    ``working`` are the sides that do the repetition that the windows belong to.
    """
    found = [
        ((start + end) / 2, value)
        for start, end in windows
        for value in _values(fault, look.within(start, end), look, working)
    ]
    choose = min if fault.above is not None else max
    return choose(found, key=lambda item: item[1], default=None)


def _values(fault: "Fault", inside: np.ndarray, look: _Look, working: set[str]) -> list[float]:
    """The signal in the frames ``inside`` (T,), for every side and space in which it was seen well.

    Where the sides need not do the same, those count that do the repetition. Where none is seen to do it, both must
    have been seen: the other, unseen or pointing at the camera, may be the one at work.
    """
    names = [f"{side}_{fault.angle}" for side in _SIDES]
    names = names if names[0] in look.confidence else [fault.angle]
    sure = [name for name in names if inside.any() and np.median(look.confidence[name][inside]) >= _SURE]
    alike = look.as_one or fault.both
    found = []
    for space, values in look.values.items():
        doubt = _margin(fault) if space == "3d" else 0.0  # their depth may be further off
        sides = {}
        for name in sure:
            seen = values[name][inside & np.isfinite(values[name])]
            if len(seen) >= max(1, _SEEN * inside.sum()) and _shows(space, name, fault, inside, look):
                sides[name] = _summary(seen, fault) - (doubt if fault.above is not None else -doubt)
        if len(names) > 1 and not alike:
            busy = {name: value for name, value in sides.items() if name.split("_", 1)[0] in working}
            sides = busy or (sides if len(sides) == len(names) else {})
        found += [float(np.mean(list(sides.values())))] if sides and alike else sides.values()
    return found


def _shows(space: Space, name: str, fault: "Fault", inside: np.ndarray, look: _Look) -> bool:
    """Whether the picture, or the world points, show a signal as it is.

    World points have no vertical of their own (that of a camera that looks down is tilted), so inclinations are read
    from the side; and what must be seen from the front is too fine for their depth.
    """
    if is_height(fault.angle) and (space == "3d" or fault.view != "front"):
        return space == "2d"
    if fault.view == "front" or (fault.angle == "trunk" and fault.at != "range"):
        return look.view == fault.view
    if space == "3d":
        return True
    return look.is_flat(name, inside) if name in look.flat else look.view == fault.view


def _summary(seen: np.ndarray, fault: "Fault") -> float:
    if fault.at == "range":
        return float(np.quantile(seen, 0.95) - np.quantile(seen, 0.05))
    if fault.at == "whole":
        return float(np.quantile(seen, 1 - _MOST if fault.above is not None else _MOST))
    return float(np.median(seen))


def _compare_sides(look: _Look, repetitions: list[Repetition]) -> None:
    """Left less right of every joint that moves, in the repetitions in which both sides were seen well: from the front
    or back, in world points or in the plane of the picture. What differs less is kept of the two. From elsewhere world
    points are no help: they are guessed for the far side, and make sides that do the same differ by 15 to 40 degrees.
    """
    if look.view != "front":
        return
    for repetition in repetitions:
        inside = look.within(repetition.start, repetition.end)
        for joint in sorted(name.removeprefix("left_") for name in repetition.range_of_motion if name[:5] == "left_"):
            sides = [f"{side}_{joint}" for side in _SIDES]
            if not all(
                s in repetition.range_of_motion and np.median(look.confidence[s][inside]) >= _SURE for s in sides
            ):
                continue
            found = [
                _asymmetry(look.times[inside], *(values[side][inside] for side in sides))
                for space, values in look.values.items()
                if space == "3d" or all(look.is_flat(side, inside) for side in sides)
            ]
            if found and None not in found:
                repetition.asymmetry[joint] = min((a for a in found if a), key=lambda a: abs(a.degrees))


def _why_not_compared(look: _Look) -> str:
    if not look.symmetric:
        return "left and right are not meant to do the same here"
    if look.view != "front":
        return "not seen from the front or back"
    return "no joint moved far enough and was seen well enough on both sides"


def _asymmetry(times: np.ndarray, left: np.ndarray, right: np.ndarray) -> Asymmetry | None:
    """How two sides (T,) differ in one repetition; None where one of them hardly moves or was hardly seen."""
    known = np.isfinite(left) & np.isfinite(right)
    if known.sum() < max(4, _SEEN * len(times)):
        return None
    times, left, right = times[known], left[known], right[known]
    ranges = [float(np.ptp(left)), float(np.ptp(right))]
    if min(ranges) < max(_MOVES, _IDLE * max(ranges)):
        return None
    degrees = ranges[0] - ranges[1]
    return Asymmetry(degrees, 100 * degrees / (sum(ranges) / 2), _centre(times, left) - _centre(times, right))


def _centre(times: np.ndarray, values: np.ndarray) -> float:
    """The time around which a signal (T,) is away from rest, where it begins and ends."""
    away = (values - (values[0] + values[-1]) / 2) ** 2
    return float((times * away).sum() / away.sum()) if away.sum() > 0 else float(times.mean())


def _uneven(counting: "Counting | None", repetitions: list[Repetition]) -> FormFault | None:
    """The fault that every exercise has in which both sides are meant to do the same."""
    compared = [
        (r.time, r.asymmetry[counting.signal]) for r in repetitions if counting and counting.signal in r.asymmetry
    ]
    shown = [(t, abs(a.percent)) for t, a in compared if abs(a.percent) > _UNEVEN and abs(a.degrees) > _UNEVEN_DEGREES]
    if counting is None or len(shown) < max(_LEAST, _SHARE * len(compared)):
        return None
    times, values = zip(*shown, strict=True)
    said = f"the ranges of the left and the right {counting.signal} differ, in percent"
    return FormFault("uneven", said, counting.signal, True, _UNEVEN, times, values, len(compared))


def _measure_by_norm(exercise: "Exercise", look: _Look, repetitions: list[Repetition], working: list[set[str]]) -> None:
    """How far each repetition stays short of what the library calls a full range of the counted joint."""
    from kinetag.exercises.library import Fault

    counting = exercise.counting
    if counting is None or counting.signal not in exercise.norms or not in_degrees(counting.signal):
        return
    low, high = exercise.norms[counting.signal]
    closes = counting.peak < counting.rest
    above, below = (high, None) if closes else (None, low)
    short = Fault(description="short of the norm", angle=counting.signal, above=above, below=below)
    for repetition, sides in zip(repetitions, working, strict=True):
        best = _best(short, _windows(short, repetition), look, sides)
        if best is not None:
            repetition.short_of_norm = max(0.0, best[1] - high if closes else low - best[1])
