"""The people of a timeline, drawn on the frames of their video."""

import numpy as np

from kinetag.report.paint import Painter, Shown
from kinetag.sequence import PoseSequence
from kinetag.snapshots import Snapshot, from_jpeg, jpeg, square, surroundings
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
        around = None if shown is None else surroundings(shown.keypoints[shown.seen()])
        if around is None:
            height, width = image.shape[:2]
            return jpeg(square(image, (width / 2, height / 2), max(height, width), side))
        return self._with_skeleton(square(image, *around, side), shown, *around)

    def on_snapshot(self, snapshot: Snapshot, person: int) -> bytes:
        """The same from a picture that was taken while the video was read, in the size that was analysed."""
        shown = next((shown for shown in self.at(snapshot.time) if shown.id == person), None)
        return self._with_skeleton(from_jpeg(snapshot.jpeg), shown, snapshot.center, snapshot.reach)

    def _with_skeleton(self, crop: np.ndarray, shown: Shown | None, center: tuple[float, float], reach: float) -> bytes:
        if shown is not None:
            side = len(crop)
            moved = (shown.keypoints - center) * (side / reach) + side / 2
            Painter(side, side).skeleton(crop, Shown(shown.id, moved, shown.confidence, shown.layout))
        return jpeg(crop)

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
            label, sure = segment.name(), segment.sure
            if segment.repetitions:
                count = sum(r.time <= time for r in segment.repetitions if not r.partial)
        return Shown(person.id, pose[0] * scale, pose[1], person.poses.layout, label, sure, count)


def interpolate(poses: PoseSequence, time: float) -> tuple[np.ndarray, np.ndarray] | None:
    """Keypoints (V, 2) and confidence (V,) at ``time``: linear between the two poses around it, None in a gap.

    Of poses on both sides of a cut only those of this shot count. A joint known in only one of the two keeps that
    place.
    """
    after = int(np.searchsorted(poses.times, time))
    before = after - 1
    if after < len(poses) and poses.times[after] - time <= 1e-6:
        return poses.keypoints[after], poses.confidence[after]
    begin = max((cut for cut in poses.cuts if cut <= time), default=-np.inf)
    end = min((cut for cut in poses.cuts if cut > time), default=np.inf)
    first, last = np.searchsorted(poses.times, (begin, end)).tolist()  # the rows of this shot
    if before < first or after >= last:
        edge = after if before < first else before
        if not first <= edge < last or abs(poses.times[edge] - time) > _HOLD:
            return None
        return poses.keypoints[edge], poses.confidence[edge]
    span = poses.times[after] - poses.times[before]
    if span > _GAP:
        return None
    share = (time - poses.times[before]) / span
    one, other = poses.keypoints[before], poses.keypoints[after]
    keypoints = (1 - share) * one + share * other
    keypoints = np.where(np.isnan(one), other, np.where(np.isnan(other), one, keypoints))
    return keypoints, (1 - share) * poses.confidence[before] + share * poses.confidence[after]
