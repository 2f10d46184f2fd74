"""What is exactly known about a rendered scene, to measure everything else against."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kinetag.errors import KinetagError
from kinetag.sequence import PoseSequence
from kinetag.skeletons import KINETAG13
from kinetag.timeline import Person, Repetition, Segment, Timeline
from kinetag.whole_file import whole_file

IN_VIEW = 0.15  # a person of whom less can be seen is not in view


@dataclass
class PersonTruth:
    """One person in every frame: ``keypoints`` (T, 13, 2) pixels in the 'kinetag' layout, also where hidden;
    ``visible`` (T, 13) neither out of the picture nor behind another person or thing; ``self_occluded`` (T, 13) behind
    the own body; ``boxes`` (T, 4) left, top, right, bottom, hidden parts included, clipped to the picture, NaN when
    outside; ``visible_fraction`` (T,) share of the outline that shows; ``segments`` with their repetitions."""

    id: int
    keypoints: np.ndarray
    visible: np.ndarray
    self_occluded: np.ndarray
    boxes: np.ndarray
    visible_fraction: np.ndarray
    segments: list[Segment]

    @property
    def repetitions(self) -> list[Repetition]:
        """All repetitions, in order."""
        return [repetition for segment in self.segments for repetition in segment.repetitions]


@dataclass
class Truth:
    """The truth about a scene: ``times`` (T,) seconds, ``frame_size`` (width, height), and everyone."""

    name: str
    times: np.ndarray
    frame_size: tuple[int, int]
    people: list[PersonTruth]

    def sequence(self, person: int) -> PoseSequence:
        """One person's true poses; hidden joints are NaN with confidence 0."""
        truth = next((p for p in self.people if p.id == person), None)
        if truth is None:
            raise KinetagError(f"no person {person} in scene '{self.name}'; there are {[p.id for p in self.people]}")
        keypoints = np.where(truth.visible[..., None], truth.keypoints, np.nan)
        return PoseSequence(
            self.times, keypoints, truth.visible.astype(np.float32), KINETAG13.name, self.frame_size, person
        )

    def timeline(self) -> Timeline:
        """The timeline that a perfect analysis would give: each person's segments while in view."""
        step = float(self.times[1] - self.times[0]) if len(self.times) > 1 else 0.0
        people = [Person(p.id, _in_view(p, self.times)) for p in self.people]
        rate = 1 / step if step else 0.0
        return Timeline(self.name, float(self.times[-1]) + step, rate, people, [], self.frame_size)

    def to_json(self, indent: int | None = None) -> str:
        """Everything, as JSON; what is unknown is null."""
        people = [
            {
                "id": p.id,
                "keypoints": _numbers(p.keypoints, 2),
                "visible": p.visible.astype(int).tolist(),
                "self_occluded": p.self_occluded.astype(int).tolist(),
                "boxes": _numbers(p.boxes, 2),
                "visible_fraction": _numbers(p.visible_fraction, 3),
                "segments": [_segment_dict(s) for s in p.segments],
            }
            for p in self.people
        ]
        content = {
            "format": "kinetag-truth-1",
            "name": self.name,
            "layout": KINETAG13.name,
            "joints": list(KINETAG13.joints),
            "frame_size": list(self.frame_size),
            "times": _numbers(self.times, 4),
            "people": people,
        }
        return json.dumps(content, indent=indent, allow_nan=False)

    def save(self, path: str | Path) -> None:
        """Write the JSON; the file appears only when it is whole."""
        with whole_file(Path(path)) as draft:
            draft.write_text(self.to_json())


def read_truth(path: str | Path) -> Truth:
    """A truth that ``Truth.save`` wrote. Raises KinetagError for anything else."""
    try:
        content = json.loads(Path(path).read_text())
        if content["format"] != "kinetag-truth-1":
            raise ValueError(f"format '{content['format']}'")
        return Truth(
            content["name"],
            np.array(content["times"], float),
            tuple(content["frame_size"]),
            [_person(p) for p in content["people"]],
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise KinetagError(f"cannot read '{path}' as the truth of a scene: {error}") from None


def _person(content: dict[str, Any]) -> PersonTruth:
    return PersonTruth(
        content["id"],
        np.array(content["keypoints"], float),
        np.array(content["visible"], bool),
        np.array(content["self_occluded"], bool),
        np.array(content["boxes"], float),
        np.array(content["visible_fraction"], float),
        [
            Segment(
                s["label"], s["start"], s["end"], 1.0, [Repetition(r["start"], r["time"], r["end"]) for r in s["reps"]]
            )
            for s in content["segments"]
        ],
    )


def _segment_dict(segment: Segment) -> dict[str, Any]:
    reps = [{"start": round(r.start, 4), "time": round(r.time, 4), "end": round(r.end, 4)} for r in segment.repetitions]
    return {"label": segment.label, "start": round(segment.start, 4), "end": round(segment.end, 4), "reps": reps}


def _numbers(values: np.ndarray, digits: int) -> Any:
    """Nested lists, rounded, with None for NaN."""
    rounded = np.round(values.astype(float), digits)
    out = rounded.astype(object)
    out[~np.isfinite(rounded)] = None
    return out.tolist()


def _in_view(person: PersonTruth, times: np.ndarray) -> list[Segment]:
    """The person's segments, cut to the stretches in which enough of them shows."""
    seen = np.concatenate([[False], person.visible_fraction >= IN_VIEW, [False]])
    starts, ends = np.flatnonzero(seen[1:] & ~seen[:-1]), np.flatnonzero(seen[:-1] & ~seen[1:]) - 1
    out = []
    for segment in person.segments:
        for first, last in zip(times[starts], times[ends], strict=True):
            start, end = max(segment.start, float(first)), min(segment.end, float(last))
            if end > start:
                own = [r for r in segment.repetitions if start <= r.time <= end]
                out.append(Segment(segment.label, start, end, 1.0, own))
    return sorted(out, key=lambda s: s.start)
