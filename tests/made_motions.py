"""Angles of made motions, computed from the joints alone (not by kinetag.angles), for the tests of the library."""

import numpy as np

from kinetag.exercises.kinematics import JOINT

SIDES = ("left", "right")
LIMBS = [(f"{s}_{a}", f"{s}_{b}") for s in ("left", "right") for a, b in (
    ("shoulder", "elbow"), ("elbow", "wrist"), ("wrist", "hand"), ("hip", "knee"), ("knee", "ankle"),
    ("ankle", "heel"), ("ankle", "foot_index"), ("heel", "foot_index"))]  # fmt: skip
LIMBS += [("pelvis", "chest"), ("chest", "neck"), ("neck", "head"), ("head", "nose"), ("neck", "left_shoulder"),
          ("left_hip", "right_hip")]  # fmt: skip


def lengths(joints: np.ndarray) -> np.ndarray:
    """Lengths of the limbs in metres, (..., L)."""
    return np.stack(
        [np.linalg.norm(joints[..., JOINT[a], :] - joints[..., JOINT[b], :], axis=-1) for a, b in LIMBS], -1
    )


def included(joints: np.ndarray, a: str, b: str, c: str) -> np.ndarray:
    """Angle at b in degrees, joints (..., 25, 3)."""
    u, v = joints[..., JOINT[a], :] - joints[..., JOINT[b], :], joints[..., JOINT[c], :] - joints[..., JOINT[b], :]
    cosine = (u * v).sum(-1) / (np.linalg.norm(u, axis=-1) * np.linalg.norm(v, axis=-1))
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def torso(joints: np.ndarray) -> float:
    """Mean distance from the pelvis to the middle of the shoulders, metres."""
    shoulders = (joints[:, JOINT["left_shoulder"]] + joints[:, JOINT["right_shoulder"]]) / 2
    return float(np.linalg.norm(shoulders - joints[:, JOINT["pelvis"]], axis=-1).mean())


def signal(joints: np.ndarray, name: str) -> np.ndarray:
    """A counting signal for both sides, (2, T)."""
    if name == "trunk":
        up = sum(joints[:, JOINT[f"{s}_shoulder"]] - joints[:, JOINT[f"{s}_hip"]] for s in SIDES)
        value = np.degrees(np.arccos(up[:, 1] / np.linalg.norm(up, axis=-1)))
        return np.stack([value, value])
    if name in ("twist", "lean"):
        lines = [joints[:, JOINT[f"left_{j}"]] - joints[:, JOINT[f"right_{j}"]] for j in ("shoulder", "hip")]
        lines += [sum(joints[:, JOINT[f"{s}_shoulder"]] - joints[:, JOINT[f"{s}_hip"]] for s in SIDES)]
        shoulders, hips, up = (line / np.linalg.norm(line, axis=-1, keepdims=True) for line in lines)
        if name == "lean":
            value = np.degrees(np.arcsin((up * hips).sum(-1)))
        else:
            value = np.degrees(np.arctan2((np.cross(hips, shoulders) * up).sum(-1), (hips * shoulders).sum(-1)))
        return np.stack([value, -value]).clip(0)
    if name == "across":
        pairs = zip(SIDES, reversed(SIDES), strict=True)
        return np.stack([included(joints, f"{o}_shoulder", f"{s}_shoulder", f"{s}_wrist") for s, o in pairs])
    if name == "stance":
        feet = joints[:, JOINT["left_ankle"]] - joints[:, JOINT["right_ankle"]]
        value = np.linalg.norm(feet, axis=-1) / torso(joints)
        return np.stack([value, value])
    if name.endswith("_height"):
        ground = min(joints[:, JOINT[f"{s}_ankle"], 1].min() for s in SIDES)
        joint = name.removesuffix("_height")
        return np.stack([(joints[:, JOINT[f"{s}_{joint}"], 1] - ground) / torso(joints) for s in SIDES])
    ends = {"elbow": ("shoulder", "wrist"), "shoulder": ("elbow", "hip"), "hip": ("shoulder", "knee"),
            "knee": ("hip", "ankle"), "ankle": ("knee", "foot_index")}[name]  # fmt: skip
    return np.stack([included(joints, f"{s}_{ends[0]}", f"{s}_{name}", f"{s}_{ends[1]}") for s in SIDES])


def progress(joints: np.ndarray, counting) -> np.ndarray:
    """The counting signal from 0 at rest to 1 at the turning point, (T,): of both sides, or of the busier one."""
    both = (signal(joints, counting.signal) - counting.rest) / (counting.peak - counting.rest)
    if counting.sides == "both":
        return both.mean(axis=0)
    moving = np.ptp(both, axis=1)
    return both.max(axis=0) if moving.min() > 0.5 * moving.max() else both[moving.argmax()]


def cycles(values: np.ndarray) -> int:
    """How often a signal goes up past 60 % of its range after having been below 40 %."""
    low, high = values.min(), values.max()
    count, is_up = 0, False
    for value in (values - low) / (high - low):
        if not is_up and value > 0.6:
            count, is_up = count + 1, True
        elif is_up and value < 0.4:
            is_up = False
    return count
