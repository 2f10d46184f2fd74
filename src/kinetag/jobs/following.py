"""How far a job is, for whoever looks at it: from what its action writes, status.json and progress.json."""

import json
import os
import re
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from kinetag.jobs.afar import status_files
from kinetag.jobs.checkpoints import MONITORED, records, records_in
from kinetag.jobs.store import QUEUED, RUNNING, Job
from kinetag.status import STATUS_FILE
from kinetag.urls import is_remote
from kinetag.whole_file import whole_file

_EPOCH = re.compile(r"Epoch (\d+) of (\d+)")  # how training begins its stages
_HEADLINES = (MONITORED, "accuracy", "train_acc", "val_loss", "train_loss")  # the first that there is, is told


@dataclass(frozen=True)
class Standing:
    """What an action told last. ``best`` is the highest val_acc (another number where there is none) and its name."""

    message: str = ""
    numbers: dict[str, float] = field(default_factory=dict)
    best: tuple[str, float] | None = None
    stage: str = ""  # what it is doing
    share: float | None = None  # of that, or of the whole training, what is done
    unreached: str = ""  # why what it told is not known: its results are in a store that did not answer


def standing(job: Job) -> Standing:
    """Read what the action of a job has told of its runs."""
    return standings([job])[0]


def standings(jobs: Sequence[Job]) -> list[Standing]:
    """The same of several jobs. Stores that hold results get two seconds to answer, all together.

    What a job told that has ended is kept beside it once it is known: no store is asked for it again.
    """
    kept = {job.id: found for job in jobs if (found := _kept(job)) is not None}
    afar = status_files([job for job in jobs if job.id not in kept and is_remote(job.results) and not _is_new(job)])
    return [kept.get(job.id) or _standing(job, afar.get(job.id)) for job in jobs]


def _is_new(job: Job) -> bool:
    """Whether it has not begun, so that what stands in its results folder is of others."""
    return job.state == QUEUED and not job.attempts


def _standing(job: Job, content: bytes | str | None) -> Standing:
    """``content``: of a status.json in a store, or why that is not known."""
    stage, share = _progress(job) if job.state == RUNNING else ("", None)
    if isinstance(content, str):
        return Standing(stage=stage, share=share, unreached=content)
    if content is not None:
        told = _told(records_in(content[job.status_offset :]))
        if content and job.is_over:
            _keep(job, told)
    else:
        here = job.results and not is_remote(job.results) and not _is_new(job)
        told = _told(records(os.path.join(job.results, STATUS_FILE), job.status_offset) if here else ())
    return replace(told, stage=stage, share=share)


def _told(found: Iterable[dict[str, object]]) -> Standing:
    message, numbers, best, of_trials = "", {}, None, None
    for record in found:
        told = record.get("kpi")
        if isinstance(told, dict):
            numbers = {str(name): float(value) for name, value in told.items() if isinstance(value, int | float)}
            if "trial" in numbers:  # a search judges by its trials, by one metric; what else it measures is beside that
                of_trials = _better(of_trials, numbers)
            best = _better(best, numbers)
        message = str(record.get("message") or message)
    return Standing(message, numbers, of_trials or best)


# --- kept beside a job whose results are in a store ------------------------------------------------------------------


def _keep(job: Job, told: Standing) -> None:
    known = {"attempts": job.attempts, "message": told.message, "numbers": told.numbers, "best": told.best}
    with suppress(OSError), whole_file(job.standing) as draft:
        draft.write_text(json.dumps(known), "utf-8")


def _kept(job: Job) -> Standing | None:
    if not (job.is_over and is_remote(job.results)):
        return None
    try:
        known = json.loads(job.standing.read_bytes())
        best = known["best"] and (str(known["best"][0]), float(known["best"][1]))
        told = Standing(str(known["message"]), dict(known["numbers"]), best)
        return told if known["attempts"] == job.attempts else None
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None


# --- the parts -------------------------------------------------------------------------------------------------------


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
