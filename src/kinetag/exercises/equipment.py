"""What people hold and train on: dumbbells, barbells and ropes in the hands, bars and benches on the floor."""

from itertools import pairwise

import numpy as np

from kinetag.exercises.kinematics import JOINT
from kinetag.exercises.mannequin import METAL, SHOE
from kinetag.exercises.raster import Solids, stretched
from kinetag.exercises.room import Block, Mat, Pipe, Prop

HELD = {
    "biceps_curl": "dumbbells",
    "overhead_press": "dumbbells",
    "lateral_raise": "dumbbells",
    "deadlift": "barbell",
    "bench_press": "barbell",
    "bent_over_row": "barbell",
    "jump_rope": "rope",
    "pull_up": "nothing",
    "dip": "nothing",
}  # a closed hand for every exercise in here

_ON_THE_FLOOR = ("push_up", "sit_up", "plank", "mountain_climber")
_STEEL, _RUBBER, _ROPE = (0.70, 0.71, 0.73), (0.13, 0.13, 0.14), (0.85, 0.25, 0.20)


def held(exercise: str, joints: np.ndarray) -> str:
    """What is held for an exercise done like ``joints`` (T, 23, 3): a barbell takes both hands at one height."""
    kind = HELD.get(exercise, "")
    uneven = np.abs(joints[:, JOINT["left_wrist"], 1] - joints[:, JOINT["right_wrist"], 1])
    return "dumbbells" if kind == "barbell" and np.percentile(uneven, 90) > 0.09 else kind


def hold(solids: Solids, kind: str, joints: np.ndarray, phase: float = 0.0) -> None:
    """Add what the hands hold to a person's solids. ``phase`` (turns) is where a skipping rope is, 0 at the feet."""
    left, right = (_grip(joints, side) for side in ("left", "right"))
    across = _unit(joints[JOINT["left_shoulder"]] - joints[JOINT["right_shoulder"]])
    if kind == "dumbbells":
        for side, grip in (("left", left), ("right", right)):
            along = _unit(joints[JOINT[f"{side}_hand"]] - joints[JOINT[f"{side}_elbow"]])
            _dumbbell(solids, grip, _unit(across - 0.98 * (across @ along) * along))
    elif kind == "barbell":
        _barbell(solids, left, right)
    elif kind == "rope":
        _rope(solids, joints, left, right, phase)


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


def _dumbbell(solids: Solids, grip: np.ndarray, axis: np.ndarray) -> None:
    solids.add(grip - 0.07 * axis, grip + 0.07 * axis, 0.014, 0.014, _STEEL, METAL)
    for sign in (-1, 1):
        solids.add(grip + sign * 0.075 * axis, grip + sign * 0.105 * axis, 0.048, 0.044, _RUBBER, SHOE)


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


def fixtures(exercise: str, joints: np.ndarray) -> list[Prop]:
    """What must stand where someone does an exercise; ``joints`` (T, 23, 3) are that person's, in the world."""
    pelvis = joints[:, JOINT["pelvis"]].mean(0)
    chest = joints[:, JOINT["chest"]].mean(0)
    along = np.array([chest[0] - pelvis[0], 0, chest[2] - pelvis[2]])
    turn = float(np.rad2deg(np.arctan2(along[0], along[2])))
    if exercise == "bench_press":
        return _bench(joints, along, turn)
    if exercise == "pull_up":
        return _pull_up_bar(joints)
    props: list[Prop] = []
    if exercise in _ON_THE_FLOOR:
        middle = joints.mean((0, 1))
        props.append(Mat(float(middle[0]), float(middle[2]), 0.8, 2.1, turn))
    hands, feet = ("left_wrist", "right_wrist"), ("left_foot_index", "right_foot_index")
    if exercise == "dip":
        # Feet up or on the floor ahead: hands on a bench behind. Else between two bars.
        return props + (_under(joints, hands, turn) if _is_seated(joints) else _dip_bars(joints))
    if exercise in _ON_THE_FLOOR:
        props += _under(joints, hands, turn)
    props += _under(joints, feet, turn) or [b for side in ("left", "right") for b in _under_leg(joints, side, turn)]
    if _is_seated(joints):
        props += _seat(joints)
    return props


def _is_seated(joints: np.ndarray) -> bool:
    """Knees about as high as the hips, and the trunk upright."""
    hip, knee, neck = (
        joints[:, [JOINT[f"left_{n}"], JOINT[f"right_{n}"]], 1].mean() for n in ("hip", "knee", "shoulder")
    )
    return bool(0.25 < hip < 0.75 and abs(hip - knee) < 0.15 and neck - hip > 0.35)


def _seat(joints: np.ndarray) -> list[Prop]:
    """A stool under someone whose pelvis stays where it is."""
    pelvis = joints[:, JOINT["pelvis"]]
    if np.ptp(pelvis, axis=0).max() > 0.12:
        return []
    x, y, z = pelvis.mean(0).tolist()
    return [Block(x, z, (0.38, max(y - 0.10, 0.05), 0.38), (0.25, 0.26, 0.30))]


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


def _bench(joints: np.ndarray, along: np.ndarray, turn: float) -> list[Prop]:
    trunk = joints[:, [JOINT[n] for n in ("pelvis", "chest", "neck")]]
    top = float(trunk[..., 1].min()) - 0.125
    if top < 0.08:  # pressed from the floor
        return [Mat(float(trunk[..., 0].mean()), float(trunk[..., 2].mean()), 0.8, 2.0, turn)]
    middle = trunk.mean((0, 1)) + 0.12 * _unit(along)
    pad = Block(float(middle[0]), float(middle[2]), (0.28, 0.07, 1.15), (0.20, 0.21, 0.24), turn, top - 0.07)
    foot = Block(float(middle[0]), float(middle[2]), (0.10, max(top - 0.07, 0.05), 0.95), (0.38, 0.39, 0.42), turn)
    return [foot, pad]


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
