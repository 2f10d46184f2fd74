"""How a trial did, read from the status.json that its training wrote: nothing is lost when the search itself dies."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kinetag.status import STATUS_FILE
from kinetag.tune.trials import Score

METRICS = ("val_acc", "val_loss")


def score(numbers: Mapping[str, float], metric: str, *, maximize: bool) -> Score:
    """Higher is better: the metric, then the other one of the two."""
    other = "val_loss" if metric == "val_acc" else "val_acc"
    first = numbers[metric] if maximize else -numbers[metric]
    return first, -numbers[other] if other == "val_loss" else numbers[other]


def curve(folder: Path, metric: str, *, maximize: bool, before: Score | None = None) -> dict[int, tuple[Score, Score]]:
    """By epoch: the score of the checkpoint kept by then, and of that very epoch.

    A training keeps the checkpoint with the highest val_acc, and among equals the lowest val_loss. ``before``: what the
    one kept by another trial was worth, when this trial began with its weights.
    """
    kept = before
    found: dict[int, tuple[Score, Score]] = {}
    for epoch, numbers in sorted(_epochs(folder).items()):
        now = score(numbers, metric, maximize=maximize)
        if kept is None or _judged(now, metric, maximize) > _judged(kept, metric, maximize):
            kept = now
        found[epoch] = (kept, now)
    return found


def _judged(worth: Score, metric: str, maximize: bool) -> Score:
    """(val_acc, -val_loss), by which a training chooses what it keeps."""
    first = worth[0] if maximize == (metric == "val_acc") else -worth[0]
    return (first, worth[1]) if metric == "val_acc" else (worth[1], first)


def _epochs(folder: Path) -> dict[int, dict[str, float]]:
    """The numbers of every judged epoch; of one that was done again after a stop, the last."""
    try:
        lines: Iterable[str] = (folder / STATUS_FILE).read_text("utf-8").splitlines()
    except OSError:
        return {}
    found: dict[int, dict[str, float]] = {}
    for line in lines:
        numbers = _numbers(line)
        if numbers is not None and all(isinstance(numbers.get(name), int | float) for name in METRICS):
            found[int(numbers["epoch"])] = numbers
    return found


def _numbers(line: str) -> dict[str, Any] | None:
    try:
        numbers = json.loads(line).get("kpi")
        return numbers if isinstance(numbers, dict) and "epoch" in numbers else None
    except (ValueError, AttributeError):
        return None  # the line that was being written when the power went
