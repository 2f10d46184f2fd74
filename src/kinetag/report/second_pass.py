"""The second reading of the video: the annotated copy, and pictures of repetitions and faults."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from kinetag.report.annotate import Annotator
from kinetag.snapshots import SIDE
from kinetag.storage import local_source
from kinetag.timeline import Timeline
from kinetag.urls import is_remote, is_stored

if TYPE_CHECKING:
    from kinetag.video import VideoSource, VideoWriter

MAX_PICTURES = 24  # a person: up to half of them of faults where they are worst, the others of turning points
MAX_PICTURES_IN_ALL = 120
_FRAME_RATE = 30.0  # when the source does not say
_PICTURE_RATE = 15.0  # frames a second that are looked at for pictures alone

# (person id, time of a turning point or of a fault at its worst) -> JPEG bytes
Pictures = dict[tuple[int, float], bytes]


def can_read_again(source: str | Path | int) -> bool:
    """True for video files and folders of frames; False for cameras, streams and files of poses."""
    from kinetag.pose.files import is_pose_source

    if isinstance(source, int) or (is_remote(source) and not is_stored(source)):
        return False
    return not is_pose_source(local_source(source))


def snapshot_pictures(timeline: Timeline) -> tuple[Pictures, bool]:
    """The wanted pictures from those taken while the video was read, and whether that is all that are wanted."""
    wanted = wanted_pictures(timeline)
    if timeline.snapshots is None:
        return {}, not wanted
    annotator = Annotator(timeline, timeline.frame_size)
    pictures = {
        (person, time): annotator.on_snapshot(snapshot, person)
        for time, person in wanted
        if (snapshot := timeline.snapshots.nearest(person, time)) is not None
    }
    return pictures, len(pictures) == len(wanted)


def second_pass(
    timeline: Timeline,
    source: str | Path | int,
    video: Path | None,
    *,
    start: float | None = None,
    end: float | None = None,
    progress: Callable[[float, float | None], None] | None = None,
) -> Pictures:
    """Read ``source`` again: write the annotated copy to ``video`` (unless None) and return the wanted pictures.

    The copy begins at ``start``. ``progress`` is called with the time reached and the duration.
    """
    from kinetag.video import open_source

    wanted = wanted_pictures(timeline)
    pictures: Pictures = {}
    rate = None if video is not None else _PICTURE_RATE
    with open_source(source, start=start, end=end, rate=rate) as frames, _writer(video, frames) as writer:
        annotator = Annotator(timeline, (frames.width, frames.height))
        for frame in frames:
            while wanted and frame.time >= wanted[0][0] - 1e-6:
                time, person = wanted.pop(0)
                pictures[person, time] = annotator.picture(frame.image, time, person, SIDE)
            if writer is not None:
                writer.write(annotator.draw(frame.image, frame.time), frame.time - (start or 0.0))
            elif not wanted:
                break
            if progress is not None:
                progress(frame.time, frames.duration)
    return pictures


def _writer(path: Path | None, frames: "VideoSource") -> "AbstractContextManager[VideoWriter | None]":
    from kinetag.video import VideoWriter

    if path is None:
        return nullcontext()
    return VideoWriter(path, frames.width, frames.height, frames.frame_rate or _FRAME_RATE)


def wanted_pictures(timeline: Timeline) -> list[tuple[float, int]]:
    """(time, person id) of the moments that get a picture, in order of time: each fault of a person at its worst, and
    the first turning points."""
    each = min(MAX_PICTURES, MAX_PICTURES_IN_ALL // max(1, len(timeline.people)))
    wanted: set[tuple[float, int]] = set()
    for person in timeline.people:
        faults = [fault.worst[0] for segment in person.segments for fault in segment.faults][: each // 2]
        turns = [repetition.time for segment in person.segments for repetition in segment.repetitions]
        wanted |= {(time, person.id) for time in faults + turns[: each - len(faults)]}
    return sorted(wanted)
