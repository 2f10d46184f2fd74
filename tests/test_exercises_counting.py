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
    assert np.count_nonzero(errors) <= 1, errors
