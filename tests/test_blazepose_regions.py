"""Regions: the way into a crop and back, the person's region from two points, and the places to search."""

import math
from itertools import pairwise

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kinetag.pose import search
from kinetag.pose.regions import Region

regions = st.builds(
    Region, st.floats(-500, 2000), st.floats(-500, 2000), st.floats(10, 3000), st.floats(-math.pi, math.pi)
)


@given(regions, st.integers(0, 1000))
def test_into_the_crop_and_back(region: Region, seed: int) -> None:
    points = np.random.default_rng(seed).uniform(-100, 400, (7, 2))  # crop pixels
    picture = region.to_picture(points, 256)
    matrix = region.matrix(256)
    np.testing.assert_allclose(picture @ matrix[:, :2].T + matrix[:, 2], points, atol=1e-6)


@given(regions)
def test_the_region_around_two_points(region: Region) -> None:
    """Centre on the first point, the second straight above it in the crop, at a side / 2.5."""
    first = np.array([region.x, region.y])
    second = first + region.size / 2.5 * np.array([math.sin(region.angle), -math.cos(region.angle)])
    found = Region.around(np.stack([first, second]))
    assert math.isclose(found.size, region.size, rel_tol=1e-6)
    distance, size, turn = found.offset(region)
    assert max(distance, size, turn) < 1e-6
    matrix = found.matrix(250)
    np.testing.assert_allclose(matrix[:, :2] @ second + matrix[:, 2], (125, 25), atol=1e-3)


def test_crop_shows_the_turned_square() -> None:
    image = np.zeros((100, 200, 3), np.uint8)
    cv2.circle(image, (150, 30), 4, (255, 0, 0), -1)
    crop = Region(150, 50, 80, math.pi / 2).crop(image, 80)
    # Turned by 90 degrees clockwise, what is above the centre comes out on its left.
    y, x = np.argwhere(crop[..., 0] > 128).mean(axis=0)
    assert abs(x - 20) < 1.5
    assert abs(y - 40) < 1.5


@given(st.integers(50, 3000), st.integers(50, 3000), st.sampled_from([1, 2]))
def test_squares_cover_the_picture_with_half_overlap(width: int, height: int, divisor: int) -> None:
    found = search.squares(width, height, divisor)
    size = min(width, height) / divisor
    for axis, length in (("x", width), ("y", height)):
        centres = sorted({getattr(square, axis) for square in found})
        assert math.isclose(centres[0], size / 2) or len(centres) == 1
        assert centres[-1] + size / 2 >= length - 1e-6
        assert all(b - a <= size / 2 + 1e-6 for a, b in pairwise(centres))


def test_every_place_gets_its_turn() -> None:
    turns = search.rounds(640, 360)
    seen = {(place.x, place.y, place.size, place.angle) for place, _ in zip(turns, range(200), strict=False)}
    wanted = {(place.x, place.y, place.size, place.angle) for batch in search.sweep(640, 360) for place in batch}
    assert wanted <= seen
