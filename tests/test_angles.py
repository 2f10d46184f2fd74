import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_poses import TORSO, bend_elbow, body, seen, squat

from kinetag.angles import (
    ANGLES,
    HEIGHTS,
    STEPS,
    TURNS,
    WIDTHS,
    joint_angles,
    signal_confidence,
    signals,
    world_is_sane,
)
from kinetag.body import torso_length
from kinetag.sequence import PoseSequence

TIMES = np.arange(3) / 10


def test_standing() -> None:
    angles = joint_angles(seen(body(3), TIMES))
    assert tuple(angles) == ANGLES
    for name in ("left_elbow", "right_knee"):
        np.testing.assert_allclose(angles[name], 180, atol=1)
    assert angles["left_shoulder"][0] < 15  # the hips are narrower than the shoulders
    np.testing.assert_allclose(angles["trunk"], 0, atol=1e-4)
    assert np.isnan(angles["left_ankle"]).all()  # this layout has no feet


@pytest.mark.parametrize("azimuth", [0, 35, 90, 200])
def test_elbow_bent_to_a_right_angle(azimuth: float) -> None:
    joints = body(3)
    bend_elbow(joints, "left", np.array([0.0, 45, 90]))
    angles = joint_angles(seen(joints, TIMES, azimuth=azimuth))
    np.testing.assert_allclose(angles["left_elbow"], [180, 135, 90], atol=0.1)
    np.testing.assert_allclose(angles["right_elbow"], 180, atol=0.1)


def test_the_picture_alone_foreshortens() -> None:
    joints = body(3)
    bend_elbow(joints, "left", np.array([0.0, 45, 90]))
    side = joint_angles(seen(joints, TIMES, azimuth=90, world=False))
    np.testing.assert_allclose(side["left_elbow"], [180, 135, 90], atol=0.1)
    front = joint_angles(seen(joints, TIMES, azimuth=0), "2d")
    np.testing.assert_allclose(front["left_elbow"][:2], 180, atol=0.1)


def test_arm_overhead_is_180_and_sideways_90() -> None:
    joints = body(3)
    shoulder = joints["left_shoulder"]
    hip = joints["left_hip"]
    up = (shoulder - hip) / np.linalg.norm(shoulder - hip, axis=1, keepdims=True)
    joints["left_elbow"] = shoulder + 0.3 * up
    joints["right_elbow"] = joints["right_shoulder"] + np.array([0, 0, 0.3])
    angles = joint_angles(seen(joints, TIMES))
    np.testing.assert_allclose(angles["left_shoulder"], 180, atol=0.1)
    np.testing.assert_allclose(angles["right_shoulder"], 90, atol=0.1)


@pytest.mark.parametrize("world", [True, False])
def test_trunk_lying_and_head_down(world: bool) -> None:
    joints = body(3)
    for joint, points in joints.items():
        x, y, z = points.T
        joints[joint] = np.stack([[x[0], x[1], x[2]], [y[0], -z[1], -y[2]], [z[0], y[1], z[2]]], axis=-1)
    angles = joint_angles(seen(joints, TIMES, azimuth=90, world=world))
    np.testing.assert_allclose(angles["trunk"], [0, 90, 180], atol=0.1)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), turn=st.floats(0, 6.3), scale=st.floats(0.1, 10))
def test_included_angles_do_not_depend_on_place_size_and_turn(seed: int, turn: float, scale: float) -> None:
    points = np.random.default_rng(seed).normal(size=(3, 13, 2)) * 100
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])

    def angles(keypoints: np.ndarray) -> dict[str, np.ndarray]:
        return joint_angles(PoseSequence(TIMES, keypoints, np.ones((3, 13)), "kinetag", (640, 480)))

    before, after = angles(points), angles(points @ rotation * scale + 50)
    for name in set(ANGLES) - {"trunk"}:
        np.testing.assert_allclose(before[name], after[name], atol=0.1)


def test_turns() -> None:
    joints = body(3)
    turn = np.radians([0.0, 30, -60])
    middle = np.array([0, 1.4, 0])
    for side, x in (("left", 1.0), ("right", -1.0)):
        across = np.stack([np.cos(turn), 0 * turn, np.sin(turn)], axis=-1)
        joints[f"{side}_shoulder"] = middle + 0.18 * x * across
    joints["left_wrist"] = joints["left_shoulder"] - 0.2 * across  # before the chest
    joints["right_wrist"] = joints["right_shoulder"] - 0.2 * across  # stretched out
    out = signals(seen(joints, TIMES))
    np.testing.assert_allclose(out["right_twist"], [0, 30, 0], atol=0.1)  # the left shoulder comes forward
    np.testing.assert_allclose(out["left_twist"], [0, 0, 60], atol=0.1)
    np.testing.assert_allclose(out["left_across"], 0, atol=0.1)
    np.testing.assert_allclose(out["right_across"], 180, atol=0.1)
    assert np.isnan(signals(seen(joints, TIMES, world=False))["left_twist"]).all()


@pytest.mark.parametrize("world", [True, False])
@pytest.mark.parametrize("azimuth", [0, 180])
def test_lean(world: bool, azimuth: float) -> None:
    joints = body(3)
    for joint in ("left_shoulder", "right_shoulder"):
        joints[joint] = joints[joint] + np.array([[0.0, 0, 0], [0.5, 0, 0], [-0.5, 0, 0]])  # hips are 0.5 m below
    out = signals(seen(joints, TIMES, azimuth=azimuth, world=world))
    np.testing.assert_allclose(out["left_lean"], [0, 45, 0], atol=0.1)
    np.testing.assert_allclose(out["right_lean"], [0, 0, 45], atol=0.1)


def test_unseen_joints_give_nan() -> None:
    sequence = seen(body(3), TIMES)
    sequence.confidence[1, sequence.skeleton.index("left_elbow")] = 0
    angles = joint_angles(sequence)
    assert np.isnan(angles["left_elbow"]).tolist() == [False, True, False]
    assert np.isfinite(angles["right_elbow"]).all()
    assert signal_confidence(sequence)["left_elbow"].tolist() == [1, 0, 1]


def test_heights_in_torso_lengths() -> None:
    joints = body(3)
    squat(joints, np.array([0.0, 60, 120]))
    out = signals(seen(joints, TIMES, azimuth=0))
    assert set(out) == {*ANGLES, *TURNS, *HEIGHTS, *WIDTHS, *STEPS}
    unit = torso_length(seen(joints, TIMES, azimuth=0))[0] / 200  # metres that count as one torso
    assert unit == pytest.approx(TORSO, rel=0.15)
    np.testing.assert_allclose(out["left_ankle_height"], 0, atol=1e-3)
    expected = (joints["left_hip"][:, 1] - 0.05) / unit
    np.testing.assert_allclose(out["left_hip_height"], expected, atol=1e-3)
    assert (np.diff(out["left_hip_height"]) < -0.1).all()


def test_world_points_must_deserve_belief() -> None:
    good = seen(body(3), TIMES)
    assert world_is_sane(good)
    assert not world_is_sane(seen(body(3), TIMES, world=False))
    zeros = seen(body(3), TIMES)
    zeros.world = np.zeros_like(good.world)
    assert not world_is_sane(zeros)
    elsewhere = seen(body(3), TIMES)
    assert elsewhere.world is not None
    elsewhere.world = elsewhere.world[:, ::-1].copy()  # a body, but not the one in the picture
    assert not world_is_sane(elsewhere)
    np.testing.assert_allclose(
        joint_angles(elsewhere)["left_knee"], joint_angles(seen(body(3), TIMES, world=False))["left_knee"]
    )
