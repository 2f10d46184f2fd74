"""Labelled clips of real people for the bench of the classifier: what each set holds and what its names mean.

FOLDER holds gym_keypoints.npz (gym clips through BlazePose), penn_action.npz (joints marked by hand), ui_prmd.npz
(Kinect skeletons) and hdm05_cuts.npz (marker-based motion capture); the last two are seen by random cameras through
the errors and occlusions of a synthetic estimator, two thirds of the time one with world points.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from clip_names import class_of

from kinetag.exercises.captured import CLASSES
from kinetag.exercises.synthesis import observe
from kinetag.sequence import PoseSequence
from kinetag.smoothing import smooth
from kinetag.timeline import OTHER

PENN = {
    "squat": "squat", "pushup": "push_up", "pullup": "pull_up", "bench_press": "bench_press", "situp": "sit_up",
    "jumping_jacks": "jumping_jack", "jump_rope": "jump_rope", "clean_and_jerk": "clean_and_jerk",
}  # fmt: skip
# Not here: a hop forwards, an elbow to a raised knee, sneaking, lying down; each is near a class without being it.
HDM05 = {
    "squat": "squat", "jogLeftCircle": "running", "rotateArmsBothBackward": "arm_circles", "kickLFront": OTHER,
    "grabHighR": OTHER, "depositFloorR": OTHER, "throwBasketball": OTHER,
}  # fmt: skip
# In the order of the 'kinetag' layout; a Kinect has no nose.
PRMD_JOINTS = ("head", *(f"{side}_{part}" for part in ("upper_arm", "forearm", "hand", "upper_leg", "lower_leg", "foot")
                         for side in ("left", "right")))  # fmt: skip
HDM05_JOINTS = (16, 18, 25, 19, 26, 20, 27, 1, 6, 2, 7, 3, 8)
PENN_RATE = 30.0  # frames a second; the annotations do not say
CAPTURE_RATE = 15.0  # frames a second that motion capture, recorded at 30, is looked at
REPETITIONS = 4  # of a movement of UI-PRMD in one clip, one after the other
_INCH = 0.0254  # metres; HDM05's skeletons are measured in inches
_SHORTEST = 13  # frames that the synthetic estimator needs


@dataclass(frozen=True)
class Clip:
    """``truth``: a class of the library or 'other'. Clips of one ``group`` show the same movement of one person."""

    name: str
    truth: str
    poses: PoseSequence
    group: str


def gym_clips(folder: Path, test: bool) -> list[Clip]:
    data = _arrays(folder / "gym_keypoints.npz")
    clips = []
    for i in np.flatnonzero(data["test"] == test):
        name = str(data["name"][i])
        truth = class_of(name)
        rows = np.arange(data["offsets"][i], data["offsets"][i + 1])
        rows = rows[np.isfinite(data["xy"][rows, 0, 0].astype(float))] if truth else rows
        if truth and len(rows) > 5:
            height, width = data["height_width"][i]
            points = data["xy"][rows].astype(np.float32)
            inside = ((points >= 0) & (points < [width, height])).all(axis=-1)
            confidence = data["visibility"][rows] / 255 * (data["presence"][rows] / 255) * np.where(inside, 1, 0.2)
            size, world = (int(width), int(height)), data["world"][rows].astype(np.float32)
            poses = PoseSequence(data["time"][rows], points, confidence, "blazepose", size, world=world)
            clips.append(Clip(name, truth, smooth(to_and_fro(poses)), name))
    return clips


def to_and_fro(poses: PoseSequence, still: float = 3.0, enough: float = 3.0, length: float = 6.0) -> PoseSequence:
    """Without the frozen end, and played forwards and backwards for ``length`` s if less than ``enough`` s are left.

    Most gym clips show the way from rest to the turning point, about a second of it, and then stand still: played once
    they are no repetition of anything. ``still`` pixels and less is no movement.
    """
    moved = np.nanmax(abs(poses.keypoints - poses.keypoints[-1]), axis=(1, 2)) > still
    last = int(np.flatnonzero(moved)[-1]) + 1 if moved.any() else 0
    start, end = poses.times[0], poses.times[last]
    if not 0.4 < end - start < enough:
        return poses.between(start, end) if end - start >= enough else poses
    step = float(np.median(np.diff(poses.times)))
    there_and_back = np.r_[np.arange(last + 1), np.arange(last - 1, 0, -1)]
    index = np.resize(there_and_back, max(len(poses), round(length / step)))
    return replace(
        poses,
        times=np.arange(len(index)) * step,
        keypoints=poses.keypoints[index],
        confidence=poses.confidence[index],
        world=None if poses.world is None else poses.world[index],
    )


def penn_clips(folder: Path, train: bool, every: int = 1) -> list[Clip]:
    data = _arrays(folder / "penn_action.npz")
    clips = []
    for i in np.flatnonzero(data["train"] == train)[::every]:
        name = f"{data['action'][i]} {data['clip'][i]}"
        points = data["keypoints"][data["offsets"][i] : data["offsets"][i + 1]]
        if len(points) < 6:
            continue
        height, width, _ = (int(v) for v in data["height_width_frames"][i])
        times = np.arange(len(points)) / PENN_RATE
        # The joint at the crown stands in for the nose; everything else has the same name and order.
        poses = PoseSequence(times, points[..., :2], points[..., 2], "kinetag", (width, height))
        clips.append(Clip(name, PENN.get(str(data["action"][i]), OTHER), poses, name))
    return clips


def prmd_clips(folder: Path, cameras: int, subjects: Collection[int], *, noise: bool = True) -> list[Clip]:
    """A few repetitions, done right, of every movement by each of ``subjects`` (1 to 10), as several cameras see them.

    Without ``noise`` joints and depth are as the cameras see them, nothing hidden or wrong. Its inline lunge stays in a
    long stride from beginning to end, which is the library's split squat.
    """
    data = _arrays(folder / "ui_prmd.npz")
    joints = [str(name) for name in data["joints"]]
    columns = [joints.index(name) for name in PRMD_JOINTS]
    clips = []
    for number, name in enumerate(str(name) for name in data["movement_names"]):
        for subject in subjects:
            same = (data["movement"] == number + 1) & (data["subject"] == subject) & data["correct"]
            if not same.any():
                continue
            rows = [
                np.arange(int(data["offsets"][i]), int(data["offsets"][i + 1]))
                for i in np.flatnonzero(same)[:REPETITIONS]
            ]
            body = data["joints_cm"][np.concatenate(rows)][:, columns].astype(np.float32) / 100
            clips += _seen(body, f"{name} {subject}", CLASSES[name], cameras, seed=(number, int(subject)), noise=noise)
    return clips


def hdm05_clips(folder: Path, cameras: int) -> list[Clip]:
    """The cuts that are long enough and whose name is clear, as each of several cameras sees them."""
    data = _arrays(folder / "hdm05_cuts.npz")
    clips = []
    for i, name in enumerate(str(name) for name in data["clip"]):
        truth = HDM05.get(re.sub(r".*HDM_.._|\d.*", "", name))
        body = data["joints"][data["offsets"][i] : data["offsets"][i + 1], HDM05_JOINTS].astype(np.float32) * _INCH
        if truth is not None and len(body) >= 2 * _SHORTEST:
            clips += _seen(body, name, truth, cameras, seed=(i,))
    return clips


def _seen(
    body: np.ndarray, name: str, truth: str, cameras: int, seed: tuple[int, ...], *, noise: bool = True
) -> list[Clip]:
    """Joints (T, 13, 3) in metres at 30 frames a second through random cameras and, with ``noise``, an estimator."""
    body = body[::2]
    times = np.arange(len(body)) / CAPTURE_RATE
    clips = []
    for camera in range(cameras):
        seen = observe(body[None], np.random.default_rng((*seed, camera)), clean=not noise)
        world = None if np.isnan(seen.world).all() else seen.world[0]
        poses = PoseSequence(times, seen.keypoints[0], seen.confidence[0], "kinetag", (2, 2), world=world)
        clips.append(Clip(f"{name}, camera {camera + 1}", truth, poses, name))
    return clips


def _arrays(path: Path) -> dict[str, np.ndarray]:
    """Everything in the file: an array is unpacked anew each time that an open archive is asked for it."""
    with np.load(path) as data:
        return dict(data)
