"""Feet that bear: they stay where they are put, flat or on their toes, and the body is as high as its legs carry it."""

import numpy as np

from kinetag.exercises.kinematics import CLEARANCE, JOINT, REACH, Proportions, bend_limb, place_foot, unit
from kinetag.exercises.recipes import INDEX

SIDES = (("left", 1.0), ("right", -1.0))
FLOOR = {name: CLEARANCE[JOINT[f"left_{name}"]] for name in ("foot_index", "knee", "wrist", "elbow", "ankle")}


def on_feet(joints: np.ndarray, parameters: np.ndarray, body: Proportions, feet: str, *, seated: bool) -> np.ndarray:
    """Moved so that the feet that bear are on the floor and, as far as the pose lets them, stay in place."""
    # In a jump it is still the feet that bore that the body is above.
    contact = np.stack([parameters[..., INDEX[f"{side}_contact"]].clip(0, 1) for side, _ in SIDES], -1)  # (B, T, 2)
    toes = np.stack([_toes(joints, parameters, body, side) for side, _ in SIDES], -2)  # (B, T, 2, 3)
    weight = contact**4 + 1e-4  # a foot that only touches the floor does not hold the body in place
    weight = weight / weight.sum(axis=-1, keepdims=True)
    floor = np.stack([_toe_height(parameters, body, side) for side, _ in SIDES], -1)
    height = (weight * (floor - toes[..., 1])).sum(axis=-1)  # (B, T) of the pelvis
    height = np.maximum(height, _knee_room(joints, body))
    if seated:
        height = np.broadcast_to(height.mean(axis=1, keepdims=True), height.shape)
    lift = parameters[..., INDEX["lift"]] * body.height[:, None] / 100
    across = parameters[..., INDEX["shift"]] * body.height[:, None] / 100
    if feet == "stepping":
        steps = np.diff(toes, axis=1, prepend=toes[:, :1])  # (B, T, 2, 3)
        ground = -np.cumsum((weight[..., None] * steps).sum(axis=2), axis=1)  # (B, T, 3)
    elif feet == "fixed" and not seated:
        steady = weight.mean(axis=1, keepdims=True)
        ground = -(steady[..., None] * toes).sum(axis=2)
    else:
        ground = np.zeros_like(toes[:, :, 0])
    root = np.stack([ground[..., 0] + across, height + np.maximum(lift, 0), ground[..., 2]], -1)
    return joints + root[:, :, None]


def _knee_room(joints: np.ndarray, body: Proportions) -> np.ndarray:
    """Height of the pelvis at which the lower knee just touches the floor, (B, T)."""
    knees = joints[..., [JOINT["left_knee"], JOINT["right_knee"]], 1].min(axis=-1)
    return FLOOR["knee"] * body.height[:, None] - knees


def foot_contact(parameters: np.ndarray, side: str) -> np.ndarray:
    """How much a foot bears, (B, T) in [0, 1]; nothing does in a jump."""
    in_air = np.clip(parameters[..., INDEX["lift"]], 0, 1)
    return np.clip(parameters[..., INDEX[f"{side}_contact"]], 0, 1) * (1 - in_air)


def foot_touch(parameters: np.ndarray, side: str) -> np.ndarray:
    """How much a foot is on the floor, (B, T) in [0, 1]; a half contact is a touch."""
    return np.minimum(1, 2 * foot_contact(parameters, side))


def _sole(parameters: np.ndarray, side: str, sign: float, *, steady: bool) -> tuple[np.ndarray, np.ndarray]:
    """Directions of a foot on the floor: towards the toes and up from the sole, (B, T, 3) each."""
    angle = np.deg2rad(parameters[..., [INDEX[f"{side}_hip_rotation"], INDEX[f"{side}_abduction"], INDEX["turn"]]])
    out = np.clip(angle[..., 0], -0.5, 0.9) + 0.5 * np.clip(angle[..., 1], 0, 1)
    out = np.clip(out, -0.4, 0.9) * sign + angle[..., 2]
    if steady:
        out = np.broadcast_to(out.mean(axis=1, keepdims=True), out.shape)
    level = np.stack([np.sin(out), np.zeros_like(out), np.cos(out)], -1)
    heel = np.deg2rad(parameters[..., INDEX[f"{side}_heel"]])[..., None]
    up = np.array([0, 1, 0], np.float32)
    return np.cos(heel) * level - np.sin(heel) * up, np.cos(heel) * up + np.sin(heel) * level


def _toes(joints: np.ndarray, parameters: np.ndarray, body: Proportions, side: str) -> np.ndarray:
    """Where the toes are if the foot stands on the floor under this ankle, (B, T, 3)."""
    forward_, up = _sole(parameters, side, 1.0 if side == "left" else -1.0, steady=True)
    return joints[..., JOINT[f"{side}_ankle"], :] - body["ankle"] * up + body["foot"] * forward_


def plant_feet(
    joints: np.ndarray, parameters: np.ndarray, body: Proportions, surface: np.ndarray,
    *, pinned: bool, free_to_sink: bool,
) -> None:  # fmt: skip
    """Bend the legs so that feet that bear stand on the floor, and (if pinned) always on the same spot; in place.

    A body that rests on nothing but its feet sinks where a leg is too short.
    """
    goals, soles = {}, {}
    for side, sign in SIDES:
        # Pinned feet leave their spot when they no longer bear; others may be on the floor and move.
        bears = (foot_contact(parameters, side) ** 3 if pinned else foot_touch(parameters, side))[
            ..., None
        ]  # (B, T, 1)
        forward_, up = _sole(parameters, side, sign, steady=pinned)
        ankle = joints[..., JOINT[f"{side}_ankle"], :]
        to_ankle = body["ankle"] * up - body["foot"] * forward_
        spot = ankle - to_ankle  # of the toes
        if pinned:
            spot = np.broadcast_to((spot * bears).sum(axis=1, keepdims=True), spot.shape).copy()
            spot /= bears.sum(axis=1, keepdims=True) + 1e-6
        spot[..., 1] = surface[:, None] + _toe_height(parameters, body, side)
        goals[side] = bears * (spot + to_ankle) + (1 - bears) * ankle
        in_air = unit(joints[..., JOINT[f"{side}_foot_index"], :] - joints[..., JOINT[f"{side}_heel"], :])
        toes = unit(bears * forward_ + (1 - bears) * in_air)
        rise = bears * up + (1 - bears) * unit(_above(joints, body, side))
        rise = unit(rise - toes * (rise * toes).sum(axis=-1, keepdims=True))
        soles[side] = toes, rise, in_air
        # A foot that swings by is lifted over the floor rather than the whole body.
        drop = np.maximum(-body["foot"] * toes, body["heel"] * toes) + body["ankle"] * rise
        least = drop[..., 1] + (FLOOR["foot_index"] * body.height)[:, None]
        goals[side][..., 1] = np.maximum(goals[side][..., 1], least)
    if free_to_sink:
        _come_down(joints, body, goals, parameters)
    for side, _ in SIDES:
        toes, rise, in_air = soles[side]
        bend_limb(joints, body, (f"{side}_hip", f"{side}_knee", f"{side}_ankle"), goals[side], 0.05 * in_air)
        place_foot(joints, body, side, joints[..., JOINT[f"{side}_ankle"], :], toes, rise)


def _toe_height(parameters: np.ndarray, body: Proportions, side: str) -> np.ndarray:
    """Height of the toes of a foot that stands, (B, T): of the floor or step, and above it when it is on its heel."""
    on_heel = np.maximum(-np.sin(np.deg2rad(parameters[..., INDEX[f"{side}_heel"]])), 0)
    length = (body.lengths["foot"] + body.lengths["heel"])[:, None]
    step = parameters[..., INDEX[f"{side}_step"]] / 100
    return on_heel * length + (FLOOR["foot_index"] + step) * body.height[:, None]


def _above(joints: np.ndarray, body: Proportions, side: str) -> np.ndarray:
    """From the sole up to the ankle, as the foot is now, (B, T, 3)."""
    heel, toes, ankle = (joints[..., JOINT[f"{side}_{n}"], :] for n in ("heel", "foot_index", "ankle"))
    share = body["heel"] / (body["heel"] + body["foot"])
    return ankle - (heel + share * (toes - heel))


def _come_down(joints: np.ndarray, body: Proportions, goals: dict[str, np.ndarray], parameters: np.ndarray) -> None:
    """Lower the body where a leg is too short to reach its foot's place; in place."""
    excess = np.zeros(joints.shape[:2], np.float32)
    reach = (REACH * body.leg)[:, None]
    for side, _ in SIDES:
        gap = joints[..., JOINT[f"{side}_hip"], :] - goals[side]
        level = np.hypot(gap[..., 0], gap[..., 2])
        allowed = np.sqrt(np.maximum(reach**2 - level**2, 0))
        excess = np.maximum(excess, np.clip(gap[..., 1] - allowed, 0, 0.3) * (foot_contact(parameters, side) > 0.5))
    joints[..., 1] -= excess[..., None]
