import numpy as np

from kinetag import features
from kinetag.exercises.synthesis import PARTS, _take_over, camera_space, drop, estimate, observe, project, world_points
from kinetag.skeletons import get_layout

LAYOUT, ALL = get_layout("kinetag"), get_layout(features.LAYOUT)


def people(count: int = 40, frames: int = 48) -> np.ndarray:
    """Standing bodies that sway, (N, T, 13, 3)."""
    home = {
        "nose": (0, 1.65, 0.1), "shoulder": (0.2, 1.45, 0), "elbow": (0.25, 1.15, 0), "wrist": (0.25, 0.9, 0.1),
        "hip": (0.1, 0.95, 0), "knee": (0.1, 0.5, 0), "ankle": (0.1, 0.08, 0),
    }  # fmt: skip
    body = np.array(
        [np.array(home[j.split("_")[-1]]) * ((-1, 1, 1) if j.startswith("right") else (1, 1, 1)) for j in LAYOUT.joints]
    )
    rng = np.random.default_rng(5)
    sway = 0.1 * np.sin(np.arange(frames) / 5)[None, :, None, None] * rng.normal(0, 1, (count, 1, 13, 3))
    return (body + sway).astype(np.float32)


def test_deterministic_by_seed():
    first, second = (observe(people(), np.random.default_rng(3)) for _ in range(2))
    other = observe(people(), np.random.default_rng(4))
    assert np.array_equal(first.keypoints, second.keypoints)
    assert np.array_equal(first.confidence, second.confidence)
    assert not np.array_equal(first.keypoints, other.keypoints)


def test_ranges_and_types():
    seen = observe(people(200), np.random.default_rng(0))
    assert seen.keypoints.dtype == np.float32
    assert seen.confidence.dtype == np.float32
    assert np.isfinite(seen.keypoints).all()
    assert seen.confidence.min() == 0
    assert seen.confidence.max() <= 1
    positive = seen.confidence[seen.confidence > 0]
    assert positive.min() >= 0.05 - 1e-6
    assert 0.5 < (seen.confidence > 0).mean() < 0.95
    assert len(np.unique(positive.round(2))) > 50  # continuous, not only yes or no


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
    monkeypatch.setattr("kinetag.exercises.synthesis._ACTION_CAMERAS", 0.0)
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
    monkeypatch.setattr("kinetag.exercises.synthesis._ACTION_CAMERAS", 0.0)
    assert bend().max() < 1e-5


def test_clean_is_the_camera_alone():
    seen = observe(people(), np.random.default_rng(0), clean=True)
    assert (seen.confidence == 1).all()
    trunk = [seen.world[:, :, LAYOUT.index(f"left_{joint}")] for joint in ("shoulder", "hip")]
    length = np.linalg.norm(trunk[0] - trunk[1], axis=-1)
    bones = [people()[:, :, LAYOUT.index(f"left_{joint}")] for joint in ("shoulder", "hip")]
    assert np.allclose(length, np.linalg.norm(bones[0] - bones[1], axis=-1), atol=1e-4)  # a camera only turns


def test_world_points_lie_over_the_picture_and_some_people_have_none():
    seen = observe(people(200), np.random.default_rng(0))
    none = np.isnan(seen.world).any(axis=(1, 2, 3))
    assert 0.2 < none.mean() < 0.5
    for axis in (0, 1):
        world, picture = seen.world[~none, :, :, axis], seen.keypoints[~none, :, :, axis]
        together = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(world, picture, strict=True)]
        assert np.median(together) > 0.8


def test_each_part_is_dropped_about_as_often_as_it_says():
    kept = drop((4000, 48, len(ALL)), np.random.default_rng(0))
    for chance, names in PARTS:
        gone = ~kept[:, :, ALL.indices(names)].any(axis=(1, 2))
        assert gone.mean() > 0.7 * chance


def test_something_is_always_left():
    kept = drop((4000, 48, len(ALL)), np.random.default_rng(0))
    assert (kept.any(axis=(1, 2))).mean() > 0.99


def test_a_camera_turns_and_moves_and_no_more():
    joints = people(20)
    space = camera_space(joints, np.random.default_rng(2))
    for body in (joints, space):
        body -= body[:, :, :1].copy()
    np.testing.assert_allclose(np.linalg.norm(space, axis=-1), np.linalg.norm(joints, axis=-1), atol=1e-5)


def test_world_points_are_the_joints_with_a_worse_and_flatter_depth():
    space = camera_space(observed_joints(400), np.random.default_rng(0))
    world = world_points(space, np.zeros((*space.shape[:3], 2), np.float32), np.random.default_rng(1))
    given = np.isfinite(world).all(axis=(1, 2, 3))
    true = space - space.mean(axis=2, keepdims=True)
    true = true / np.sqrt((true**2).sum(axis=-1).mean(axis=(1, 2)))[:, None, None, None]
    error = (world - true)[given]
    assert np.abs(error[..., :2]).max() < 1e-4  # the picture's errors are those that were given: none
    assert 0.05 < np.abs(error[..., 2]).mean() < 0.5
    slope = (world[given][..., 2] * true[given][..., 2]).sum() / (true[given][..., 2] ** 2).sum()
    assert 0.5 < slope < 0.95


def observed_joints(count: int) -> np.ndarray:
    """People with ears and feet, (N, T, 19, 3)."""
    body = people(count)
    return np.concatenate([body, body[:, :, :1], body[:, :, :1], body[:, :, -2:], body[:, :, -2:]], axis=2)


def shaken(part: str) -> float:
    """How much the joints of a part are displaced anew in every frame, of people who stand still."""
    still = np.repeat(people(400, 1), 48, axis=1)
    rng = np.random.default_rng(0)
    points = np.concatenate([still, still[:, :, :1], still[:, :, :1], still[:, :, -2:], still[:, :, -2:]], axis=2)[
        ..., :2
    ]
    seen, _ = estimate(points, np.zeros(points.shape[:3], np.float32), rng)
    joints = [i for i, name in enumerate(ALL.joints) if part in name]
    return float(np.median(np.abs(np.diff(seen[:, :, joints], 2, axis=1))))


def test_wrists_shake_more_than_hips():
    assert shaken("wrist") > 1.15 * shaken("ankle") > 1.15 * shaken("hip")


def test_now_and_then_a_limb_is_anothers():
    rng = np.random.default_rng(0)
    points = np.zeros((4000, 48, len(ALL), 5), np.float32)
    points[..., 0] = np.arange(4000)[:, None, None]  # each person somewhere else
    seen, confidence = _take_over(points, np.ones(points.shape[:3], np.float32), rng)
    off = np.abs(seen[..., 0] - points[..., 0]) > 5
    assert 0.02 < off.any(axis=(1, 2)).mean() < 0.08
    frames = off.any(axis=2).sum(axis=1)
    assert frames.max() <= 30
    assert 2 < frames[frames > 0].mean() < 16
    trunk = ALL.indices(("nose", "left_shoulder", "right_shoulder", "left_hip", "right_hip"))
    assert not off[:, :, trunk].any()
    assert (seen[..., 4] == 0).all(), "the depth stays"
    np.testing.assert_allclose(seen[..., 0], seen[..., 2] + points[..., 0], atol=1e-2)
    assert (confidence == 1).all()


def test_what_hangs_on_a_hidden_joint_is_hidden_too():
    kept = drop((3000, 48, len(ALL)), np.random.default_rng(0)).any(axis=1)  # (N, V)
    for joint, leader in (("left_heel", "left_ankle"), ("right_foot_index", "right_ankle"), ("left_ear", "nose")):
        own, main = kept[:, ALL.index(joint)], kept[:, ALL.index(leader)]
        assert (own & ~main).mean() < 0.03, "beside what each loses by flicker alone"
        assert own.mean() < main.mean()
