"""Exercise files -> arrays: one recipe is one way of doing an exercise, ready to be drawn from many times at once.

A pose is a vector of PARAMETERS. A recipe has for each of its K key poses the low and high end of each parameter, and
the cycle: in which order the poses come, with which side working.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from kinetag.errors import KinetagError
from kinetag.exercises.library import HELD, ArmStyle, Exercise, Pose, Side, Support, Tempo, Variant
from kinetag.skeletons import mirror_name

_SIDES = ("left", "right")
_BODY = ("trunk", "spine", "twist", "side_bend", "neck", "look", "turn", "roll", "lift", "shift")
_LEG = ("thigh", "thigh_in_space", "abduction", "hip_rotation", "knee", "knee_by_shin", "heel", "contact", "step")
_ARM = ("shoulder", "arm_in_space", "plane", "rotation", "elbow", "shrug", "hand_contact")

PARAMETERS = (*_BODY, *(f"{side}_{name}" for name in (*_LEG, *_ARM) for side in ("left", "right")))
INDEX = {name: i for i, name in enumerate(PARAMETERS)}
LEFT = np.array([name.startswith("left_") for name in PARAMETERS])
RIGHT = np.array([name.startswith("right_") for name in PARAMETERS])
# Where each parameter's value is found in the mirrored pose, and whether it changes its sign there.
MIRROR = np.array([INDEX[mirror_name(name)] for name in PARAMETERS])
_TURNS = ("twist", "side_bend", "look", "turn", "roll", "shift")
MIRROR_SIGN = np.array([-1.0 if name in _TURNS else 1.0 for name in PARAMETERS], np.float32)

# Somebody who stands; hip, shin and upper_arm of a file set the parameter and the switch that says what it is against.
_REST = {
    "thigh": (0, 6), "thigh_in_space": (1, 1), "abduction": (2, 8), "hip_rotation": (0, 12), "knee": (1, 11),
    "contact": (1, 1), "shoulder": (2, 12), "plane": (30, 80), "rotation": (-25, 15), "elbow": (4, 20),
    "neck": (-5, 12), "trunk": (-3, 5), "hand_contact": (1, 1),
}  # fmt: skip
_LYING = {"thigh": (0, 4), "thigh_in_space": (0, 0)}  # on the back the legs go on as the trunk does
_ALIASES = {
    "thigh": ("thigh", "thigh_in_space", 1), "hip": ("thigh", "thigh_in_space", 0),
    "knee": ("knee", "knee_by_shin", 0), "shin": ("knee", "knee_by_shin", 1),
    "shoulder": ("shoulder", "arm_in_space", 0), "upper_arm": ("shoulder", "arm_in_space", 1),
}  # fmt: skip

_ARMS = np.array([name.endswith(("_shoulder", "_elbow", "_plane", "_rotation")) for name in PARAMETERS])
_GRIPS = {"barbell": "bar", "cable_bar": "bar", "dumbbell": "weight", "kettlebell": "weight"}

AS_IS, MIRRORED, LEFT_ONLY, RIGHT_ONLY = range(4)


@dataclass(frozen=True)
class Recipe:
    """One way to do an exercise.

    ``low``, ``high`` (K, P); ``own`` (K, P): drawn for this pose rather than once for the whole set; ``sided`` (K, P):
    drawn for this side rather than once for both. ``cycle`` (C, 2): pose and which side works; ``peaks`` (C,) bool;
    ``hold`` (C, 2) ranges of the share of a repetition spent there; ``move`` (C, 2) relative time to get there;
    ``equipment``: what is held and what stands there; ``grip``: 'bar' or 'weight' if both hands hold one thing;
    ``still``: in the air the pose stays as it is.
    """

    label: str
    variant: str
    support: Support
    low: np.ndarray
    high: np.ndarray
    own: np.ndarray
    sided: np.ndarray
    cycle: np.ndarray
    peaks: np.ndarray
    hold: np.ndarray
    move: np.ndarray
    period: tuple[float, float]
    depth: tuple[float, float]
    counted: bool
    equipment: tuple[str, ...] = ()
    grip: str = ""
    still: bool = False


def pick_recipe(
    exercise: Exercise, rng: np.random.Generator, variant: str | None = None, *, seesaw: bool = True
) -> Recipe:
    """A random way to do it: variant, arms and sides by their weights; without ``seesaw`` one side after the other."""
    choices: list[Variant | None] = [None, *exercise.variants]
    if variant is not None:
        choices = [v for v in exercise.variants if v.name == variant] or ([None] if variant == "plain" else [])
        if not choices:
            known = ", ".join(["plain", *(v.name for v in exercise.variants)])
            raise KinetagError(f"exercise '{exercise.name}' has no variant '{variant}'; it has: {known}")
    weights = [exercise.weight if v is None else v.weight for v in choices]
    if not seesaw:  # counted repetitions start from rest
        weights = [w if _from_rest(exercise, v) else 0.0 for w, v in zip(weights, choices, strict=True)]
    chosen = choices[_draw(weights, rng)]
    arms = _either(chosen, exercise, "arms") or {"": 1.0}
    sides = _either(chosen, exercise, "sides") or {"both": 1.0}
    arm = list(arms)[_draw(list(arms.values()), rng)]
    side = list(sides)[_draw(list(sides.values()), rng)]
    if side == "seesaw" and not seesaw:
        side = "alternating"
    return _compiled(_Key(exercise, chosen), arm, side)


def _from_rest(exercise: Exercise, variant: Variant | None) -> bool:
    """Whether its repetitions begin and end at rest, where the counting signal shows it."""
    if variant is not None and not variant.counted:
        return False
    order = _either(variant, exercise, "order") or list(exercise.poses)
    peak = exercise.peak or (list(exercise.poses)[1] if len(exercise.poses) > 1 else "")
    return order[0] != peak


def _draw(weights: list[float], rng: np.random.Generator) -> int:
    total = sum(weights)
    if len(weights) == 1 or total <= 0:
        return 0
    return min(int(np.searchsorted(np.cumsum(weights), rng.random() * total, "right")), len(weights) - 1)


def _either(variant: Variant | None, exercise: Exercise, name: str):
    value = getattr(variant, name) if variant is not None else None
    return value if value is not None else getattr(exercise, name)


class _Key:
    """Exercise and variant, hashed by identity: models compare by value, which would cost more than the compiling."""

    def __init__(self, exercise: Exercise, variant: Variant | None) -> None:
        self.exercise, self.variant = exercise, variant

    def __hash__(self) -> int:
        return hash((id(self.exercise), id(self.variant)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self.exercise is other.exercise and self.variant is other.variant


@lru_cache(maxsize=4096)
def _compiled(key: _Key, arm: str, side: Side) -> Recipe:
    exercise, variant = key.exercise, key.variant
    poses = {name: _merge(pose, variant.poses.get(name) if variant else None) for name, pose in exercise.poses.items()}
    if variant is not None:
        poses |= {name: pose for name, pose in variant.poses.items() if name not in poses}
    base = _merge(exercise.base, variant.base if variant else None)
    order = _either(variant, exercise, "order") or list(exercise.poses)
    names = list(dict.fromkeys(order))
    style = exercise.styles[arm] if arm else None
    support = _either(variant, exercise, "support") or Support()
    rest = _REST | _LYING if support.by in ("back", "shoulders") else _REST
    rows = [_row(base, style, poses[name], rest, first=name == names[0]) for name in names]
    low, high, own, sided = (np.stack(part) for part in zip(*rows, strict=True))
    peak = exercise.peak or (list(exercise.poses)[1] if len(exercise.poses) > 1 else order[0])
    peak = peak if peak in order else order[-1]
    tempo = _either(variant, exercise, "tempo") or Tempo(period=(4.0, 4.0))
    cycle, peaks = _cycle([names.index(name) for name in order], names.index(peak), side, bool(_is_sided(poses, order)))
    hold = np.array([tempo.hold.get(names[k], (0.0, 0.2)) for k, _ in cycle])
    move = np.array([tempo.move.get(names[k], (1.0, 1.0)) for k, _ in cycle])
    depth = _either(variant, exercise, "depth") or (0.6, 1.0)
    equipment = _equipment(_either(variant, exercise, "equipment") or (), style, support)
    one_by_one = bool((cycle[:, 1] >= LEFT_ONLY).any()) and bool(own[:, _ARMS].any())
    grip = "" if one_by_one or sided[:, _ARMS].any() else _grip(equipment)
    return Recipe(
        exercise.name, variant.name if variant else "plain", support, low, high, own, sided, cycle, peaks,
        hold, move, tempo.period, depth, exercise.counting is not None and (variant is None or variant.counted),
        equipment, grip, tempo.flight == "still",
    )  # fmt: skip


def _equipment(said: Sequence[str], style: ArmStyle | None, support: Support) -> tuple[str, ...]:
    """What an exercise says, but in the hands what the arm style says, and a seat under those who sit."""
    held = list(style.equipment) if style is not None else []
    stands = [thing for thing in said if not (held and thing in HELD)]
    return (*held, *stands, *(["seat"] if support.by == "seat" and "seat" not in said else []))


def _grip(equipment: Sequence[str]) -> str:
    """How both hands hold one thing: '' where each has its own, or none."""
    return next((_GRIPS.get(thing, "") for thing in equipment if thing in HELD), "")


def _merge(pose: Pose, over: Pose | None) -> Pose:
    """``pose`` with what ``over`` says in its place; saying hip takes the place of thigh, and so on."""
    if over is None:
        return pose
    return Pose.model_construct(
        **{**_without_twins(pose.given, over.given), **over.given},
        left=_merge_limbs(pose.left, over.left, over.given),
        right=_merge_limbs(pose.right, over.right, over.given),
    )


def _merge_limbs(limbs, over, both: Mapping[str, object]):
    kept = _without_twins(_without_twins(limbs.given, both), over.given)
    kept = {name: value for name, value in kept.items() if name not in both}
    return type(limbs).model_construct(**{**kept, **over.given})


_TWINS = {"thigh": "hip", "knee": "shin", "shoulder": "upper_arm"}
_TWINS |= {b: a for a, b in _TWINS.items()}


def _without_twins(given: dict, over: Mapping[str, object]) -> dict:
    return {name: value for name, value in given.items() if _TWINS.get(name) not in over}


def _is_sided(poses: dict[str, Pose], order: list[str]) -> bool:
    """Whether a pose says something of one side: of its limbs, or of a trunk that only turns or bends that way."""
    for pose in (poses[name] for name in order):
        turns = (low * high > 0 for name, (low, high) in pose.given.items() if name in _TURNS)
        if pose.left.given or pose.right.given or any(turns):
            return True
    return False


def _row(
    base: Pose, style: ArmStyle | None, pose: Pose, rest: Mapping[str, tuple[float, float]], *, first: bool
) -> tuple[np.ndarray, ...]:
    """One key pose: low, high (P,), own, sided (P,); ``rest`` is what nobody says."""
    count = len(PARAMETERS)
    low, high = np.zeros(count, np.float32), np.zeros(count, np.float32)
    own, sided = np.zeros(count, bool), np.zeros(count, bool)

    def put(name: str, value: tuple[float, float], by_pose: bool, by_side: bool) -> None:
        i = INDEX[name]
        low[i], high[i], own[i], sided[i] = value[0], value[1], by_pose, by_side

    def say(given: Mapping[str, tuple[float, float]], by_pose: bool, sides: Sequence[str] = _SIDES) -> None:
        for name, value in given.items():
            if name in _BODY:
                put(name, value, by_pose, False)
                continue
            target, switch, setting = _ALIASES.get(name, (name, "", 0))
            for side in sides:
                put(f"{side}_{target}", value, by_pose, len(sides) == 1)
                if switch:
                    put(f"{side}_{switch}", (setting, setting), by_pose, False)

    def say_all(part: Pose, by_pose: bool) -> None:
        say(part.given, by_pose)
        say(part.left.given, by_pose, ("left",))
        say(part.right.given, by_pose, ("right",))

    say(rest, False)
    say_all(base, False)
    if style is not None:
        say_all(style.rest, False)
        if style.moved is not None and not first:
            say_all(style.moved, True)
    say_all(pose, True)
    return low, high, own, sided


def pose_row() -> np.ndarray:
    """Somebody who stands, (P,): where poses that are made up start from."""
    return _standing().copy()


@lru_cache(maxsize=1)
def _standing() -> np.ndarray:
    low, high, _, _ = _row(Pose(), None, Pose(), _REST, first=True)
    return (low + high) / 2


def _cycle(order: list[int], peak: int, side: Side, sided: bool) -> tuple[np.ndarray, np.ndarray]:
    """Which pose comes when with which side, (C, 2), and where the turning points are, (C,)."""
    if side == "both" or (sided and side == "one"):
        rows = [(k, AS_IS) for k in order]
    elif sided:  # the poses are written for the left; then the same for the right
        rows = [(k, AS_IS) for k in order] + [(k, MIRRORED) for k in order]
    elif side == "one":
        rows = [(k, LEFT_ONLY) for k in order]
    elif side == "alternating":
        rows = [(k, LEFT_ONLY) for k in order] + [(k, RIGHT_ONLY) for k in order]
    else:
        rows = [(peak, LEFT_ONLY), (peak, RIGHT_ONLY)]
    cycle = np.array(rows)
    return cycle, cycle[:, 0] == peak


def draw_poses(recipes: list[Recipe], rng: np.random.Generator, spread: float = 1.0) -> np.ndarray:
    """The key poses of one person a recipe, in the order of its cycle: (B, C, P), padded by repeating the first.

    ``spread`` below 1 stays nearer to the middle of the ranges.
    """
    keys = max(len(r.low) for r in recipes)
    stacked = [np.stack([padded(getattr(r, name), keys) for r in recipes]) for name in ("low", "high", "own", "sided")]
    low, high, own, sided = stacked  # (B, K, P)
    count, _, params = low.shape
    common, single = rng.random((count, 1, params), np.float32), rng.random((count, keys, params), np.float32)
    share = np.where(own, single, common)
    share = np.where(RIGHT & ~sided, share[..., MIRROR], share)
    share = 0.5 + (share - 0.5) * spread
    poses = low + (high - low) * share
    steps = max(len(r.cycle) for r in recipes)
    cycle = np.stack([padded(r.cycle, steps) for r in recipes])  # (B, C, 2)
    rows = np.arange(count)[:, None]
    out = poses[rows, cycle[..., 0]]  # (B, C, P)
    how = cycle[..., 1, None]
    first = poses[:, :1]
    out = np.where(how == MIRRORED, out[..., MIRROR] * MIRROR_SIGN, out)
    out = np.where((how == LEFT_ONLY) & RIGHT, first, out)
    return np.where((how == RIGHT_ONLY) & LEFT, first, out)


def padded(array: np.ndarray, length: int) -> np.ndarray:
    """(K, ...) -> (length, ...) by repeating the first row."""
    missing = length - len(array)
    return array if not missing else np.concatenate([array, np.repeat(array[:1], missing, 0)])
