"""Timelines made by hand: a person of 13 joints who squats, without any network or video."""

import numpy as np

from kinetag.sequence import PoseSequence
from kinetag.skeletons import BLAZEPOSE
from kinetag.timeline import Person, Repetition, Segment, Timeline


def squat_poses(
    *, seconds: float = 12.0, rate: float = 15.0, period: float = 3.0, size=(640, 360), x: float = 0.5, person: int = 1
) -> PoseSequence:
    """Somebody seen from the side who squats once in every ``period`` seconds, about 0.7 of the frame tall."""
    times = np.arange(int(seconds * rate)) / rate
    depth = (1 - np.cos(2 * np.pi * times / period)) / 2  # 0 standing, 1 at the bottom
    width, height = size
    joints = np.full((len(times), len(BLAZEPOSE), 2), np.nan)
    confidence = np.zeros(joints.shape[:2])
    knee = np.radians(80) * depth  # of the thigh and the shank from upright
    ankle = np.stack([np.zeros_like(times), np.full_like(times, 0.0)], 1)
    shank, thigh, trunk, arm = 0.17, 0.18, 0.22, 0.12
    at_knee = ankle + shank * np.stack([np.sin(knee * 0.5), np.cos(knee * 0.5)], 1)
    hip = at_knee + thigh * np.stack([-np.sin(knee), np.cos(knee)], 1)
    shoulder = hip + trunk * np.stack([np.sin(knee * 0.5), np.cos(knee * 0.5)], 1)
    elbow = shoulder + arm * np.stack([np.sin(depth), -np.cos(depth)], 1)
    wrist = elbow + arm * np.stack([np.sin(1.5 * depth), -np.cos(1.5 * depth)], 1)
    nose = shoulder + np.array([0.03, 0.09])
    places = {"ankle": ankle, "knee": at_knee, "hip": hip, "shoulder": shoulder, "elbow": elbow, "wrist": wrist}
    places |= {
        "heel": ankle + np.array([-0.03, -0.02]),
        "foot_index": ankle + np.array([0.07, -0.02]),
        "ear": nose + np.array([-0.04, 0.01]),
    }
    places |= {"eye": nose + np.array([-0.01, 0.02])}
    for name, place in places.items():
        for side, shift in (("left", 0.015), ("right", -0.015)):
            joints[:, BLAZEPOSE.index(f"{side}_{name}")] = place + np.array([shift, 0.0])
            confidence[:, BLAZEPOSE.index(f"{side}_{name}")] = 0.95
    joints[:, BLAZEPOSE.index("nose")] = nose
    confidence[:, BLAZEPOSE.index("nose")] = 0.95
    keypoints = np.stack([x * width + joints[..., 0] * height, (0.92 - joints[..., 1]) * height], -1)
    return PoseSequence(times, keypoints, confidence, "blazepose", size, person)


def timeline(*, source: str = "workout.mp4", people: int = 2, seconds: float = 12.0, size=(640, 360)) -> Timeline:
    """``people`` who stand, squat and do something unknown; the poses are those of `squat_poses`."""
    made = []
    for number in range(1, people + 1):
        poses = squat_poses(seconds=seconds, size=size, x=number / (people + 1), person=number)
        repetitions = [
            Repetition(
                t - 1.4, t, t + 1.4, partial=t > 9, range_of_motion={"left_knee": (62.5, 174.0), "trunk": (4, 41)}
            )
            for t in np.arange(1.5, seconds - 1.5, 3.0)
        ]
        squat = Segment("squat" if number % 2 else "jumping_jack", 0.0, seconds - 2, 0.93, repetitions)
        segments = [squat, Segment("other", seconds - 2, float(poses.times[-1]), 0.55)]
        made.append(Person(number, segments, poses))
    return Timeline(source, seconds, 30.0, made, ["2 damaged frames were skipped at 3.1 s"], size)
