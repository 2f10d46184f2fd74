"""How most people do an exercise, for pictures of it: nothing is left to chance that a picture should not show."""

from typing import Any

import numpy as np

from kinetag.exercises.kinematics import JOINT
from kinetag.exercises.library import Counting, Exercise

_LEVEL = np.array([1.0, 0.0, 1.0])
_SIDES = ("left", "right")
_TRAVELS = 0.3  # metres further on after a repetition than before it
_WORKS, _MORE = 0.15, 1.4  # metres that a working limb moves at least, and how much further than the other one
# What no rule counts has a beginning and an end to show all the same.
_COUNTED = Counting(signal="knee", rest=180, peak=90, min_period=0.1, max_period=100)


def usual(exercise: Exercise) -> Exercise:
    """The exercise with both sides at once if that is a way to do it, with the commonest arms, and with repetitions
    unless it is held; so are its variants."""
    changes: dict[str, Any] = _commonest(exercise)
    changes["variants"] = [v.model_copy(update={**_commonest(v), "counted": True}) for v in exercise.variants]
    if not exercise.static:
        changes["counting"] = exercise.counting or _COUNTED
    return exercise.model_copy(update=changes)


def _commonest(part: Any) -> dict[str, Any]:
    choices: dict[str, Any] = {}
    if part.sides:
        best = "both" if "both" in part.sides else max(part.sides, key=part.sides.__getitem__)
        choices["sides"] = {best: 1.0}
    if part.arms:
        choices["arms"] = {max(part.arms, key=part.arms.__getitem__): 1.0}
    return choices


def key_frames(
    exercise: Exercise, times: np.ndarray, joints: np.ndarray, repetition: tuple[float, float, float]
) -> list[int]:
    """Frames of ``joints`` (T, 25, 3) that tell one repetition (start, peak, end), in order, at most four.

    The start, the way and the turning point; of an exercise with more poses those moments that differ most from each
    other, and those after the turning point too where it does more than go back (a jump).
    """
    order = exercise.order or list(exercise.poses)
    peak = exercise.peak or order[1]
    after = set(order[order.index(peak) :]) - set(order[: order.index(peak) + 1])
    start, turn, end = (int(np.abs(times - moment).argmin()) for moment in repetition)
    if len(set(order)) < 3:
        return [start, int(np.abs(times - (repetition[0] + 0.45 * (repetition[1] - repetition[0]))).argmin()), turn]
    chosen, last = [start, turn], end if after else turn
    still = joints - joints[:, [JOINT["pelvis"]]] * _LEVEL
    for _ in range(2 if after or len(set(order)) > 3 else 1):
        far = [np.linalg.norm(still[start : last + 1] - still[i], axis=-1).mean(axis=1) for i in chosen]
        chosen.append(start + int(np.min(far, axis=0).argmax()))
    return sorted(chosen)


def followed(joints: np.ndarray, first: int, last: int) -> np.ndarray:
    """The same joints (T, 25, 3) on the spot, if from frame ``first`` to ``last`` the person gets somewhere else."""
    way = joints[:, [JOINT["pelvis"]]] * _LEVEL
    return joints - way if np.linalg.norm(way[last] - way[first]) > _TRAVELS else joints


def working_side(joints: np.ndarray) -> str:
    """'left' or 'right', whose leg, or else arm, moves further in ``joints`` (T, 25, 3); '' if both move as far."""
    still = joints - joints[:, [JOINT["pelvis"]]]
    for limb in (("knee", "ankle"), ("elbow", "wrist")):
        left, right = (
            max(np.ptp(still[:, JOINT[f"{side}_{joint}"]], axis=0).max() for joint in limb) for side in _SIDES
        )
        if max(left, right) > max(_WORKS, _MORE * min(left, right)):
            return "left" if left > right else "right"
    return ""
