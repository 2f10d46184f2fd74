"""The people of a timeline, drawn on the frames of their video."""

import cv2
import numpy as np

from kinetag.report.paint import Painter, Shown
from kinetag.sequence import PoseSequence
from kinetag.timeline import Person, Timeline

_GAP = 0.5  # seconds between two poses that are still joined; a longer absence stays an absence
_HOLD = 0.1  # seconds that the first and last pose are held


class Annotator:
    """Draws everybody on frames of ``size`` (width, height), which may differ from the size that was analysed."""

    def __init__(self, timeline: Timeline, size: tuple[int, int]) -> None:
        self.timeline, self.size = timeline, size
        self.painter = Painter(*size)

    def draw(self, image: np.ndarray, time: float) -> np.ndarray:
        """A copy of ``image`` (H, W, 3) RGB with everybody as they are at ``time`` (s)."""
        return self.painter.paint(image, self.at(time))

    def at(self, time: float) -> list[Shown]:
        """Who is in view at ``time`` and what each one is doing."""
        return [shown for person in self.timeline.people if (shown := self._shown(person, time)) is not None]

    def picture(self, image: np.ndarray, time: float, person: int, side: int) -> bytes:
        """JPEG of a square of ``side`` pixels around one person, with their skeleton."""
        shown = next((shown for shown in self.at(time) if shown.id == person), None)
        if shown is None:
            return _jpeg(_square(image, (image.shape[1] / 2, image.shape[0] / 2), max(image.shape[:2]), side))
        points = shown.keypoints[shown.seen()]
        if not len(points):
            points = np.array([[0.0, 0.0], [image.shape[1], image.shape[0]]])
        low, high = points.min(axis=0), points.max(axis=0)
        reach = 1.4 * float((high - low).max()) + 1
        crop = _square(image, tuple((low + high) / 2), reach, side)
        moved = (shown.keypoints - (low + high) / 2) * (side / reach) + side / 2
        small = Painter(side, side)
        small.skeleton(crop, Shown(shown.id, moved, shown.confidence, shown.layout))
        return _jpeg(crop)

    def _shown(self, person: Person, time: float) -> Shown | None:
        if person.poses is None:
            return None
        pose = interpolate(person.poses, time)
        if pose is None:
            return None
        width, height = person.poses.frame_size
        scale = np.array([self.size[0] / width, self.size[1] / height]) if width and height else np.ones(2)
        segment = person.at(time)
        label, sure, count = None, 0.0, None
        if segment is not None:
            label, sure = segment.label, segment.confidence
            if segment.repetitions:
                count = sum(r.time <= time for r in segment.repetitions if not r.partial)
        return Shown(person.id, pose[0] * scale, pose[1], person.poses.layout, label, sure, count)


def interpolate(poses: PoseSequence, time: float) -> tuple[np.ndarray, np.ndarray] | None:
    """Keypoints (V, 2) and confidence (V,) at ``time``: linear between the two poses around it, None in a gap.

    A joint known in only one of the two keeps that place.
    """
    after = int(np.searchsorted(poses.times, time))
    before = after - 1
    if after < len(poses) and poses.times[after] - time <= 1e-6:
        return poses.keypoints[after], poses.confidence[after]
    if before < 0 or after >= len(poses):
        edge = after if before < 0 else before
        if not len(poses) or abs(poses.times[edge] - time) > _HOLD:
            return None
        return poses.keypoints[edge], poses.confidence[edge]
    span = poses.times[after] - poses.times[before]
    if span > _GAP:
        return None
    share = (time - poses.times[before]) / span
    first, second = poses.keypoints[before], poses.keypoints[after]
    keypoints = (1 - share) * first + share * second
    keypoints = np.where(np.isnan(first), second, np.where(np.isnan(second), first, keypoints))
    return keypoints, (1 - share) * poses.confidence[before] + share * poses.confidence[after]


def _square(image: np.ndarray, center: tuple[float, ...], reach: float, side: int) -> np.ndarray:
    """The square of ``reach`` pixels around ``center``, scaled to ``side``; grey outside the picture."""
    scale = side / reach
    move = np.array([[scale, 0, side / 2 - scale * center[0]], [0, scale, side / 2 - scale * center[1]]])
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    if scale < 0.5:  # warpAffine does not average: shrink first, so that the small picture stays clean
        size = (max(1, round(image.shape[1] * 2 * scale)), max(1, round(image.shape[0] * 2 * scale)))
        ratio = np.array([size[0] / image.shape[1], size[1] / image.shape[0]])
        image, move = cv2.resize(image, size, interpolation=cv2.INTER_AREA), move / [*ratio, 1]
    return cv2.warpAffine(image, move, (side, side), flags=way, borderValue=(40, 42, 46))


def _jpeg(image: np.ndarray) -> bytes:
    done, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 80])
    assert done
    return data.tobytes()
