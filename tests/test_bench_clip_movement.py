"""Whether a clip shows what it is named after, on motions of the library whose truth is known."""

from functools import cache

import numpy as np
import pytest
from clip_movement import movement_seen
from clip_sets import Clip
from sensor import observe

from kinetag.exercises.kinematics import JOINT
from kinetag.exercises.library import load_library
from kinetag.exercises.motion import generate_batch
from kinetag.sequence import PoseSequence
from kinetag.skeletons import KINETAG13
from kinetag.smoothing import smooth

LIBRARY = load_library()
IDLE = ("standing", "sitting", "lying")


@cache
def performed(name: str, count: int) -> list[PoseSequence]:
    """Movements at full range in which nothing else moves along: others are believed less, and rightly so."""
    rng = np.random.default_rng(1)
    motions = generate_batch(name, rng, count, repetitions=None if LIBRARY[name].static else 3)
    joints = [JOINT[joint] for joint in KINETAG13.joints]
    return [smooth(observe(m.times, m.joints[:, joints], rng, noise=0.01, dropout=0)) for m in motions]


def seen(done: str, named: str, count: int = 4) -> float:
    """Share of clips of ``done`` that are believed to show ``named``."""
    return float(np.mean([movement_seen(Clip("", named, poses, ""), LIBRARY) for poses in performed(done, count)]))


def test_every_class_is_seen_where_it_is_done() -> None:
    shares = {name: seen(name, name) for name in LIBRARY}
    assert np.mean(list(shares.values())) > 0.95
    assert {name for name, share in shares.items() if share < 0.5} == set()


def test_hardly_a_class_is_seen_where_nothing_is_done() -> None:
    """Still people sway, and some poses are much like standing or sitting, so some are believed."""
    shares = [seen(idle, name, count=3) for name in LIBRARY if LIBRARY[name].family != "everyday" for idle in IDLE]
    assert np.mean(shares) < 0.2


@pytest.mark.parametrize(("done", "named"), [("squat", "biceps_curl"), ("plank", "push_up"), ("tree", "warrior_2"),
                                             ("biceps_curl", "squat"), ("standing", "shrug")])  # fmt: skip
def test_something_else_is_not_seen(done: str, named: str) -> None:
    assert seen(done, named) < 0.5


def test_other_is_always_seen() -> None:
    assert seen("standing", "other", count=1) == 1
