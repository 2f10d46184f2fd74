from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_motions import included, lengths

from kinetag.exercises.contacts import bear
from kinetag.exercises.kinematics import BODY_MIRROR, JOINT, bend_limb, forward, random_proportions
from kinetag.exercises.library import Support
from kinetag.exercises.recipes import INDEX, LEFT, MIRROR, MIRROR_SIGN, PARAMETERS, RIGHT, pose_row

SUPPORTS = get_args(Support.model_fields["by"].annotation)


def pose(**angles: float) -> np.ndarray:
    """Somebody who stands, but for these; (1, 1, P)."""
    row = pose_row()
    for name, value in angles.items():
        for full in [name] if name in INDEX else [f"left_{name}", f"right_{name}"]:
            row[INDEX[full]] = value
    return row[None, None]


def body(count: int = 1):
    return random_proportions(count, np.random.default_rng(0))


def random_poses(seed: int, count: int = 4, frames: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = pose_row() + rng.normal(0, 40, (count, frames, len(PARAMETERS))).astype(np.float32)
    for i, name in enumerate(PARAMETERS):
        if name.endswith(("in_space", "by_shin", "contact")):
            rows[..., i] = rng.integers(0, 2, rows.shape[:2])
        elif name in ("lift", "shift") or name.endswith(("elbow", "knee", "step")):
            rows[..., i] = np.abs(rows[..., i]) * (1 if name.endswith(("elbow", "knee")) else 0.1)
    return rows


@pytest.mark.parametrize(("joint", "angle"), [("elbow", 90), ("elbow", 30), ("knee", 70), ("knee", 120)])
def test_flexion_is_180_minus_the_included_angle(joint, angle):
    joints = forward(pose(**{joint: angle}), body())
    a, c = {"elbow": ("shoulder", "wrist"), "knee": ("hip", "ankle")}[joint]
    assert included(joints, f"left_{a}", f"left_{joint}", f"left_{c}") == pytest.approx(180 - angle, abs=0.1)


def test_anatomical_directions():
    straight = {"elbow": 0, "trunk": 0, "spine": 0}

    def arm(**angles):
        joints = forward(pose(**straight, **angles), body())[0, 0]
        upper = joints[JOINT["left_elbow"]] - joints[JOINT["left_shoulder"]]
        lower = joints[JOINT["left_wrist"]] - joints[JOINT["left_elbow"]]
        return upper / np.linalg.norm(upper), lower / np.linalg.norm(lower)

    assert arm(shoulder=0)[0] == pytest.approx([0, -1, 0], abs=1e-3)
    assert arm(shoulder=90, plane=0)[0] == pytest.approx([0, 0, 1], abs=1e-3)  # to the front
    assert arm(shoulder=90, plane=90)[0] == pytest.approx([1, 0, 0], abs=1e-3)  # to the left
    assert arm(shoulder=180, plane=90)[0] == pytest.approx([0, 1, 0], abs=1e-3)
    curl = arm(**{"shoulder": 0, "plane": 50, "rotation": 0, "left_elbow": 90})[1]
    assert curl == pytest.approx([0, 0, 1], abs=1e-3)  # whatever the plane, the forearm comes forward
    hands_up = arm(**{"shoulder": 90, "plane": 90, "rotation": 90, "left_elbow": 90})[1]
    assert hands_up == pytest.approx([0, 1, 0], abs=1e-3)


def test_trunk_and_thigh_against_the_vertical():
    joints = forward(pose(trunk=30, spine=0, thigh=90, thigh_in_space=1, abduction=0), body())[0, 0]
    up = joints[JOINT["chest"]] - joints[JOINT["pelvis"]]
    assert np.degrees(np.arctan2(up[2], up[1])) == pytest.approx(30, abs=0.1)
    thigh = joints[JOINT["left_knee"]] - joints[JOINT["left_hip"]]
    assert thigh[2] > 0.3
    assert thigh[1] == pytest.approx(0, abs=1e-3)


def test_shin_is_against_the_vertical():
    row = pose(trunk=20, thigh=80, thigh_in_space=1, knee=25, knee_by_shin=1, abduction=0)
    joints = forward(row, body())[0, 0]
    shin = joints[JOINT["left_knee"]] - joints[JOINT["left_ankle"]]
    assert np.degrees(np.arctan2(shin[2], shin[1])) == pytest.approx(25, abs=0.2)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_lengths_do_not_depend_on_the_pose(seed):
    shape = body(4)
    joints = forward(random_poses(seed), shape)
    assert np.isfinite(joints).all()
    assert np.ptp(lengths(joints), axis=1).max() < 1e-4


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_mirrored_pose_gives_mirrored_joints(seed):
    rows = random_poses(seed)
    mirrored = forward(rows[..., MIRROR] * MIRROR_SIGN, body(4))
    assert mirrored == pytest.approx(forward(rows, body(4))[..., BODY_MIRROR, :] * [-1, 1, 1], abs=2e-4)


def test_mirror_is_its_own_inverse():
    rows = random_poses(1)
    assert ((rows[..., MIRROR] * MIRROR_SIGN)[..., MIRROR] * MIRROR_SIGN == rows).all()
    assert (MIRROR[LEFT] == np.flatnonzero(RIGHT)).all()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), kind=st.sampled_from(SUPPORTS))
def test_contacts_keep_lengths_and_the_floor(seed, kind):
    shape, rng = body(4), np.random.default_rng(seed)
    joints = bear(random_poses(seed), shape, [Support(by=kind)] * 4, rng)
    assert np.isfinite(joints).all()
    assert np.ptp(lengths(joints), axis=1).max() < 1e-3
    assert joints[..., 1].min() > 0


def still(support: Support, *poses: np.ndarray) -> np.ndarray:
    """Joints (T, 25, 3) of one body that takes these poses one after the other."""
    return bear(np.concatenate(poses, axis=1), body(), [support], np.random.default_rng(0))[0]


def test_a_foot_stands_on_its_step():
    floor, step = (pose(left_step=height, left_contact=1) for height in (0, 20))
    up = pose(left_step=20, left_contact=1, right_contact=0, right_knee=40)
    joints = still(Support(by="feet", feet="stepping"), floor, step, up)
    height, toes = body().height[0], joints[:, JOINT["left_foot_index"], 1]
    np.testing.assert_allclose(toes[1:] - toes[0], 0.2 * height, atol=0.01)
    assert joints[1, JOINT["pelvis"], 1] < joints[0, JOINT["pelvis"], 1] + 0.12 * height
    np.testing.assert_allclose(joints[2, JOINT["pelvis"], 1] - joints[0, JOINT["pelvis"], 1], 0.2 * height, atol=0.02)


def test_shoulders_stay_while_the_hips_rise():
    down, up = pose(trunk=-90, thigh=130, knee=100), pose(trunk=-118, thigh=108, knee=105)
    joints = still(Support(by="shoulders", surface=(0.4, 0.4)), down, up)
    np.testing.assert_allclose(joints[1, JOINT["neck"]], joints[0, JOINT["neck"]], atol=1e-4)
    assert joints[1, JOINT["pelvis"], 1] > joints[0, JOINT["pelvis"], 1] + 0.1
    np.testing.assert_allclose(joints[1, JOINT["left_ankle"]], joints[0, JOINT["left_ankle"]], atol=0.02)


def test_hands_that_bear_tip_the_body_and_carry_it():
    stand = pose(hand_contact=0)
    plank = pose(trunk=60, thigh=-60, shoulder=60, plane=0, contact=0.5)
    ahead = pose(trunk=60, thigh=-60, shoulder=80, plane=0, contact=0.5)
    joints = still(Support(by="both_ends", feet="stepping"), stand, plank, ahead)
    assert joints[0, JOINT["left_shoulder"], 1] > 0.75 * body().height[0]
    hands, toes = joints[1:, JOINT["left_hand"]], joints[1:, JOINT["left_foot_index"], 1]
    assert max(hands[:, 1].max(), toes.max()) < 0.06
    np.testing.assert_allclose(hands[1, [0, 2]], hands[0, [0, 2]], atol=0.03)


def test_hands_on_a_wall_point_up():
    wall = Support(by="hands_and_feet", hand_height=(1.05, 1.05), hand_ahead=(0.97, 0.97))
    joints = still(wall, *(pose(trunk=20, thigh=0, thigh_in_space=0, elbow=bend) for bend in (5, 90)))
    fingers = joints[:, JOINT["left_hand"]] - joints[:, JOINT["left_wrist"]]
    assert (fingers[:, 1] > 0.9 * np.linalg.norm(fingers, axis=-1)).all()
    shoulder = joints[:, JOINT["left_shoulder"], 2]
    assert shoulder[1] > shoulder[0] + 0.1
    assert (shoulder < joints[:, JOINT["left_wrist"], 2]).all()


def test_two_bone_limb_reaches_its_goal():
    shape = body()
    joints = forward(pose(), shape)
    goal = joints[..., JOINT["left_hip"], :] + np.array([0.1, -0.6, 0.2], np.float32)
    bend_limb(joints, shape, ("left_hip", "left_knee", "left_ankle"), goal)
    assert joints[..., JOINT["left_ankle"], :] == pytest.approx(goal, abs=1e-4)
    far = joints[..., JOINT["left_hip"], :] + np.array([0, -3, 0], np.float32)
    bend_limb(joints, shape, ("left_hip", "left_knee", "left_ankle"), far)
    assert included(joints, "left_hip", "left_knee", "left_ankle") > 175


def test_standing_is_as_tall_as_the_body():
    shape = body(50)
    rows = np.repeat(pose(trunk=0, spine=0, neck=0, thigh=0, knee=0, abduction=0), 50, axis=0)
    joints = bear(rows, shape, [Support()] * 50, np.random.default_rng(0))
    nose = joints[:, 0, JOINT["nose"], 1] / shape.height
    assert 0.85 < nose.mean() < 0.95
    assert joints[:, 0, JOINT["left_foot_index"], 1] == pytest.approx(0.012 * shape.height, abs=2e-3)
