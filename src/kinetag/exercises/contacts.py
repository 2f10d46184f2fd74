"""Contacts: what bears the body stays where it is, and nothing is below the floor.

`kinematics.forward` makes a pose in the air. Here it is put on the floor, a bar or a bench: the place (and, on hands
and feet, the inclination) of the whole body follows from what bears it, in closed form; then the limbs that bear are
bent by two-bone inverse kinematics, so that hands and feet do not slide and bones keep their lengths.
"""

from dataclasses import dataclass

import numpy as np

from kinetag.exercises.balance import stand
from kinetag.exercises.feet import FLOOR, SIDES, foot_contact, foot_touch, on_feet, plant_feet
from kinetag.exercises.grip import hold_together
from kinetag.exercises.kinematics import (
    BODY,
    CLEARANCE,
    JOINT,
    Proportions,
    bend_limb,
    forward,
    unit,
)
from kinetag.exercises.library import Support
from kinetag.exercises.recipes import INDEX

_UP, _AHEAD = np.array([[0, 1, 0], [0, -0.1, 0.995]], np.float32)  # of fingers on a wall, on the floor
_DEFAULT_FEET = {"feet": "fixed", "seat": "fixed", "hands": "free", "back": "fixed", "ground": "free",
                 "shoulders": "fixed",
                 "hands_and_feet": "fixed", "hands_and_knees": "free", "both_ends": "free"}  # fmt: skip
_UPPER = [i for i, name in enumerate(BODY) if name in ("chest", "neck", "head", "nose") or name.endswith("_ear")
          or name.endswith(("_shoulder", "_elbow", "_wrist", "_hand"))]  # fmt: skip
_LOWER = [i for i in range(len(BODY)) if i not in _UPPER]


@dataclass(frozen=True)
class Surfaces:
    """Where the things are that people of one group rest on, each (B,): heights in metres, hand places in metres."""

    back: np.ndarray
    hands: np.ndarray
    feet: np.ndarray
    hand_width: np.ndarray
    hand_ahead: np.ndarray


def feet_of(support: Support) -> str:
    """What the feet do: as it says, or as they usually do on such a support."""
    return support.feet or _DEFAULT_FEET[support.by]


def bear(
    parameters: np.ndarray, body: Proportions, supports: list[Support], rng: np.random.Generator,
    *, grips: list[str] | None = None, loads: np.ndarray | None = None, every: float | None = None,
) -> np.ndarray:  # fmt: skip
    """Joints (B, T, 25, 3) in the world of people with ``parameters`` (B, T, P), each on their own support.

    ``grips``: what each has in both hands, as `grip.hold_together` takes it; ``loads`` (B, 2): what it weighs, as
    `balance.centre_of_mass` takes it; ``every`` seconds there is a frame (None: each is a pose by itself).
    """
    joints = np.empty((*parameters.shape[:2], len(BODY), 3), np.float32)
    kinds = [(s.by, feet_of(s), s.elbows, s.leans) for s in supports]
    draws = rng.random((len(supports), 5), np.float32)
    for kind in dict.fromkeys(kinds):
        rows = np.array([i for i, k in enumerate(kinds) if k == kind])
        group = Proportions(body.height[rows], {name: value[rows] for name, value in body.lengths.items()})
        surfaces = _surfaces([supports[i] for i in rows], draws[rows], group)
        held = [grips[i] for i in rows] if grips is not None else []
        weights = None if loads is None else loads[rows]
        joints[rows] = _bear(parameters[rows], group, kind, surfaces, held, weights, every)
    return joints


def _surfaces(supports: list[Support], draws: np.ndarray, body: Proportions) -> Surfaces:
    names = ("surface", "hand_height", "foot_height", "hand_width", "hand_ahead")
    low, high = np.array([[getattr(s, n) for n in names] for s in supports], np.float32).transpose(2, 0, 1)
    back, hands, feet, width, ahead = (low + (high - low) * draws).T
    scale = body.height / 1.71  # a child's bench is lower
    return Surfaces(back * scale, hands * scale, feet * scale, width * body.lengths["clavicle"], ahead * body.arm)


def _bear(
    parameters: np.ndarray, body: Proportions, kind: tuple[str, str, bool, bool], at: Surfaces, grips: list[str],
    loads: np.ndarray | None, every: float | None,
) -> np.ndarray:  # fmt: skip
    on, feet, elbows, leans = kind
    if on in ("hands_and_feet", "hands_and_knees"):
        joints = _on_all_fours(parameters, body, at, knees=on == "hands_and_knees", elbows=elbows)
        if on == "hands_and_knees":
            _feet_clear(joints, body)
    else:
        joints = forward(parameters, body)
        if on == "hands":
            joints = _on_hands(joints, parameters, body, at)
        else:
            hold_together(joints, body, grips)
        if on in ("feet", "seat"):
            joints = on_feet(joints, parameters, body, feet, seated=on == "seat")
        elif on == "back":
            joints[..., 1] += (at.back + CLEARANCE[JOINT["pelvis"]] * body.height)[:, None, None]
        elif on == "shoulders":
            joints = joints - joints[..., [JOINT["neck"]], :]
            joints[..., 1] += (at.back + CLEARANCE[JOINT["neck"]] * body.height)[:, None, None]
        elif on != "hands":
            joints = _lifted(_levelled(joints, body, parameters) if on == "both_ends" else joints, body, always=True)
            joints[..., 1] += (parameters[..., INDEX["lift"]] * body.height[:, None] / 100)[..., None]
            joints = _carried_along(joints, parameters) if feet == "stepping" else joints
    if feet != "free":
        plant_feet(joints, parameters, body, at.feet, pinned=feet == "fixed", free_to_sink=on == "feet")
        if on == "feet" and not leans:
            stand(joints, body, np.stack([foot_touch(parameters, side) for side, _ in SIDES], -1), every, loads)
    return _lifted(joints, body, always=False)


def _lifted(joints: np.ndarray, body: Proportions, *, always: bool) -> np.ndarray:
    """Raised until no joint is nearer to the floor than its flesh allows; with ``always`` also lowered to touch it."""
    gap = (joints[..., 1] - CLEARANCE * body.height[:, None, None]).min(axis=-1)  # (B, T)
    joints[..., 1] -= (gap if always else np.minimum(gap, 0))[..., None]
    return joints


def _levelled(joints: np.ndarray, body: Proportions, parameters: np.ndarray) -> np.ndarray:
    """Tipped as one, along the way from the hips to the head, until the lowest joint of each is equally low.

    Newton's method on the difference of their heights: tipping by a small angle changes it by how far they are apart.
    While the hands leave the floor, the body is tipped less and less.
    """
    along = joints[:, :, JOINT["neck"]] - joints[:, :, JOINT["pelvis"]]
    along = unit(along * np.array([1, 0, 1], np.float32))[:, :, None]  # (B, T, 1, 3) level, towards the head
    far, high = (joints * along).sum(axis=-1), joints[..., 1]  # (B, T, J) each
    aside = joints * np.array([1, 0, 1], np.float32) - far[..., None] * along
    angle = np.zeros_like(far[..., :1])  # (B, T, 1)
    for _ in range(8):
        tipped_far, tipped_high = _tipped(far, high, angle)
        gap = tipped_high - CLEARANCE * body.height[:, None, None]
        upper, lower = (np.array(part)[gap[..., part].argmin(axis=-1)][..., None] for part in (_UPPER, _LOWER))
        rise, apart = (np.take_along_axis(a, upper, -1) - np.take_along_axis(a, lower, -1) for a in (gap, tipped_far))
        angle = angle - np.arctan2(rise, np.maximum(apart, 0.2)).clip(-0.5, 0.5)
    bears = np.concatenate(list(_hands_that_bear(parameters).values()), axis=-1).max(axis=-1, keepdims=True)
    far, high = _tipped(far, high, angle.clip(-0.7, 0.7) * bears)
    joints = aside + far[..., None] * along
    joints[..., 1] = high
    return joints


def _tipped(far: np.ndarray, high: np.ndarray, angle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places along and above the floor, turned about the origin by ``angle`` radians."""
    return np.cos(angle) * far - np.sin(angle) * high, np.sin(angle) * far + np.cos(angle) * high


def _carried_along(joints: np.ndarray, parameters: np.ndarray) -> np.ndarray:
    """Moved over the floor so that feet and hands that bear stay where they are."""
    names = [f"{side}_{part}" for part in ("foot_index", "hand") for side, _ in SIDES]
    hands = np.concatenate(list(_hands_that_bear(parameters).values()), axis=-1)  # (B, T, 2)
    bears = np.concatenate([np.stack([foot_contact(parameters, side) ** 4 for side, _ in SIDES], -1), hands], -1) + 1e-4
    places = joints[..., [JOINT[name] for name in names], :]
    steps = np.diff(places, axis=1, prepend=places[:, :1]) * np.array([1, 0, 1], np.float32)  # (B, T, 4, 3)
    way = np.cumsum((bears[..., None] * steps).sum(axis=2) / bears.sum(axis=-1)[..., None], axis=1)
    return joints - way[:, :, None]


# ---- on the hands


def _straight_reach(parameters: np.ndarray, body: Proportions) -> np.ndarray:
    """Distance from shoulder to wrist with the elbows bent as they are, mean of the arms that bear, (B, T)."""
    bears = np.concatenate(list(_hands_that_bear(parameters).values()), -1) + 1e-4  # (B, T, 2)
    bend = np.deg2rad(parameters[..., [INDEX["left_elbow"], INDEX["right_elbow"]]])
    bend = (bend * bears).sum(axis=-1) / bears.sum(axis=-1)
    a, b = body.lengths["upper_arm"][:, None], body.lengths["forearm"][:, None]
    return np.sqrt(a * a + b * b + 2 * a * b * np.cos(np.clip(bend, 0.06, 2.6)))


def _middle(joints: np.ndarray, name: str) -> np.ndarray:
    return (joints[..., JOINT[f"left_{name}"], :] + joints[..., JOINT[f"right_{name}"], :]) / 2


def _sagittal_reach(joints: np.ndarray, reach: np.ndarray, at: Surfaces) -> tuple[np.ndarray, np.ndarray]:
    """Reach seen from the side (B, T), and each hand's distance from the middle (B, 1), less where the arm is short."""
    half = np.linalg.norm(joints[..., JOINT["left_shoulder"], :] - joints[..., JOINT["right_shoulder"], :], axis=-1) / 2
    width = np.minimum(at.hand_width, half.mean(axis=1) + 0.85 * reach.min(axis=1))[:, None]
    return np.sqrt(np.maximum(reach**2 - (width - half) ** 2, 1e-4)), width


def _on_hands(joints: np.ndarray, parameters: np.ndarray, body: Proportions, at: Surfaces) -> np.ndarray:
    """Hanging from a bar or propped on bars: hands stay, the elbows' bend moves the body."""
    reach, width = _sagittal_reach(joints, _straight_reach(parameters, body), at)
    shoulders = _middle(joints, "shoulder")
    towards = _middle(joints, "wrist") - shoulders
    towards[..., 0] = 0
    hands = np.zeros_like(shoulders)
    hands[..., 1] = at.hands[:, None]
    joints = joints + (hands - unit(towards) * reach[..., None] - shoulders)[:, :, None]
    feet = (joints[..., 1].min(axis=-1) - 0.03).min(axis=1)  # (B,)
    raised = np.maximum(-feet, 0) * (at.hands > 0.9 * body.height / 1.71)  # a bar is as high as it must be
    joints[..., 1] += raised[:, None, None]
    bears = _hands_that_bear(parameters)
    _place_hands(joints, body, width, hands[..., 1] + raised[:, None], hands[..., 2], bears=bears, flat=False)
    return joints


def _hands_that_bear(parameters: np.ndarray) -> dict[str, np.ndarray]:
    """How much each hand bears, (B, T, 1) in [0, 1]."""
    return {side: np.clip(parameters[..., INDEX[f"{side}_hand_contact"]], 0, 1)[..., None] ** 3 for side, _ in SIDES}


def _place_hands(
    joints: np.ndarray, body: Proportions, width: np.ndarray, height: np.ndarray, ahead: np.ndarray, *,
    bears: dict[str, np.ndarray], flat: bool,
) -> None:  # fmt: skip
    """Bend the arms so that the wrists that bear are at (±width, height, ahead), (B, T) each; in place."""
    for side, sign in SIDES:
        goal = np.stack(np.broadcast_arrays(sign * width, height, ahead), -1).astype(np.float32)
        goal = goal + (1 - bears[side]) * (joints[..., JOINT[f"{side}_wrist"], :] - goal)
        bend_limb(joints, body, (f"{side}_shoulder", f"{side}_elbow", f"{side}_wrist"), goal)
        wrist, elbow = joints[..., JOINT[f"{side}_wrist"], :], joints[..., JOINT[f"{side}_elbow"], :]
        along = unit(wrist - elbow)
        if flat:
            fingers = np.where(_is_wall(height, body), _UP, _AHEAD)
            along = unit(along + bears[side] * (fingers - along))
        joints[..., JOINT[f"{side}_hand"], :] = wrist + body["hand"] * along


def _is_wall(height: np.ndarray, body: Proportions) -> np.ndarray:
    """Whether hands at ``height`` (B, 1) lean on something upright, (B, 1, 1): then it is higher than any bench."""
    return (height > 0.55 * body.height[:, None])[..., None]


def _on_all_fours(parameters: np.ndarray, body: Proportions, at: Surfaces, *, knees: bool, elbows: bool) -> np.ndarray:
    """On hands (or forearms) and toes (or knees), face down: the elbows' bend tips the body about the toes.

    Seen from the side, the shoulders turn on a circle about the pivot at the feet, and must be ``reach`` away from the
    hands: a triangle with three known sides (law of cosines).
    """
    joints = forward(parameters, body)
    pivot = _bearing_knees(joints, parameters) if knees else _bearing_ankle(joints, parameters)
    arm = joints[..., 1, 0] * 0 + body.lengths["upper_arm"][:, None] if elbows else _straight_reach(parameters, body)
    reach, width = _sagittal_reach(joints, arm, at)
    spoke = _middle(joints, "shoulder") - pivot
    radius, angle = np.hypot(spoke[..., 1], spoke[..., 2]), np.arctan2(spoke[..., 1], spoke[..., 2])
    base = (
        FLOOR["knee"] * body.height[:, None] + at.feet[:, None] if knees else _ankle_height(parameters, body, at.feet)
    )
    hand = at.hands + (FLOOR["elbow"] if elbows else FLOOR["wrist"]) * body.height  # (B,)
    base = np.broadcast_to(base, radius.shape)
    ahead = _hand_place(radius, reach, base, hand, at.hand_ahead)[:, None]
    rise = hand[:, None] - base
    span = np.hypot(rise, ahead)
    cosine = (radius**2 + span**2 - reach**2) / (2 * radius * span)
    wanted = np.arctan2(rise, ahead) + np.arccos(np.clip(cosine, -1, 1))
    tipped = parameters.copy()
    tipped[..., INDEX["trunk"]] += np.rad2deg(angle - wanted)
    joints = forward(tipped, body)
    pivot = _bearing_knees(joints, parameters) if knees else _bearing_ankle(joints, parameters)
    joints -= pivot[:, :, None]
    joints[..., 1] += base[..., None]
    if elbows:
        _place_elbows(joints, body, width, hand[:, None], ahead)
    else:
        _place_hands(joints, body, width, hand[:, None], ahead, bears=_hands_that_bear(parameters), flat=True)
    return joints


def _bearing_knees(joints: np.ndarray, parameters: np.ndarray) -> np.ndarray:
    """Between the knees that bear, seen from the side; the hips stay in the middle of the hands."""
    contact = np.stack([foot_contact(parameters, side) ** 4 for side, _ in SIDES], -1) + 1e-4  # (B, T, 2)
    knees = joints[..., [JOINT["left_knee"], JOINT["right_knee"]], :]
    pivot = (contact[..., None] * knees).sum(axis=2) / contact.sum(axis=-1)[..., None]
    pivot[..., 0] = 0
    return pivot


def _feet_clear(joints: np.ndarray, body: Proportions) -> None:
    """Turn shins about the knees so that feet clear the floor, rather than raise the whole body; in place."""
    for side, _ in SIDES:
        foot = [JOINT[f"{side}_{name}"] for name in ("ankle", "heel", "foot_index")]
        sunk = (CLEARANCE[foot] * body.height[:, None, None] - joints[..., foot, 1]).max(axis=-1, keepdims=True)
        knee, ankle = joints[..., JOINT[f"{side}_knee"], :], joints[..., foot[0], :].copy()
        shin = (ankle - knee) / body["shin"]
        height = np.clip(shin[..., 1:2] + np.maximum(sunk, 0) / body["shin"], -1, 0.9)
        level = unit(shin * np.array([1, 0, 1], np.float32)) * np.sqrt(1 - height * height)
        turned = knee + body["shin"] * (level + height * np.array([0, 1, 0], np.float32))
        joints[..., foot, :] += np.where(sunk > 0, turned - ankle, 0)[..., None, :]


def _bearing_ankle(joints: np.ndarray, parameters: np.ndarray) -> np.ndarray:
    """Between the ankles that bear, seen from the side; the hips stay in the middle of the hands."""
    contact = np.stack([foot_contact(parameters, side) ** 4 for side, _ in SIDES], -1) + 1e-4  # (B, T, 2)
    ankles = joints[..., [JOINT["left_ankle"], JOINT["right_ankle"]], :]
    pivot = (contact[..., None] * ankles).sum(axis=2) / contact.sum(axis=-1)[..., None]
    pivot[..., 0] = 0
    return pivot


def _ankle_height(parameters: np.ndarray, body: Proportions, surface: np.ndarray) -> np.ndarray:
    """Height of the ankles over the toes that they stand on, (B, T); a foot in the air does not matter."""
    contact = np.stack([foot_contact(parameters, side) ** 4 for side, _ in SIDES], -1) + 1e-4  # (B, T, 2)
    heels = parameters[..., [INDEX["left_heel"], INDEX["right_heel"]]]
    heel = np.deg2rad((contact * heels).sum(axis=-1) / contact.sum(axis=-1))
    foot, ankle = body.lengths["foot"][:, None], body.lengths["ankle"][:, None]
    return foot * np.sin(heel) + ankle * np.cos(heel) + (surface + FLOOR["foot_index"] * body.height)[:, None]


def _hand_place(
    radius: np.ndarray, reach: np.ndarray, base: np.ndarray, hand: np.ndarray, offset: np.ndarray
) -> np.ndarray:
    """How far ahead of the feet the hands are, (B,): below the shoulders (but for the offset) with straight arms.

    The mean of all moments with straight arms: of somebody on hands and knees that may be the whole time, while hips
    and spine bring the shoulders nearer to the knees and further away. At least so far that they never get so far ahead
    that the arms would lie on the floor.
    """
    straight = reach >= 0.98 * reach.max(axis=1, keepdims=True)  # (B, T)
    up = np.sqrt(np.maximum(reach**2 - offset[:, None] ** 2, 1e-4)) + hand[:, None] - base
    ahead = np.sqrt(np.maximum(radius**2 - up**2, 0.01))
    usual = ahead.mean(axis=1, where=straight) + offset
    least = np.where(straight, radius - 0.9 * reach, 0).max(axis=1)
    return np.maximum(usual, least)


def _place_elbows(
    joints: np.ndarray, body: Proportions, width: np.ndarray, height: np.ndarray, ahead: np.ndarray
) -> None:
    for side, sign in SIDES:
        shoulder = joints[..., JOINT[f"{side}_shoulder"], :]
        goal = np.stack(np.broadcast_arrays(sign * width, height, ahead), -1)
        elbow = shoulder + body["upper_arm"] * unit(goal - shoulder)
        along = np.array([-0.25 * sign, 0, 0.97], np.float32)
        joints[..., JOINT[f"{side}_elbow"], :] = elbow
        joints[..., JOINT[f"{side}_wrist"], :] = elbow + body["forearm"] * along
        joints[..., JOINT[f"{side}_hand"], :] = elbow + (body["forearm"] + body["hand"]) * along
