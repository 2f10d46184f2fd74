"""The answer: who does what, when, and how many times.

A Timeline holds one Person for every person id; a Person holds labelled Segments; a Segment holds Repetitions. All
times are seconds from the start of the source.
"""

import csv
import io
import json
import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from kinetag.errors import missing_extra
from kinetag.moments import at_times
from kinetag.naming import OTHER, called, is_doubtful
from kinetag.sequence import PoseSequence

if TYPE_CHECKING:
    import pandas

    from kinetag.snapshots import Snapshots

# The four parts of a repetition's tempo where it is not known which way goes against the load.
WAYS = ("out", "pause", "back", "rest")
_MOMENT = 0.05  # seconds of a source that do not count as a part of it


# Seconds of the way to the turning point, of the pause there, of the way back, and of the pause at rest.
Tempo = tuple[float, float, float, float | None]


@dataclass
class Repetition:
    """One repetition: from ``start`` through its turning point at ``time`` to ``end``.

    ``range_of_motion`` maps a joint angle's name to (smallest, largest) degrees reached. ``partial`` marks one that
    stayed well short of the exercise's usual range. ``tempo``: seconds of the way there, of the pause at the turning
    point, of the way back (together the duration), and of the pause at rest until the next one starts (None after the
    last one). ``asymmetry`` maps a joint's name to
    its `Asymmetry`, where both sides were seen well. ``guessed``: those of the joint angles that rest on joints mostly
    out of sight. ``short_of_norm``: degrees by which the counted joint stayed short
    of the library's norm, None where that was not seen reliably. ``not_compared``: why there is no ``asymmetry``.
    """

    start: float
    time: float
    end: float
    partial: bool = False
    range_of_motion: dict[str, tuple[float, float]] = field(default_factory=dict)
    guessed: tuple[str, ...] = ()
    tempo: Tempo | None = None
    asymmetry: dict[str, "Asymmetry"] = field(default_factory=dict)
    short_of_norm: float | None = None
    not_compared: str = ""

    @property
    def duration(self) -> float:
        return self.end - self.start

    def to_dict(self, tempo_names: tuple[str, ...] = WAYS) -> dict[str, Any]:
        """As in ``timeline.json``; what was not measured is left out."""
        out: dict[str, Any] = {
            "start": _round(self.start),
            "time": _round(self.time),
            "end": _round(self.end),
            "partial": bool(self.partial),
            "range_of_motion": {
                angle: [_round(low, 1), _round(high, 1)] for angle, (low, high) in self.range_of_motion.items()
            },
        }
        if self.guessed:
            out["guessed"] = list(self.guessed)
        if self.tempo is not None:
            seconds = (None if value is None else _round(value, 2) for value in self.tempo)
            out["tempo"] = dict(zip(tempo_names, seconds, strict=True))
        if self.asymmetry:
            out["asymmetry"] = {
                joint: {"degrees": _round(a.degrees, 1), "percent": _round(a.percent, 1), "seconds": _round(a.seconds)}
                for joint, a in self.asymmetry.items()
            }
        elif self.not_compared:
            out |= {"asymmetry": None, "not_compared": self.not_compared}
        if self.short_of_norm is not None:
            out["short_of_norm"] = _round(self.short_of_norm, 1)
        return out


@dataclass(frozen=True)
class Asymmetry:
    """How left and right differ in one repetition, left less right: the joint's range of motion in ``degrees``, the
    same in ``percent`` of their mean, and the time of the turning point in ``seconds``."""

    degrees: float
    percent: float
    seconds: float


@dataclass(frozen=True)
class FormFault:
    """A typical mistake that was clearly there: ``signal`` went ``values`` at ``times`` (s), beyond ``limit``.

    ``judged``: repetitions (of a pose that is held: seconds) that could be judged; ``times`` are those that show it.
    """

    name: str
    description: str
    signal: str
    above: bool
    limit: float
    times: tuple[float, ...]
    values: tuple[float, ...]
    judged: int

    @property
    def worst(self) -> tuple[float, float]:
        """The moment (s) at which it was furthest beyond the limit, and the value there."""
        choose = max if self.above else min
        return choose(zip(self.times, self.values, strict=True), key=lambda shown: shown[1])

    def to_dict(self, frame_rate: float = 0.0) -> dict[str, Any]:
        """As in ``timeline.json``; ``frames`` only where the source's frames a second are known."""
        frames = {"frames": [frame_at(time, frame_rate) for time in self.times]} if frame_rate > 0 else {}
        return {
            "name": self.name,
            "description": self.description,
            "angle": self.signal,
            "above" if self.above else "below": _round(self.limit, 2),
            "times": [_round(time) for time in self.times],
            **frames,
            "values": [_round(value, 2) for value in self.values],
            "judged": self.judged,
        }


@dataclass
class Segment:
    """A stretch of time in which a person does one thing. ``confidence`` in [0, 1] is the classifier's own estimate.

    ``family`` is the kind of exercise that it is, with the probability ``family_confidence`` that it is any of that
    kind; for 'other' it is given where no single exercise is probable but their kind is. ``variant`` is the way in
    which the exercise is done, '' where that is not clear. ``tempo_names`` are the four parts of each repetition's
    tempo, with 'eccentric' and 'concentric' where the library says which way is which. ``judged_by``: what the library
    judges it by, names without a side: what it counts, then what has norms; empty where it says nothing.
    """

    label: str
    start: float
    end: float
    confidence: float
    repetitions: list[Repetition] = field(default_factory=list)
    faults: list[FormFault] = field(default_factory=list)
    tempo_names: tuple[str, ...] = WAYS
    family: str = ""
    family_confidence: float = 0.0
    variant: str = ""
    judged_by: tuple[str, ...] = ()

    @property
    def duration(self) -> float:
        return self.end - self.start

    @property
    def repetition_count(self) -> int:
        """Full repetitions; partial ones are listed but not counted."""
        return sum(not repetition.partial for repetition in self.repetitions)

    @property
    def doubtful(self) -> bool:
        """Whether the label is a guess."""
        return is_doubtful(self.label, self.confidence)

    def name(self, *, way: bool = True) -> str:
        """How it is called wherever somebody reads it (see `kinetag.naming`); ``way`` False leaves out the variant."""
        return self._called(way)[0]

    @property
    def sure(self) -> float:
        """How sure that `name` is: for 'some pulling movement' that of the kind, not of the label."""
        return self._called()[1]

    def _called(self, way: bool = True) -> tuple[str, float]:
        variant = self.variant if way else ""
        return called(self.label, self.confidence, self.family, self.family_confidence, variant)

    def to_dict(self, frame_rate: float = 0.0) -> dict[str, Any]:
        """As in ``timeline.json``; ``frame_rate`` of the source, 0 where it is unknown."""
        counted = [repetition for repetition in self.repetitions if not repetition.partial]
        kind = {"family": self.family, "family_confidence": _round(self.family_confidence)} if self.family else {}
        return {
            "label": self.label,
            **({"variant": self.variant} if self.variant else {}),
            **kind,
            "start": _round(self.start),
            "end": _round(self.end),
            "confidence": _round(self.confidence),
            "doubtful": self.doubtful,
            "repetitions": len(counted),
            "repetition_times": [_round(repetition.time) for repetition in counted],
            "repetition_details": [repetition.to_dict(self.tempo_names) for repetition in self.repetitions],
            "faults": [fault.to_dict(frame_rate) for fault in self.faults],
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
        return self.segments_at([time])[0]

    def segments_at(self, times: Sequence[float] | np.ndarray, *, tolerance: float = 0.0) -> list[Segment | None]:
        """The same for many moments; one that is no more than ``tolerance`` (s) beside a segment is taken for its."""
        ends, found = [segment.end for segment in self.segments], []
        for time in times:
            after = bisect_left(ends, time)
            near = self.segments[max(after - 1, 0) : after + 1]
            beside = [max(segment.start - time, time - segment.end, 0.0) for segment in near]
            best = min(beside, default=math.inf)
            found.append(near[beside.index(best)] if best <= tolerance else None)
        return found

    def labels_at(self, times: Sequence[float] | np.ndarray) -> list[str | None]:
        """What the person does at these moments (s), such as those of a video's frames; None when not in view."""
        return [None if segment is None else segment.label for segment in self.segments_at(times)]

    def probabilities_at(self, times: Sequence[float] | np.ndarray) -> np.ndarray | None:
        """What the classifier says at these moments (s): (F, K) over ``labels``, NaN where it says nothing; None when
        ``probabilities`` is."""
        if self.probabilities is None or self.probability_times is None:
            return None
        cuts = () if self.poses is None else self.poses.cuts
        return at_times(times, self.probability_times, self.probabilities, cuts)


@dataclass
class Timeline:
    """The labelled timeline of every person in one source; ``snapshots`` are small pictures for a report.

    ``duration`` (s) is the length of the whole source. ``part``: from when to when it was analysed, None for all of it.
    """

    source: str
    duration: float
    frame_rate: float
    people: list[Person] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    frame_size: tuple[int, int] = (0, 0)
    snapshots: "Snapshots | None" = field(default=None, repr=False, compare=False)
    part: tuple[float, float] | None = None

    @property
    def start(self) -> float:
        """From when on the source was analysed, s."""
        return 0.0 if self.part is None else self.part[0]

    @property
    def end(self) -> float:
        """Until when it was analysed, s."""
        return self.duration if self.part is None else self.part[1]

    @property
    def whole(self) -> bool:
        """Whether all of the source was analysed."""
        return self.end - self.start > self.duration - _MOMENT

    def to_dict(self) -> dict[str, Any]:
        """The documented JSON structure (see ``kinetag.schema``)."""
        return {
            "source": self.source,
            "duration": _round(self.duration),
            "start": _round(self.start),
            "end": _round(self.end),
            "frame_rate": _round(self.frame_rate),
            "warnings": list(self.warnings),
            "people": [
                {"id": person.id, "segments": [segment.to_dict(self.frame_rate) for segment in person.segments]}
                for person in self.people
            ],
        }

    def to_json(self, indent: int | None = 2) -> str:
        return json.dumps(self.to_dict(), indent=indent, ensure_ascii=False, allow_nan=False)

    def to_csv(self) -> str:
        """One line a segment: person, label, start, end, confidence, repetitions, whether the label is doubtful, the
        kind of exercise, how sure that is, and the way in which it is done."""
        header = ("person", "label", "start", "end", "confidence", "repetitions")
        header += ("doubtful", "family", "family_confidence", "variant")
        rows = []
        for person in self.people:
            for s in person.segments:
                own = (person.id, s.label, _round(s.start), _round(s.end), _round(s.confidence), s.repetition_count)
                kind = (s.family, _round(s.family_confidence) if s.family else "")
                rows.append((*own, s.doubtful, *kind, s.variant))
        return _csv(header, rows)

    def to_repetitions_csv(self) -> str:
        """One line a repetition: person, label, number, times, partial, tempo, how far it stayed short of the norm,
        faults it shows with angle, value and frame of each, each joint angle's range and how left and right differ in
        it, in degrees."""
        repetitions = [r for p in self.people for s in p.segments for r in s.repetitions]
        angles = sorted({angle for r in repetitions for angle in r.range_of_motion})
        joints = sorted({joint for r in repetitions for joint in r.asymmetry})
        header = ["person", "label", "repetition", "start", "time", "end", "partial"]
        header += [*(f"tempo_{way}" for way in WAYS), "short_of_norm"]
        header += ["faults", "fault_angles", "fault_values", "fault_frames", "guessed"]
        header += [f"{angle}_{bound}" for angle in angles for bound in ("min", "max")]
        header += [f"{joint}_left_minus_right{unit}" for joint in joints for unit in ("", "_percent", "_seconds")]
        rows = []
        for person in self.people:
            for segment in person.segments:
                for number, rep in enumerate(segment.repetitions, 1):
                    times = (_round(rep.start), _round(rep.time), _round(rep.end))
                    own = (person.id, segment.label, number, *times, rep.partial)
                    form = _form_cells(rep, segment.faults, self.frame_rate)
                    rows.append((*own, *form, *_angle_cells(rep, angles, joints)))
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
            raise missing_extra("pandas", "dataframe", "to_dataframe") from None
        rows = [{"person": p.id, **s.to_dict()} for p in self.people for s in p.segments]
        columns = ["person", "label", "start", "end", "confidence", "repetitions", "repetition_times"]
        columns += ["doubtful", "family", "family_confidence", "variant"]
        return pandas.DataFrame(rows, columns=columns)


def frame_at(time: float, frame_rate: float) -> int:
    """Index of the source's frame nearest to a time (s); of one whose frames come unevenly only about that one."""
    return round(time * frame_rate)


def _form_cells(repetition: Repetition, faults: list[FormFault], frame_rate: float) -> list[Any]:
    """Tempo, what is missing to the norm, the faults that this repetition shows (their names, angles, values and
    frames, each in the same order), and the angles that are guesses."""
    tempo = repetition.tempo or (None, None, None, None)
    shown = [
        (fault.name, fault.signal, f"{value:.2f}", str(frame_at(time, frame_rate)) if frame_rate > 0 else "")
        for fault in faults
        for time, value in zip(fault.times, fault.values, strict=True)
        if repetition.start < time < repetition.end
    ]
    told = [" ".join(column).strip() for column in zip(*shown, strict=True)] or [""] * 4
    short = _cell(repetition.short_of_norm, 1)
    return [*(_cell(value, 2) for value in tempo), short, *told, " ".join(repetition.guessed)]


def _angle_cells(repetition: Repetition, angles: list[str], joints: list[str]) -> list[Any]:
    """Smallest and largest value of each angle, and the differences of left and right for each joint."""
    cells = [_cell(value, 1) for angle in angles for value in repetition.range_of_motion.get(angle, (None, None))]
    for joint in joints:
        differs = repetition.asymmetry.get(joint)
        found = (None, None, None) if differs is None else (differs.degrees, differs.percent, differs.seconds)
        cells += [_cell(value, digits) for value, digits in zip(found, (1, 1, 3), strict=True)]
    return cells


def _cell(value: float | None, digits: int) -> float | str:
    """A number as it stands in a table; empty where it is unknown."""
    return "" if value is None or math.isnan(value) else _round(value, digits)


def _count_times(segment: Segment) -> list[float]:
    return [repetition.time for repetition in segment.repetitions if not repetition.partial]


def _caption(person: Person, time: float) -> str:
    segment = person.at(time)
    if segment is None:
        return ""
    text = f"Person {person.id}: {segment.name()}"
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
