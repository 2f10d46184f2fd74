"""`kinetag demo`: render people who exercise, analyse that video like any other, and compare with the truth."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from kinetag.assignment import assign
from kinetag.exercises.truth import PersonTruth, Truth
from kinetag.report import check_output_folder, write_outputs
from kinetag.report.style import clock
from kinetag.timeline import OTHER, Person, Segment, Timeline

VIDEO, TRUTH = "demo.mp4", "truth.json"
_IDLE = (OTHER, "standing", "walking")  # what people do between exercises: compared by time, not listed
_GRID = 0.1  # s between the moments at which labels are compared

Stage = Callable[[str], AbstractContextManager[Callable[[float, float | None], None]]]


@dataclass(frozen=True)
class Compared:
    """One exercise that somebody really did, and what was found in its place."""

    truth_person: int
    person: int | None
    truth: Segment
    found: Segment | None
    repetitions: int

    @property
    def named(self) -> bool:
        """The same exercise."""
        return self.found is not None and self.found.label == self.truth.label

    @property
    def right(self) -> bool:
        """The same exercise and the same count."""
        return self.named and self.repetitions == self.truth.repetition_count


@dataclass(frozen=True)
class Comparison:
    """``agreement``: share of the time in view in which the label is right, over all people."""

    rows: list[Compared]
    agreement: float
    people: int
    true_people: int


@dataclass(frozen=True)
class DemoResult:
    """What the demo made and how well the analysis did."""

    out: Path
    timeline: Timeline
    comparison: Comparison

    def table(self) -> RenderableType:
        """For the terminal."""
        found = self.comparison
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
        for heading in ("Person", "Really did", "When", "Found", "When", ""):
            table.add_column(heading, no_wrap=True)
        for row in found.rows:
            table.add_row(
                str(row.truth_person), *_said(row.truth, row.truth.repetition_count), *_found(row), _mark(row)
            )
        named = sum(row.named for row in found.rows)
        counted = sum(min(row.repetitions, row.truth.repetition_count) for row in found.rows if row.named)
        surplus = sum(max(0, row.repetitions - row.truth.repetition_count) for row in found.rows if row.named)
        summary = (
            f"{named} of {len(found.rows)} exercises, {counted} of "
            f"{sum(row.truth.repetition_count for row in found.rows)} repetitions"
            f"{f' ({surplus} too many)' if surplus else ''} and {found.people} of "
            f"{found.true_people} people found; the label is right {found.agreement:.0%} of the time"
        )
        place = Text.assemble("Report: ", (str(self.out / "report.html"), "bold"))
        return Group(table, Text(), Text(summary), place)


def demo(
    out: str | Path = "kinetag_demo",
    *,
    scene: str = "demo",
    seed: int = 0,
    width: int = 640,
    height: int = 360,
    stage: Stage | None = None,
) -> DemoResult:
    """Render ``scene`` (see kinetag.exercises.scenes) into ``out``, analyse it, write all outputs, and compare.

    An earlier demo in ``out`` is replaced, other outputs are not. ``stage`` gives a progress callback for each part of
    the work, by name. Raises KinetagError when ``out`` cannot be written or the scene is unknown.
    """
    from kinetag.analyzer import analyze
    from kinetag.exercises.scenes import make_scene
    from kinetag.video import VideoWriter

    stage = stage or (lambda name: nullcontext(lambda time, duration: None))
    again = (Path(out) / VIDEO).exists() and (Path(out) / TRUTH).exists()
    folder = check_output_folder(out, overwrite=again)
    played = make_scene(scene, seed=seed, width=width, height=height)
    video = folder / VIDEO
    with stage("Rendering") as update, VideoWriter(video, width, height, played.frame_rate) as writer:
        for frame in played.frames():
            writer.write(frame.image, frame.time)
            update(frame.time, played.duration)
    truth = played.truth()
    truth.save(folder / TRUTH)
    with stage("Analysing") as update:
        timeline = analyze(video, progress=update)
    with stage("Writing") as update:
        write_outputs(timeline, folder, video, overwrite=again, progress=update)
    return DemoResult(folder, timeline, compare(truth, timeline))


def compare(truth: Truth, timeline: Timeline) -> Comparison:
    """Pair found people with true ones by where they are, then compare what they do."""
    pairs = match_people(truth, timeline)
    rows, agreed, seen = [], 0, 0
    for person in truth.people:
        found = pairs.get(person.id)
        rows += [_compare(person, segment, found) for segment in person.segments if segment.label not in _IDLE]
        for time in np.arange(0, timeline.duration, _GRID):
            expected = next((s.label for s in person.segments if s.start <= time < s.end), OTHER)
            index = min(int(np.searchsorted(truth.times, time)), len(truth.times) - 1)
            if person.visible_fraction[index] >= 0.5:
                said = found.at(float(time)) if found else None
                seen += 1
                agreed += said is not None and (said.label == expected or {said.label, expected} <= set(_IDLE))
    return Comparison(rows, agreed / max(1, seen), len(timeline.people), len(truth.people))


def match_people(truth: Truth, timeline: Timeline) -> dict[int, Person]:
    """True person id -> found person: the assignment with the most time spent in the true person's box."""
    shared = np.array([[_time_inside(true, truth.times, p) for p in timeline.people] for true in truth.people])
    return {truth.people[r].id: timeline.people[c] for r, c in assign(-shared) if shared[r, c] > 0}


def _time_inside(true: PersonTruth, times: np.ndarray, person: Person) -> float:
    """Seconds that the middle of a found person spends in a true person's box."""
    if person.poses is None or not len(person.poses):
        return 0.0
    poses = person.poses
    seen = np.where((poses.confidence > 0.3)[..., None], poses.keypoints, np.nan)
    known = np.isfinite(seen[..., 0]).sum(axis=1) > 0  # (T,)
    middle = np.nanmedian(seen[known], axis=1)  # (N, 2)
    index = np.searchsorted(times, poses.times[known]).clip(0, len(times) - 1)
    boxes = true.boxes[index]
    inside = ((middle >= boxes[:, :2]) & (middle <= boxes[:, 2:])).all(axis=1)
    return float(inside.sum()) * poses.duration / max(1, len(poses))


def _compare(true: PersonTruth, segment: Segment, person: Person | None) -> Compared:
    if person is None:
        return Compared(true.id, None, segment, None, 0)
    shared = [(min(s.end, segment.end) - max(s.start, segment.start), s) for s in person.segments]
    _, best = max(((t, s) for t, s in shared if t > 0), key=lambda pair: pair[0], default=(0.0, None))
    same = [s for s in person.segments if best is not None and s.label == best.label]
    moments = [r.time for s in same for r in s.repetitions if not r.partial]
    count = sum(segment.start - 0.5 <= moment <= segment.end + 0.5 for moment in moments)
    return Compared(true.id, person.id, segment, best, count)


def _said(segment: Segment, count: int) -> tuple[str, str]:
    name = segment.name(way=False) + (f" ×{count}" if count else "")
    return name, f"{clock(segment.start)} to {clock(segment.end)}"


def _found(row: Compared) -> tuple[str, str]:
    return _said(row.found, row.repetitions) if row.found is not None else ("nothing", "")


def _mark(row: Compared) -> Text:
    if row.right:
        return Text("right", "green")
    return Text("other count", "yellow") if row.named else Text("different", "red")
