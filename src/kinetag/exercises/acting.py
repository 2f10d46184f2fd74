"""Actors: what each one does when and where, turned into joints over time and the truth about it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from kinetag.errors import KinetagError
from kinetag.exercises.kinematics import JOINT
from kinetag.exercises.mannequin import Look
from kinetag.timeline import OTHER, Repetition, Segment

if TYPE_CHECKING:
    from kinetag.exercises.kinematics import Proportions
    from kinetag.exercises.library import Exercise
    from kinetag.exercises.motion import Motion

STANDING, WALKING = "standing", "walking"
_PAUSE = 2.0  # s between two activities unless their starts are given
_WALK_SPEED = 0.25  # m/s above which a person on their way walks instead of shuffling

_SIDES = ("left", "right")
# Parent before child, so that bone lengths can be mended from the pelvis outwards.
_BONES = [("pelvis", "chest"), ("chest", "neck"), ("neck", "head")]
_BONES += [("head", "nose"), ("head", "left_ear"), ("head", "right_ear")]
_BONES += [(a, f"{s}_{b}") for s in _SIDES for a, b in (("neck", "shoulder"), ("pelvis", "hip"))]
_BONES += [
    (f"{s}_{a}", f"{s}_{b}")
    for s in _SIDES
    for a, b in (
        ("shoulder", "elbow"), ("elbow", "wrist"), ("wrist", "hand"),
        ("hip", "knee"), ("knee", "ankle"), ("ankle", "heel"), ("ankle", "foot_index"),
    )
]  # fmt: skip


@dataclass(frozen=True)
class Activity:
    """An exercise (or the name of one that ships) from ``start`` (s; None: a little after the one before): that many
    ``repetitions``, or for ``duration`` seconds, or, when both are given, that many in that time. ``variant`` None:
    any."""

    exercise: "Exercise | str"
    start: float | None = 0.0
    repetitions: int | None = None
    duration: float | None = None
    variant: str | None = None


@dataclass(frozen=True)
class Waypoint:
    """Where a person is at ``time`` (s): x, z metres on the floor; ``heading`` degrees: 0 along +z, 90 along +x."""

    time: float
    x: float
    z: float
    heading: float = 0.0


@dataclass(frozen=True)
class Actor:
    """One person: activities in order, waypoints in order (they walk from one to the next), look, and a seed.

    The seed decides the body, the tempo and the style. ``present`` are the (start, end) seconds in which the person
    is in the room at all; None: always.
    """

    activities: Sequence[Activity] = ()
    path: Sequence[Waypoint] = (Waypoint(0.0, 0.0, 0.0),)
    look: Look = field(default_factory=Look)
    seed: int = 0


@dataclass
class Performance:
    """What an actor did: ``joints`` (T, 25, 3) world metres at ``times`` (T,), labelled ``segments`` (without
    repetitions in transitions), ``activity`` (T,) the index of the activity under way, -1 in between, and each
    activity's ``equipment``."""

    times: np.ndarray
    joints: np.ndarray
    segments: list[Segment]
    activity: np.ndarray
    equipment: list[tuple[str, ...]]


def perform(actor: Actor, times: np.ndarray) -> Performance:
    """Play an actor's part at ``times`` (s, evenly spaced).

    Between activities the person stands, or walks when the path moves; about a second before and after an activity
    they get into and out of position, which the truth calls 'other'. Raises KinetagError when activities overlap.
    """
    clips: list[_Clip] = []
    for i, activity in enumerate(actor.activities):
        start = activity.start if activity.start is not None else (clips[-1].end + _PAUSE if clips else 0.0)
        clips.append(_clip(actor, i, activity, start))
    _check_order(actor, clips)
    place, heading, speed, travelled = _follow(actor.path, times)
    base = _locomotion(actor, times, travelled, speed)
    layers = [_placed(base, place, heading)]
    weights = [np.ones(len(times))]
    for i, clip in enumerate(clips):
        at = int(np.clip(np.searchsorted(times, clip.start), 0, len(times) - 1))
        local = clip.sample(times)
        layers.append(_placed(local, np.broadcast_to(place[at], place.shape), np.full(len(times), heading[at])))
        weights.append(_ramp(times, clips, i))
    active = np.array(weights[1:]) if clips else np.zeros((0, len(times)))
    weights[0] = np.clip(1 - active.sum(0), 0, 1)
    joints = _blend(np.array(layers), np.array(weights))
    under_way = np.where((active > 0.999).any(0), active.argmax(0), -1) if clips else np.full(len(times), -1)
    equipment = [clip.equipment for clip in clips]
    return Performance(times, joints, _segments(times, clips, active, speed), under_way, equipment)


@dataclass
class _Clip:
    """One activity's motion: ``joints`` (T, 25, 3) in the actor's own frame; times are the scene's."""

    label: str
    times: np.ndarray
    joints: np.ndarray
    repetitions: list[Repetition]
    settle: float  # seconds that getting into position takes
    equipment: tuple[str, ...]

    @property
    def start(self) -> float:
        return float(self.times[0])

    @property
    def end(self) -> float:
        return float(self.times[-1])

    def sample(self, times: np.ndarray) -> np.ndarray:
        """Joints at any times; before and after the clip the first and last pose are held."""
        return _interpolate(self.joints, self.times, times)


def _interpolate(joints: np.ndarray, known: np.ndarray, times: np.ndarray) -> np.ndarray:
    at = np.interp(times, known, np.arange(len(known)))
    low = np.minimum(at.astype(int), len(known) - 2)
    share = (at - low)[:, None, None]
    return joints[low] * (1 - share) + joints[low + 1] * share


@lru_cache(maxsize=64)
def _motion(seed: int, part: int, activity: Activity) -> "Motion":
    """The generated motion, in this seed's body whatever the exercise."""
    from kinetag.exercises.motion import perform as play
    from kinetag.exercises.motion import pick_recipe, shipped_library

    exercise, repetitions = activity.exercise, activity.repetitions
    if isinstance(exercise, str):
        library = shipped_library()
        if exercise not in library:
            raise KinetagError(f"unknown exercise '{exercise}' in a scene; known: {', '.join(library)}")
        exercise = library[exercise]
    rng = np.random.default_rng([seed, part])
    recipe = pick_recipe(exercise, rng, activity.variant, seesaw=repetitions is None)
    duration = activity.duration or 6.0
    return play([recipe], rng, duration=duration, rate=30.0, repetitions=repetitions, body=_body(seed))[0]


@lru_cache(maxsize=64)
def _body(seed: int) -> "Proportions":
    """The body of the person with this seed: an adult."""
    from kinetag.exercises.kinematics import random_proportions

    rng = np.random.default_rng([seed, 0])
    bodies = [random_proportions(1, rng) for _ in range(20)]
    return next((body for body in bodies if 1.56 < body.height[0] < 1.92), bodies[0])


def _clip(actor: Actor, part: int, activity: Activity, start: float) -> _Clip:
    motion = _motion(actor.seed, part + 1, activity)
    joints = np.array(motion.joints, float)
    joints[..., [0, 2]] -= joints[0, JOINT["pelvis"], [0, 2]]
    pace = activity.duration / motion.times[-1] if activity.repetitions and activity.duration else 1.0
    times = start + pace * np.asarray(motion.times)
    repetitions = [
        Repetition(start + pace * float(a), start + pace * float(b), start + pace * float(c))
        for a, b, c in motion.repetitions
    ]
    upright = joints[0, JOINT["neck"], 1] - joints[0, JOINT["pelvis"], 1] > 0.3
    return _Clip(motion.label, times, joints, repetitions, 0.7 if upright else 1.5, motion.equipment)


def _check_order(actor: Actor, clips: list[_Clip]) -> None:
    for before, after in pairwise(clips):
        if after.start - before.end < 0.3:
            raise KinetagError(
                f"actor with seed {actor.seed}: '{after.label}' starts at {after.start:.2f} s, but "
                f"'{before.label}' lasts until {before.end:.2f} s; leave at least 0.3 s between them"
            )


# ---- getting about


def _follow(path: Sequence[Waypoint], times: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Place (T, 2), heading (T,) radians, speed (T,) m/s and way travelled (T,) m along the waypoints."""
    from scipy.interpolate import PchipInterpolator
    from scipy.ndimage import gaussian_filter1d

    known = np.array([w.time for w in path])
    if len(path) > 1 and not (np.diff(known) > 0).all():
        raise KinetagError(f"waypoint times must increase, but they are {', '.join(f'{t:g}' for t in known)}")
    spots = np.array([(w.x, w.z) for w in path])
    if len(path) == 1:
        place = np.repeat(spots, len(times), 0)
    else:
        place = PchipInterpolator(known, spots)(np.clip(times, known[0], known[-1]))
    step = (times[1] - times[0]) if len(times) > 1 else 1.0
    velocity = np.gradient(place, step, axis=0) if len(times) > 1 else np.zeros_like(place)
    speed = np.linalg.norm(velocity, axis=1)
    travelled = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(place, axis=0), axis=1))])
    told = np.deg2rad([w.heading for w in path])[np.clip(np.searchsorted(known, times, side="right") - 1, 0, None)]
    along = np.arctan2(velocity[:, 0], velocity[:, 1])
    angle = np.where(speed > _WALK_SPEED, along, told)
    # Turn the short way round: smooth the direction as a vector.
    turn = gaussian_filter1d(np.stack([np.sin(angle), np.cos(angle)]), 0.22 / step, axis=1, mode="nearest")
    return place, np.arctan2(turn[0], turn[1]), speed, travelled


def _placed(joints: np.ndarray, place: np.ndarray, heading: np.ndarray) -> np.ndarray:
    """Own frame -> world: turn about the vertical, then move. joints (T, 25, 3), place (T, 2), heading (T,)."""
    c, s = np.cos(heading)[:, None], np.sin(heading)[:, None]
    x, y, z = np.moveaxis(joints, -1, 0)
    return np.stack([c * x + s * z + place[:, :1], y, c * z - s * x + place[:, 1:]], -1)


def _locomotion(actor: Actor, times: np.ndarray, travelled: np.ndarray, speed: np.ndarray) -> np.ndarray:
    """Standing and walking on the spot of the path, (T, 25, 3); the gait's phase follows the way travelled."""
    from scipy.ndimage import gaussian_filter1d

    span = float(times[-1] - times[0]) + 1.0
    motion = _standing(actor.seed, span)
    still = _interpolate(_on_the_spot(motion.joints), np.asarray(motion.times) - motion.times[0], times - times[0])
    if travelled[-1] < 0.2:
        return still
    # A walk that goes on for at least as far as the path: its feet stay planted while the pelvis passes over them.
    seconds = float(np.ceil(2.5 * travelled[-1])) + 4.0
    motion = _motion(actor.seed, 902, Activity(WALKING, duration=seconds, variant="plain"))
    progress = motion.joints[:, JOINT["pelvis"], 2]
    progress = np.maximum.accumulate(progress - progress[0]) + 1e-6 * np.arange(len(progress))
    wanted = np.interp(np.mod(travelled, progress[-1]), progress, motion.times)
    walk = _interpolate(_on_the_spot(motion.joints), np.asarray(motion.times), wanted)
    step = times[1] - times[0]
    share = gaussian_filter1d((speed > _WALK_SPEED).astype(float), 0.15 / step, mode="nearest")
    return _blend(np.array([still, walk]), np.array([1 - share, share]))


def _standing(seed: int, span: float) -> "Motion":
    """Standing with the arms down, when one of a few tries is like that: the plainest contrast to any exercise."""
    tries = [_motion(seed, part, Activity(STANDING, duration=span, variant="plain")) for part in range(901, 907)]

    def hanging(motion: "Motion") -> bool:
        hands = motion.joints[:, [JOINT["left_wrist"], JOINT["right_wrist"]], 1]
        return bool((hands < motion.joints[:, [JOINT["chest"]], 1] - 0.12).all())

    return next((motion for motion in tries if hanging(motion)), tries[0])


def _on_the_spot(joints: np.ndarray) -> np.ndarray:
    out = np.array(joints, float)
    out[..., [0, 2]] -= joints[:, JOINT["pelvis"], None][..., [0, 2]]
    return out


# ---- blending


def _ramp(times: np.ndarray, clips: list[_Clip], i: int) -> np.ndarray:
    """Weight of clip i (T,): 1 while it lasts, an S-curve into and out of position.

    When the gap to a neighbour is shorter than both transitions, the two cross-fade without standing up between.
    """
    clip = clips[i]
    rise = fall = clip.settle
    if i and clip.start - clips[i - 1].end < clip.settle + clips[i - 1].settle:
        rise = clip.start - clips[i - 1].end
    if i + 1 < len(clips) and clips[i + 1].start - clip.end < clip.settle + clips[i + 1].settle:
        fall = clips[i + 1].start - clip.end
    up = np.clip((times - (clip.start - rise)) / rise, 0, 1)
    down = np.clip((clip.end + fall - times) / fall, 0, 1)
    share = np.minimum(up, down)
    return share * share * (3 - 2 * share)


def _lengths(joints: np.ndarray) -> np.ndarray:
    """Median length of every bone, (B,)."""
    return np.array([np.median(np.linalg.norm(joints[:, JOINT[b]] - joints[:, JOINT[a]], axis=-1)) for a, b in _BONES])


def _with_lengths(joints: np.ndarray, lengths: Sequence[float] | np.ndarray) -> np.ndarray:
    """The same bone directions with these lengths, lowered or raised so that the lowest joint stays where it was."""
    out = joints.copy()
    for (a, b), length in zip(_BONES, lengths, strict=True):
        bone = joints[:, JOINT[b]] - joints[:, JOINT[a]]
        bone = bone / np.maximum(np.linalg.norm(bone, axis=-1, keepdims=True), 1e-6)
        out[:, JOINT[b]] = out[:, JOINT[a]] + bone * length
    out[..., 1] += (joints[..., 1].min(1) - out[..., 1].min(1))[:, None]
    return out


def _blend(layers: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mix poses (L, T, 25, 3) by weights (L, T) without shrinking limbs."""
    weights = weights / np.maximum(weights.sum(0), 1e-9)
    mixed = np.einsum("lt,ltvc->tvc", weights, layers)
    between = weights.max(0) < 0.999
    if between.any():
        mixed[between] = _with_lengths(mixed[between], _lengths(layers[0]))
    return mixed


def _segments(times: np.ndarray, clips: list[_Clip], active: np.ndarray, speed: np.ndarray) -> list[Segment]:
    """The truth: each activity, standing or walking in between, and 'other' for getting into and out of position."""
    step = float(times[1] - times[0]) if len(times) > 1 else 0.0
    labels = np.where(speed > _WALK_SPEED, WALKING, STANDING).astype(object)
    busy = active.sum(0) if len(active) else np.zeros(len(times))
    labels[busy > 0.001] = OTHER
    for clip in clips:
        labels[(times >= clip.start - 1e-6) & (times <= clip.end + 1e-6)] = clip.label
    edges = [0, *(np.flatnonzero(labels[1:] != labels[:-1]) + 1), len(labels)]
    segments = []
    for first, last in pairwise(edges):
        start, end = float(times[first]), float(times[min(last, len(times) - 1)])
        own = [r for c in clips if c.label == labels[first] for r in c.repetitions]
        inside = [r for r in own if r.start >= start - step and r.end <= end + step]
        segments.append(Segment(str(labels[first]), start, end, 1.0, inside))
    return segments
