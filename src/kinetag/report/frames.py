"""``frames.csv``: what everybody does, frame by frame."""

import csv
import math
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any

import numpy as np

from kinetag.timeline import Person, Segment, Timeline, frame_at

COLUMNS = ("person", "frame", "time", "label", "doubtful", "frame_label", "frame_confidence", "repetition")
_PIECE = 10_000  # frames at a time, so that memory does not grow with the video


def write_frames(timeline: Timeline, stream: Any) -> None:
    """Write one row a person and frame of the source in which that person is in view, as CSV.

    ``label`` and ``doubtful`` are those of the timeline's segment, ``frame_label`` and ``frame_confidence`` what the
    classifier says at that frame alone, ``repetition`` is the number of the one that goes on. Where the source's
    frames a second are unknown, the rows are those of the poses, without a frame.
    """
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for person in timeline.people:
        for frames, times, tolerance in _pieces(person, timeline.frame_rate):
            said = _said(person, times)
            segments = person.segments_at(times, tolerance=tolerance)
            for frame, time, segment, told in zip(frames, times.tolist(), segments, said, strict=True):
                if segment is not None:
                    answer = (segment.label, segment.doubtful, *told, _repetition(segment, time))
                    writer.writerow((person.id, frame, round(time, 3), *answer))


def _pieces(person: Person, frame_rate: float) -> Iterator[tuple[list[Any], np.ndarray, float]]:
    """Frames, their times (F,), and how far (s) beside a segment they may lie, from a person's first to the last."""
    if not person.segments:
        return
    if frame_rate > 0:
        first, last = frame_at(person.segments[0].start, frame_rate), frame_at(person.segments[-1].end, frame_rate)
        for at in range(first, last + 1, _PIECE):
            frames = np.arange(at, min(at + _PIECE, last + 1))
            yield frames.tolist(), frames / frame_rate, 0.5 / frame_rate
    elif person.poses is not None:
        for at in range(0, len(person.poses), _PIECE):
            times = person.poses.times[at : at + _PIECE]
            yield [""] * len(times), times, 0.0


def _said(person: Person, times: np.ndarray) -> list[tuple[Any, Any]]:
    """The classifier's most probable label at each time and how probable that is; empty where it says nothing."""
    probabilities = person.probabilities_at(times)
    if probabilities is None:
        return [("", "")] * len(times)
    best = probabilities.argmax(axis=1)  # of a row of NaN one of them
    sure = probabilities[np.arange(len(times)), best]
    return [
        ("", "") if math.isnan(share) else (person.labels[label], round(share, 3))
        for label, share in zip(best.tolist(), sure.tolist(), strict=True)
    ]


def _repetition(segment: Segment, time: float) -> int | str:
    number = bisect_right(segment.repetitions, time, key=lambda repetition: repetition.start)
    return number if number and time <= segment.repetitions[number - 1].end else ""
