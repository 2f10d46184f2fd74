"""'Other': everything that is no exercise of the library.

Most of it is written down as exercise files (``library/other``: look-alikes, everyday life, sports, stretches); the
rest is made up here: dances of random poses, odd poses held still, small movements, and changes of place.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Literal

import numpy as np

from kinetag.exercises.library import FOLDER, Exercise, Support, read_exercises
from kinetag.exercises.recipes import AS_IS, INDEX, PARAMETERS, Recipe, pick_recipe, pose_row
from kinetag.timeline import OTHER

Rng = np.random.Generator

_WRITTEN = 0.68  # share that comes from files


def pick_other(rng: Rng) -> Recipe:
    """A recipe for something that is none of the library's exercises."""
    if rng.random() < _WRITTEN:
        exercises, weights = written()
        chosen = exercises[int(rng.choice(len(exercises), p=weights))]
        return replace(pick_recipe(chosen, rng), label=OTHER, variant=chosen.name)
    makers: tuple[tuple[float, Callable[[Rng], Recipe]], ...] = (
        (0.34, _dance), (0.12, _odd_pose), (0.22, _small_movement), (0.32, _change_of_place),
    )  # fmt: skip
    return makers[int(rng.choice(len(makers), p=[share for share, _ in makers]))][1](rng)


@lru_cache(maxsize=1)
def written() -> tuple[list[Exercise], np.ndarray]:
    """The exercises in ``library/other``, and the chance of each."""
    exercises = read_exercises(FOLDER / OTHER)
    weights = np.array([exercise.weight for exercise in exercises])
    return exercises, weights / weights.sum()


_FEET: tuple[Literal["fixed", "in_place", "stepping"], ...] = ("fixed", "in_place", "stepping")


def _dance(rng: Rng) -> Recipe:
    """Two to six random poses one after the other, over and over: upright or on the floor."""
    upright = rng.random() < 0.8
    base = _random_pose(rng, upright)
    near = rng.uniform(0.2, 1.0)
    poses = [base + (_random_pose(rng, upright) - base) * near for _ in range(int(rng.integers(2, 7)))]
    feet = _FEET[int(rng.integers(len(_FEET)))]
    support = Support(by="feet", feet=feet) if upright else Support(by="ground", feet="free")
    if upright and feet != "fixed":
        for pose in poses:
            lifted = rng.random()
            if lifted < 0.5:
                pose[INDEX["left_contact" if lifted < 0.25 else "right_contact"]] = 0
            if rng.random() < 0.15:
                pose[INDEX["lift"]] = rng.uniform(2, 12)
    return _recipe("dance", poses, support, period=(0.35 * len(poses), 1.6 * len(poses)))


def _odd_pose(rng: Rng) -> Recipe:
    """One random pose, held: whatever orientation."""
    upright = rng.random() < 0.5
    pose = _random_pose(rng, upright)
    if upright:  # nobody should take it for standing
        side = str(rng.choice(["left", "right"]))
        pose[INDEX[f"{side}_shoulder"]] = rng.uniform(60, 175)
        pose[INDEX["trunk"]] += rng.choice([-1, 1]) * rng.uniform(0, 20)
    support = Support(by="feet") if upright else Support(by="ground", feet="free")
    return _recipe("odd_pose", [pose], support, period=(3, 6))


# How far each may move, degrees (shift: hundredths of the body's height): less than in a torso twist, a side bend or a
# rotation of the shoulder, which are exercises.
_SMALL = {
    "look": (12, 40), "neck": (12, 40), "twist": (6, 16), "side_bend": (5, 14), "plane": (20, 55), "rotation": (15, 35),
    "turn": (12, 40), "shift": (3, 8),
}  # fmt: skip


def _small_movement(rng: Rng) -> Recipe:
    """Standing or sitting, something moves a little: never only an elbow, which would be a curl."""
    pose = pose_row()
    seated = rng.random() < 0.4
    if seated:
        _put(pose, thigh=rng.uniform(75, 100), knee=rng.uniform(60, 110), trunk=rng.uniform(-20, 20))
    for side in ("left", "right"):
        _put(pose, (side,), **_random_arm(rng, rng.uniform(10, 60)))
    other = pose.copy()
    for name in rng.choice(list(_SMALL), 2, replace=False).tolist():
        change = rng.choice([-1, 1]) * rng.uniform(*_SMALL[name])
        if name in INDEX:
            other[INDEX[name]] += change
        else:
            side = str(rng.choice(["left", "right"]))
            other[INDEX[f"{side}_{name}"]] += change
            other[INDEX[f"{side}_elbow"]] += rng.uniform(-25, 25)
    support = Support(by="seat" if seated else "feet")
    return _recipe("small_movement", [pose, other], support, period=(0.5, 4))


def _change_of_place(rng: Rng) -> Recipe:
    """From one position to another and perhaps back: getting down, getting up, turning over, sitting down."""
    chain = [_STATIONS[name] for name in _WAYS[int(rng.integers(len(_WAYS)))]]
    if rng.random() < 0.5:
        chain = chain[::-1]
    if rng.random() < 0.3:
        chain = chain[: max(2, int(rng.integers(2, len(chain) + 1)))]
    poses = []
    for station in chain:
        pose = pose_row()
        for key, (low, high) in station.items():
            value = rng.uniform(low, high)
            if key in INDEX:
                pose[INDEX[key]] = value
            else:
                for side in ("left", "right"):
                    _put(pose, (side,), **{key: value + rng.normal(0, 10)})
        for side in ("left", "right"):  # one leg and one arm after the other
            pose[INDEX[f"{side}_thigh"]] += rng.normal(0, 12)
            pose[INDEX[f"{side}_shoulder"]] += rng.normal(0, 15)
        poses.append(pose)
    there_and_back = poses + poses[-2:0:-1]
    time = (0.9 * len(there_and_back), 2.4 * len(there_and_back))
    return _recipe("change_of_place", there_and_back, Support(by="ground", feet="free"), period=time, hold=(0, 0.15))


# Positions that people pass through, by their angles (thighs against the vertical).
_STATIONS: dict[str, dict[str, tuple[float, float]]] = {
    "stand": {"trunk": (-3, 12), "thigh": (0, 8), "knee": (0, 10)},
    "bend": {"trunk": (45, 95), "thigh": (20, 70), "knee": (25, 100), "shoulder": (50, 100), "plane": (0, 30)},
    "crouch": {"trunk": (20, 60), "thigh": (95, 125), "knee": (110, 150), "shoulder": (20, 70), "plane": (0, 30)},
    "kneel": {"trunk": (-5, 20), "thigh": (-5, 25), "knee": (85, 120)},
    "half_kneel": {"trunk": (0, 35), "left_thigh": (70, 95), "left_knee": (75, 105), "right_thigh": (-15, 15),
                   "right_knee": (80, 110)},
    "all_fours": {"trunk": (72, 95), "thigh": (-5, 20), "knee": (75, 105), "shoulder": (65, 95), "plane": (0, 15)},
    "prone": {"trunk": (82, 95), "thigh": (-95, -80), "knee": (0, 25), "shoulder": (20, 150), "plane": (20, 90)},
    "prop": {"trunk": (64, 82), "thigh": (-85, -60), "knee": (0, 20), "shoulder": (60, 85), "plane": (0, 20)},
    "side": {"trunk": (-20, 20), "roll": (50, 90), "thigh": (20, 80), "knee": (30, 100), "shoulder": (20, 90)},
    "supine": {"trunk": (-94, -82), "thigh": (88, 140), "knee": (5, 100), "shoulder": (0, 60), "plane": (0, 60)},
    "long_sit": {"trunk": (-25, 10), "thigh": (85, 130), "knee": (5, 90), "shoulder": (-30, 60), "plane": (0, 40)},
    "chair": {"trunk": (0, 30), "thigh": (78, 98), "knee": (75, 100), "shoulder": (10, 50), "plane": (0, 40)},
}  # fmt: skip
_WAYS = (
    ("stand", "bend", "all_fours", "prone"),
    ("stand", "half_kneel", "all_fours", "prop"),
    ("stand", "half_kneel", "kneel", "all_fours", "prop"),
    ("stand", "crouch", "long_sit", "supine"),
    ("stand", "half_kneel", "side", "supine"),
    ("stand", "bend", "crouch", "long_sit"),
    ("supine", "side", "prone"),
    ("supine", "long_sit", "crouch"),
    ("long_sit", "side", "all_fours", "kneel"),
    ("kneel", "all_fours", "prone", "prop"),
    ("chair", "bend", "chair"),
    ("all_fours", "prop", "all_fours", "half_kneel"),
)  # fmt: skip


def _random_pose(rng: Rng, upright: bool) -> np.ndarray:
    """Any pose a body can take, (P,): most joints near rest, some far from it."""
    pose = pose_row()
    trunk = rng.normal(5, 15) if upright else rng.uniform(-110, 110)
    bend = abs(rng.normal(8, 20)) if upright else rng.uniform(-10, 120)
    for name, spread in (("spine", 9), ("twist", 25), ("side_bend", 10), ("neck", 14), ("look", 25), ("turn", 25)):
        pose[INDEX[name]] = rng.normal(0, spread)
    pose[INDEX["trunk"]] = trunk
    pose[INDEX["roll"]] = 0 if upright else rng.normal(0, 25)
    for side in ("left", "right"):
        thigh = bend * rng.uniform(-0.4, 1.3)
        knee = abs(bend * rng.uniform(0.3, 1.8)) + rng.uniform(0, 10)
        _put(pose, (side,), hip=0.0 if upright else thigh, knee=min(knee, 140), abduction=abs(rng.normal(8, 9)),
             hip_rotation=rng.normal(8, 15), **_random_arm(rng, 70))  # fmt: skip
        if upright:
            _put(pose, (side,), thigh=thigh)
    return pose


def _random_arm(rng: Rng, spread: float) -> dict[str, float]:
    raised = float(np.clip(rng.normal(0.3 * spread, spread), -45, 175))
    return {
        "shoulder": raised,
        "plane": rng.uniform(-25, 110) if raised > 0 else rng.uniform(-10, 40),
        "rotation": rng.uniform(-60, 95),
        "elbow": min(abs(rng.normal(0, 60)), 145),
    }


def _put(pose: np.ndarray, sides: tuple[str, ...] = ("left", "right"), **angles: float) -> None:
    for name, value in angles.items():
        if name in ("trunk",):
            pose[INDEX[name]] = value
            continue
        for side in sides:
            if name in ("thigh", "hip"):
                pose[INDEX[f"{side}_thigh"]] = value
                pose[INDEX[f"{side}_thigh_in_space"]] = name == "thigh"
            else:
                pose[INDEX[f"{side}_{name}"]] = value


def _recipe(
    name: str, poses: list[np.ndarray], support: Support, period: tuple[float, float],
    hold: tuple[float, float] = (0, 0.1),
) -> Recipe:  # fmt: skip
    low = np.stack(poses).astype(np.float32)
    count = len(poses)
    flags = np.zeros((count, len(PARAMETERS)), bool)
    cycle = np.stack([np.arange(count), np.full(count, AS_IS)], 1)
    return Recipe(
        OTHER, name, support, low, low, flags, flags, cycle, np.arange(count) == min(1, count - 1),
        np.tile(hold, (count, 1)), np.ones((count, 2)), period, (0.8, 1.0), False,
    )  # fmt: skip
