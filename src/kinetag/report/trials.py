"""The trials of a search as they go on, in the terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from kinetag.tune.results import best_of, value_of, written
from kinetag.tune.search import Picture
from kinetag.tune.trials import Trial

_WIDEST = 6  # options that have a column of their own


@contextmanager
def live_trials(console: Console | None = None) -> Iterator[tuple[Callable[[Picture], None], Callable[[str], None]]]:
    """Show the trials while the block runs; yields what is called with each picture, and with each line of news."""
    console = console or Console(file=sys.stderr, highlight=False, emoji=False)
    with Live(console=console, auto_refresh=False, transient=True) as live:

        def watch(picture: Picture) -> None:
            live.update(trials_table(picture, console.height - 4), refresh=True)

        def tell(line: str) -> None:
            live.console.print(Text(line, "dim"))

        yield watch, tell


def trials_table(picture: Picture, most: int = 40) -> RenderableType:
    """One row a trial: the best and the running ones always, of the others the latest that fit into ``most`` lines."""
    plan, best = picture.plan, best_of(picture.trials)
    keys = [dimension.key for dimension in plan.space.dimensions]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for heading, side in (("Trial", "right"), ("State", "left"), ("Epoch", "right"), (plan.metric, "right")):
        table.add_column(heading, justify=side, no_wrap=True)  # type: ignore[arg-type]
    for key in keys[:_WIDEST]:
        table.add_column(key.rpartition(".")[2], justify="right", no_wrap=True, overflow="ellipsis")
    shown = _chosen(picture, best, max(4, most - 6))
    for trial in shown:
        is_best = best is not None and trial.number == best.number
        style = "bold green" if is_best else "red" if trial.failed else "dim" if trial.state == "paused" else ""
        table.add_row(*_cells(picture, trial), *(_option(trial, key) for key in keys[:_WIDEST]), style=style)
    left_out = len(picture.trials) - len(shown)
    return Group(_header(picture, best), table, Text(f"{left_out} more" if left_out else "", "dim"))


def _header(picture: Picture, best: Trial | None) -> Text:
    plan, trials = picture.plan, picture.trials
    epochs = sum(trial.epoch - trial.start for trial in trials)
    text = Text.assemble((f"{plan.settings.algorithm}", "bold"), f"  {len(trials)} trials  {epochs} epochs")
    if best is not None:
        text.append(f"  best {plan.metric} {value_of(plan, best):.4f} (trial {best.number})", "green")
    return text


def _chosen(picture: Picture, best: Trial | None, most: int) -> list[Trial]:
    trials = picture.trials
    always = [
        t for t in trials if t.baseline or t.number in picture.hands or (best is not None and t.number == best.number)
    ]
    others = [trial for trial in trials if trial not in always]
    return sorted(always + others[len(others) - max(0, most - len(always)) :], key=lambda trial: trial.number)


def _cells(picture: Picture, trial: Trial) -> tuple[str, str, str, str]:
    hand = picture.hands.get(trial.number)
    state = {"paused": "stopped"}.get(trial.state, trial.state)
    epoch = str(trial.epoch)
    if hand is not None:
        epoch = f"{hand.epoch}{'.' + str(int(10 * hand.share)) if 0 < hand.share < 1 else ''}/{trial.target}"
    elif trial.running:
        state = "elsewhere"
    value = value_of(picture.plan, trial)
    return str(trial.number), "baseline" if trial.baseline else state, epoch, "" if value is None else f"{value:.4f}"


def _option(trial: Trial, key: str) -> str:
    return written(trial.values[key]) if key in trial.values else "–"
