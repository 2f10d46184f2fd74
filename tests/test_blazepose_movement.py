"""Where something moves: on made pictures whose moving parts are known."""

import numpy as np
import pytest

from kinetag.pose.movement import Movement
from kinetag.pose.search import around

RNG = np.random.default_rng(0)


def background(width=640, height=360):
    y, x = np.mgrid[:height, :width]
    return np.stack([(x // 3) % 200, (y // 2) % 200, (x + y) % 200], axis=-1).astype(np.uint8)


def frames(path, size=60, noise=0, **shape):
    """A grey square with its centre at each place of ``path`` in turn."""
    for x, y in path:
        image = background(**shape)
        image[max(0, y - size // 2) : y + size // 2, max(0, x - size // 2) : x + size // 2] = 230
        yield np.clip(image + RNG.normal(0, noise, image.shape), 0, 255).astype(np.uint8) if noise else image


@pytest.mark.parametrize("shape", [{}, {"width": 1280, "height": 720}, {"width": 360, "height": 640}])
def test_what_moves_is_found_where_it_is(shape):
    movement = Movement()
    for image in frames([(100 + 12 * i, 150) for i in range(6)], **shape):
        movement.see(image)
    (place,) = movement.places([])
    assert abs(place.x - 145) < 50
    assert abs(place.y - 150) < 25
    assert 50 < place.size < 220


def test_a_still_picture_has_no_movement_even_with_noise():
    movement = Movement()
    for image in frames([(200, 150)] * 8, noise=3):
        movement.see(image)
    assert movement.places([]) == []


def test_known_people_explain_their_movement():
    movement = Movement()
    for image in frames([(100 + 12 * i, 150) for i in range(6)]):
        movement.see(image)
    assert movement.places([(np.array([50.0, 100.0]), np.array([260.0, 200.0]))]) == []
    assert len(movement.places([(np.array([400.0, 100.0]), np.array([500.0, 200.0]))])) == 1


def test_a_moving_camera_says_nothing():
    movement = Movement()
    for i in range(5):
        movement.see(np.roll(RNG.integers(0, 255, (360, 640, 3), dtype=np.uint8), 7 * i, axis=1))
    assert movement.places([]) == []


def test_pictures_of_any_size_are_taken():
    for height, width in ((1, 1), (3, 200), (50, 20)):
        movement = Movement()
        for _ in range(3):
            movement.see(RNG.integers(0, 255, (height, width, 3), dtype=np.uint8))
        assert isinstance(movement.places([]), list)


def test_a_square_around_movement_is_neither_tiny_nor_larger_than_the_picture():
    movement = Movement()
    for image in frames([(100 + 12 * i, 150) for i in range(6)], size=40):
        movement.see(image)
    (place,) = movement.places([])
    assert place.size < around(place, 640, 360).size < 4 * place.size
    assert around(place, 20, 20).size == 20


def test_a_cut_is_seen_and_movement_or_noise_is_none():
    movement = Movement()
    pictures = [*frames([(100 + 30 * i, 150) for i in range(6)], size=200, noise=4)]
    assert not any(movement.see(image) for image in pictures)
    other = 220 - background()[:, ::-1]
    assert movement.see(np.ascontiguousarray(other))
    assert movement.places([]) == []
    assert not movement.see(np.ascontiguousarray(other))
