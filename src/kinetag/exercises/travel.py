"""Whether the motion that an exercise file makes is what its counting rule counts.

A file may ask for what cannot be: a knee that bends while the foot is held in its place. Its people then hardly move,
and what they teach is a pose. So some are made, and the way of the counting signal is compared with that of the rule.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kinetag.alignment import in_degrees
from kinetag.angles import signals
from kinetag.errors import KinetagError
from kinetag.exercises.contacts import feet_of
from kinetag.exercises.kinematics import BODY
from kinetag.exercises.library import Counting, Exercise, Support, Written, library_with, read_written
from kinetag.exercises.motion import Motion, generate_batch
from kinetag.exercises.yaml_file import line_of
from kinetag.sequence import PoseSequence
from kinetag.skeletons import BLAZEPOSE

_PEOPLE, _RATE = 8, 15.0
_LEAST = 0.5  # of the way from rest to peak; of what ships it is 0.7 or more
_SIZE = (800, 800)
_PIXELS = 200.0  # a metre
_JOINTS = tuple(name for name in BODY if name in BLAZEPOSE.joints)
_ARMS = ("elbow", "shoulder", "across", "wrist_height", "shoulder_height")


def unmoved(written: Written) -> str | None:
    """One line for an exercise whose made people do not do what it counts: its file and line, what the counting signal
    does, and how to mend it. None where they do, and for what has no counting rule or is held."""
    exercise = written.exercise
    rule = exercise.counting
    if rule is None or exercise.static:
        return None
    low, high = _way(exercise, rule)
    if _is_counted(low, high, rule):
        return None
    unit, digits = ("°", 0) if in_degrees(rule.signal) else (" torso lengths", 2)
    ends = [f"{value:.{digits}f}" for value in (low, high)]
    where = f"at {ends[0]}" if ends[0] == ends[1] else f"between {ends[0]} and {ends[1]}"
    return (
        f"{written.file}:{line_of(written.file, written.document, 'counting')}: the {rule.signal.replace('_', ' ')} "
        f"stays {where}{unit} in the motion that this file makes, but counting "
        f"wants {rule.rest:g} to {rule.peak:g}: {_remedy(exercise, rule)}"
    )


def must_move(written: Written) -> None:
    """Raise what `unmoved` says as a KinetagError: nothing can learn an exercise from people who do not do it."""
    if problem := unmoved(written):
        sheet = f"kinetag exercises {written.exercise.name} --exercises {written.file} --sheet sheet.png"
        raise KinetagError(f"{problem} (to see it: {sheet})")


def moving_library(extra: Sequence[Path]) -> dict[str, Exercise]:
    """As `library.load_library`, to learn from: those in ``extra`` must move as they are counted."""
    own = [written for path in extra for written in read_written(path)]
    for written in own:
        must_move(written)
    return library_with(own)


def _way(exercise: Exercise, rule: Counting) -> tuple[float, float]:
    """The lowest and the highest value of the counting signal, as most people have them."""
    people = generate_batch(exercise, np.random.default_rng(0), _PEOPLE, repetitions=2, rate=_RATE)
    low, high = np.median([_ends(motion, rule.signal) for motion in people], axis=0)
    return float(low), float(high)


def _is_counted(low: float, high: float, rule: Counting) -> bool:
    return high - low >= _LEAST * abs(rule.peak - rule.rest)


def _ends(motion: Motion, signal: str) -> tuple[float, float]:
    """The lowest and the highest value of a signal, of the side that goes further."""
    found = signals(_watched(motion), "3d")
    sides = [found[name] for name in (signal, f"left_{signal}", f"right_{signal}") if name in found]
    ends = [(float(np.nanmin(values)), float(np.nanmax(values))) for values in sides]
    return max(ends, key=lambda pair: pair[1] - pair[0])


def _watched(motion: Motion) -> PoseSequence:
    """The true joints as poses without a flaw, seen from the side."""
    count, rows = len(motion.times), BLAZEPOSE.indices(_JOINTS)
    world = np.full((count, len(BLAZEPOSE.joints), 3), np.nan)
    world[:, rows] = motion.joints[:, [BODY.index(name) for name in _JOINTS]] * (1, -1, -1)  # y down, z away
    confidence = np.isfinite(world).all(axis=-1).astype(float)
    return PoseSequence(motion.times, world[..., [2, 1]] * _PIXELS, confidence, BLAZEPOSE.name, _SIZE, world=world)


def _remedy(exercise: Exercise, rule: Counting) -> str:
    """What sets the signal free: the feet, if it moves without them, or the hands, or other poses."""
    support = exercise.support or Support()
    free = exercise.model_copy(update={"support": support.model_copy(update={"feet": "free"})})
    if feet_of(support) != "free" and _is_counted(*_way(free, rule), rule):
        one = "feet that bear are held where they are; free the one that moves with contact: 0"
        if support.by == "feet":
            return one
        return f"{one}, or both with support: {{by: {support.by}, feet: free}} (in_place: they slide over the floor)"
    if rule.signal in _ARMS and support.by.startswith("hands"):
        return "hands that bear are held where they are; free the one that moves with hand_contact: 0"
    return "let the poses differ in it, or count by a signal that moves, with its rest and peak"
