"""Signals that show form rather than repetitions, and from where a person is seen.

left_ and right_body_line: bend of the line shoulder - hip - ankle in degrees, 0 straight, positive with the hip above
it, negative with it below (in the picture, or by the world points' own vertical). left_ and right_thigh_line: the same
from shoulder over hip to knee. knee_gap: distance of the knees as a share of the distance of the ankles; it is NaN
where the feet are too near each other to tell. chin_height: how far the nose is above the hands, torso lengths.
"""

from typing import Literal

import numpy as np

from kinetag.angles import HEIGHTS, STEPS, TRIPLES, WIDTHS, Space, included, joint_points, signal_confidence, signals
from kinetag.body import torso_length
from kinetag.sequence import PoseSequence
from kinetag.skeletons import get_layout

View = Literal["front", "side", "oblique"]

_SIDES = ("left", "right")
_LAYOUT = get_layout("blazepose")
_KNEES_AND_ANKLES = ("left_knee", "right_knee", "left_ankle", "right_ankle")
_LINES = {
    f"{side}_{name}": (f"{side}_shoulder", f"{side}_hip", f"{side}_{end}")
    for name, end in (("body_line", "ankle"), ("thigh_line", "knee"))
    for side in _SIDES
}
ALIGNMENT = (*_LINES, "knee_gap", "chin_height")

_APART = 0.3  # torso lengths between the ankles: less says nothing about the knees
# Lengths of bones in torso lengths (Winter, "Biomechanics and Motor Control of Human Movement": shares of the height).
_LENGTHS = {
    frozenset(("shoulder", "elbow")): 0.6, frozenset(("elbow", "wrist")): 0.52, frozenset(("shoulder", "hip")): 1.0,
    frozenset(("hip", "knee")): 0.86, frozenset(("knee", "ankle")): 0.86, frozenset(("hip", "ankle")): 1.7,
}  # fmt: skip
_FLAT = 0.72  # of a bone's length: so long it looks, less than about 44 degrees off the plane of the picture
# Widths of shoulders and hips together in torso lengths: about 1.1 from the front, 0 from the side.
_FRONT, _SIDE = 0.85, 0.45


def form_signals(sequence: PoseSequence, space: Space) -> dict[str, np.ndarray]:
    """Everything that a fault can be told by, (T,) each: `angles.signals` but steps, and those described above."""
    points = joint_points(sequence, space)  # (T, 33, 2 or 3)
    at = {name: points[:, _LAYOUT.index(name)] for name in (*_KNEES_AND_ANKLES, *sum(_LINES.values(), ()))}
    out = {name: _bend(*(at[joint] for joint in joints)) for name, joints in _LINES.items()}
    knees, ankles = (np.linalg.norm(at[f"left_{j}"] - at[f"right_{j}"], axis=-1) for j in ("knee", "ankle"))
    torso = _torso(points)
    out["knee_gap"] = knees / np.where(ankles > _APART * torso, ankles, np.nan)
    nose, *wrists = (points[:, _LAYOUT.index(joint), 1] for joint in ("nose", "left_wrist", "right_wrist"))
    out["chin_height"] = (np.fmax(*wrists) - nose) / torso  # y points down: of the lower hand
    return {**_without_steps(signals(sequence, space)), **out}


def form_confidence(sequence: PoseSequence) -> dict[str, np.ndarray]:
    """For each of `form_signals` the least confidence of the joints it is made from, (T,)."""
    confidence = sequence.to_layout(_LAYOUT.name).confidence
    parts = {**_LINES, "knee_gap": _KNEES_AND_ANKLES, "chin_height": ("nose", "left_wrist", "right_wrist")}
    own = {name: confidence[:, _LAYOUT.indices(joints)].min(axis=1) for name, joints in parts.items()}
    return {**_without_steps(signal_confidence(sequence)), **own}


def _without_steps(of: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Which way a step goes is left to chance, so there is no limit to it."""
    return {name: values for name, values in of.items() if name not in STEPS}


def is_height(name: str) -> bool:
    """Whether a signal, with or without its side, is a height: read from the picture alone, wherever it was taken."""
    return name == "chin_height" or not {name, f"left_{name}"}.isdisjoint(HEIGHTS)


def in_degrees(name: str) -> bool:
    """Whether a signal is an angle: heights and ``stance`` are torso lengths, ``knee_gap`` is a share."""
    return not is_height(name) and name not in (*WIDTHS, *STEPS, "step", "knee_gap")


def lies_flat(sequence: PoseSequence) -> dict[str, np.ndarray]:
    """Whether both bones of a joint angle or line lie about in the plane of the picture, bool (T,) by signal.

    Then the angle that is seen is about the true one. Told by how long the bones look against the body's size, which is
    that of the bones that look longest.
    """
    points = joint_points(sequence, "2d")
    bones = {
        (name, i): np.linalg.norm(
            points[:, _LAYOUT.index(joints[i])] - points[:, _LAYOUT.index(joints[i + 1])], axis=-1
        )
        / _LENGTHS[frozenset(joint.split("_", 1)[1] for joint in joints[i : i + 2])]
        for name, joints in (TRIPLES | _LINES).items()
        if "foot_index" not in joints[2]
        for i in (0, 1)
    }  # in torso lengths of its own
    once = {frozenset((TRIPLES | _LINES)[name][i : i + 2]): length for (name, i), length in bones.items()}
    sizes = [np.nanquantile(length, 0.9) for length in once.values() if np.isfinite(length).any()]
    if not sizes:
        return {}
    size = sorted(sizes)[-min(3, len(sizes))]  # not the very longest, which errs most
    return {name: np.fmin(bones[name, 0], bones[name, 1]) >= _FLAT * size for name, i in bones if i == 0}


def view_of(sequence: PoseSequence) -> View:
    """From where the camera sees the trunk: from the front or back, from the side, or from in between."""
    points = joint_points(sequence, "2d")
    wide = sum(
        np.linalg.norm(points[:, _LAYOUT.index(f"left_{j}")] - points[:, _LAYOUT.index(f"right_{j}")], axis=-1)
        for j in ("shoulder", "hip")
    )
    torso = torso_length(sequence)
    # A trunk that bends to the camera looks short; its full length is seen at other moments.
    width = wide / np.nanquantile(torso, 0.9) if np.isfinite(torso).any() else np.full(len(points), np.nan)
    width = width[np.isfinite(width)]
    if not len(width):
        return "oblique"
    middle = float(np.median(width))
    return "front" if middle >= _FRONT else "side" if middle <= _SIDE else "oblique"


def _bend(shoulder: np.ndarray, hip: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Degrees by which the line bends at the hip, positive upwards; points (T, C), y down."""
    along = end - shoulder
    share = ((hip - shoulder) * along).sum(axis=-1) / np.maximum((along**2).sum(axis=-1), 1e-9)
    off = hip - (shoulder + share[:, None] * along)
    return (180 - included(shoulder - hip, end - hip)) * np.where(off[:, 1] <= 0, 1, -1)


def _torso(points: np.ndarray) -> np.ndarray:
    """Length (T,) from mid-hip to mid-shoulder, in the points' unit."""
    left_shoulder, right_shoulder, left_hip, right_hip = (
        points[:, _LAYOUT.index(f"{side}_{joint}")] for joint in ("shoulder", "hip") for side in _SIDES
    )
    return np.linalg.norm((left_shoulder + right_shoulder - left_hip - right_hip) / 2, axis=-1)
