"""The progress bar of long work."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from kinetag.report.style import clock


class _Times(ProgressColumn):
    """'0:12.0 of 1:00.0', and how many times faster than real time."""

    def render(self, task: Task) -> Text:
        total = f" of {clock(task.total)}" if task.total else ""
        speed = f"  {task.completed / task.elapsed:.1f}× real time" if task.elapsed and task.completed else ""
        return Text(f"{clock(task.completed)}{total}{speed}", style="dim")


@contextmanager
def progress_bar(verb: str) -> Iterator[Callable[[float, float | None], None]]:
    """Show a bar on stderr while the block runs; yields update(time reached, duration or None), both in seconds."""
    console = Console(file=sys.stderr, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=30), _Times(), TimeRemainingColumn(compact=True))
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(verb, total=None)

        def update(time: float, duration: float | None) -> None:
            progress.update(task, completed=time, total=duration)

        yield update


@contextmanager
def stage_bars() -> Iterator[Callable[[str, float, float | None], None]]:
    """Show one bar at a time on stderr while the block runs; yields update(stage, done, total or None)."""
    console = Console(file=sys.stderr, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=30), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        shown: dict[str, TaskID] = {}

        def update(stage: str, done: float, total: float | None = None) -> None:
            if stage not in shown:
                for task in shown.values():
                    progress.remove_task(task)
                shown.clear()
                shown[stage] = progress.add_task(stage, total=total)
            progress.update(shown[stage], completed=done, total=total)

        yield update
