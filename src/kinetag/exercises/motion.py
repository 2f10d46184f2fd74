"""Motion of exercises: people of all sizes doing an exercise in their own way, as joints over time.

motion = generate("squat", np.random.default_rng(0), repetitions=5)
motion.joints  # (T, 25, 3) metres, Y up; see kinematics.BODY for the joints
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from kinetag.errors import KinetagError
from kinetag.exercises.balance import GRAVITY
from kinetag.exercises.contacts import bear
from kinetag.exercises.kinematics import BODY_MIRROR, Proportions, random_proportions
from kinetag.exercises.library import Exercise, load_library
from kinetag.exercises.loads import draw_loads
from kinetag.exercises.recipes import INDEX, PARAMETERS, Recipe, draw_poses, pick_recipe
from kinetag.exercises.timing import Schedule, make_schedule
from kinetag.timeline import OTHER

_CHUNK = 128  # people made at once: as much as fits the processor's cache


@dataclass(frozen=True)
class Motion:
    """``times`` (T,) s from 0; ``joints`` (T, 25, 3) metres; ``repetitions``: (start, peak, end) s, empty where none
    are counted; ``variant``: which way of doing it; ``equipment``: what is held and what stands there; ``loads``: what
    the left and the right hand hold weighs, in masses of the body."""

    times: np.ndarray
    joints: np.ndarray
    label: str
    repetitions: list[tuple[float, float, float]] = field(default_factory=list)
    variant: str = "plain"
    equipment: tuple[str, ...] = ()
    loads: tuple[float, float] = (0.0, 0.0)


def generate(
    exercise: Exercise | str,
    rng: np.random.Generator,
    *,
    duration: float = 6.0,
    rate: float = 15.0,
    repetitions: int | None = None,
    variant: str | None = None,
) -> Motion:
    """One person doing an exercise, in a body, variant, tempo and style that ``rng`` decides.

    ``duration`` s at ``rate`` frames a second. With ``repetitions`` the person does exactly that many, at full range
    and in a clear tempo, from rest to rest, and the motion is as long as that takes. 'other' is anything that is in no
    exercise file. Raises a KinetagError for an unknown name.
    """
    made = generate_batch(
        exercise, rng, 1, duration=duration, rate=rate, repetitions=repetitions, variant=variant
    )  # fmt: skip
    return made[0]


def generate_batch(
    exercise: Exercise | str,
    rng: np.random.Generator,
    count: int,
    *,
    duration: float = 6.0,
    rate: float = 15.0,
    repetitions: int | None = None,
    variant: str | None = None,
) -> list[Motion]:
    """``count`` people as in `generate`, much faster than one by one."""
    if not (0 < duration <= 3600 and 0 < rate <= 240):
        raise KinetagError(f"cannot make a motion of {duration:g} s at {rate:g} frames/s; both must be positive")
    if repetitions is not None and not 1 <= repetitions <= 1000:
        raise KinetagError(f"cannot make {repetitions} repetitions; ask for 1 to 1000")
    out: list[Motion] = []
    for first in range(0, count, _CHUNK):
        recipes = _recipes(exercise, rng, min(_CHUNK, count - first), variant, exact=repetitions is not None)
        out += perform(recipes, rng, duration=duration, rate=rate, repetitions=repetitions)
    return out


def _recipes(
    exercise: Exercise | str, rng: np.random.Generator, count: int, variant: str | None, *, exact: bool
) -> list[Recipe]:
    if exercise == OTHER:
        from kinetag.exercises.negatives import pick_other

        return [pick_other(rng) for _ in range(count)]
    if isinstance(exercise, str):
        from kinetag.exercises.yaml_file import nearest

        library = shipped_library()
        if exercise not in library:
            hint = nearest(exercise, library)
            raise KinetagError(f"unknown exercise '{exercise}'{hint}; known: {', '.join(library)}, {OTHER}")
        exercise = library[exercise]
    return [pick_recipe(exercise, rng, variant, seesaw=not exact) for _ in range(count)]


def perform(
    recipes: Sequence[Recipe],
    rng: np.random.Generator,
    *,
    duration: float,
    rate: float,
    repetitions: int | None = None,
    body: Proportions | None = None,
) -> list[Motion]:
    """Each recipe done by another person; ``body`` None: random ones."""
    recipes = list(recipes)
    exact = repetitions is not None
    body = random_proportions(len(recipes), rng) if body is None else body
    poses = draw_poses(recipes, rng, spread=0.8 if exact else 1.0)  # (B, C, P)
    if not exact:
        poses = _accompanied(_narrowed(poses, rng), recipes, rng)
    rise = np.maximum(poses[..., INDEX["lift"]], 0) * body.height[:, None] / 100
    schedule = make_schedule(recipes, rng, duration, repetitions, rise)
    if exact:
        duration = max(own[-1][2] for own in schedule.repetitions) + 0.5
    times = np.arange(max(2, round(duration * rate) + exact)) / rate
    clock = times + (0 if exact else 0.03) * _slow_noise(rng, (len(recipes), len(times), 1), 5)[..., 0]
    parameters = _play(poses, _rest(poses, recipes), schedule, clock, rng, calm=exact)
    parameters[..., INDEX["lift"]] = 100 * _flight(schedule, clock) / body.height[:, None]
    parameters = _style(parameters, recipes, times, rng, schedule.tired, calm=exact)
    loads, grips = draw_loads(recipes, rng), [r.grip for r in recipes]
    joints = bear(parameters, body, [r.support for r in recipes], rng, grips=grips, loads=loads, every=1 / rate)
    flip = rng.random(len(recipes)) < 0.5
    joints[flip], loads[flip] = mirrored(joints[flip]), loads[flip, ::-1]
    done = [own if r.counted else [] for r, own in zip(recipes, schedule.repetitions, strict=True)]
    return [
        Motion(times, joints[i], recipe.label, done[i], recipe.variant, recipe.equipment, (left, right))
        for i, (recipe, (left, right)) in enumerate(zip(recipes, loads.tolist(), strict=True))
    ]


def mirrored(joints: np.ndarray) -> np.ndarray:
    """Left and right exchanged, joints (..., 25, 3)."""
    return joints[..., BODY_MIRROR, :] * np.array([-1, 1, 1], joints.dtype)


def _narrowed(poses: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Many people go a part of the way only, at either end of it or in its middle: poses (B, C, P) nearer together."""
    count, steps, _ = poses.shape
    share = rng.uniform(0, 0.6, (count, 1, 1)) * (rng.random((count, 1, 1)) < 0.4) * (_NOISY > 0)
    middle = poses.mean(axis=1, keepdims=True)
    end = poses[np.arange(count), rng.integers(0, steps, count)][:, None]
    around = middle + rng.uniform(0, 1, (count, 1, 1)) * (end - middle)
    return poses + share.astype(np.float32) * (around - poses).astype(np.float32)


def _accompanied(poses: np.ndarray, recipes: Sequence[Recipe], rng: np.random.Generator) -> np.ndarray:
    """What need not move moves along a little, in each person's own way: poses (B, C, P) each a little off.

    Elbows of people who squat, or knees of people who curl, turn by 10 to 20 degrees in every repetition; limbs that
    a file keeps still would otherwise be stiller than any real ones.
    """
    amount = rng.uniform(0, 1, (len(poses), 1, 1)).astype(np.float32)
    off = rng.standard_normal(poses.shape, np.float32) * _ALONG * amount
    for i, recipe in enumerate(recipes):  # a pose that comes twice is the same, and so is the rest at both ends
        _, first = np.unique(recipe.cycle, axis=0, return_inverse=True)
        off[i, : len(first)] = off[i, : len(poses[i])][first.ravel()]
    return poses + off


def _rest(poses: np.ndarray, recipes: Sequence[Recipe]) -> np.ndarray:
    """What partial repetitions stay nearer to, (B, 1, P): the first pose, or the middle between the left and the right
    where one side follows the other without a rest."""
    rest = poses[:, :1].copy()
    for i, recipe in enumerate(recipes):
        if (recipe.cycle[:, 0] == recipe.cycle[0, 0]).all():
            rest[i] = poses[i, : len(recipe.cycle)].mean(axis=0)
    return rest


def _play(
    poses: np.ndarray, rest: np.ndarray, schedule: Schedule, clock: np.ndarray, rng: np.random.Generator, *, calm: bool
) -> np.ndarray:
    """Parameters (B, T, P) at each one's ``clock`` (B, T) s: monotone cubic curves through the knots of the schedule.

    Tangents are those of Fritsch and Butland (1984): a parameter that goes on in the same direction passes a pose
    without stopping, one that turns around or rests there comes to a halt.
    """
    count, knots = schedule.times.shape
    used = min(knots, int((schedule.times <= clock.max()).sum(axis=1).max()) + 2)
    at, depth = schedule.times[:, :used], schedule.depth[:, :used, None].astype(np.float32)
    last = np.isfinite(at).sum(axis=1) - 1
    at = np.where(np.isfinite(at), at, clock.max() + 100.0 + np.arange(used))
    pose = np.where(np.arange(used) <= last[:, None], schedule.pose[:, :used], 0)
    rows = np.arange(count)[:, None]
    values = rest + depth * (poses[rows, pose] - rest)  # (B, N, P)
    # Nobody reaches a pose twice in just the same way.
    jitter = rng.standard_normal((count, used // 2 + 1, values.shape[-1]), np.float32) * (0.4 if calm else 1.5) * _NOISY
    values = values + np.repeat(jitter, 2, axis=1)[:, :used]
    step = np.clip((at[:, None, :] <= clock[..., None]).sum(axis=-1) - 1, 0, used - 2)  # (B, T)
    gap = np.maximum(np.diff(at, axis=1), 1e-3)[..., None]  # (B, N - 1, 1)
    slope = (np.diff(values, axis=1) / gap).astype(np.float32)
    tangent = np.zeros_like(values)
    a, b = slope[:, :-1], slope[:, 1:]
    product = a * b
    tangent[:, 1:-1] = np.where(product > 0, 2 * product / np.where(product > 0, a + b, 1), 0)
    width = gap[rows, step, 0][..., None].astype(np.float32)
    u = np.clip((clock - at[rows, step])[..., None] / width, 0, 1).astype(np.float32)
    p, q = values[rows, step], values[rows, step + 1]
    m, n = tangent[rows, step] * width, tangent[rows, step + 1] * width
    u2, u3 = u * u, u * u * u
    return (2 * u3 - 3 * u2 + 1) * p + (u3 - 2 * u2 + u) * m + (3 * u2 - 2 * u3) * q + (u3 - u2) * n


def _flight(schedule: Schedule, clock: np.ndarray) -> np.ndarray:
    """How far each body is off the floor at its ``clock`` (B, T), metres: a parabola about the middle of each jump."""
    height = np.zeros(clock.shape, np.float32)
    rows = np.flatnonzero((schedule.rise > 0).any(axis=1))
    if not len(rows):
        return height
    tops, rise, now = schedule.times[rows].reshape(len(rows), -1, 2).mean(axis=2), schedule.rise[rows, ::2], clock[rows]
    tops, rise = (np.take_along_axis(a, np.argsort(rise <= 0, axis=1, kind="stable"), 1) for a in (tops, rise))
    tops = np.where(rise > 0, tops, np.inf)
    after = np.minimum((tops[:, None] <= now[..., None]).sum(axis=-1), tops.shape[1] - 1)  # of the next jump
    for jump in (after, np.maximum(after - 1, 0)):
        top, up = np.take_along_axis(tops, jump, 1), np.take_along_axis(rise, jump, 1)
        height[rows] = np.maximum(height[rows], up - GRAVITY / 2 * (now - top) ** 2)
    return height


def _style(
    parameters: np.ndarray, recipes: list[Recipe], times: np.ndarray, rng: np.random.Generator, tired: np.ndarray,
    *, calm: bool,
) -> np.ndarray:  # fmt: skip
    """A person's habits: an offset of each angle, left and right a little different, and slow sway.

    While people get ``tired`` (B,), all that grows, and on their feet the trunk leans and the knees come inwards. Not
    of those who are ``calm``: their form is what benches judge.
    """
    count, _, width = parameters.shape
    amount = rng.uniform(0, 0.6 if calm else 1.1, (count, 1, 1)).astype(np.float32)
    offset = rng.standard_normal((count, 1, width), np.float32) * 4.0 * amount
    sway = _slow_noise(rng, (count, len(times), width), max(3, int(times[-1] / 1.5))) * amount * (0.6 if calm else 3.0)
    if not calm:
        worse = (tired[:, None] * np.linspace(0, 1, len(times))).astype(np.float32)[..., None]  # (B, T, 1)
        offset, sway = offset * (1 + 0.8 * worse), sway * (1 + 1.2 * worse)
        standing = np.array([r.support.by == "feet" for r in recipes])[:, None, None]
        parameters = parameters + standing * worse * _WORN
    # A still pose wobbles less.
    still = np.array([0.6 if len(r.cycle) == 1 else 1.0 for r in recipes], np.float32)[:, None, None]
    # Hands that bear keep the shoulders level.
    on_hands = np.array([r.support.by.startswith("hands") for r in recipes])[:, None, None]
    noisy = np.where(on_hands & _TILTS, 0.25, 1).astype(np.float32) * _NOISY
    out = parameters + (offset + sway * still) * noisy
    for name in ("elbow", "knee"):
        for side in ("left", "right"):
            i = INDEX[f"{side}_{name}"]
            by_shin = out[..., INDEX[f"{side}_knee_by_shin"]] if name == "knee" else 0
            out[..., i] = np.where(np.asarray(by_shin) > 0.5, out[..., i], np.clip(out[..., i], 2, 155))
    return out


_TILTS = np.array([name in ("twist", "side_bend", "turn", "roll") for name in PARAMETERS])
# Switches, contact and lift are what the file says; the blades of the shoulders hardly wobble.
_NOISY = np.array(
    [
        0.0 if name.endswith(("_in_space", "_by_shin", "contact", "lift", "step"))
        else 0.2 if name in ("shift", "turn", "roll") or name.endswith("shrug")
        else 0.5 if name.endswith(("heel", "trunk", "spine", "side_bend"))
        else 1.0
        for name in PARAMETERS
    ],
    np.float32,
)  # fmt: skip


# Degrees by which the form of somebody who is as tired as people get is off: the trunk leans, the knees cave in.
_WORN = np.array(
    [{"trunk": 8.0, "spine": 4.0, "hip_rotation": -9.0, "abduction": -3.0}.get(
        name.removeprefix("left_").removeprefix("right_"), 0.0) for name in PARAMETERS],
    np.float32,
)  # fmt: skip

# Degrees by which an angle that a file keeps still moves along with a repetition: arms most.
_ALONG = np.array(
    [
        9.0 if name.endswith(("elbow", "shoulder", "plane", "rotation"))
        else 4.0 if name.endswith(("thigh", "knee", "twist", "neck", "look"))
        else 2.5
        for name in PARAMETERS
    ],
    np.float32,
) * _NOISY  # fmt: skip


def _slow_noise(rng: np.random.Generator, shape: tuple[int, int, int], knots: int) -> np.ndarray:
    """Smooth noise of about unit size along axis 1 of (B, T, P)."""
    values = rng.standard_normal((shape[0], knots + 1, shape[2]), np.float32)
    at = np.linspace(0, knots - 1e-3, shape[1])
    left = at.astype(int)
    u = (at - left).astype(np.float32)[:, None]
    u = u * u * (3 - 2 * u)
    return values[:, left] * (1 - u) + values[:, left + 1] * u


@lru_cache(maxsize=1)
def shipped_library() -> dict[str, Exercise]:
    """The library that ships, read once."""
    return load_library()
