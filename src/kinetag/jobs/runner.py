"""The process of a job: waits for the parent, starts the action, watches it, and writes down how it ended.

It is started by the client that creates or retries the job, and needs no client from then on. What a kill of it leaves
behind is found by the next client, or by the runner of a child that waits (`kinetag.jobs.tidying`).
"""

import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinetag.errors import KinetagError
from kinetag.jobs.checkpoints import list_folder
from kinetag.jobs.process import Identity, end_group, held, python_command, unfinished
from kinetag.jobs.store import (
    BLOCKED,
    CANCELLED,
    DONE,
    FAILED,
    INTERRUPTED,
    MOST_VARIABLE,
    QUEUED,
    RUNNING,
    Job,
    Store,
    most_at_once,
)
from kinetag.jobs.tidying import goes_on, tidy_one
from kinetag.status import STATUS_FILE
from kinetag.urls import hide_secrets, is_remote
from kinetag.whole_file import whole_file

if TYPE_CHECKING:
    from kinetag.jobs.planning import Plan

GRACE = 30.0  # s that an action gets to end by itself when it is cancelled
_LOOK_EVERY = 0.25  # s between looks at the action, and at whether somebody wants it to end
_WAIT_EVERY = 1.0  # s between looks at the parent
_TAIL = 4096  # bytes of the log in which the reason of a failure is looked for


class _StoppedError(Exception):
    """The system wants this process to end, as at a shutdown."""


def run_job(job_id: str, store: Store | None = None) -> None:
    """Run a queued job to its end, in this process; returns at once when it has another runner."""
    store, me = store or Store(), Identity.own()
    job = store.attach(job_id, me)
    if job is None:
        return
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    try:
        if _wait_for_parent(store, job, me):
            with held(job.lock) as lock:  # processes of an earlier attempt are gone now
                _run(store, job, me, lock)
            _keep_standing(store, job)
    except KinetagError as error:
        _end(store, job, me, FAILED, str(error))
    except _StoppedError:
        _end(store, job, me, INTERRUPTED, f"the system ended it, as at a shutdown; {goes_on(job)}")
    except BaseException as error:
        traceback.print_exc()
        _end(store, job, me, FAILED, f"{type(error).__name__}: {error}"[:500])


def _stop(number: int, frame: object) -> None:
    raise _StoppedError


def _wait_for_parent(store: Store, job: Job, me: Identity) -> bool:
    """Whether the job may start; False when it is blocked, cancelled or no longer this runner's."""
    said = ""
    while True:
        now = store.find(job.id)
        if now is None or now.runner != me or now.state != QUEUED:
            return False
        parent = store.find(job.parent) if job.parent else None
        if parent is not None:
            tidy_one(store, parent)
            parent = store.find(parent.id)
        if job.parent is None or (parent is not None and parent.state == DONE):
            return True
        if parent is None or parent.is_over:
            why = f"its parent {job.parent} is {parent.state if parent else 'deleted'}"
            _end(store, job, me, BLOCKED, why)
            return False
        why = f"waits for its parent {parent.id}, which is {parent.state}"
        if why != said:
            store.change_own(job, me, reason=why)
            said = why
        time.sleep(_WAIT_EVERY)


def _run(store: Store, job: Job, me: Identity, lock: int) -> None:
    """One attempt: complete the spec, start the action, watch it."""
    attempt = job.attempts + 1
    if not _wait_for_place(store, job, me, attempt):
        return
    plan = _plan(store, job, attempt)
    _write(job.spec, plan.to_yaml())
    job.progress.unlink(missing_ok=True)
    found: dict[str, Any] = {
        "results": plan.results,
        "inferred": [vars(one) for one in plan.inferred],
        "notes": list(plan.notes),
    }
    if attempt == 1:  # what stands in a folder that the user named is of others
        found["status_offset"] = next(
            (f.size for f in list_folder(plan.results, deep=False) if f.name == STATUS_FILE), 0
        )
    store.change_own(job, me, **found)
    _say(f"attempt {attempt}: kinetag {job.action} -e {job.spec}")
    for one in plan.inferred:
        _say(hide_secrets(f"inferred {one.key}={one.value} ({one.source})"))
    began_at = job.log.stat().st_size
    with _worker(job, lock, _kept(job, plan)) as process:
        try:
            store.change_own(job, me, worker=Identity.of(process.pid))
            cancelled = _watch(store, job, process)
        except BaseException:
            end_group(process, grace=GRACE)
            raise
    code = process.returncode
    if code == 0:
        _end(store, job, me, DONE, "", code)
    elif cancelled:
        _end(store, job, me, CANCELLED, "by the user", code)
    else:
        _end(store, job, me, FAILED, _reason(job, code, began_at), code)


def _wait_for_place(store: Store, job: Job, me: Identity, attempt: int) -> bool:
    """Make the job a running one, as soon as fewer run than may; False when it is not this runner's any more."""
    most = most_at_once()
    store.change_own(job, me, ready=time.time())
    while True:
        begun = {"reason": "", "attempts": attempt, "started": time.time(), "ended": None, "exit_code": None}
        started = store.start(job, me, most, **begun)
        if started is not False:
            return started is True
        store.change_own(job, me, reason=f"waits until fewer than {most} run ({MOST_VARIABLE})")
        for running in store.jobs(RUNNING):  # one that is gone must not keep a place
            tidy_one(store, running)
        time.sleep(_WAIT_EVERY)


def _plan(store: Store, job: Job, attempt: int) -> "Plan":
    """The completed spec. Loaded only now: many that wait for a parent should be small."""
    from kinetag.jobs.planning import make_plan
    from kinetag.spec import SHORTHANDS
    from kinetag.spec.file import read_spec

    return make_plan(
        store,
        job.action,
        read_spec(job.given, (), SHORTHANDS),
        parent=store.find(job.parent) if job.parent else None,
        own_results=job.own_results,
        cwd=job.cwd,
        has_key=job.needs_key,
        train_data=job.train_data,
        attempt=attempt,
    )


def _kept(job: Job, plan: "Plan") -> list[str]:
    """What was given to a training beside its spec, given so once more: a search keeps these values.

    An address with a secret in it is left to the spec: everybody sees a command line, and no search varies an address.
    """
    from kinetag.spec import value_at

    keys = json.loads(job.overrides.read_text("utf-8")) if job.action == "train" and job.overrides.exists() else []
    words = [f"{key}={json.dumps(value_at(plan.values, key), default=str)}" for key in keys]
    return [word for word in words if word == hide_secrets(word)]


@contextmanager
def _worker(job: Job, lock: int, overrides: Sequence[str]) -> "Iterator[subprocess.Popen[bytes]]":
    """The action as a process that leads a group of its own, holds the lock too, and ends when this one does."""
    read_end, write_end = os.pipe()  # it reads, which returns when nobody holds the other end
    words = [job.action, "-e", str(job.spec), "--progress-file", str(job.progress), *overrides]
    try:
        process = subprocess.Popen(
            python_command("kinetag.jobs.worker", str(read_end), *words),
            stdin=subprocess.DEVNULL,
            pass_fds=(read_end, lock),
            process_group=0,
        )
    finally:
        os.close(read_end)
    try:
        yield process
    finally:
        end_group(process, grace=0.0)  # also what an action that ended well left behind
        os.close(write_end)


def _watch(store: Store, job: Job, process: "subprocess.Popen[bytes]") -> bool:
    """Until the action has ended; True when somebody wanted that."""
    while unfinished(process):
        now = store.find(job.id)
        if now is None or now.cancelling:
            _say("cancelled by the user")
            end_group(process, grace=GRACE)
            return True
        time.sleep(_LOOK_EVERY)
    return False


def _end(store: Store, job: Job, me: Identity, state: str, reason: str, code: int | None = None) -> None:
    values = {"state": state, "reason": reason, "ended": time.time(), "runner": None, "worker": None, "exit_code": code}
    if store.change_own(job, me, **values, cancelling=0):
        _say(f"{state}{f': {reason}' if reason else ''}")


def _keep_standing(store: Store, job: Job) -> None:
    """While the store of the results can be reached, as it was just now: who lists jobs later need not ask it."""
    from kinetag.jobs.following import standing

    now = store.find(job.id)
    if now is not None and is_remote(now.results):
        standing(now)


def _reason(job: Job, code: int, began_at: int) -> str:
    """Why an action failed: the signal that killed it, else its last line in the log."""
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return f"its process was killed ({name}{', often for want of memory' if -code == signal.SIGKILL else ''})"
    with open(job.log, "rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(began_at, end - _TAIL))
        lines = file.read().decode("utf-8", "replace").strip().splitlines()
    said = lines[-1].strip().removeprefix("error: ") if lines else ""
    return said[:500] or f"it ended with code {code}"


def _say(text: str) -> None:
    """A line of the runner's own in the log, which is its standard output."""
    sys.stdout.write(f"[{datetime.now():%Y-%m-%d %H:%M:%S}] {text}\n")
    sys.stdout.flush()


def _write(path: Path, text: str) -> None:
    with whole_file(path) as draft:
        draft.write_text(text, "utf-8")


if __name__ == "__main__":
    run_job(sys.argv[1])
