"""The report of a search: one HTML page, made from what automl.json holds."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import Any

from kinetag import __version__
from kinetag.report.page import page, style_sheet, table

Row = Mapping[str, Any]

_MOST = 400  # trials in a chart or a table; the rest is in automl.json
_FAR = 3.0  # times as far from the best as the median is: further is not shown to scale
_NEAR = 0.1  # of the best value: what is no further off is always to scale
_LEAST = 0.02  # of the best value: the least that an axis spans
_WIDTH, _HEIGHT = 1000, 100  # units of a drawing, which stretches to any size


def report_html(content: Mapping[str, Any]) -> str:
    """The page as text; ``content`` is what automl.json holds."""
    rows = content["trials"]
    judged = [row for row in rows if row["value"] is not None]
    parts = [_header(content), _found(content)]
    if judged:
        parts += [_history(content, judged), _curves(content, judged), _slices(content, judged)]
    parts += [_trials(content), _footer(content)]
    return page(f"Search by {content['algorithm']}", style_sheet("report.css", "tuning.css"), parts)


def _header(content: Mapping[str, Any]) -> str:
    rows = content["trials"]
    states = {state: sum(row["state"] == state for row in rows) for state in ("done", "stopped", "failed", "running")}
    facts = [f"{len(rows)} trial{'s' * (len(rows) != 1)}"]
    facts += [f"{count} {state}" for state, count in states.items() if count and state != "done"]
    facts += [f"{content['epochs_trained']} epochs trained", f"{content['seconds'] / 60:.1f} minutes of training"]
    facts += [] if content["finished"] else ["not finished"]
    items = "".join(f"<li>{escape(fact)}</li>" for fact in facts)
    notes = "".join(f"<li>{escape(note)}</li>" for note in content["notes"])
    return (
        f'<header><p class="brand">kinetag search</p><h1>{escape(content["metric"])}, {content["direction"]}d by '
        f'{escape(content["algorithm"])}</h1><ul class="facts">{items}</ul>'
        + (f'<div class="warning" role="note"><ul>{notes}</ul></div>' if notes else "")
        + "</header>"
    )


def _found(content: Mapping[str, Any]) -> str:
    """The best against the spec as it is, option by option."""
    best, start = content["best"], content["baseline"] or {}
    if best is None:
        return ""
    values = [(f"trial {best['number']}, the best", best["value"])]
    if start.get("value") is not None:
        values.append(("the spec as it is", start["value"]))
    if before := (content["before"] or {}).get("metrics"):
        values.append(("the weights it starts from", before[content["metric"]]))
    if final := (content["final"] or {}).get("metrics"):
        values.append(("the best checkpoint, evaluated", final[content["metric"]]))
    shown = "".join(
        f'<p class="big">{value:.4f}<br><small class="soft">{escape(name)}</small></p>' for name, value in values
    )
    rows = []
    for key, searched in content["search"].items():
        texts = (_written(searched["start"]), _written(best["parameters"].get(key, "–")), ranges_text(searched))
        cells = list(map(escape, texts))
        if content["importance"]:
            share = content["importance"].get(key)
            bar = '<span class="share" style="width:{:.2f}em"></span>{:.0%}'
            cells.append("" if share is None else bar.format(5 * share, share))
        rows.append(f'<tr><th scope="row">{escape(key)}</th>' + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    found = table(("Option", "Spec", "Best", "Searched", *(["Importance"] if content["importance"] else [])), rows)
    return f'<section class="card"><h2>What was found</h2><div class="found">{shown}</div>{found}</section>'


def _history(content: Mapping[str, Any], judged: Sequence[Row]) -> str:
    scale = Scale.of([row["value"] for row in judged], content)
    last = max(row["number"] for row in judged) or 1
    points, best, steps = [], None, []
    for row in judged[:_MOST]:
        points.append(_point(row["number"] / last, scale.y(row["value"]), row, content))
        if best is None or (row["value"] > best if content["direction"] == "maximize" else row["value"] < best):
            best = row["value"]
        steps.append((row["number"] / last, scale.y(best)))
    lines = _line(_stairs(steps), "best") + _start_line(content, scale)
    ticks = _ticks([(number / last, str(number)) for number in _some(range(last + 1))])
    return (
        '<section class="card"><h2>Trial by trial</h2>'
        '<p class="soft">Each trial, and the best so far; what is far worse lies at the edge.</p>'
        f"{_chart(lines, points, scale)}{ticks}{_key(content)}</section>"
    )


def _curves(content: Mapping[str, Any], judged: Sequence[Row]) -> str:
    """The value of every trial by epoch: where the weak ones were stopped can be seen."""
    values = [value for row in judged for _, value in row["curve"]]
    last = max((epoch for row in judged for epoch, _ in row["curve"]), default=1)
    if last < 2:
        return ""
    scale = Scale.around(min(values), max(values), content)
    lines = ""
    chosen = (content["best"] or {}).get("number")
    for row in sorted(judged[:_MOST], key=lambda row: row["number"] == chosen):
        places = [((epoch - 1) / (last - 1), scale.y(value)) for epoch, value in row["curve"]]
        if len(places) == 1:
            places = [places[0], (min(1.0, places[0][0] + 0.004), places[0][1])]
        kind = "best" if row["number"] == chosen else "start" if row["how"] == "baseline" else "faint"
        lines += _line(places, kind)
    ticks = _ticks([((epoch - 1) / (last - 1), f"epoch {epoch}") for epoch in _some(range(1, last + 1), 3)])
    return (
        '<section class="card"><h2>Epoch by epoch</h2>'
        '<p class="soft">What the kept checkpoint of each trial was worth.</p>'
        f"{_chart(lines, [], scale)}{ticks}</section>"
    )


def _slices(content: Mapping[str, Any], judged: Sequence[Row]) -> str:
    """The value against each option, the most important first."""
    scale = Scale.of([row["value"] for row in judged], content)
    keys = sorted(content["search"], key=lambda key: -content["importance"].get(key, 0.0))
    figures = "".join(_slice(key, content, judged, scale) for key in keys)
    return f'<section class="card"><h2>Option by option</h2><div class="slices">{figures}</div></section>'


def _slice(key: str, content: Mapping[str, Any], judged: Sequence[Row], scale: "Scale") -> str:
    rows = [row for row in judged[:_MOST] if key in row["parameters"]]
    values = [row["parameters"][key] for row in rows]
    if not values:
        return ""
    if content["search"][key]["kind"] == "choice":
        options = sorted(
            {_written(value) for value in values}, key=lambda text: (not _is_number(text), _number(text), text)
        )
        places = [(options.index(_written(value)) + 0.5) / len(options) for value in values]
        ticks = [((i + 0.5) / len(options), option) for i, option in enumerate(options)]
    else:
        log = all(searched.get("log") for searched in content["search"][key]["ranges"]) and min(values) > 0
        numbers = [math.log(value) if log else float(value) for value in values]
        low, span = min(numbers), (max(numbers) - min(numbers)) or 1.0
        places = [0.02 + 0.96 * (number - low) / span for number in numbers]
        ticks = [(0.0, _written(min(values))), (1.0, _written(max(values)) + (" (log)" if log else ""))]
    points = [_point(x, scale.y(row["value"]), row, content) for x, row in zip(places, rows, strict=True)]
    return (
        f"<figure><figcaption>{escape(key)}</figcaption>{_chart('', points, scale, small=True)}{_ticks(ticks)}</figure>"
    )


def _trials(content: Mapping[str, Any]) -> str:
    keys = list(content["search"])
    shown = content["trials"][:_MOST]
    chosen = (content["best"] or {}).get("number")
    rows = []
    for row in shown:
        value = "" if row["value"] is None else f"{row['value']:.4f}"
        what = "the spec as it is" if row["how"] == "baseline" else row["state"]
        what += f", from {row['parent']} at epoch {row['start']}" if "parent" in row else ""
        cells = [what, value, str(row["epoch"]), f"{row['seconds']:.0f} s"]
        cells += [_written(row["parameters"].get(key, "–")) for key in keys]
        mark = ' class="chosen"' if row["number"] == chosen else ""
        texts = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        rows.append(f'<tr{mark}><th scope="row">{row["number"]}</th>{texts}</tr>')
    headings = ["Trial", "State", content["metric"], "Epoch", "Time", *(key.rpartition(".")[2] for key in keys)]
    more = len(content["trials"]) - len(shown)
    rest = f'<p class="soft">{more} more are in automl.json.</p>' if more > 0 else ""
    below = rest + _reasons(shown)
    return f'<section class="card"><h2>All trials</h2>{table(map(escape, headings), rows)}{below}</section>'


def _reasons(rows: Sequence[Row]) -> str:
    """Why trials failed, each reason once."""
    numbers: dict[str, list[str]] = {}
    for row in rows:
        if "error" in row:
            numbers.setdefault(row["error"], []).append(str(row["number"]))
    items = "".join(
        f"<li>trial{'s' * (len(those) > 1)} {', '.join(those)}: {escape(reason)}</li>"
        for reason, those in numbers.items()
    )
    return f'<h3>Why trials failed</h3><ul class="reasons">{items}</ul>' if items else ""


def _footer(content: Mapping[str, Any]) -> str:
    return (
        f"<footer><p>Made by kinetag {__version__}. Every number is measured on the validation data, by which the "
        "trials were also chosen: the best one's flatters a little. For a verdict that counts, evaluate it on clips of "
        "people that it has never seen.</p>" + (_IMPORTANCE if content["importance"] else "") + "</footer>"
    )


_IMPORTANCE = (
    "<p>Importance: PED-ANOVA, how much an option decides over being among the best quarter of the trials.</p>"
)


# --- drawing ---------------------------------------------------------------------------------------------------------


class Scale:
    """The y axis: a value to a height in [0, 1] from the top. What is far worse than most is drawn at the edge."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    @classmethod
    def of(cls, values: Sequence[float], content: Mapping[str, Any]) -> "Scale":
        low, high, middle = min(values), max(values), sorted(values)[len(values) // 2]
        if content["direction"] == "maximize":
            low = max(low, high - max(_FAR * (high - middle), _NEAR * abs(high)))
        else:
            high = min(high, low + max(_FAR * (middle - low), _NEAR * abs(low)))
        return cls.around(low, high, content)

    @classmethod
    def around(cls, low: float, high: float, content: Mapping[str, Any]) -> "Scale":
        """From a little below to a little above; an accuracy is never outside of 0 to 1."""
        lacking = max(0.0, _LEAST * (max(abs(low), abs(high)) or 1.0) - (high - low))
        edge = 0.06 * (high - low + lacking)
        low, high = low - lacking / 2 - edge, high + lacking / 2 + edge
        return cls(max(0.0, low), min(1.0, high)) if content["metric"] == "val_acc" else cls(low, high)

    def y(self, value: float) -> float:
        return min(1.0, max(0.0, (self.high - value) / (self.high - self.low)))

    def labels(self) -> str:
        """Some round numbers."""
        step = 10.0 ** math.floor(math.log10(self.high - self.low))
        step = next(step * part for part in (2, 1, 0.5, 0.2) if (self.high - self.low) / (step * part) >= 2.5)
        digits = max(0, -math.floor(math.log10(step) + 1e-9))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return "".join(
            f'<i style="top:{100 * self.y(i * step):.1f}%">{i * step:.{digits}f}</i>' for i in range(first, last + 1)
        )


def _chart(lines: str, points: Sequence[str], scale: Scale, *, small: bool = False) -> str:
    drawing = (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none" aria-hidden="true">{lines}</svg>'
        if lines
        else ""
    )
    return f'<div class="chart{" small" * small}">{scale.labels()}{drawing}{"".join(points)}</div>'


def _line(places: Sequence[tuple[float, float]], kind: str) -> str:
    text = "L".join(f"{_WIDTH * x:.1f} {_HEIGHT * y:.2f}" for x, y in places)
    return f'<path class="line {kind}" d="M{text}"/>' if len(places) > 1 else ""


def _stairs(places: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    stairs = list(places[:1])
    for (_, before), (x, y) in pairwise(places):
        stairs += [(x, before), (x, y)]
    return stairs


def _start_line(content: Mapping[str, Any], scale: Scale) -> str:
    value = (content["baseline"] or {}).get("value")
    return "" if value is None else _line([(0.0, scale.y(value)), (1.0, scale.y(value))], "start")


def _point(x: float, y: float, row: Row, content: Mapping[str, Any]) -> str:
    kind = "stopped" if row["state"] != "done" else ""
    kind = "start" if row["how"] == "baseline" else kind
    kind = "best" if content["best"] and row["number"] == content["best"]["number"] else kind
    options = ", ".join(f"{key.rpartition('.')[2]} {_written(value)}" for key, value in row["parameters"].items())
    title = escape(f"trial {row['number']}: {row['value']:.4f}; {options}")
    return f'<b class="{kind}" style="left:{100 * x:.1f}%;top:{100 * y:.1f}%" title="{title}"></b>'


def _ticks(ticks: Sequence[tuple[float, str]]) -> str:
    sides = [' class="left"' if x < 0.02 else ' class="right"' if x > 0.98 else "" for x, _ in ticks]
    spans = "".join(
        f'<span{side} style="left:{100 * x:.1f}%">{escape(text)}</span>'
        for side, (x, text) in zip(sides, ticks, strict=True)
    )
    return f'<div class="ticks" aria-hidden="true">{spans}</div>'


def _key(content: Mapping[str, Any]) -> str:
    states = {"best": "the best", "start": "the spec as it is", "": "in full length", "stopped": "stopped early"}
    there = {"best", ""} | ({"start"} if content["baseline"] else set())
    there |= {"stopped"} if any(row["state"] == "stopped" for row in content["trials"]) else set()
    items = "".join(f'<span><b class="{kind}"></b>{text}</span>' for kind, text in states.items() if kind in there)
    return f'<div class="legend key">{items}</div>'


def _some(numbers: range, most: int = 8) -> list[int]:
    step = max(1, math.ceil((len(numbers) - 1) / most))
    return list(numbers)[::step]


def ranges_text(searched: Mapping[str, Any]) -> str:
    """The ranges of an option as a person writes them; ``searched`` is what automl.json says of it."""
    return "; ".join(_range(one) for one in searched["ranges"])


def _range(one: Mapping[str, Any]) -> str:
    if "options" in one:
        return ", ".join(_written(option) for option in one["options"])
    return f"{_written(one['minimum'])} to {_written(one['maximum'])}{', log' if one.get('log') else ''}"


def _written(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value).removeprefix("torch.optim.")
    return text if len(text) <= 40 else f"{text[:37]}..."


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).lstrip("-").isdigit()


def _number(text: str) -> float:
    return float(text) if _is_number(text) else 0.0
