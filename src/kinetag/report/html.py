"""The report of an analysis: one HTML page."""

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np

from kinetag import __version__
from kinetag.naming import OTHER, UNNAMED, readable
from kinetag.report.charts import GUESS, Span, angle_chart, range_chart, segment_strip, time_axis
from kinetag.report.page import page, style_sheet, table
from kinetag.report.style import (
    LABELS,
    PEOPLE,
    clock,
    counted,
    fault_text,
    lasting,
    measured,
    tempo_text,
    totals,
    worst_text,
)
from kinetag.timeline import FormFault, Person, Repetition, Segment, Timeline

_MAX_ROWS = 150  # of a table; the rest is in the CSV files
_MAX_CHARTED = 50  # people with a section of their own
_MAX_BARS = 200  # repetitions in one chart
_SHOWN_ANGLES = 4  # columns of the table of repetitions
_CHARTED_ANGLES = 2
_GLIMPSE = 0.2  # share of a segment's poses; what was seen in fewer has no range worth telling
_PLAIN = 0  # colour number of 'other'

Pictures = Mapping[tuple[int, float], bytes]


def report_html(timeline: Timeline, pictures: Pictures | None = None, *, video: str | None = None) -> str:
    """The page as text. ``pictures``: (person id, moment) -> JPEG; ``video``: name of the annotated copy."""
    span = time_span(timeline)
    colors = label_colors(timeline)
    people = timeline.people[:_MAX_CHARTED]
    left_out = len(timeline.people) - len(people)
    body = [
        _header(timeline, video),
        _overview(timeline, span, colors) if timeline.people else "",
        *(_person(person, timeline, span, colors, pictures or {}) for person in people),
        f"<p>{left_out} more people are in the tables beside this page.</p>" if left_out > 0 else "",
        _footer(timeline),
    ]
    styles = style_sheet("report.css") + _color_rules(len(set(colors.values())))
    return page(Path(timeline.source).name, styles, body, pictures=True)


def time_span(timeline: Timeline) -> Span:
    """The time that was analysed, and no more: what is empty in it says that nobody was there."""
    ends = [segment.end for person in timeline.people for segment in person.segments]
    return Span(timeline.start, max([timeline.end, *ends]))


def label_colors(timeline: Timeline) -> dict[str, int]:
    """A colour number for each name: 0 for what is no exercise, then 1, 2, ... from what lasts longest."""
    lasts: dict[str, float] = {}
    for person in timeline.people:
        for segment in person.segments:
            name = segment.name(way=False)
            lasts[name] = lasts.get(name, 0.0) + segment.duration
    named = sorted((name for name in lasts if name not in UNNAMED), key=lambda name: -lasts[name])
    plain = dict.fromkeys([OTHER, *(name for name in lasts if name in UNNAMED)], _PLAIN)
    return {**plain, **{name: 1 + i % len(LABELS) for i, name in enumerate(named)}}


def _color_rules(count: int) -> str:
    rules = [f".c{_PLAIN} {{ fill: var(--other); background: var(--other); }}"]
    rules += [f".c{i + 1} {{ fill: {color}; background: {color}; }}" for i, color in enumerate(LABELS[: count - 1])]
    return "\n".join(rules) + "\n"


def _header(timeline: Timeline, video: str | None) -> str:
    count = len(timeline.people)
    reps = sum(segment.repetition_count for person in timeline.people for segment in person.segments)
    facts = [lasting(timeline)]
    if timeline.frame_rate:
        facts.append(f"{timeline.frame_rate:.4g} frames/s")
    if all(timeline.frame_size):
        facts.append(f"{timeline.frame_size[0]} × {timeline.frame_size[1]}")
    facts.append("1 person" if count == 1 else f"{count} people")
    if reps:
        facts.append(counted(reps))
    items = "".join(f"<li>{fact}</li>" for fact in facts)
    if video:
        items += f'<li><a href="{escape(video)}">annotated video</a></li>'
    warnings = "".join(f"<li>{escape(warning)}</li>" for warning in timeline.warnings[:20])
    more = len(timeline.warnings) - 20
    warnings += f"<li>and {more} more, in timeline.json</li>" if more > 0 else ""
    return (
        f'<header><p class="brand">kinetag report</p><h1>{escape(Path(timeline.source).name)}</h1>'
        f'<ul class="facts">{items}</ul>'
        + (f'<div class="warning" role="note"><ul>{warnings}</ul></div>' if warnings else "")
        + "</header>"
    )


def _overview(timeline: Timeline, span: Span, colors: Mapping[str, int]) -> str:
    rows = []
    for person in timeline.people:
        name = f"Person {person.id}"
        strip = segment_strip(person.segments, span, colors, name)
        totals = f'<span class="soft">{_totals(person)}</span>'
        rows.append(f'<div class="row"><p><b>{_dot(person)}{name}</b>{totals}</p>{strip}</div>')
    used = {segment.name(way=False) for person in timeline.people for segment in person.segments}
    legend = "".join(
        f'<span><i class="c{number}"></i>{escape(name)}</span>'
        for name, number in sorted(colors.items(), key=lambda item: item[0] in UNNAMED)
        if name in used
    )
    return (
        f'<section class="card" aria-labelledby="who"><h2 id="who">Who does what, and when</h2>{"".join(rows)}'
        f'{time_axis(span)}<div class="legend">{legend}</div></section>'
    )


def _dot(person: Person) -> str:
    return f'<span class="dot" style="background:{PEOPLE[(person.id - 1) % len(PEOPLE)]}"></span>'


def _totals(person: Person) -> str:
    said = [
        f"{name} {f'×{count}' if count else f'{seconds:.0f} s'}"
        for name, (count, seconds) in sorted(totals(person).items(), key=lambda item: -item[1][1])
    ]
    return escape(", ".join(said[:8]))


def _person(person: Person, timeline: Timeline, span: Span, colors: Mapping[str, int], pictures: Pictures) -> str:
    heading = f"person-{person.id}"
    return (
        f'<section class="card" aria-labelledby="{heading}"><h2 id="{heading}">{_dot(person)}Person {person.id}</h2>'
        + _segment_table(person.segments)
        + _faults(person, timeline.frame_rate, pictures)
        + _pictures(person, pictures)
        + _repetitions(person)
        + _angles(person, span, colors)
        + "</section>"
    )


def _segment_table(segments: Sequence[Segment]) -> str:
    rows = [
        f'<tr><th scope="row">{escape(s.name())}</th><td>{clock(s.start)}</td><td>{clock(s.end)}</td>'
        f"<td>{s.duration:.1f} s</td><td>{_count(s)}</td><td>{s.sure:.0%}</td></tr>"
        for s in segments[:_MAX_ROWS]
    ]
    headings = ("Doing", "From", "To", "Lasts", "Repetitions", "Sure")
    return f"<h3>Segments</h3>{table(headings, rows)}{_more(len(segments), 'segments.csv')}"


def _count(segment: Segment) -> str:
    partial = len(segment.repetitions) - segment.repetition_count
    if not segment.repetitions:
        return ""
    return f"{segment.repetition_count}{f' and {partial} partial' if partial else ''}"


def _faults(person: Person, frame_rate: float, pictures: Pictures) -> str:
    """What was clearly wrong, with the angle that shows it, the frame, and a picture of it at its worst."""
    items = [
        f"<li>{_worst(fault, person, frame_rate, pictures)}"
        f"<p><b>{escape(segment.name())} at {clock(segment.start)}</b> {escape(fault_text(fault, frame_rate))}</p></li>"
        for segment in person.segments
        for fault in segment.faults
    ]
    more = f"<li>and {len(items) - _MAX_ROWS} more, in timeline.json</li>" if len(items) > _MAX_ROWS else ""
    return f'<h3>Form</h3><ul class="faults">{"".join(items[:_MAX_ROWS])}{more}</ul>' if items else ""


def _worst(fault: FormFault, person: Person, frame_rate: float, pictures: Pictures) -> str:
    time, value = fault.worst
    data = pictures.get((person.id, time))
    if data is None:
        return ""
    angle = f"{readable(fault.signal)} {measured(fault, value)}"
    alt = f"Person {person.id}, {fault.description}: {angle} at {worst_text(fault, frame_rate)}"
    return f"<figure>{_image(data, alt)}<figcaption>{escape(angle)}</figcaption></figure>"


def _image(data: bytes, alt: str) -> str:
    place = f'src="data:image/jpeg;base64,{b64encode(data).decode()}"'
    return f'<img {place} alt="{escape(alt)}" width="160" height="160">'


def _pictures(person: Person, pictures: Pictures) -> str:
    items = []
    for segment in person.segments:
        for number, rep in enumerate(segment.repetitions, 1):
            data = pictures.get((person.id, rep.time))
            if data is None:
                continue
            name = f"{segment.name()} {number}"
            partial = ", partial" if rep.partial else ""
            image = _image(data, f"Person {person.id}, {name}, at its turning point")
            items.append(f"<li>{image}<b>{escape(name)}</b>{clock(rep.time)}{partial}</li>")
    if not items:
        return ""
    count = sum(len(segment.repetitions) for segment in person.segments)
    note = f'<p class="soft">{len(items)} of {counted(count)}.</p>' if count > len(items) else ""
    return f'<h3>At each turning point</h3>{note}<ul class="shots">{"".join(items)}</ul>'


def _repetitions(person: Person) -> str:
    """For each exercise: the ranges of the joints that tell most of it, and a table of every repetition."""
    grouped: dict[tuple[str, str], list[tuple[Repetition, Segment]]] = {}
    for segment in person.segments:  # what is called alike may still have been counted by another rule
        own = grouped.setdefault((segment.name(way=False), segment.label), [])
        own.extend((repetition, segment) for repetition in segment.repetitions)
    parts = []
    for (name, _), owned in grouped.items():
        if not owned:
            continue
        repetitions = [repetition for repetition, _ in owned]
        angles = telling_angles(repetitions, owned[0][1].judged_by)
        charted = [angle for angle in angles if not _mostly_guessed(angle, repetitions)] or angles
        charts = "".join(range_chart(angle, repetitions[:_MAX_BARS]) for angle in charted[:_CHARTED_ANGLES])
        columns = _columns(repetitions, owned[0][1].tempo_names, angles)
        rows = [
            _repetition_row(number, *own, list(columns.values())) for number, own in enumerate(owned[:_MAX_ROWS], 1)
        ]
        body = table(("Repetition", *columns), rows)
        is_open = " open" if len(repetitions) <= 12 else ""
        parts.append(
            f"<h3>Repetitions: {escape(name)}</h3>"
            f'<div class="charts">{charts}</div>'
            f"<details{is_open}><summary>{counted(len(repetitions))}</summary>{body}"
            f"{_more(len(repetitions), 'repetitions.csv')}</details>"
        )
    return "".join(parts)


Cell = Callable[[Repetition, Segment], str]


def _columns(repetitions: Sequence[Repetition], ways: Sequence[str], angles: Sequence[str]) -> dict[str, Cell]:
    """Heading -> what a repetition's cell says; columns in which nothing was measured are left out."""
    columns: dict[str, Cell] = {
        "From": lambda rep, _: clock(rep.start),
        "Turn": lambda rep, _: clock(rep.time),
        "Lasts": lambda rep, _: f"{rep.duration:.1f} s",
    }
    if any(rep.tempo for rep in repetitions):
        heading = f'<span title="seconds: {", ".join(ways)}">Tempo</span>'
        columns[heading] = lambda rep, _: tempo_text(rep.tempo) if rep.tempo else ""
    for angle in angles:
        columns[escape(readable(angle))] = lambda rep, _, angle=angle: _range(rep, angle)
    if any(rep.asymmetry for rep in repetitions):
        columns["Left − right"] = lambda rep, _: _differences(rep)
    if any(rep.short_of_norm for rep in repetitions):
        columns["Short of norm"] = lambda rep, _: f"{rep.short_of_norm:.0f}°" if rep.short_of_norm else ""
    return columns


def _range(rep: Repetition, angle: str) -> str:
    low, high = rep.range_of_motion.get(angle, (np.nan, np.nan))
    if not (np.isfinite(low) and np.isfinite(high)):
        return ""
    said = f"{low:.0f}° to {high:.0f}°"
    return f'<span class="guess" title="{GUESS}">≈ {said}</span>' if angle in rep.guessed else said


def _differences(rep: Repetition) -> str:
    """The joint that differs most, left less right."""
    if not rep.asymmetry:
        return ""
    joint, differs = max(rep.asymmetry.items(), key=lambda item: abs(item[1].degrees))
    return f"{escape(readable(joint))} {differs.degrees:+.0f}°"


def telling_angles(repetitions: Sequence[Repetition], judged_by: Sequence[str] = ()) -> list[str]:
    """The few joint angles that tell most: seen ones before guesses, the joints ``judged_by`` in their order before
    others, then those whose range is largest on average."""
    ranges: dict[str, list[float]] = {}
    for repetition in repetitions:
        for angle, (low, high) in repetition.range_of_motion.items():
            if np.isfinite(low) and np.isfinite(high):
                ranges.setdefault(angle, []).append(high - low)

    def rank(angle: str) -> tuple[bool, int, float]:
        joint = angle.removeprefix("left_").removeprefix("right_")
        place = judged_by.index(joint) if joint in judged_by else len(judged_by)
        return _mostly_guessed(angle, repetitions), place, -float(np.mean(ranges[angle]))

    return sorted(ranges, key=rank)[:_SHOWN_ANGLES]


def _mostly_guessed(angle: str, repetitions: Sequence[Repetition]) -> bool:
    """Whether an angle is a guess in at least half of the repetitions that have it."""
    guesses = [angle in repetition.guessed for repetition in repetitions if angle in repetition.range_of_motion]
    return 2 * sum(guesses) >= len(guesses)


def _repetition_row(number: int, rep: Repetition, segment: Segment, cells: Sequence[Cell]) -> str:
    kind, note = (' class="partial-row"', " partial") if rep.partial else ("", "")
    said = "".join(f"<td>{cell(rep, segment)}</td>" for cell in cells)
    return f'<tr{kind}><th scope="row">{number}{note}</th>{said}</tr>'


def _angles(person: Person, span: Span, colors: Mapping[str, int]) -> str:
    if person.poses is None or len(person.poses) < 2:
        return ""
    from kinetag.angles import SEEN, joint_angles, signal_confidence

    sure = signal_confidence(person.poses)
    paired: dict[str, dict[str, np.ndarray]] = {}
    for name, values in joint_angles(person.poses).items():
        side, _, joint = name.partition("_")
        kind, title = (side, joint) if joint and side in ("left", "right") else ("left", name)
        values = np.where(sure[name] >= SEEN, values, np.nan)  # a guessed line looks as true as a seen one
        values = without_glimpses(person.poses.times, values, person.segments)
        if np.isfinite(values).any():
            paired.setdefault(title, {})[kind if joint else "trunk"] = values
    charts = [
        angle_chart(readable(title).capitalize(), person.poses.times, lines, person.segments, span, colors)
        for title, lines in paired.items()
    ]
    key = (
        '<div class="legend"><span><u style="color:var(--left)"></u>left</span>'
        '<span><u style="color:var(--right);border-top-style:dashed"></u>right</span></div>'
    )
    return f'<h3>Joint angles</h3><div class="charts">{"".join(charts)}</div>{key}' if charts else ""


def without_glimpses(times: np.ndarray, values: np.ndarray, segments: Sequence[Segment]) -> np.ndarray:
    """``values`` (T,) at ``times`` (T,), NaN in each segment in which they are known for a moment only."""
    out = values.copy()
    for segment in segments:
        first, last = np.searchsorted(times, segment.start), np.searchsorted(times, segment.end, side="right")
        if last > first and np.isfinite(values[first:last]).mean() < _GLIMPSE:
            out[first:last] = np.nan
    return out


def _footer(timeline: Timeline) -> str:
    poses = [person.poses for person in timeline.people if person.poses is not None]
    made = [f"Made on this machine by kinetag {__version__}"]
    if poses:
        rates = [(len(p) - 1) / p.duration for p in poses if p.duration > 0]
        total, rate = sum(len(p) for p in poses), np.median(rates or [0])
        made.append(f"from {total:,} poses ({poses[0].layout}, about {rate:.0f} a second and person)")
    return (
        f"<footer><p>{' '.join(made)}. Source: {escape(timeline.source)}.</p>"
        "<p>“Sure” is the classifier's own estimate of how probable it is that what is said is right; "
        "docs/classifier.md tells how often it was. Below 50 % for one exercise only its kind is said where that is "
        "surer, else a question mark stands behind the name. Angles are degrees between body parts: 180° is straight; "
        "a shoulder's 0° is a hanging arm; the trunk's 0° is upright. A partial repetition stayed well short of the "
        "exercise's usual range and is not counted. Tempo is the seconds of the way to the turning point, of the "
        "pause there, of the way back and of the rest after it. Left and right are compared only where they are seen "
        "from the front or back. Faults of form are told only where they were clearly seen; ≈ stands before angles of "
        "joints mostly out of sight, which are guesses, and curves end where a joint is out of sight. This is no "
        "medical advice."
        "</p></footer>"
    )


def _more(count: int, file: str) -> str:
    return f'<p class="soft">The first {_MAX_ROWS} of {count}; all are in {file}.</p>' if count > _MAX_ROWS else ""
