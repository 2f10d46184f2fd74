"""Clothing colours on painted bodies."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinetag.appearance import COLOR_SIZE, ColorMemory, clothing_colors, color_distance
from kinetag.sequence import Pose
from kinetag.skeletons import KINETAG13, convert

cv2 = pytest.importorskip("cv2")

JOINTS = dict(zip(KINETAG13.joints, [
    (100, 20), (120, 50), (80, 50), (128, 90), (72, 90), (130, 125), (70, 125),
    (112, 130), (88, 130), (114, 180), (86, 180), (115, 230), (85, 230),
], strict=True))  # fmt: skip


def painted(shirt, trousers, *, light=1.0, noise=8.0, seed=0, shift=(0, 0), background=(120, 125, 118)):
    """A flat person in a noisy picture, and the pose."""
    rng = np.random.default_rng(seed)
    image = np.full((260, 200, 3), background, np.uint8)
    at = {name: (x + shift[0], y + shift[1]) for name, (x, y) in JOINTS.items()}
    trunk = np.array([at[j] for j in ("left_shoulder", "right_shoulder", "right_hip", "left_hip")])
    for side in ("left", "right"):
        cv2.line(image, at[f"{side}_shoulder"], at[f"{side}_elbow"], shirt, 16)
        cv2.line(image, at[f"{side}_hip"], at[f"{side}_knee"], trousers, 20)
        cv2.line(image, at[f"{side}_knee"], at[f"{side}_ankle"], trousers, 16)
    cv2.fillPoly(image, [trunk], shirt)
    image = np.clip(image * light + rng.normal(0, noise, image.shape), 0, 255).astype(np.uint8)
    keypoints = np.array(list(at.values()), np.float32)
    return image, Pose(keypoints, np.ones(13, np.float32), 0.9, "kinetag")


def descriptor(*args, **options) -> np.ndarray:
    found = clothing_colors(*painted(*args, **options))
    assert found is not None
    return found


RED, BLUE, BLACK, WHITE, GREY = (190, 40, 40), (40, 60, 180), (25, 25, 28), (235, 235, 232), (110, 110, 115)


def test_cells_of_each_part_sum_to_one():
    parts = descriptor(RED, BLACK).reshape(4, -1)
    assert parts.size == COLOR_SIZE
    assert parts[:, :81].sum(axis=1) == pytest.approx(np.ones(4), abs=1e-4)
    assert parts[:, 81:].sum(axis=1) == pytest.approx(np.ones(4), abs=1e-4)


@pytest.mark.parametrize("light", [0.85, 1.0, 1.12])
@pytest.mark.parametrize(
    ("mine", "other"),
    [((RED, BLACK), (BLUE, BLACK)), ((BLACK, BLACK), (WHITE, BLACK)), ((RED, BLACK), (RED, WHITE)),
     ((GREY, BLUE), (WHITE, BLUE))],
)  # fmt: skip
def test_same_clothes_are_nearer_than_others_in_any_light(mine, other, light):
    reference = descriptor(*mine)
    same = color_distance(reference, descriptor(*mine, light=light, seed=1, shift=(20, 5)))
    different = color_distance(reference, descriptor(*other, seed=2))
    assert same < 0.25
    assert different > same + 0.1


def test_the_background_does_not_count():
    assert color_distance(descriptor(RED, BLUE), descriptor(RED, BLUE, background=(20, 200, 40))) < 0.05


@given(a=st.integers(0, 5), b=st.integers(0, 5))
@settings(max_examples=20, deadline=None)
def test_distance_is_symmetric_and_bounded(a, b):
    rng = np.random.default_rng(a)
    x, y = (descriptor(*rng.integers(0, 255, (2, 3)).tolist(), seed=seed) for seed in (a, b))
    assert color_distance(x, y) == pytest.approx(color_distance(y, x))
    assert 0 <= color_distance(x, y) <= 1
    assert color_distance(x, x) == pytest.approx(0, abs=0.02)


def test_unseen_parts_are_not_compared():
    image, pose = painted(RED, BLUE)
    legs = KINETAG13.indices(("left_knee", "right_knee", "left_ankle", "right_ankle"))
    pose.confidence[legs] = 0.1
    upper = clothing_colors(image, pose)
    assert upper is not None
    assert np.isnan(upper.reshape(4, -1)).all(axis=1).tolist() == [False, False, True, True]
    assert color_distance(upper, descriptor(RED, WHITE)) < 0.05  # the trousers differ, but were not seen
    assert np.isnan(color_distance(upper, None))


def test_nothing_to_see_is_none():
    image, pose = painted(RED, BLUE)
    assert clothing_colors(image, replace(pose, confidence=np.zeros(13, np.float32))) is None
    assert clothing_colors(image, replace(pose, keypoints=pose.keypoints + 1000)) is None
    assert clothing_colors(image, replace(pose, keypoints=pose.keypoints * np.nan)) is None
    assert clothing_colors(image, replace(pose, keypoints=pose.keypoints * 0.02)) is None


def test_any_layout():
    image, pose = painted(RED, BLUE)
    keypoints, confidence = convert(pose.keypoints, pose.confidence, "kinetag", "coco")
    coco = Pose(keypoints, confidence, 0.9, "coco")
    found = clothing_colors(image, coco)
    assert found is not None
    np.testing.assert_allclose(found, descriptor(RED, BLUE))


def test_memory_is_the_mean_of_what_was_seen():
    rng = np.random.default_rng(0)
    seen = rng.random((5, COLOR_SIZE)).astype(np.float32)
    seen[2, : COLOR_SIZE // 4] = np.nan  # the trunk was hidden once
    memory = ColorMemory()
    assert memory.mean is None
    for one in seen:
        memory.add(one)
    memory.add(None)
    assert memory.mean is not None
    np.testing.assert_allclose(memory.mean, np.nanmean(seen, axis=0), rtol=1e-5)
    assert memory.frames == 6
    memory.clear()
    assert memory.mean is None


def test_memory_follows_the_light():
    memory = ColorMemory(memory=10)
    for _ in range(100):
        memory.add(descriptor(RED, BLUE))
    dark = descriptor(RED, BLUE, light=0.5)
    for _ in range(30):
        memory.add(dark)
    assert color_distance(memory.mean, dark) < 0.5 * color_distance(descriptor(RED, BLUE), dark)
