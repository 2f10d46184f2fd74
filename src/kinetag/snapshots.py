"""Small pictures of everybody, taken while the frames pass by, so that a report needs no second reading of the video.

A camera cannot be read a second time, and of a file the second decoding would cost as much as the first.
"""

from bisect import bisect_left
from dataclasses import dataclass

import cv2
import numpy as np

from kinetag.sequence import Pose

SIDE = 160  # pixels
_INTERVAL = 0.19  # seconds between two pictures of a person: near enough to any turning point
_BUDGET = 24 << 20  # bytes in all: some ten minutes of one person, who has far more repetitions than are shown
_QUALITY = 85
_REACH = 1.4  # side of the picture in extents of the body


@dataclass(frozen=True)
class Snapshot:
    """A square around one person at ``time`` (s): ``center`` (x, y) and ``reach`` (side) in pixels of the frame."""

    time: float
    center: tuple[float, float]
    reach: float
    jpeg: bytes


class Snapshots:
    """Pictures of everybody by person id, several a second, until ``budget`` bytes are full."""

    def __init__(self, *, budget: int = _BUDGET) -> None:
        self.budget = budget
        self._taken: dict[int, list[Snapshot]] = {}

    def take(self, image: np.ndarray, time: float, person: int, pose: Pose) -> None:
        """Keep a picture of ``person`` in ``image`` (H, W, 3) RGB, unless the last one is recent or no room is left."""
        taken = self._taken.setdefault(person, [])
        if self.budget <= 0 or (taken and time - taken[-1].time < _INTERVAL):
            return
        around = surroundings(pose.keypoints[pose.confidence > 0])
        if around is None:
            return
        center, reach = around
        snapshot = Snapshot(time, center, reach, jpeg(square(image, center, reach, SIDE), _QUALITY))
        self.budget -= len(snapshot.jpeg)
        taken.append(snapshot)

    def nearest(self, person: int, time: float) -> Snapshot | None:
        """The picture of ``person`` nearest to ``time`` (s), None where there is none within two intervals."""
        taken = self._taken.get(person, [])
        after = bisect_left(taken, time, key=lambda snapshot: snapshot.time)
        near = min(taken[max(0, after - 1) : after + 1], key=lambda snapshot: abs(snapshot.time - time), default=None)
        return near if near is not None and abs(near.time - time) <= 2 * _INTERVAL else None


def surroundings(points: np.ndarray) -> tuple[tuple[float, float], float] | None:
    """Centre and side of a square around points (n, 2), with some room; None where no point is finite."""
    points = points[np.isfinite(points).all(axis=1)]
    if not len(points):
        return None
    low, high = points.min(axis=0), points.max(axis=0)
    x, y = (low + high) / 2
    return (float(x), float(y)), _REACH * float((high - low).max()) + 1


def square(image: np.ndarray, center: tuple[float, float], reach: float, side: int) -> np.ndarray:
    """The square of ``reach`` pixels around ``center``, scaled to ``side`` pixels; grey outside the picture."""
    height, width = image.shape[:2]
    left, top = round(center[0] - reach / 2), round(center[1] - reach / 2)
    size = max(1, round(reach))
    inside = image[max(0, top) : max(0, top + size), max(0, left) : max(0, left + size)]
    skip = max(1, size // (2 * side))  # of a large body every other pixel is enough, at a fraction of the cost
    inside = inside[::skip, ::skip]
    out = np.empty((side, side, 3), np.uint8)
    out[:] = (40, 42, 46)
    if not inside.size:
        return out
    # Where the visible part lies in the small picture.
    x, right = (round((at - left) * side / size) for at in (max(0, left), min(width, left + size)))
    y, bottom = (round((at - top) * side / size) for at in (max(0, top), min(height, top + size)))
    if right > x and bottom > y:
        way = cv2.INTER_AREA if side < size else cv2.INTER_LINEAR
        out[y:bottom, x:right] = cv2.resize(inside, (right - x, bottom - y), interpolation=way)
    return out


def jpeg(image: np.ndarray, quality: int = 80) -> bytes:
    """An RGB picture as JPEG."""
    done, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done
    return data.tobytes()


def from_jpeg(data: bytes) -> np.ndarray:
    """A JPEG as RGB (H, W, 3)."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
