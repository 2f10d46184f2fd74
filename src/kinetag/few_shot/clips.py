"""From a file to what is taught: whose poses, and from when to when the exercise is being done.

The person is the one who fills most of the picture and moves most regularly. Standing about before and after is left
out: of an exercise, what lies outside its repetitions; of a pose that is held, what is not still.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kinetag.body import torso_length
from kinetag.cycles import low_pass, resample
from kinetag.errors import KinetagError
from kinetag.exercises.library import Counting
from kinetag.few_shot.counting import Swing, cycles, find_counting, swings
from kinetag.few_shot.known import NOTHING, Known
from kinetag.sequence import PoseSequence

SHORTEST = 1.0  # seconds of an exercise that can be learned from

_RATE = 30.0  # samples a second of the movement
_CALM = 1.6  # times the speed of the calmest fifth of a clip: below this it is as still as this person gets
_STILL = (0.12, 0.35)  # torso lengths a second, mean over the joints: still below the first, never above the second
_HELD = 0.5  # share of a clip in one still stretch from which on it shows a pose, if nothing repeats itself
_CLEAR = 0.12  # clarity of a swing (see `counting`) below which it is fidgeting
_MARGIN = 0.3  # seconds kept before the first repetition and after the last
_NEITHER = "it shows neither a whole repetition nor a pose that is held"
_LONGER = "take a longer piece of it, best with two or more repetitions"
_KEPT = 1.0  # seconds of poses kept around the part that is taught


class UnusableClipError(KinetagError):
    """A clip that can be read, but does not show what could be learned; others may."""


@dataclass(frozen=True)
class TaughtClip:
    """``poses``, smoothed, of one person, with the exercise from ``start`` to ``end`` (s of the file ``name``).

    ``made``: nobody was filmed, the person comes from the exercise's YAML file (see `made`)."""

    name: str
    poses: PoseSequence
    start: float
    end: float
    made: bool = False

    @property
    def part(self) -> PoseSequence:
        return self.poses.between(self.start, self.end)


@dataclass(frozen=True, eq=False)
class Candidate:
    """One person of one file, before it is known what all the clips have in common."""

    name: str
    poses: PoseSequence
    swings: dict[str, Swing]
    people: tuple[int, ...]  # everybody in the file
    known: Known = NOTHING

    @property
    def still(self) -> tuple[float, float] | None:
        """The longest stretch in which the body is held still."""
        return longest_still(self.poses)

    @property
    def repeats(self) -> bool:
        """Whether it shows a movement that comes back, rather than a pose that is held."""
        if max((swing.clarity for swing in self.swings.values()), default=0.0) < _CLEAR:
            return False
        rule = find_counting([(self.swings, self.known)])
        count = len(cycles(self.swings, rule)) if rule is not None else 0
        held = self.still
        share = (held[1] - held[0]) / max(self.poses.duration, 1e-6) if held else 0.0
        return count >= 2 or (count == 1 and share < _HELD)


def candidate(name: str, people: Sequence[PoseSequence], person: int | None = None) -> Candidate:
    """The person of a file that an exercise is learned from: ``person`` by id, else the most prominent one.

    Raises UnusableClipError when nobody was found, or not that person, or only for too short a time.
    """
    from kinetag.smoothing import smooth

    known = tuple(sequence.person for sequence in people)
    if not people:
        raise UnusableClipError(f"{name}: nobody was found in it; the whole body should be in the picture")
    if person is not None and person not in known:
        raise UnusableClipError(f"{name}: no person {person} in it, only {', '.join(map(str, sorted(known)))}")
    asked = [sequence for sequence in people if person in (None, sequence.person)]
    long_enough = [smooth(sequence) for sequence in asked if sequence.duration >= SHORTEST and len(sequence) >= 8]
    if not long_enough:
        longest = max(sequence.duration for sequence in asked)
        raise UnusableClipError(
            f"{name}: somebody is seen for {longest:.1f} s only, too short: {SHORTEST:g} s are needed; {_LONGER}"
        )
    found = [Candidate(name, poses, swings(poses), known) for poses in long_enough]
    return max(found, key=_importance)


def _importance(who: Candidate) -> float:
    """How much somebody fills the picture, and moves regularly."""
    from kinetag.datasets.poses import prominence

    return prominence(who.poses) * (0.2 + max((swing.clarity for swing in who.swings.values()), default=0.0))


def cut_clips(
    who: Sequence[Candidate], held: bool | None = None, *, kept: int = 0, counting: Counting | None = None
) -> tuple[list[TaughtClip], Counting | None, dict[Candidate, str]]:
    """The part of each clip in which the exercise is done, its counting rule (None: a pose, or never repeated), and
    why others were left out.

    ``held`` True: it is a pose, whatever moves; None: as most of the clips show. A clip that shows something else than
    the others, or too little, is left out, and the rule is measured without it. The first ``kept``, which were taught
    before, never are: where one of those does not fit, that raises UnusableClipError. ``counting`` is the rule where it
    is known already.
    """
    if not who:
        return [], counting, {}
    moving = [each.repeats for each in who]
    is_pose = held if held is not None else sum(moving) < len(moving) / 2 or not any(moving)
    rule = counting
    if counting is not None:
        is_pose = False
    elif not is_pose:
        rule = find_counting([(each.swings, each.known) for each, moves in zip(who, moving, strict=True) if moves])
    cut: list[TaughtClip] = []
    left_out: dict[Candidate, str] = {}
    for number, each in enumerate(who):
        try:
            cut.append(_part(each, rule, len(who)))
        except UnusableClipError as error:
            if number < kept:
                raise
            left_out[each] = str(error)
    if not left_out:
        return cut, rule, {}
    rest = [each for each in who if each not in left_out]
    cut, rule, more = cut_clips(rest, held, kept=kept, counting=counting)
    return cut, rule, left_out | more


def _part(who: Candidate, rule: Counting | None, count: int) -> TaughtClip:
    """The taught part of one of ``count`` clips: what is repeated by the rule, or what is held."""
    if rule is None:
        return _cut(who, who.still, _NEITHER)
    others = "" if count == 1 else ", but the other clips move"
    problem = f"person {who.poses.person} makes no whole repetition in it (by the {rule.signal}){others}"
    return _cut(who, _repetitions(who, rule), problem)


def _cut(who: Candidate, part: tuple[float, float] | None, problem: str) -> TaughtClip:
    if part is None:
        raise UnusableClipError(f"{who.name}: {problem}; choose another --person, or film it again")
    start, end = max(part[0], who.poses.times[0]), min(part[1], who.poses.times[-1])
    if end - start < SHORTEST:
        raise UnusableClipError(
            f"{who.name}: only {end - start:.1f} s of it show the exercise: {SHORTEST:g} s are needed; {_LONGER}"
        )
    kept = who.poses.between(start - _KEPT, end + _KEPT)
    return TaughtClip(who.name, kept, float(start), float(end))


def _repetitions(who: Candidate, rule: Counting) -> tuple[float, float] | None:
    """From the first whole repetition to the last, with a margin."""
    whole = [cycle for cycle in cycles(who.swings, rule) if not cycle.partial]
    if not whole:
        return None
    return whole[0].start - _MARGIN, whole[-1].end + _MARGIN


def longest_still(poses: PoseSequence) -> tuple[float, float] | None:
    """The longest stretch of a clip in which the body is held still; None when it never is for a second."""
    grid = np.arange(poses.times[0], poses.times[-1] + 1e-9, 1 / _RATE)
    speed = low_pass(_speed(poses, grid), 2.0, _RATE)
    calm = speed < np.clip(_CALM * float(np.quantile(speed, 0.2)), *_STILL)
    edges = np.flatnonzero(np.diff(np.r_[False, calm, False].astype(int)))
    runs = edges.reshape(-1, 2)
    if not len(runs):
        return None
    first, last = max(runs.tolist(), key=lambda run: run[1] - run[0])
    start, end = float(grid[first]), float(grid[min(last, len(grid) - 1)])
    return (start, end) if end - start >= SHORTEST else None


def _speed(poses: PoseSequence, grid: np.ndarray) -> np.ndarray:
    """Mean speed of the joints of a moving body in torso lengths a second, (G,)."""
    body = poses.to_layout("kinetag")
    points = np.where((body.confidence > 0.3)[..., None], body.keypoints, np.nan) / torso_length(poses)[:, None, None]
    columns = [column for column in points.reshape(len(poses), -1).T if np.isfinite(column).mean() >= 0.5]
    if not columns:
        return np.zeros(len(grid))
    paths = low_pass(np.stack([resample(poses.times, column, grid) for column in columns], 1), 0.5, _RATE)
    return np.abs(np.gradient(paths, 1 / _RATE, axis=0)).mean(axis=1) * np.sqrt(2)
