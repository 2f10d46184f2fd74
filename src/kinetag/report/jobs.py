"""Jobs in the terminal: the list, and the page of one."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from kinetag.jobs.following import Standing, ago, standing, standings
from kinetag.jobs.planning import changed, read_values
from kinetag.jobs.store import Job
from kinetag.urls import hide_secrets

_STYLES = {
    "queued": "dim",
    "running": "cyan",
    "done": "green",
    "failed": "red",
    "cancelled": "yellow",
    "interrupted": "magenta",
    "blocked": "yellow",
}
UNREACHED = "store not reached"
_BAR = 12  # characters
_TAIL = 12  # lines of the log of a job that ended badly


def jobs_list(jobs: Sequence[Job], most: int | None = None) -> RenderableType:
    """The table of the last ``most`` jobs (None: all), and how many there are before them."""
    shown = jobs if most is None else jobs[-most:]
    if not shown:
        return Text("no jobs; kinetag jobs create ACTION -e spec.yaml starts one")
    earlier = len(jobs) - len(shown)
    more = [Text(f"{earlier} earlier ones: kinetag jobs list --all", "dim")] if earlier else []
    return Group(jobs_table(shown), *more)


@contextmanager
def renewed(console: Console) -> Iterator[Callable[[RenderableType], None]]:
    """Show something that changes, in its place; yields what shows it anew."""
    with Live(console=console, auto_refresh=False) as live:
        yield lambda content: live.update(content, refresh=True)


def jobs_table(jobs: Sequence[Job]) -> Table:
    """One row a job: what it is, how it stands, since when, how good."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for heading in ("Job", "Action", "State", "Parent", "Since", "Best"):
        table.add_column(heading, no_wrap=True, justify="right" if heading == "Since" else "left")
    table.add_column("How it stands", overflow="fold")
    for job, told in zip(jobs, standings(jobs), strict=True):
        table.add_row(
            Text(job.id, "bold"),
            job.action,
            _state(job),
            job.parent or "",
            ago(_since(job)),
            _best(told),
            _in_a_line(_stands(job, told)),
        )
    return table


def job_page(job: Job, children: Sequence[Job]) -> RenderableType:
    """Everything about a job: state, progress, what its spec says, what was inferred and from where."""
    told = standing(job)
    head = Text.assemble((f"{job.action} ", "bold"), (job.id, "bold"), "  ", _state(job))
    parts: list[RenderableType] = [head, Text(), _facts(job, told, children)]
    if job.inferred:
        rows = [(one["key"], _short(one["value"]), one["source"]) for one in job.inferred]
        parts += [Text(), _table(("Inferred", "Value", "From"), rows)]
    own = _own_options(job)
    if own:
        parts += [Text(), _table(("Option", "Value", "Default"), own)]
    parts += [Text.assemble(("note: ", "yellow"), note) for note in job.notes]
    if job.state in ("failed", "interrupted") and (tail := _tail(job.log)):
        parts += [Text(), Text("The end of the log", "dim"), *(Text(f"  {line}") for line in tail)]
    return Group(*parts)


def _facts(job: Job, told: Standing, children: Sequence[Job]) -> Table:
    facts: dict[str, Any] = {
        "reason": job.reason,
        "parent": job.parent or "",
        "children": ", ".join(f"{child.id} ({child.action}, {child.state})" for child in children),
        "created": _when(job.created),
        "started": _when(job.started) + (f", attempt {job.attempts}" if job.attempts > 1 else ""),
        "ended": _when(job.ended) + (_took(job) if job.ended and job.started else ""),
        "progress": _stands(job, told) if job.state == "running" else "",
        "best" if job.action == "train" else "result": _best(told),
        "last said": told.message or (f"{UNREACHED} ({told.unreached})" if told.unreached else ""),
        "results": job.results,
        "log": str(job.log),
    }
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        if value and str(value):
            table.add_row(name, value if isinstance(value, Text) else Text(hide_secrets(str(value))))
    return table


def _own_options(job: Job) -> list[tuple[str, str, str]]:
    inferred = {one["key"] for one in job.inferred}
    values = read_values(job.given)
    return [
        (key, _short(value), _short(default))
        for key, value, default in changed(values, job.action)
        if key not in inferred
    ]


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(Text(hide_secrets(cell)) for cell in row))
    return table


def _state(job: Job) -> Text:
    return Text("cancelling" if job.cancelling else job.state, _STYLES[job.state])


def _since(job: Job) -> float:
    """When the job came into its state."""
    return job.ended or (job.started if job.state == "running" else None) or job.created


def _best(told: Standing) -> str:
    return "" if told.best is None else f"{told.best[0]} {told.best[1]:.4g}"


def _in_a_line(text: Text) -> Text:
    """Cut where the line ends; `kinetag jobs show` has the whole of it."""
    plain = Text(" ".join(text.plain.split())) if "\n" in text.plain else text
    plain.no_wrap, plain.overflow = True, "ellipsis"
    return plain


def _stands(job: Job, told: Standing) -> Text:
    """A bar while it runs, else the reason of its state."""
    unreached = UNREACHED if told.unreached else ""
    if job.state != "running":
        return Text("; ".join(filter(None, (job.reason, unreached))))
    epoch = told.stage or told.message or unreached
    if told.share is None:
        return Text(epoch)
    full = round(_BAR * min(max(told.share, 0.0), 1.0))
    return Text.assemble(("━" * full, "cyan"), ("━" * (_BAR - full), "dim"), f" {told.share:.0%}  {epoch}")


def _when(moment: float | None) -> str:
    from datetime import datetime

    return "" if moment is None else f"{datetime.fromtimestamp(moment):%Y-%m-%d %H:%M:%S} ({ago(moment)} ago)"


def _took(job: Job) -> str:
    return f", after {ago(job.started, now=job.ended)}"


def _short(value: Any) -> str:
    text = hide_secrets("" if value is None else str(value))
    return text if len(text) <= 200 else f"{text[:199]}…"


def _tail(log: Path) -> list[str]:
    try:
        with open(log, "rb") as file:
            file.seek(max(0, file.seek(0, 2) - 8192))
            return file.read().decode("utf-8", "replace").splitlines()[-_TAIL:]
    except OSError:
        return []
