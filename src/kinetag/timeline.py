"""The answer: who does what, when, and how many times.

A Timeline holds one Person for every person id; a Person holds labelled Segments; a Segment holds Repetitions. All
times are seconds from the start of the source.
"""

import csv
import io
import json
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from kinetag.errors import missing_extra
from kinetag.sequence import PoseSequence

if TYPE_CHECKING:
    import pandas

    from kinetag.snapshots import Snapshots

OTHER = "other"


@dataclass
class Repetition:
    """One repetition: from ``start`` through its turning point at ``time`` to ``end``.

    ``range_of_motion`` maps a joint angle's name to (smallest, largest) degrees reached. ``partial`` marks one that
    stayed well short of the exercise's usual range.
    """

    start: float
    time: float
    end: float
    partial: bool = False
    range_of_motion: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def duration(self) -> float:
        return self.end - self.start


@dataclass
class Segment:
    """A stretch of time in which a person does one thing. ``confidence`` is a calibrated probability in [0, 1]."""

    label: str
    start: float
    end: float
    confidence: float
    repetitions: list[Repetition] = field(default_factory=list)

    @property
    def duration(self) -> float:
        return self.end - self.start

    @property
    def repetition_count(self) -> int:
        """Full repetitions; partial ones are listed but not counted."""
        return sum(not repetition.partial for repetition in self.repetitions)

    def to_dict(self) -> dict[str, Any]:
        counted = [repetition for repetition in self.repetitions if not repetition.partial]
        return {
            "label": self.label,
            "start": _round(self.start),
            "end": _round(self.end),
            "confidence": _round(self.confidence),
            "repetitions": len(counted),
            "repetition_times": [_round(repetition.time) for repetition in counted],
            "repetition_details": [
                {
                    "start": _round(repetition.start),
                    "time": _round(repetition.time),
                    "end": _round(repetition.end),
                    "partial": bool(repetition.partial),
                    "range_of_motion": {
                        angle: [_round(low, 1), _round(high, 1)]
                        for angle, (low, high) in repetition.range_of_motion.items()
                    },
                }
                for repetition in self.repetitions
            ],
        }


@dataclass
class Person:
    """One person's segments, in order and without gaps or overlaps while the person is in view.

    ``poses`` is what was measured (smoothed); ``probabilities`` (T', K) over ``labels`` at ``probability_times`` is
    what the segments were decoded from. Both may be None when a timeline was read back from JSON.
    """

    id: int
    segments: list[Segment]
    poses: PoseSequence | None = None
    labels: tuple[str, ...] = ()
    probability_times: np.ndarray | None = None
    probabilities: np.ndarray | None = None

    @property
    def main_segment(self) -> Segment | None:
        """The longest segment that is not 'other' (or the longest at all)."""
        named = [segment for segment in self.segments if segment.label != OTHER]
        return max(named or self.segments, key=lambda segment: segment.duration, default=None)

    def at(self, time: float) -> Segment | None:
        """The segment that covers a moment, or None when the person is not in view."""
        return next((s for s in self.segments if s.start <= time <= s.end), None)


@dataclass
class Timeline:
    """The labelled timeline of every person in one source; ``snapshots`` are small pictures for a report."""

    source: str
    duration: float
    frame_rate: float
    people: list[Person] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    frame_size: tuple[int, int] = (0, 0)
    snapshots: "Snapshots | None" = field(default=None, repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """The documented JSON structure (see ``kinetag.schema``)."""
        return {
            "source": self.source,
            "duration": _round(self.duration),
            "frame_rate": _round(self.frame_rate),
            "warnings": list(self.warnings),
            "people": [
                {"id": person.id, "segments": [segment.to_dict() for segment in person.segments]}
                for person in self.people
            ],
        }

    def to_json(self, indent: int | None = 2) -> str:
        return json.dumps(self.to_dict(), indent=indent, ensure_ascii=False, allow_nan=False)

    def to_csv(self) -> str:
        """One line a segment: person, label, start, end, confidence, repetitions."""
        return _csv(
            ("person", "label", "start", "end", "confidence", "repetitions"),
            (
                (p.id, s.label, _round(s.start), _round(s.end), _round(s.confidence), s.repetition_count)
                for p in self.people
                for s in p.segments
            ),
        )

    def to_repetitions_csv(self) -> str:
        """One line a repetition: person, label, number, times, partial, and each joint angle's range in degrees."""
        angles = sorted({a for p in self.people for s in p.segments for r in s.repetitions for a in r.range_of_motion})
        header = ["person", "label", "repetition", "start", "time", "end", "partial"]
        header += [f"{angle}_{bound}" for angle in angles for bound in ("min", "max")]
        rows = []
        for person in self.people:
            for segment in person.segments:
                for number, rep in enumerate(segment.repetitions, 1):
                    ranges = [
                        _round(value, 1)
                        for angle in angles
                        for value in rep.range_of_motion.get(angle, (float("nan"), float("nan")))
                    ]
                    times = (_round(rep.start), _round(rep.time), _round(rep.end))
                    rows.append((person.id, segment.label, number, *times, rep.partial, *ranges))
        return _csv(header, rows)

    def to_vtt(self) -> str:
        """WebVTT subtitles: who does what, and the running count of repetitions."""
        moments = sorted({t for p in self.people for s in p.segments for t in (s.start, s.end, *_count_times(s))})
        lines = ["WEBVTT", ""]
        for start, end in pairwise(moments):
            said = [_caption(p, (start + end) / 2) for p in self.people]
            said = [text for text in said if text]
            if said and end - start >= 0.001:
                lines += [f"{_clock(start)} --> {_clock(end)}", *said, ""]
        return "\n".join(lines)

    def to_dataframe(self) -> "pandas.DataFrame":
        """One row a segment, with the repetition times as a list."""
        try:
            import pandas
        except ImportError:
            raise missing_extra("pandas", "parquet", "to_dataframe") from None
        rows = [{"person": p.id, **s.to_dict()} for p in self.people for s in p.segments]
        columns = ["person", "label", "start", "end", "confidence", "repetitions", "repetition_times"]
        return pandas.DataFrame(rows, columns=columns)


def _count_times(segment: Segment) -> list[float]:
    return [repetition.time for repetition in segment.repetitions if not repetition.partial]


def _caption(person: Person, time: float) -> str:
    segment = person.at(time)
    if segment is None:
        return ""
    text = f"Person {person.id}: {segment.label.replace('_', ' ')}"
    done = sum(moment <= time for moment in _count_times(segment))
    return f"{text} ×{done}" if done else text


def _clock(seconds: float) -> str:
    milliseconds = max(0, round(seconds * 1000))
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{rest // 1000:02d}.{rest % 1000:03d}"


def _round(value: float, digits: int = 3) -> float:
    return round(float(value), digits)


def _csv(header: Any, rows: Any) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()
