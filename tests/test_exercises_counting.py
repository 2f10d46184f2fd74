"""Whether what an exercise file says about counting fits the motion that it describes."""

import numpy as np
import pytest
from made_poses import JOINTS, seen

from kinetag.exercises.kinematics import JOINT
from kinetag.exercises.library import load_library
from kinetag.exercises.motion import generate_batch
from kinetag.reps import count_repetitions
from kinetag.smoothing import smooth

LIBRARY = load_library()
COUNTED = [name for name, exercise in LIBRARY.items() if exercise.counting]
SETS = 8


@pytest.mark.parametrize("name", COUNTED)
def test_the_plain_form_is_counted(name):
    exercise, rng = LIBRARY[name], np.random.default_rng(3)
    errors = []
    for motion in generate_batch(exercise, rng, SETS, repetitions=5, rate=15, variant="plain"):
        joints = {joint: motion.joints[:, JOINT[joint]].astype(float) for joint in JOINTS}
        pelvis = (joints["left_hip"] + joints["right_hip"]) / 2
        drift = (pelvis - pelvis.mean(axis=0)) * (1, 0, 1)  # the camera follows who travels
        sequence = smooth(
            seen({n: p - drift for n, p in joints.items()}, motion.times, azimuth=rng.uniform(0, 360), noise=0.003)
        )
        found = count_repetitions(sequence, exercise, sequence.times[0], sequence.times[-1])
        errors.append(sum(not repetition.partial for repetition in found) - len(motion.repetitions))
    if exercise.counting and exercise.counting.signal == "step":
        # Made runners start with the feet apart, which may be a step or not.
        errors = [error for error in errors if error not in (0, 1)]
    assert np.count_nonzero(errors) <= 1, errors


@pytest.mark.parametrize("name", ["walking", "running", "bear_crawl"])
@pytest.mark.parametrize("azimuth", [0, 45, 90, 225])
def test_steps_are_counted_from_everywhere(name, azimuth):
    errors = []
    for motion in generate_batch(name, np.random.default_rng(8), 4, repetitions=9, rate=15):
        joints = {joint: motion.joints[:, JOINT[joint]].astype(float) for joint in JOINTS}
        drift = ((joints["left_hip"] + joints["right_hip"]) / 2) * (1, 0, 1)
        poses = smooth(seen({n: p - drift for n, p in joints.items()}, motion.times, azimuth=azimuth, noise=0.005))
        found = count_repetitions(poses, LIBRARY[name], poses.times[0], poses.times[-1])
        errors.append(abs(sum(not step.partial for step in found) - 9))
    assert sorted(errors)[:3] <= [1, 1, 1], errors


def test_who_stops_walking_takes_no_more_steps():
    (motion,) = generate_batch("walking", np.random.default_rng(2), 1, repetitions=8, rate=15, variant="plain")
    rest = np.repeat(motion.joints[-1:], 90, axis=0)
    points = np.concatenate([motion.joints, rest])
    times = np.arange(len(points)) / 15
    joints = {joint: points[:, JOINT[joint]].astype(float) for joint in JOINTS}
    drift = ((joints["left_hip"] + joints["right_hip"]) / 2) * (1, 0, 1)
    poses = smooth(seen({n: p - drift for n, p in joints.items()}, times, azimuth=60, noise=0.003))
    found = count_repetitions(poses, LIBRARY["walking"], 0, times[-1])
    assert abs(len(found) - 8) <= 1
    assert max(step.time for step in found) < motion.times[-1] + 0.5
