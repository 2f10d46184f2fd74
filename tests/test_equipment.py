"""What people hold, and what stands where they train."""

import numpy as np
import pytest

from kinetag.exercises.equipment import fixtures, held
from kinetag.exercises.kinematics import JOINT
from kinetag.exercises.library import load_library
from kinetag.exercises.motion import generate
from kinetag.exercises.room import Block, Mat, Pipe

LIBRARY = load_library()


def motion(name: str, variant: str = "plain", seed: int = 3):
    counted = LIBRARY[name].counting is not None
    return generate(name, np.random.default_rng(seed), variant=variant, repetitions=2 if counted else None)


def placed(name: str, variant: str = "plain"):
    done = motion(name, variant)
    return done, fixtures(done.equipment, done.joints.astype(float))


@pytest.mark.parametrize("name", LIBRARY)
def test_everything_that_stands_there_has_a_size(name):
    for variant in ("plain", *(v.name for v in LIBRARY[name].variants if v.equipment is not None)):
        done = motion(name, variant)
        for prop in fixtures(done.equipment, done.joints.astype(float)):
            numbers = prop.size if isinstance(prop, Block) else prop.start if isinstance(prop, Pipe) else (prop.x,)
            assert np.isfinite(numbers).all(), variant
            assert not isinstance(prop, Block) or min(prop.size) > 0, variant


@pytest.mark.parametrize(("name", "variant", "kind"), [
    ("biceps_curl", "plain", "dumbbells"), ("deadlift", "plain", "barbell"), ("deadlift", "single_leg", "dumbbells"),
    ("kettlebell_swing", "plain", "kettlebell"), ("lat_pulldown", "plain", "cable_bar"), ("pull_up", "plain", "grip"),
    ("jump_rope", "plain", "rope"), ("push_up", "plain", ""), ("shrug", "empty_hands", ""),
])  # fmt: skip
def test_what_is_held(name, variant, kind):
    done = motion(name, variant)
    assert held(done.equipment, done.joints) == kind


def test_one_weight_is_in_the_hand_that_works():
    done = motion("kettlebell_swing", "one_arm")
    kind = held(done.equipment, done.joints)
    ways = {s: np.ptp(done.joints[:, JOINT[f"{s}_wrist"], 1]) for s in ("left", "right")}
    assert kind == f"{max(ways, key=ways.get)}_kettlebell"


def test_an_arm_style_brings_its_weights():
    found = {generate("squat", np.random.default_rng(seed), variant="plain").equipment for seed in range(40)}
    assert {(), ("barbell",), ("dumbbells",), ("kettlebell",)} <= found


def test_a_seat_is_under_the_pelvis_and_a_bench_under_the_shoulders():
    done, (seat,) = placed("sit_to_stand")
    low = done.joints[done.joints[:, JOINT["pelvis"], 1].argmin(), JOINT["pelvis"]]
    assert np.hypot(seat.x - low[0], seat.z - low[2]) < 0.15
    assert 0.25 < seat.size[1] < low[1]
    done, (bench,) = placed("hip_thrust")
    shoulders = done.joints[:, [JOINT["left_shoulder"], JOINT["right_shoulder"]]].mean((0, 1))
    assert np.hypot(bench.x - shoulders[0], bench.z - shoulders[2]) < 0.2
    assert bench.size[1] < shoulders[1]


def test_a_step_is_under_the_foot_that_goes_up():
    done, (step,) = placed("step_up")
    top = done.joints[done.repetitions[0][1] < done.times][0]
    assert abs(step.size[1] - top[[JOINT["left_foot_index"], JOINT["right_foot_index"]], 1].max()) < 0.08


def test_a_wall_is_behind_who_sits_at_it_and_before_who_pushes_it():
    for name, ahead in (("wall_sit", False), ("wall_push_up", True)):
        done, (wall,) = placed(name)
        pelvis, toes = (done.joints[:, JOINT[joint]].mean(0) for joint in ("pelvis", "left_foot_index"))
        heels = done.joints[:, JOINT["left_heel"]].mean(0)
        assert ((np.array([wall.x, wall.z]) - pelvis[[0, 2]]) @ (toes - heels)[[0, 2]] > 0) == ahead


def test_floor_work_lies_on_a_mat():
    done, (mat,) = placed("push_up")
    assert isinstance(mat, Mat)
    assert mat.length > 1.5
    assert np.hypot(mat.x - done.joints[..., 0].mean(), mat.z - done.joints[..., 2].mean()) < 0.4
