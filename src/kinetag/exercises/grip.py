"""Two hands on one thing: a bar or a weight keeps them apart by the same distance all the time.

Angles of arms alone do not know of each other: hands that press a bar would come nearer together and go apart by
half a metre. Here both wrists go to their middle, plus and minus half a grip along the line between them.
"""

import numpy as np

from kinetag.exercises.kinematics import JOINT, REACH, Proportions, bend_limb, unit

_BAR = (0.07, 0.55)  # of the body's height: how near together and how far apart hands on a bar are
_WEIGHT = (0.04, 0.11)  # on one dumbbell or kettlebell
_NEAR = 0.24  # of the body's height: hands farther apart do not hold one weight, but one of them does
_FOLDED = np.float32(np.cos(np.deg2rad(180 - 152)))  # of an elbow that is bent as far as it goes


def hold_together(joints: np.ndarray, body: Proportions, grips: list[str]) -> None:
    """Put the hands of people with a ``bar`` or a ``weight`` in both (``grips``, '' for all others) on it; in place.

    joints (B, T, 25, 3). How wide they hold it is the median of what their angles say, so that wide and narrow grips
    stay what they are. Where an arm is too short, or the elbow would be bent too far, both hands come nearer to the
    shoulders, or go away from them.
    """
    rows = np.array([i for i, grip in enumerate(grips) if grip], int)
    if not len(rows):
        return
    apart = np.linalg.norm(_across(joints[rows], "wrist"), axis=-1)  # (R, T)
    height, is_bar = body.height[rows], np.array([grips[i] == "bar" for i in rows])
    low, high = (np.where(is_bar, *pair) * height for pair in zip(_BAR, _WEIGHT, strict=True))
    width = np.median(apart, axis=1)
    both = is_bar | (np.quantile(apart, 0.8, axis=1) < _NEAR * height)
    rows, width = rows[both], np.clip(width, low, high)[both].astype(np.float32)
    own = Proportions(body.height[rows], {name: value[rows] for name, value in body.lengths.items()})
    held = joints[rows]
    _put(held, own, width)
    joints[rows] = held


def _across(joints: np.ndarray, name: str) -> np.ndarray:
    """From the right to the left one, (B, T, 3)."""
    return joints[..., JOINT[f"left_{name}"], :] - joints[..., JOINT[f"right_{name}"], :]


def _put(joints: np.ndarray, body: Proportions, width: np.ndarray) -> None:
    # The shoulders say which way the bar lies where the hands are near each other.
    half = unit(_across(joints, "wrist") + _across(joints, "shoulder")) * width[:, None, None] / 2
    wrists, shoulders = (
        [joints[..., JOINT[f"{side}_{name}"], :] for side in ("left", "right")] for name in ("wrist", "shoulder")
    )
    middle = (wrists[0] + wrists[1]) / 2
    away = unit(middle - (shoulders[0] + shoulders[1]) / 2)
    a, b = body["upper_arm"], body["forearm"]
    for limit, sign in ((np.sqrt(a * a + b * b - 2 * a * b * _FOLDED), 1), (REACH * (a + b), -1)):
        step = np.zeros_like(a)
        for shoulder, offset in zip(shoulders, (half, -half), strict=True):
            way = middle + offset - shoulder
            along = (way * away).sum(axis=-1, keepdims=True)
            root = along * along - (way * way).sum(axis=-1, keepdims=True) + limit * limit
            # Along ``away`` to where the wrist is as far from its shoulder as ``limit``.
            step = np.maximum(step, sign * (np.sqrt(np.maximum(root, 0)) - along))
        middle = middle + sign * step * away
    for side, offset in (("left", half), ("right", -half)):
        chain = (f"{side}_shoulder", f"{side}_elbow", f"{side}_wrist")
        bend_limb(joints, body, chain, middle + offset)
        elbow, wrist = joints[..., JOINT[chain[1]], :], joints[..., JOINT[chain[2]], :]
        joints[..., JOINT[f"{side}_hand"], :] = wrist + body["hand"] * unit(wrist - elbow)
