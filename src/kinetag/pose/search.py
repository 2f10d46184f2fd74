"""Where to look for people nobody follows yet: the squares of a picture, in an order that finds most soonest."""

import math
from collections.abc import Iterator
from itertools import chain, cycle

import numpy as np

from kinetag.pose.regions import Region

_QUARTER = math.pi / 2


def whole(width: int, height: int) -> Region:
    """The whole picture, letterboxed into a square."""
    return Region(width / 2, height / 2, max(width, height))


def squares(width: int, height: int, divisor: int) -> list[Region]:
    """Squares of 1/``divisor`` of the picture's shorter side that cover it, overlapping by half or more."""
    size = min(width, height) / divisor
    across = _spread(width, size)
    return [Region(x, y, size) for y in _spread(height, size) for x in across]


def _spread(length: float, size: float) -> list[float]:
    count = math.ceil(2 * (length - size) / size) + 1
    return np.linspace(size / 2, length - size / 2, count).tolist() if count > 1 else [length / 2]


def turned(width: int, height: int) -> list[Region]:
    """The larger places on their sides: the detector was made for upright people."""
    places = [whole(width, height), *squares(width, height, 1)]
    return [place.turned(angle) for place in places for angle in (_QUARTER, -_QUARTER)]


def sweep(width: int, height: int) -> list[list[Region]]:
    """Every place to look at, once, in three batches: the largest people are found in the first."""
    larger = [*squares(width, height, 1), *turned(width, height)]
    return [[whole(width, height)], larger, squares(width, height, 2)]


def rounds(width: int, height: int) -> Iterator[Region]:
    """All those places in turn, without end: large, turned and small squares alternate, as there are far more small."""
    large = cycle([whole(width, height), *squares(width, height, 1)])
    small = cycle(squares(width, height, 2))
    return chain.from_iterable(zip(large, small, large, cycle(turned(width, height)), strict=False))


def around(place: Region, width: int, height: int) -> Region:
    """A square to search around something that moves: a whole person with some room, or what a hand belongs to."""
    size = max(1.4 * place.size, 0.35 * min(width, height))
    return Region(place.x, place.y, min(size, float(max(width, height))))


def surroundings(region: Region, attempt: int, seconds: float) -> Region:
    """A square around where a person was lost ``seconds`` ago, larger with time: upright, or turned either way."""
    size = region.size * min(1.3 + 0.4 * seconds, 2.5)
    return Region(region.x, region.y, size, (0.0, 0.0, _QUARTER, -_QUARTER)[attempt // 4 % 4])
