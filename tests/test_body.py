import numpy as np
import pytest
from made_poses import body, seen

from kinetag.body import _BONES, torso_length
from kinetag.sequence import PoseSequence


def test_torso_length_survives_bending_to_the_camera_and_follows_distance() -> None:
    times = np.arange(300) / 15
    joints = body(300)
    for side in ("left", "right"):  # the trunk points at the camera half of the time
        for joint in ("shoulder", "elbow", "wrist"):
            points = joints[f"{side}_{joint}"]
            bent = np.stack([points[:, 0], np.full(300, 0.9), points[:, 1] - 0.9], axis=1)
            points[:] = np.where((times % 4 < 2)[:, None], bent, points)
    length = torso_length(seen(joints, times, azimuth=0))
    assert length.max() / length.min() < 1.25
    near = seen(body(300), times, azimuth=0)
    near.keypoints *= np.linspace(1, 3, 300)[:, None, None].astype(np.float32)
    grown = torso_length(near)
    assert grown[-15] / grown[15] == pytest.approx(2.8, rel=0.15)


def test_torso_length_of_random_points_is_their_80th_percentile() -> None:
    rng = np.random.default_rng(0)
    points, confidence = rng.normal(size=(1, 13, 2)) * 100, (rng.random((1, 13)) < 0.8).astype(float)
    sequence = PoseSequence(np.zeros(1), points, confidence, "kinetag", (640, 480))
    lengths = [
        float(np.linalg.norm(sequence.joint(a)[0] - sequence.joint(b)[0])) / ratio
        for a, b, ratio in _BONES
        if confidence[0, sequence.skeleton.index(a)] and confidence[0, sequence.skeleton.index(b)]
    ]
    assert torso_length(sequence)[0] == pytest.approx(np.quantile(lengths, 0.8), rel=1e-5)
    assert np.isnan(torso_length(PoseSequence(np.zeros(1), points, confidence * 0, "kinetag", (640, 480)))).all()
