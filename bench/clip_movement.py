"""Whether poses show the movement or the pose that their clip is named after; told by the joints alone.

Many gym clips are cut so that the named exercise never happens in them, or follow a bystander. No classifier is asked.

- An exercise happens when the signal that counts its repetitions covers `SHARE` of its usual way, on either side.
  Variants that this signal does not show, and what is counted by its steps (running), are told by the joint angle
  that moves most when the library performs them. Less than `LEAST` is never enough: angles of still people waver.
- A pose is held when in most frames nearly all joint angles, the trunk's among them, are within `TOLERANCE` of what one
  of the library's bodies has in it.
"""

from functools import cache

import numpy as np
from clip_sets import Clip

from kinetag.angles import ANGLES, WIDTHS, joint_angles, signals
from kinetag.exercises.kinematics import JOINT
from kinetag.exercises.library import Exercise
from kinetag.exercises.motion import Motion, generate_batch
from kinetag.sequence import PoseSequence
from kinetag.skeletons import KINETAG13
from kinetag.timeline import OTHER

SHARE = 0.4
LEAST, LEAST_HEIGHT = 14.0, 0.08  # degrees; torso lengths
TOLERANCE = 25.0  # degrees
_FITTING = 0.85  # share of the angles: one of the nine may be off
_FRAMES = 0.7  # share of the frames in which they fit
_PARTS = ("elbow", "shoulder", "hip", "knee", "trunk")
_NAMES = [name for name in ANGLES if name.split("_")[-1] in _PARTS]
_BODIES = 24  # performed to learn how an exercise looks


def movement_seen(clip: Clip, library: dict[str, Exercise]) -> bool:
    """Always true of 'other', of which nothing is known that must be seen."""
    if clip.truth == OTHER:
        return True
    exercise = library[clip.truth]
    if exercise.static:
        return pose_held(clip.poses, exercise.name)
    found = signals(clip.poses)
    counting = exercise.counting if exercise.counting and exercise.counting.signal != "step" else None
    usual = [(counting.signal, abs(counting.peak - counting.rest))] if counting else []
    others = [variant.name for variant in exercise.variants if not variant.counted] if counting else [None]
    usual += [_most_moved(exercise.name, variant) for variant in others]
    return any(way(found, signal) >= max(SHARE * reach, _least(signal)) for signal, reach in usual)


def _least(signal: str) -> float:
    return LEAST_HEIGHT if signal.endswith("height") or signal in WIDTHS else LEAST


def way(found: dict[str, np.ndarray], signal: str) -> float:
    """How far a signal goes, from its 5th to its 95th percentile, on the side where it goes further; 0 if unseen."""
    curves = [found[name] for name in (signal, f"left_{signal}", f"right_{signal}") if name in found]
    return max((float(np.ptp(np.nanpercentile(c, [5, 95]))) for c in curves if np.isfinite(c).any()), default=0.0)


def pose_held(poses: PoseSequence, name: str) -> bool:
    """Whether most of the poses are the static pose ``name``, as one of the library's bodies holds it."""
    found = joint_angles(poses)
    angles = np.stack([found[angle] for angle in _NAMES])  # (A, T)
    seen = np.isfinite(angles)
    fits = abs(angles - _held(name)[..., None]) <= TOLERANCE  # (B, A, T), false where unseen
    share = fits.sum(axis=1) / np.maximum(seen.sum(axis=0), 1)
    held = fits[:, _NAMES.index("trunk")] & (share >= _FITTING)  # (B, T)
    return bool(held.mean(axis=1).max() >= _FRAMES)


@cache
def _most_moved(name: str, variant: str | None) -> tuple[str, float]:
    """The angle (without its side) that moves most when the library performs this, and how far, degrees.

    At full range, and in bodies of which nothing else moves along.
    """
    found = [_angles(motion) for motion in _performed(name, variant, repetitions=3)]
    usual = {part: float(np.median([way(angles, part) for angles in found])) for part in _PARTS}
    part = max(usual, key=lambda part: usual[part])
    return part, usual[part]


@cache
def _held(name: str) -> np.ndarray:
    """Joint angles (B, A) of the library's bodies in a static pose, and of their mirror images."""
    found = [_angles(motion) for motion in _performed(name, None)]
    mirror = [_NAMES.index(_mirrored(angle)) for angle in _NAMES]
    held = np.array([[np.median(angles[name]) for name in _NAMES] for angles in found])
    return np.concatenate([held, held[:, mirror]])


def _mirrored(angle: str) -> str:
    return angle.replace("left", "*").replace("right", "left").replace("*", "right")


def _performed(name: str, variant: str | None, repetitions: int | None = None) -> list[Motion]:
    return generate_batch(name, np.random.default_rng(0), _BODIES, variant=variant, repetitions=repetitions)


def _angles(motion: Motion) -> dict[str, np.ndarray]:
    world = motion.joints[:, [JOINT[joint] for joint in KINETAG13.joints]] * [1, -1, -1]  # y down
    poses = PoseSequence(motion.times, world[..., :2], np.ones(world.shape[:2]), KINETAG13.name, (2, 2), world=world)
    return joint_angles(poses, "3d")
