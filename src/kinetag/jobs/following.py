"""How far a job is, for whoever looks at it: from what its action writes, status.json and progress.json."""

import json
import os
import re
import time
from dataclasses import dataclass, field

from kinetag.jobs.checkpoints import MONITORED, records
from kinetag.jobs.store import Job
from kinetag.status import STATUS_FILE

_EPOCH = re.compile(r"Epoch (\d+) of (\d+)")  # how training begins its stages
_HEADLINES = (MONITORED, "accuracy", "train_acc", "val_loss", "train_loss", "clips")  # the first that there is, is told


@dataclass(frozen=True)
class Standing:
    """What an action told last. ``best`` is the highest val_acc (another number where there is none) and its name."""

    message: str = ""
    numbers: dict[str, float] = field(default_factory=dict)
    best: tuple[str, float] | None = None
    stage: str = ""  # what it is doing
    share: float | None = None  # of that, or of the whole training, what is done


def standing(job: Job) -> Standing:
    """Read what the action of a job has told of its runs."""
    message, numbers, best = "", {}, None
    for record in records(os.path.join(job.results, STATUS_FILE), job.status_offset) if job.results else ():
        told = record.get("kpi")
        if isinstance(told, dict):
            numbers = {str(name): float(value) for name, value in told.items() if isinstance(value, int | float)}
            best = _better(best, numbers)
        message = str(record.get("message") or message)
    stage, share = _progress(job) if job.state == "running" else ("", None)
    return Standing(message, numbers, best, stage, share)


def _better(best: tuple[str, float] | None, numbers: dict[str, float]) -> tuple[str, float] | None:
    name = next((name for name in _HEADLINES if name in numbers), None)
    if name is None:
        return best
    value = numbers[name]
    if best is None or best[0] != name:
        return (name, value) if best is None or _HEADLINES.index(name) < _HEADLINES.index(best[0]) else best
    return (name, min(value, best[1]) if "loss" in name else max(value, best[1]))


def _progress(job: Job) -> tuple[str, float | None]:
    try:
        told = json.loads(job.progress.read_bytes())
        stage, total = str(told["stage"]), told["total"]
        share = float(told["done"]) / float(total) if total else None
    except (OSError, ValueError, KeyError, TypeError):
        return "", None
    epoch = _EPOCH.match(stage)
    if epoch is None or share is None:
        return stage, share
    return epoch[0], (int(epoch[1]) - 1 + share) / max(int(epoch[2]), 1)  # of the whole training


def ago(seconds: float | None, *, now: float | None = None) -> str:
    """'12 s', '5 min', '3 h', '2 d' since a time."""
    if seconds is None:
        return ""
    passed = max(0.0, (time.time() if now is None else now) - seconds)
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if passed >= length:
            return f"{passed // length:.0f} {unit}"
    return f"{passed // 1:.0f} s"
