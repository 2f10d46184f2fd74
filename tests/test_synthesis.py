import numpy as np
from made_poses import standing_people as people

from kinetag import features
from kinetag.exercises.cameras import camera_space
from kinetag.exercises.synthesis import _take_over, estimate, observe, world_points
from kinetag.skeletons import get_layout

LAYOUT, ALL = get_layout("kinetag"), get_layout(features.LAYOUT)


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
