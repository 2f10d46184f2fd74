"""What is hidden from the classifier to see how much it still knows: parts, joints, frames, and the picture's edge.

Trained as it is, corrupted at test only, as Song et al. do for RA-GCN ("Richly Activated Graph Convolutional Network
for Robust Skeleton-based Action Recognition", TCSVT 2020). A joint that is hidden takes its neighbours without a joint
of their own along: a wrist the hand, an ankle the foot, the nose the face.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
from clip_sets import Clip

from kinetag.exercises.library import Exercise
from kinetag.sequence import PoseSequence
from kinetag.skeletons import KINETAG13

LEFT_ARM, RIGHT_ARM = (("left_elbow", "left_wrist"), ("right_elbow", "right_wrist"))
LEGS = ("left_knee", "right_knee", "left_ankle", "right_ankle")
HIPS = ("left_hip", "right_hip")
LOST_FRAMES = 0.3

_WITH = {"wrist": ("pinky", "index", "thumb"), "ankle": ("heel", "foot_index")}
_FACE = ("eye", "ear", "mouth")

Hide = Callable[[PoseSequence, np.random.Generator], PoseSequence]

# What is hidden, by what is said of it; where there are two ways (left and right), the one that hurts more counts.
HIDDEN: dict[str, tuple[Hide, ...]] = {
    "knees and ankles": (lambda poses, _: without(poses, LEGS),),
    "one arm, the worse": (lambda poses, _: without(poses, LEFT_ARM), lambda poses, _: without(poses, RIGHT_ARM)),
    "both arms": (lambda poses, _: without(poses, LEFT_ARM + RIGHT_ARM),),
    "6 of 13 joints": (lambda poses, rng: without(poses, rng.choice(KINETAG13.joints, 6, replace=False)),),
    "30 % of the frames": (lambda poses, rng: poses.rows(rng.random(len(poses)) >= LOST_FRAMES),),
}
# Only for exercises that people film from the waist up.
WAIST_UP: dict[str, tuple[Hide, ...]] = {
    "cut off below the hips": (lambda poses, _: without(poses, LEGS),),
    "cut off at the waist": (lambda poses, _: without(poses, LEGS + HIPS),),
}


def without(poses: PoseSequence, joints: Iterable[str]) -> PoseSequence:
    """The same poses with these joints, and what goes with them, never seen."""
    joints = tuple(joints)
    gone = np.array([any(_goes_with(name, joint) for joint in joints) for name in poses.skeleton.joints])
    keypoints, confidence = poses.keypoints.copy(), poses.confidence.copy()
    keypoints[:, gone], confidence[:, gone] = np.nan, 0
    world = poses.world
    if world is not None:
        world = np.where(gone[:, None], np.nan, world)
    return replace(poses, keypoints=keypoints, confidence=confidence, world=world)


def _goes_with(name: str, joint: str) -> bool:
    if joint == "nose":
        return name == joint or any(part in name for part in _FACE)
    side, part = joint.split("_")
    return name == joint or name in [f"{side}_{tip}" for tip in _WITH.get(part, ())]


def shows_waist_up(clip: Clip, library: dict[str, Exercise]) -> bool:
    """Whether people film this from the waist up: arms and shoulders, pulling, and pressing upright."""
    exercise = library.get(clip.truth)
    return exercise is not None and (
        exercise.family in ("arms", "shoulders", "pull") or exercise.name == "overhead_press"
    )
