"""What somebody is doing right now: the running label and its repetitions."""

import numpy as np
from made_poses import body, seen, squat

from kinetag.classifier import Classifier
from kinetag.exercises.library import load_library
from kinetag.running import RunningLabel
from kinetag.sequence import Pose, PoseSequence


def squats(count: int, first: float = 0.0) -> PoseSequence:
    """Squats of 2 s each, from the moment ``first`` on."""
    times = np.arange(0, 2.0 * count, 1 / 15)
    joints = body(len(times))
    squat(joints, 50 * (1 - np.cos(np.pi * times)))
    return seen(joints, times + first, noise=0.01, azimuth=60)


def run(running: RunningLabel, poses: PoseSequence) -> tuple[str | None, float, int]:
    found = (None, 0.0, 0)
    for i, time in enumerate(poses.times):
        world = None if poses.world is None else poses.world[i]
        pose = Pose(poses.keypoints[i], poses.confidence[i], 0.9, poses.layout, world)
        found = running.update(pose, float(time))
    return found


def test_repetitions_are_counted_while_they_happen_and_an_absence_ends_the_set():
    running = RunningLabel(1, Classifier.load(), load_library(), (640, 480))
    label, confidence, count = run(running, squats(5))
    assert label == "squat"
    assert confidence > 0.5
    assert running.family == "legs"  # what is said while the label is not sure
    assert running.family_confidence > 0.5
    assert count in (4, 5)  # the last one may still be under way
    assert not running.is_over(11.0)
    assert running.is_over(70.0)
    assert run(running, squats(1, first=70.0))[2] <= 1  # not the five of a minute ago
    assert run(running, squats(4, first=72.0))[::2] in (("squat", 4), ("squat", 5))
