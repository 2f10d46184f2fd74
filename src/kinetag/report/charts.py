"""Small charts as HTML and inline SVG.

The drawings stretch to any width while their text is ordinary HTML, so that it stays legible on a phone. Their size is
bounded: a line has at most a few hundred points however long the video is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from kinetag.naming import readable
from kinetag.report.style import clock, counted
from kinetag.timeline import Repetition, Segment

_WIDTH = 2000  # units of every drawing's x axis
_FEWEST_BARS = 12  # a chart of fewer repetitions leaves room on the right
_BUCKETS = 300  # a line keeps the smallest and the largest value of each
_NAMED_FROM = 0.05  # share of the width from which a segment carries its name
GUESS = "a guess: mostly out of sight"
_GRID = f'<path class="grid" d="M0 90H{_WIDTH}"/>'
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)  # s between two ticks


@dataclass(frozen=True)
class Span:
    """The time shown, s."""

    start: float
    end: float

    def x(self, time: float) -> int:
        """Place of a time on the x axis, 0 to _WIDTH."""
        return round(_WIDTH * min(1.0, max(0.0, self.share(time))))

    def share(self, time: float) -> float:
        return (time - self.start) / max(self.end - self.start, 1e-9)


def time_axis(span: Span) -> str:
    """Tick labels under a chart."""
    step = next((s for s in _STEPS if (span.end - span.start) / s <= 7), 28800)
    ticks = np.arange(np.ceil(span.start / step) * step, span.end + 1e-6, step)
    labels = [_tick(float(time), step, span) for time in ticks if span.share(float(time)) <= 1]
    return f'<div class="axis" aria-hidden="true">{"".join(labels)}</div>'


def _tick(time: float, step: float, span: Span) -> str:
    text = clock(time) if step < 1 else clock(time)[:-2]
    share = span.share(time)
    kind = ' class="first"' if share < 0.03 else ' class="last"' if share > 0.95 else ""
    return f'<span{kind} style="left:{100 * share:.2f}%">{text}</span>'


def segment_strip(segments: Sequence[Segment], span: Span, colors: Mapping[str, int], name: str) -> str:
    """One person's timeline: a bar of coloured segments with their names, and a tick at each counted repetition."""
    said = "; ".join(
        f"{s.name()} from {clock(s.start)} to {clock(s.end)}"
        + (f", {counted(s.repetition_count)}" if s.repetitions else "")
        for s in segments[:40]
    )
    names = [_segment_name(s, span) for s in segments if span.share(s.end) - span.share(s.start) >= _NAMED_FROM]
    moments = [r.time for s in segments for r in s.repetitions if not r.partial]
    return (
        f'<div class="strip" role="img" aria-label="{escape(f"{name}: {said}")}">'
        f"{_svg(10, _blocks(segments, span, colors, 10))}{''.join(names)}</div>"
        f'<div class="reps" aria-hidden="true">{_svg(10, _ticks(moments, span))}</div>'
    )


def _segment_name(segment: Segment, span: Span) -> str:
    count = f" ×{segment.repetition_count}" if segment.repetitions else ""
    left, width = 100 * span.share(segment.start), 100 * (span.share(segment.end) - span.share(segment.start))
    text = escape(segment.name() + count)
    return f'<span style="left:{left:.2f}%;width:{width:.2f}%" title="{text}">{text}</span>'


def _blocks(segments: Sequence[Segment], span: Span, colors: Mapping[str, int], height: int) -> str:
    """All segments of one name are one path, which keeps hours of short segments small."""
    paths: dict[str, list[str]] = {}
    for segment in segments:
        left, right = span.x(segment.start), span.x(segment.end)
        paths.setdefault(segment.name(way=False), []).append(f"M{left} 0H{max(right, left + 1)}V{height}H{left}z")
    return "".join(
        f'<path class="c{colors[name]}" d="{"".join(parts)}"><title>{escape(name)}</title></path>'
        for name, parts in paths.items()
    )


def _ticks(moments: Sequence[float], span: Span) -> str:
    places = sorted({span.x(moment) for moment in moments})
    return f'<path class="tick" d="{"".join(f"M{x} 0V10" for x in places)}"/>' if places else ""


def angle_chart(
    title: str,
    times: np.ndarray,
    lines: Mapping[str, np.ndarray],
    segments: Sequence[Segment],
    span: Span,
    colors: Mapping[str, int],
) -> str:
    """Joint angles over time: ``lines`` maps 'left', 'right' or 'trunk' to degrees (T,), NaN where unseen."""
    paths = "".join(
        f'<path class="line {kind}" d="{_path(times, 180 - np.clip(values, 0, 180), span)}"/>'
        for kind, values in lines.items()
    )
    facts = ", ".join(f"{kind} {_range(values)}" for kind, values in lines.items())
    drawing = _blocks(segments, span, colors, 180) + _GRID + paths
    return _figure(title, facts, f"{title} angle over time: {facts}", drawing, time_axis(span))


def _figure(title: str, facts: str, description: str, drawing: str, axis: str = "") -> str:
    """A titled plot whose y axis is 0 to 180 degrees."""
    return (
        f'<figure class="angle"><figcaption>{escape(title)}<small>{escape(facts)}</small></figcaption>'
        f'<div class="plot" role="img" aria-label="{escape(description)}">'
        f'<i style="top:0">180°</i><i style="top:50%">90°</i><i style="top:100%">0°</i>'
        f'<div class="canvas">{_svg(180, drawing)}</div></div>{axis}</figure>'
    )


def _range(values: np.ndarray) -> str:
    known = values[np.isfinite(values)]
    return f"{known.min():.0f}° to {known.max():.0f}°" if len(known) else "not seen"


def _path(times: np.ndarray, values: np.ndarray, span: Span) -> str:
    """An SVG path through the values; a gap longer than half a second, or an unseen joint, lifts the pen."""
    times, values = decimate(times, values, _BUCKETS)
    apart = np.diff(times, prepend=-np.inf)
    usual = 4 * float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    parts, down = [], False
    for time, value, gap in zip(times, values, apart, strict=True):
        if not np.isfinite(value):
            down = False
            continue
        parts.append(f"{'L' if down and gap <= max(0.5, usual) else 'M'}{span.x(time)} {value:.0f}")
        down = True
    return "".join(parts)


def decimate(times: np.ndarray, values: np.ndarray, buckets: int) -> tuple[np.ndarray, np.ndarray]:
    """At most 2 x ``buckets`` of the points (T,): the smallest and the largest of each bucket, so that peaks stay.

    A bucket in which nothing is known keeps one NaN.
    """
    if len(times) <= 2 * buckets:
        return times, values
    keep: list[int] = []
    for part in np.array_split(np.arange(len(times)), buckets):
        if np.isfinite(values[part]).any():
            keep += sorted({int(part[np.nanargmin(values[part])]), int(part[np.nanargmax(values[part])])})
        else:
            keep.append(int(part[0]))
    return times[keep], values[keep]


def range_chart(angle: str, repetitions: Sequence[Repetition]) -> str:
    """One bar a repetition from the smallest to the largest angle: depth and fatigue at a glance."""
    known = [(i, r, *r.range_of_motion[angle]) for i, r in enumerate(repetitions) if angle in r.range_of_motion]
    known = [row for row in known if np.isfinite(row[2]) and np.isfinite(row[3])]
    if not known:
        return ""
    width = _WIDTH / max(len(repetitions), _FEWEST_BARS)
    bars = []
    for i, rep, low, high in known:
        left, right = round((i + 0.2) * width), round((i + 0.8) * width)
        top, bottom = 180 - min(180.0, high), 180 - max(0.0, low)
        kind, notes = "bar", ""
        if rep.partial:
            kind, notes = f"{kind} partial", ", partial"
        if angle in rep.guessed:
            kind, notes = f"{kind} guess", f"{notes}, {GUESS}"
        said = f"repetition {i + 1}: {low:.0f}° to {high:.0f}°{notes}"
        bars.append(
            f'<path class="{kind}" d="M{left} {top:.0f}H{right}V{bottom:.0f}H{left}z"><title>{said}</title></path>'
        )
    facts = f"{min(row[2] for row in known):.0f}° to {max(row[3] for row in known):.0f}°"
    title = f"{readable(angle)}, by repetition".capitalize()
    return _figure(title, facts, f"{title}: {facts}", _GRID + "".join(bars))


def _svg(height: int, content: str) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {height}" preserveAspectRatio="none" aria-hidden="true">{content}</svg>'
