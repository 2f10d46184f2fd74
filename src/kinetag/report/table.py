"""The timeline as a table in the terminal."""

from rich import box
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from kinetag.naming import UNNAMED
from kinetag.report.style import PEOPLE, clock, fault_text, lasting, totals
from kinetag.timeline import Person, Segment, Timeline


def timeline_table(timeline: Timeline) -> RenderableType:
    """A header, one row a segment grouped by person, totals, and the warnings."""
    parts: list[RenderableType] = [_header(timeline)]
    if timeline.people:
        parts += [Text(), _segments(timeline), Text(), *(_totals(person) for person in timeline.people)]
        faults = _faults(timeline)
        parts += [Text(), Text("Form", "bold"), *faults] if faults else []
    if timeline.warnings:
        parts += [Text(), *(Text.assemble(("warning: ", "yellow"), warning) for warning in timeline.warnings)]
    return Group(*parts)


def _header(timeline: Timeline) -> Text:
    count = len(timeline.people)
    facts = [lasting(timeline)]
    if timeline.frame_rate:
        facts.append(f"{timeline.frame_rate:.4g} frames/s")
    facts.append("1 person" if count == 1 else f"{count} people" if count else "nobody found")
    return Text.assemble((timeline.source, "bold"), "  ", ("  ".join(facts), "dim"))


def _segments(timeline: Timeline) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("Person", no_wrap=True)
    table.add_column("Doing", overflow="ellipsis", no_wrap=True, min_width=10)
    for heading in ("From", "To", "Lasts", "Reps", "Sure"):
        table.add_column(heading, justify="right", no_wrap=True)
    for person in timeline.people:
        for number, segment in enumerate(person.segments):
            name = Text(f"● {person.id}", style=PEOPLE[(person.id - 1) % len(PEOPLE)]) if number == 0 else Text()
            last = number == len(person.segments) - 1
            table.add_row(name, *_cells(segment), style="dim" if segment.name() in UNNAMED else "", end_section=last)
    return table


def _faults(timeline: Timeline) -> list[Text]:
    """One line a fault, under the table: they are too long for its cells."""
    return [
        Text.assemble(
            (f"● {person.id}  ", PEOPLE[(person.id - 1) % len(PEOPLE)]),
            f"{segment.name()} at {clock(segment.start)}  ",
            (fault_text(fault, timeline.frame_rate), "yellow"),
        )
        for person in timeline.people
        for segment in person.segments
        for fault in segment.faults
    ]


def _cells(segment: Segment) -> list[str]:
    partial = len(segment.repetitions) - segment.repetition_count
    repetitions = str(segment.repetition_count) if segment.repetitions else ""
    if partial:
        repetitions += f" (+{partial} partial)"
    return [
        escape(segment.name()),
        clock(segment.start),
        clock(segment.end),
        f"{segment.duration:.1f} s",
        repetitions,
        f"{segment.sure:.0%}",
    ]


def _totals(person: Person) -> Text:
    """'Person 1: squat 12, plank 30.5 s': repetitions where they are counted, else time."""
    said = [
        f"{name} {f'×{count}' if count else f'{seconds:.1f} s'}" for name, (count, seconds) in totals(person).items()
    ]
    return Text.assemble((f"Person {person.id}: ", "bold"), ", ".join(said) or "nothing that is known")
