"""Joint angles over time, and the signals that repetitions are counted by.

Angles are in degrees. At elbow, hip, knee and ankle it is the included angle between the two bones that meet there:
180 is straight. At the shoulder it is the angle between the upper arm and the trunk: 0 with the arm hanging, 180
overhead. ``trunk`` is the inclination of the line from mid-hip to mid-shoulder from the upright: 0 standing, 90 lying,
180 head down; the vertical is that of the picture, so a tilted camera tilts it.
"""

from typing import Literal

import numpy as np

from kinetag.body import torso_length
from kinetag.sequence import PoseSequence
from kinetag.skeletons import get_layout

Space = Literal["auto", "2d", "3d"]

_SIDES = ("left", "right")
# Joint: the three points of its angle; the angle is at the middle one.
TRIPLES = {
    f"{side}_{joint}": (f"{side}_{first}", f"{side}_{joint}", f"{side}_{last}")
    for joint, first, last in (
        ("elbow", "shoulder", "wrist"),
        ("shoulder", "elbow", "hip"),
        ("hip", "shoulder", "knee"),
        ("knee", "hip", "ankle"),
        ("ankle", "knee", "foot_index"),
    )
    for side in _SIDES
}
ANGLES = (*TRIPLES, "trunk")
_ACROSS = {
    f"{side}_across": (f"{other}_shoulder", f"{side}_shoulder", f"{side}_wrist")
    for side, other in zip(_SIDES, reversed(_SIDES), strict=True)
}
TURNS = (*_ACROSS, *(f"{side}_{turn}" for turn in ("twist", "lean") for side in _SIDES))
HEIGHTS = tuple(f"{side}_{joint}_height" for joint in ("shoulder", "wrist", "hip", "knee", "ankle") for side in _SIDES)
WIDTHS = ("stance",)
STEPS = tuple(f"{side}_step" for side in _SIDES)

_TRUNK = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
_WHILE = 2.0  # seconds, standard deviation: in which a person keeps facing about the same way
_LAYOUT = get_layout("blazepose")  # has all the joints named here; others convert to it
SEEN = 0.5  # confidence of an angle's least sure joint below which it is a guess, though there is an angle
_MIN_CONFIDENCE = 0.05  # below this there is none: the joint was not seen at all
_TORSO = (0.2, 0.9)  # metres between which a torso may measure in world points that deserve the name
_AGREES = 0.35  # torso lengths: how far the world points, laid over the picture, may be off its keypoints


def joint_angles(sequence: PoseSequence, space: Space = "auto") -> dict[str, np.ndarray]:
    """Angles (T,) in degrees by name, NaN where one of the joints was not seen.

    Names: left_ and right_ with elbow, shoulder, hip, knee, ankle; and trunk. ``space``: '3d' from the world points,
    '2d' as seen in the picture (foreshortened), 'auto': 3D when there are world points that agree with the picture.
    """
    points = joint_points(sequence, space)  # (T, V, C)
    angles = {}
    for name, triple in TRIPLES.items():
        first, joint, last = (points[:, _LAYOUT.index(part)] for part in triple)
        angles[name] = included(first - joint, last - joint)
    angles["trunk"] = _trunk(points)
    return angles


def signals(sequence: PoseSequence, space: Space = "auto") -> dict[str, np.ndarray]:
    """Everything a repetition can be counted by, (T,) each: the joint angles, turns, and heights.

    Turns are in degrees. left_ and right_across: at the shoulder between the other shoulder and the wrist (small with
    the hand before the other side of the body, 180 with the arm stretched out sideways). left_ and right_twist: how far
    the line across the shoulders is turned to that side against the hips, 0 to the other side; a picture does not show
    it, in 2D it is NaN. left_ and right_lean: how far the trunk is bent to that side from square to the hips (in 2D
    from the upright), 0 when bent to the other side.
    Heights are in torso lengths, up positive: left_ and right_ with shoulder_height, wrist_height, hip_height,
    knee_height, ankle_height. They are read from the picture (world points have no floor) and lie above the ground:
    the height that the lowest ankle has at its lowest (5th percentile of the sequence; the lowest joint where no ankle
    was seen). A camera that moves shifts them, so differences over a few seconds mean more than their values. stance is
    the distance between the ankles in torso lengths; left_ and right_step how far that ankle is beyond the other one,
    in torso lengths, along the line on which they pass each other (ahead, or up where that is all that shows).
    """
    points = joint_points(sequence, space)
    feet = points[:, _LAYOUT.index("left_ankle")] - points[:, _LAYOUT.index("right_ankle")]
    torso = torso_length(sequence)[:, None] if points.shape[-1] == 2 else _world_torso(points)
    step = _along(feet / torso, sequence.times)
    widths = {"stance": np.linalg.norm(feet / torso, axis=-1), "left_step": step, "right_step": -step}
    return {**joint_angles(sequence, space), **_turns(points), **_heights(sequence), **widths}


def signal_confidence(sequence: PoseSequence) -> dict[str, np.ndarray]:
    """For each of `signals` the least confidence of the joints it is made from, (T,); of the trunk the surer side."""
    confidence = sequence.to_layout(_LAYOUT.name).confidence
    parts = {
        **TRIPLES,
        **_ACROSS,
        **{name: _TRUNK for name in TURNS if name not in _ACROSS},
        **{name: (name.removesuffix("_height"),) for name in HEIGHTS},
        **dict.fromkeys((*WIDTHS, *STEPS), ("left_ankle", "right_ankle")),
    }
    out = {name: confidence[:, _LAYOUT.indices(joints)].min(axis=1) for name, joints in parts.items()}
    sides = [confidence[:, _LAYOUT.indices((f"{side}_shoulder", f"{side}_hip"))].min(axis=1) for side in _SIDES]
    return {**out, "trunk": np.maximum(*sides)}


def world_is_sane(sequence: PoseSequence) -> bool:
    """Whether there are world points that can be believed in most frames.

    Believed are those whose torso has a human length and which, scaled and shifted, fall on the picture's keypoints:
    estimators without a notion of depth give zeros, and a lost one gives a body that is elsewhere.
    """
    if sequence.world is None or not len(sequence):
        return False
    body = sequence.to_layout(_LAYOUT.name)
    assert body.world is not None
    joints = _LAYOUT.indices((*_TRUNK, *(f"{s}_{j}" for s in _SIDES for j in ("elbow", "wrist", "knee", "ankle"))))
    world, picture = body.world[:, joints].astype(float), body.keypoints[:, joints].astype(float)
    seen = np.isfinite(world).all(-1) & np.isfinite(picture).all(-1) & (body.confidence[:, joints] >= _MIN_CONFIDENCE)
    torso = np.linalg.norm(world[:, :2].mean(axis=1) - world[:, 2:4].mean(axis=1), axis=-1)  # (T,)
    torso = np.where(seen[:, :4].all(axis=1), torso, np.nan)
    fits = _misfit(world[..., :2], picture, seen) < _AGREES * torso
    sane = (torso > _TORSO[0]) & (torso < _TORSO[1]) & fits
    known = np.isfinite(torso)
    return bool(known.any() and sane[known].mean() > 0.5)


def _misfit(world: np.ndarray, picture: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Root mean square distance in metres of world points (T, V, 2), best scaled and shifted, to the picture."""
    weight = seen[..., None] / np.maximum(seen.sum(axis=1), 1)[:, None, None]

    def centred(points: np.ndarray) -> np.ndarray:
        points = np.where(seen[..., None], points, 0.0)
        return np.where(seen[..., None], points - (points * weight).sum(axis=1, keepdims=True), 0.0)

    a, b = centred(world), centred(picture)
    scale = (a * b).sum(axis=(1, 2)) / np.maximum((b * b).sum(axis=(1, 2)), 1e-12)  # metres a pixel
    scale = np.maximum(scale, 0.0)  # a body upside down does not fit
    return np.sqrt(((a - scale[:, None, None] * b) ** 2 * weight).sum(axis=(1, 2)))


def joint_points(sequence: PoseSequence, space: Space) -> np.ndarray:
    """The joints that angles are taken from, (T, 33, 2 or 3), NaN where unseen."""
    body = sequence.to_layout(_LAYOUT.name)
    in_depth = body.world is not None and (space == "3d" or (space == "auto" and world_is_sane(sequence)))
    points = body.world if in_depth else body.keypoints
    assert points is not None
    return np.where((body.confidence >= _MIN_CONFIDENCE)[..., None], points, np.nan).astype(float)


def included(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Angle in degrees between vectors (T, C); NaN for one without length."""
    lengths = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    cosine = (a * b).sum(axis=-1) / np.where(lengths > 1e-9, lengths, np.nan)
    return np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))


def _trunk(points: np.ndarray) -> np.ndarray:
    """Inclination of the trunk from the upright in degrees, (T,); y points down in pixels and in world points."""
    left_shoulder, right_shoulder, left_hip, right_hip = (points[:, _LAYOUT.index(joint)] for joint in _TRUNK)
    left, right = left_shoulder - left_hip, right_shoulder - right_hip
    up = (left + right) / 2
    up = np.where(np.isfinite(up), up, np.where(np.isfinite(left), left, right))  # one side tells it nearly as well
    return included(up, np.broadcast_to(np.eye(up.shape[-1])[1] * -1.0, up.shape))


def _turns(points: np.ndarray) -> dict[str, np.ndarray]:
    at = {joint: points[:, _LAYOUT.index(joint)] for triple in _ACROSS.values() for joint in (*triple, *_TRUNK)}
    out = {name: included(at[a] - at[b], at[c] - at[b]) for name, (a, b, c) in _ACROSS.items()}
    shoulders, hips = (at[f"left_{joint}"] - at[f"right_{joint}"] for joint in ("shoulder", "hip"))
    up = (at["left_shoulder"] + at["right_shoulder"] - at["left_hip"] - at["right_hip"]) / 2
    if points.shape[-1] == 3:  # x to the right, y down, z away: right-handed
        twist = included(shoulders, hips) * np.sign((np.cross(hips, shoulders) * up).sum(axis=-1))
        lean = 90 - included(up, hips)
    else:  # hips seen from an angle are foreshortened; they only tell which side is which
        twist = np.full(len(points), np.nan)
        lean = np.degrees(np.arctan2(up[:, 0], -up[:, 1])) * np.sign(hips[:, 0])
    for name, to_left in (("twist", twist), ("lean", lean)):
        out |= {f"left_{name}": np.maximum(to_left, 0), f"right_{name}": np.maximum(-to_left, 0)}
    return out


def _along(ways: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Vectors (T, C) less their mean, along the line on which they swing most at the time, (T,).

    That line turns with the person, so it is that of a few seconds. Which end of it is positive is left to chance.
    """
    from scipy.ndimage import gaussian_filter1d  # slow to load

    known = np.asarray(np.isfinite(ways).all(axis=1))
    if len(times) < 2 or not known.any():
        return np.full(len(ways), np.nan)
    frames = max(1.0, _WHILE / float(np.median(np.diff(times))))

    def local(values: np.ndarray) -> np.ndarray:
        """The mean of values (T, ...) over a while, of the vectors that are known."""
        weight = gaussian_filter1d(known.astype(float), frames, mode="constant")
        return gaussian_filter1d(values, frames, axis=0, mode="constant") / np.maximum(weight, 1e-9).reshape(
            -1, *[1] * (values.ndim - 1)
        )

    ways = np.where(known[:, None], ways, 0.0)
    swings = np.where(known[:, None], ways - local(ways), 0.0)
    _, lines = np.linalg.eigh(local(swings[:, :, None] * swings[:, None, :]))  # weakest first
    line = lines[..., -1]
    same = np.sign((line[1:] * line[:-1]).sum(axis=1))
    line = line * np.cumprod(np.r_[1.0, np.where(same < 0, -1.0, 1.0)])[:, None]
    return np.where(known, (swings * line).sum(axis=1), np.nan)


def _world_torso(points: np.ndarray) -> float:
    """Usual length from mid-hip to mid-shoulder of points (T, V, C), in their unit; NaN where it was never seen."""
    left_shoulder, right_shoulder, left_hip, right_hip = (points[:, _LAYOUT.index(joint)] for joint in _TRUNK)
    length = np.linalg.norm((left_shoulder + right_shoulder - left_hip - right_hip) / 2, axis=-1)
    return float(np.median(length[np.isfinite(length)])) if np.isfinite(length).any() else float("nan")


def _heights(sequence: PoseSequence) -> dict[str, np.ndarray]:
    points = joint_points(sequence, "2d")  # (T, V, 2)
    up = -points[..., 1] / torso_length(sequence)[:, None]  # (T, V) torso lengths
    ankles = up[:, _LAYOUT.indices(("left_ankle", "right_ankle"))]
    lowest = ankles if np.isfinite(ankles).any() else up
    lowest = lowest[np.isfinite(lowest).any(axis=1)]
    ground = np.quantile(np.nanmin(lowest, axis=1), 0.05) if len(lowest) else 0.0
    return {name: up[:, _LAYOUT.index(name.removesuffix("_height"))] - ground for name in HEIGHTS}
