"""What people hold and train on: weights, bars and ropes in the hands; bars, benches, boxes and walls about them."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from kinetag.exercises.kinematics import JOINT
from kinetag.exercises.library import HELD
from kinetag.exercises.mannequin import METAL, SHOE
from kinetag.exercises.raster import Solids, stretched
from kinetag.exercises.room import Block, Mat, Pipe, Prop

_STEEL, _RUBBER, _ROPE = (0.70, 0.71, 0.73), (0.13, 0.13, 0.14), (0.85, 0.25, 0.20)
_IRON, _PAD, _WALL = (0.24, 0.26, 0.30), (0.20, 0.21, 0.24), (0.80, 0.79, 0.76)
_PULLEY = 2.45  # m above the floor


def held(equipment: Sequence[str], joints: np.ndarray) -> str:
    """What is held by someone who moves like ``joints`` (T, 25, 3), '' for nothing: a kind for `hold`.

    A barbell takes both hands at one height, else they are dumbbells; one weight is in both hands when they are near
    each other, else in the hand that moves more. Who holds on to a bar closes the hands too.
    """
    kind = next((thing for thing in equipment if thing in HELD), "")
    left, right = (joints[:, JOINT[f"{side}_wrist"]] for side in ("left", "right"))
    if kind == "barbell" and np.percentile(np.abs(left[:, 1] - right[:, 1]), 90) > 0.09:
        return "dumbbells"
    if kind in ("dumbbell", "kettlebell") and np.percentile(np.linalg.norm(left - right, axis=1), 80) > 0.4:
        ways = [np.linalg.norm(np.ptp(hand - joints[:, JOINT["neck"]], axis=0)) for hand in (left, right)]
        return f"{'left' if ways[0] > ways[1] else 'right'}_{kind}"
    return kind or ("grip" if {"bar", "bars"} & set(equipment) else "")


def hold(solids: Solids, kind: str, joints: np.ndarray, phase: float = 0.0) -> None:
    """Add what the hands hold to a person's solids. ``phase`` (turns) is where a skipping rope is, 0 at the feet."""
    grips = {side: _grip(joints, side) for side in ("left", "right")}
    across = _unit(joints[JOINT["left_shoulder"]] - joints[JOINT["right_shoulder"]])
    side, _, one = kind.partition("_") if kind.startswith(("left_", "right_")) else ("", "", kind)
    middle = (grips["left"] + grips["right"]) / 2
    if kind == "dumbbells":
        for hand, grip in grips.items():
            _dumbbell(solids, grip, _square(across, _forearm(joints, hand)))
    elif one == "dumbbell":
        axis = _square(across, _forearm(joints, side)) if side else np.array([0.0, 1.0, 0.0])
        _dumbbell(solids, grips[side] if side else middle, axis, 1.0 if side else 1.35)
    elif one == "kettlebell":
        down = _unit(np.sum([_forearm(joints, hand) for hand in ((side,) if side else grips)], axis=0))
        _kettlebell(solids, grips[side] if side else middle, down)
    elif kind == "barbell":
        _barbell(solids, grips["left"], grips["right"])
    elif kind == "cable_bar":
        _cable_bar(solids, grips["left"], grips["right"])
    elif kind == "rope":
        _rope(solids, joints, grips["left"], grips["right"], phase)


def _forearm(joints: np.ndarray, side: str) -> np.ndarray:
    return _unit(joints[JOINT[f"{side}_hand"]] - joints[JOINT[f"{side}_elbow"]])


def _square(v: np.ndarray, along: np.ndarray) -> np.ndarray:
    """``v`` made nearly square to ``along``."""
    return _unit(v - 0.98 * (v @ along) * along)


def _unit(v: np.ndarray) -> np.ndarray:
    return v / (np.linalg.norm(v) + 1e-9)


def _grip(joints: np.ndarray, side: str) -> np.ndarray:
    wrist, hand = joints[JOINT[f"{side}_wrist"]], joints[JOINT[f"{side}_hand"]]
    return wrist + 0.075 * _unit(hand - wrist)


def _disc(solids: Solids, center: np.ndarray, axis: np.ndarray, radius: float, thickness: float) -> None:
    """A plate: two thin rounded halves with an edge between them."""
    side = _unit(np.cross(axis, (0.3, 1.0, 0.2)))
    frame = np.array([axis, side, np.cross(axis, side)])
    flat = stretched(frame, (thickness / 2 / radius, 1.0, 1.0))
    for shift in (-0.25, 0.25):
        at = center + shift * thickness * axis
        solids.add(at, at, radius, radius, _RUBBER, SHOE, flat)
    solids.add(center - 0.6 * thickness * axis, center + 0.6 * thickness * axis, 0.03, 0.03, _STEEL, METAL)


def _dumbbell(solids: Solids, grip: np.ndarray, axis: np.ndarray, size: float = 1.0) -> None:
    solids.add(grip - 0.07 * axis, grip + 0.07 * axis, 0.014, 0.014, _STEEL, METAL)
    for sign in (-1, 1):
        near, far = grip + sign * size * 0.075 * axis, grip + sign * size * 0.105 * axis
        solids.add(near, far, 0.048 * size, 0.044 * size, _RUBBER, SHOE)


def _kettlebell(solids: Solids, grip: np.ndarray, down: np.ndarray) -> None:
    solids.add(grip, grip + 0.06 * down, 0.030, 0.024, _STEEL, METAL)
    solids.add(grip + 0.13 * down, grip + 0.15 * down, 0.085, 0.080, _IRON, SHOE)


def _cable_bar(solids: Solids, left: np.ndarray, right: np.ndarray) -> None:
    """A bar on the cable of a high pulley right above it."""
    axis, middle = _unit(left - right), (left + right) / 2
    half = np.linalg.norm(left - right) / 2 + 0.10
    solids.add(middle - half * axis, middle + half * axis, 0.015, 0.015, _STEEL, METAL)
    solids.add(middle, np.array([middle[0], max(_PULLEY, middle[1] + 0.3), middle[2]]), 0.006, 0.006, _RUBBER, SHOE)


def _barbell(solids: Solids, left: np.ndarray, right: np.ndarray) -> None:
    axis, middle = _unit(left - right), (left + right) / 2
    solids.add(middle - 0.80 * axis, middle + 0.80 * axis, 0.014, 0.014, _STEEL, METAL)
    for sign in (-1, 1):
        _disc(solids, middle + sign * 0.66 * axis, axis, 0.16, 0.06)
        _disc(solids, middle + sign * 0.72 * axis, axis, 0.12, 0.05)


def _rope(solids: Solids, joints: np.ndarray, left: np.ndarray, right: np.ndarray, phase: float) -> None:
    """A rope that turns about the line between the hands and passes under the feet at phase 0."""
    axis, middle = left - right, (left + right) / 2
    front = _unit(np.cross(_unit(axis), (0.0, 1.0, 0.0)))
    reach = middle[1] - joints[:, 1].min() + 0.03
    out = np.cos(2 * np.pi * phase) * np.array([0.0, -1.0, 0.0]) + np.sin(2 * np.pi * phase) * front
    turn = np.linspace(0, np.pi, 15)
    curve = middle + np.cos(turn)[:, None] * axis * 0.5 + (np.sin(turn) ** 0.6)[:, None] * reach * out
    curve += np.sin(turn)[:, None] * np.cos(turn)[:, None] * 0.10 * _unit(axis)
    for a, b in pairwise(curve):
        solids.add(a, b, 0.007, 0.007, _ROPE, SHOE)


def fixtures(equipment: Sequence[str], joints: np.ndarray) -> list[Prop]:
    """What must stand where someone does an exercise; ``joints`` (T, 25, 3) are that person's, in the world."""
    return [prop for thing in equipment if thing in _FIXTURES for prop in _FIXTURES[thing](joints)]


def _mat(joints: np.ndarray) -> list[Prop]:
    """Along whichever way the body goes furthest over the floor."""
    spots = joints[..., [0, 2]].reshape(-1, 2)
    middle = (spots.min(axis=0) + spots.max(axis=0)) / 2
    _, axes = np.linalg.eigh(np.cov((spots - middle).T))
    along = axes[:, -1]
    length = max(1.9, float(np.ptp(spots @ along)) + 0.2)
    x, z = middle.tolist()
    return [Mat(x, z, 0.8, length, float(np.rad2deg(np.arctan2(along[0], along[1]))))]


def _seat(joints: np.ndarray) -> list[Prop]:
    """A stool under the pelvis where it is lowest."""
    pelvis = joints[:, JOINT["pelvis"]]
    x, y, z = pelvis[pelvis[:, 1] <= np.percentile(pelvis[:, 1], 15)].mean(0).tolist()
    return [Block(x, z, (0.38, max(y - 0.10, 0.05), 0.38), (0.25, 0.26, 0.30), _turn(_forward(joints)))]


def _wall(joints: np.ndarray) -> list[Prop]:
    """Before the hands of who leans on them, else behind the back."""
    forward = _forward(joints)
    points, sign = joints[:, [JOINT["left_hand"], JOINT["right_hand"]]], 1.0
    ankles = joints[:, [JOINT["left_ankle"], JOINT["right_ankle"]]].mean((0, 1))
    if (joints[:, JOINT["neck"]].mean(0) - ankles) @ forward < 0.15:  # not leaned forward
        points, sign = joints[:, [JOINT["pelvis"], JOINT["chest"]]], -1.0
    out = float((sign * points @ forward).max()) + (0.06 if sign > 0 else 0.19)
    middle = points.mean((0, 1))
    spot = middle + (sign * out - middle @ forward) * forward
    return [Block(float(spot[0]), float(spot[2]), (1.5, 2.1, 0.06), _WALL, _turn(forward))]


def _forward(joints: np.ndarray) -> np.ndarray:
    """Where the hips face, level."""
    across = (joints[:, JOINT["left_hip"]] - joints[:, JOINT["right_hip"]]).mean(0)
    return _unit(np.cross(across * (1, 0, 1), (0.0, 1.0, 0.0)))


def _turn(direction: np.ndarray) -> float:
    """Degrees that turn +z to a level direction."""
    return float(np.rad2deg(np.arctan2(direction[0], direction[2])))


def _box(joints: np.ndarray) -> list[Prop]:
    """Boxes under hands or feet that rest above the floor all the time, or under a step that feet come up to."""
    turn = _turn(_forward(joints))
    props = _under(joints, ("left_wrist", "right_wrist"), turn)
    props += _under(joints, ("left_foot_index", "right_foot_index"), turn) or [
        block for side in ("left", "right") for block in _under_leg(joints, side, turn)
    ]
    return props or _step(joints, turn)


def _step(joints: np.ndarray, turn: float) -> list[Prop]:
    """A box under the feet while they stand above the floor."""
    toes = joints[:, [JOINT["left_foot_index"], JOINT["right_foot_index"]]]
    still = np.linalg.norm(np.gradient(toes, axis=0), axis=-1) < 0.006
    spots = toes[still & (toes[..., 1] > 0.12)]
    if not len(spots):
        return []
    x, y, z = np.median(spots, axis=0).tolist()
    return [Block(x, z, (0.62, max(y - 0.035, 0.05), 0.46), turn=turn)]


def _under_leg(joints: np.ndarray, side: str, turn: float) -> list[Prop]:
    """A box under one raised foot, or under the whole shin when someone kneels on it."""
    knee, ankle = f"{side}_knee", f"{side}_ankle"
    kneels = abs(joints[:, JOINT[knee], 1] - joints[:, JOINT[ankle], 1]).mean() < 0.2
    # The shin lies on its front edge: the toes hang over the far end.
    return _under(joints, (knee, ankle), turn) if kneels else _under(joints, (f"{side}_foot_index",), turn)


def _under(joints: np.ndarray, names: tuple[str, ...], turn: float) -> list[Prop]:
    """A box under hands or feet that rest well above the floor, all the time."""
    points = joints[:, [JOINT[name] for name in names]]
    height = float(points[..., 1].min()) - 0.035
    if height < 0.12 or np.ptp(points, axis=0).max() > 0.15:
        return []
    low, high = points.min((0, 1)), points.max((0, 1))
    # Along the line between the points, else square to ``turn``.
    first, last = points[:, 0].mean(0), points[:, -1].mean(0)
    span = float(np.hypot(*(last - first)[[0, 2]]))
    direction = float(np.rad2deg(np.arctan2(first[2] - last[2], last[0] - first[0]))) if span > 0.1 else turn
    wide = span + 0.30
    return [Block(float(low[0] + high[0]) / 2, float(low[2] + high[2]) / 2, (wide, height, 0.36), turn=direction)]


def _bench(joints: np.ndarray) -> list[Prop]:
    """Under a trunk that lies on it, or across under shoulders that stay while the hips move."""
    if np.ptp(joints[:, JOINT["pelvis"], 1]) > 0.12:
        return _bench_across(joints)
    trunk = joints[:, [JOINT[n] for n in ("pelvis", "chest", "neck")]]
    along = _unit((trunk[:, 1] - trunk[:, 0]).mean(0) * (1, 0, 1))
    turn, top = _turn(along), float(trunk[..., 1].min()) - 0.125
    if top < 0.08:  # from the floor
        return [Mat(float(trunk[..., 0].mean()), float(trunk[..., 2].mean()), 0.8, 2.0, turn)]
    middle = trunk.mean((0, 1)) + 0.12 * along
    pad = Block(float(middle[0]), float(middle[2]), (0.28, 0.07, 1.15), _PAD, turn, top - 0.07)
    foot = Block(float(middle[0]), float(middle[2]), (0.10, max(top - 0.07, 0.05), 0.95), (0.38, 0.39, 0.42), turn)
    return [foot, pad]


def _bench_across(joints: np.ndarray) -> list[Prop]:
    shoulders = joints[:, [JOINT["left_shoulder"], JOINT["right_shoulder"]]]
    head = joints[:, JOINT["head"]].mean(0) - joints[:, JOINT["pelvis"]].mean(0)
    along, middle = _unit(head * (1, 0, 1)), shoulders.mean((0, 1))
    middle = middle - 0.06 * along
    top = max(float(np.percentile(shoulders[..., 1], 20)) - 0.10, 0.12)
    return [Block(float(middle[0]), float(middle[2]), (1.0, top, 0.30), _PAD, _turn(along))]


def _hands(joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    left, right = (np.median([_grip(j, side) for j in joints], axis=0) for side in ("left", "right"))
    return left, right


def _pipe(start: np.ndarray, end: np.ndarray, radius: float) -> Pipe:
    (a, b, c), (d, e, f) = start.tolist(), end.tolist()
    return Pipe((a, b, c), (d, e, f), radius)


def _pull_up_bar(joints: np.ndarray) -> list[Prop]:
    left, right = _hands(joints)
    left[1] = right[1] = (left[1] + right[1]) / 2
    out = _unit(left - right) * max(0.35, 0.75 - np.linalg.norm(left - right) / 2)
    ends = (left + out, right - out)
    posts: list[Prop] = [_pipe(end, end * (1, 0, 1), 0.03) for end in ends]
    return [_pipe(*ends, 0.016), *posts]


def _dip_bars(joints: np.ndarray) -> list[Prop]:
    across = _unit(joints[0, JOINT["left_shoulder"]] - joints[0, JOINT["right_shoulder"]])
    front = np.cross(across, (0.0, 1.0, 0.0))
    props: list[Prop] = []
    for grip in _hands(joints):
        ends = (grip - 0.35 * front, grip + 0.35 * front)
        props.append(_pipe(*ends, 0.018))
        props += [_pipe(end, end * (1, 0, 1), 0.018) for end in ends]
    return props


_FIXTURES: dict[str, Callable[[np.ndarray], list[Prop]]] = {
    "bar": _pull_up_bar, "bars": _dip_bars, "bench": _bench, "seat": _seat, "box": _box, "wall": _wall, "mat": _mat,
}  # fmt: skip
