import numpy as np
from made_poses import standing_people as people

from kinetag.exercises.cameras import camera_space, project
from kinetag.skeletons import get_layout

LAYOUT = get_layout("kinetag")


def test_cameras_stand_all_around_and_heads_are_up():
    rng = np.random.default_rng(0)
    keypoints, depth = project(camera_space(people(300), rng), rng)
    left, right = LAYOUT.indices(("left_shoulder", "right_shoulder"))
    facing = (keypoints[:, :, left, 0] - keypoints[:, :, right, 0]).mean(axis=1)
    assert 0.35 < (facing > 0).mean() < 0.65
    ankles = keypoints[:, :, LAYOUT.indices(("left_ankle", "right_ankle")), 1].mean(axis=(1, 2))
    assert (keypoints[:, :, 0, 1].mean(axis=1) < ankles).all()  # y points down
    assert (depth > 0).all()


def test_projection_is_a_pinhole_camera(monkeypatch):
    """The cross-ratio of four points on a line stays: what perspective keeps, wherever the lens points."""
    monkeypatch.setattr("kinetag.exercises.cameras._ACTION_CAMERAS", 0.0)
    line = np.zeros((50, 1, 13, 3), np.float32)
    line[..., 0] = np.linspace(-1, 1, 13)
    rng = np.random.default_rng(1)
    points, _ = project(camera_space(line, rng), rng)
    a, b, c, d = (points[:, 0, i].astype(float) for i in (0, 3, 7, 12))

    def distance(p, q):
        return np.linalg.norm(p - q, axis=-1)

    ratio = distance(a, c) * distance(b, d) / (distance(b, c) * distance(a, d))
    assert np.allclose(ratio, (7 * 9) / (4 * 12), rtol=1e-2)


def test_lenses_of_action_cameras_bend_what_is_straight(monkeypatch):
    line = np.zeros((300, 1, 13, 3), np.float32)
    line[..., 1] = np.linspace(-1, 1, 13)

    def bend() -> np.ndarray:
        """How far the middle of the line is from where its ends say, in lengths of the line."""
        points, _ = project(line, np.random.default_rng(2))
        first, middle, last = (points[:, 0, i].astype(float) for i in (0, 6, 12))
        way = last - first
        off = (middle - first)[:, 0] * way[:, 1] - (middle - first)[:, 1] * way[:, 0]
        return np.abs(off) / (way**2).sum(axis=1)

    assert 0.03 < (bend() > 1e-3).mean() < 0.2
    monkeypatch.setattr("kinetag.exercises.cameras._ACTION_CAMERAS", 0.0)
    assert bend().max() < 1e-5


def test_a_camera_turns_and_moves_and_no_more():
    joints = people(20)
    space = camera_space(joints, np.random.default_rng(2))
    for body in (joints, space):
        body -= body[:, :, :1].copy()
    np.testing.assert_allclose(np.linalg.norm(space, axis=-1), np.linalg.norm(joints, axis=-1), atol=1e-5)
