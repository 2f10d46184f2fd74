"""Create jobs, look at them, end them, try them again."""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinetag.errors import KinetagError
from kinetag.jobs.store import BLOCKED, CANCELLED, ENDED_BADLY, QUEUED, RUNNING, Job, Store, most_at_once
from kinetag.jobs.tidying import KEY_VARIABLE, PASSWORD_VARIABLE, launch, missing_key, tidy, tidy_one
from kinetag.urls import is_remote, is_stored
from kinetag.whole_file import whole_file

if TYPE_CHECKING:
    from kinetag.jobs.planning import Given, Plan

_POLL = 0.5  # s between looks at a job that is waited for
_PIECE = 1 << 16  # bytes of a log at a time
Specs = str | Path | Mapping[str, Any] | None


def plan_job(
    action: str,
    specs: Specs = None,
    parent_job_id: str | None = None,
    *,
    overrides: Sequence[str] = (),
    train_data: str | Path | None = None,
    home: str | Path | None = None,
) -> "Plan":
    """What `create_job` with these arguments would do; nothing is started or written.

    Inputs that are not there yet, for which `create_job` would refuse it, are among the notes.
    """
    store = Store(home)
    plan, given, parent = _planned(store, action, specs, parent_job_id, overrides, train_data, store.folder("NEW"))
    missing = _missing(store, action, given.source.values, parent, os.getcwd())
    return replace(plan, notes=(*plan.notes, missing)) if missing else plan


def create_job(
    action: str,
    specs: Specs = None,
    parent_job_id: str | None = None,
    *,
    overrides: Sequence[str] = (),
    train_data: str | Path | None = None,
    home: str | Path | None = None,
) -> Job:
    """Start an action as a job, which goes on when this process ends; it waits for its parent when it has one.

    ``specs`` is a YAML file, or values by section or dotted key; ``overrides`` (``key=value``) win over it. What both
    leave empty follows from the parent where it can (`kinetag.jobs.inferring`). ``train_data`` is a folder or prefix
    with files of the well-known names. ``home`` is where jobs are kept, else KINETAG_HOME, else ~/.kinetag.

    Raises a KinetagError of one line for a spec that the action would refuse, for inputs that are not there, for a
    parent that has nothing to give, and for a results folder that another job is writing into.
    """
    most_at_once()  # a mistake in the environment is told here, not in the log
    store = Store(home)
    job_id = store.new_id()
    folder = store.folder(job_id)
    plan, given, parent = _planned(store, action, specs, parent_job_id, overrides, train_data, folder)
    if missing := _missing(store, action, given.source.values, parent, os.getcwd()):
        raise KinetagError(missing)
    state, reason = QUEUED, ""
    if parent is not None and parent.state in ENDED_BADLY:
        state, reason = BLOCKED, f"its parent {parent.id} is {parent.state}"
    _write(folder, given)
    try:
        job = store.add(
            id=job_id,
            action=action,
            parent=parent.id if parent else None,
            state=state,
            reason=reason,
            cwd=os.getcwd(),
            train_data=_data_folder(train_data),
            needs_key=int(given.secret is not None),
            results=plan.results,
            inferred=[vars(one) for one in plan.inferred],
            notes=plan.notes,
            launched=time.time(),
        )
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    if job.state == QUEUED:
        launch(store, job, given.secret, given.password)
    return store.get(job.id)


def get_job(job_id: str, *, home: str | Path | None = None) -> Job:
    """The job of an id, or of the unique beginning of one."""
    store = Store(home)
    job = store.get(job_id)
    tidy_one(store, job)
    return store.get(job.id)


def list_jobs(*states: str, home: str | Path | None = None) -> list[Job]:
    """All jobs, or those in some states, the oldest first. Jobs that a crash left over are put right first."""
    store = Store(home)
    tidy(store)
    return store.jobs(*states)


def cancel_job(job_id: str, *, home: str | Path | None = None) -> Job:
    """End a job: one that runs as Ctrl-C does, and if that does not help, without asking.

    Returns at once; `wait_for` waits until it has ended. A job that is over is left as it is.
    """
    store = Store(home)
    job = get_job(job_id, home=home)
    ended = {"state": CANCELLED, "reason": "by the user", "ended": time.time()}
    if not store.change(job, QUEUED, **ended) and not store.change(job, RUNNING, cancelling=1):
        job = store.get(job.id)
        if job.state == BLOCKED:
            store.change(job, BLOCKED, **ended)
    return store.get(job.id)


def retry_job(job_id: str, *, home: str | Path | None = None) -> Job:
    """Start a job again that ended badly. Training goes on from the last checkpoint in its own folder.

    Jobs that were blocked by it wait for it again. Raises a KinetagError when the job is done or not yet over, when its
    parent has to be tried first, when its inputs are not there, and when the environment lacks the key or the
    database's password that it was created with.
    """
    store = Store(home)
    job = get_job(job_id, home=home)
    if job.needs_key and not os.environ.get(KEY_VARIABLE):
        raise KinetagError(f"job {job.id}: {missing_key(job)}")
    parent = store.find(job.parent) if job.parent else None
    if job.parent and (parent is None or parent.state in ENDED_BADLY):
        how = f"is {parent.state}: retry it first" if parent else "was deleted: create the job anew"
        raise KinetagError(f"job {job.id} cannot be tried again: its parent {job.parent} {how}")
    if job.state in ENDED_BADLY and os.path.isdir(job.cwd):
        from kinetag.jobs.planning import missing_password, read_values

        given = read_values(job.given)
        if missing_password(given):
            raise KinetagError(f"job {job.id} needs its database's password: set {PASSWORD_VARIABLE} to it")
        if missing := _missing(store, job.action, given, parent, job.cwd):
            raise KinetagError(f"job {job.id} cannot be tried again: {missing}")
    store.refuse_writers(job.results, job.id)
    if not _queue(store, job):
        now = store.get(job.id)
        if now.state == RUNNING and now.runner is not None and now.runner.runs() is False:
            raise KinetagError(f"job {job.id}: its processes are still ending, try again in a few seconds")
        raise KinetagError(f"job {job.id} is {now.state}; only a job that ended badly can be tried again")
    for below in store.descendants(job.id):
        if below.state == BLOCKED and (not below.needs_key or os.environ.get(KEY_VARIABLE)):
            _queue(store, below)
    return store.get(job.id)


def delete_job(job_id: str, *, home: str | Path | None = None) -> None:
    """Forget a job that is over, with its folder: results, log and spec. Results that went elsewhere stay."""
    store = Store(home)
    job = get_job(job_id, home=home)
    waiting = [child.id for child in store.children(job.id) if child.state in (QUEUED, RUNNING, BLOCKED)]
    if waiting:
        raise KinetagError(f"job {job.id} is the parent of {', '.join(waiting)}, which are not over: cancel them first")
    if not store.remove(job):
        raise KinetagError(f"job {job.id} is {store.get(job.id).state}: cancel it first")
    shutil.rmtree(job.folder, ignore_errors=True)


def wait_for(
    *job_ids: str,
    timeout: float | None = None,
    watch: Callable[[list[Job]], None] = lambda jobs: None,
    home: str | Path | None = None,
) -> list[Job]:
    """Wait until jobs are over, at most ``timeout`` seconds. Raises a KinetagError when the time is up.

    ``watch`` is shown the jobs twice a second.
    """
    ids = [get_job(job_id, home=home).id for job_id in job_ids]
    until = None if timeout is None else time.monotonic() + timeout
    while True:
        jobs = [get_job(job_id, home=home) for job_id in ids]
        watch(jobs)
        running = [job for job in jobs if not job.is_over]
        if not running:
            return jobs
        if until is not None and time.monotonic() > until:
            names = ", ".join(f"{job.id} ({job.state})" for job in running)
            raise KinetagError(f"not over after {timeout:g} s: {names}")
        time.sleep(_POLL)


def job_logs(job_id: str, *, follow: bool = False, home: str | Path | None = None) -> Iterator[str]:
    """The log of a job in pieces; with ``follow`` as it grows, until the job is over."""
    job = get_job(job_id, home=home)
    try:
        file = open(job.log, encoding="utf-8", errors="replace")  # noqa: SIM115 - closed below
    except FileNotFoundError:
        return
    with file:
        while True:
            over = not follow or get_job(job.id, home=home).is_over  # asked before the last look
            while piece := file.read(_PIECE):
                yield piece
            if over:
                return
            time.sleep(_POLL)


# --- the parts -------------------------------------------------------------------------------------------------------


def _planned(
    store: Store,
    action: str,
    specs: Specs,
    parent_job_id: str | None,
    overrides: Sequence[str],
    train_data: str | Path | None,
    folder: Path,
) -> "tuple[Plan, Given, Job | None]":
    # The runner, which waits, must not load pydantic.
    from kinetag.jobs.planning import check_search, make_plan, read_given

    given = read_given(action, specs, overrides)
    parent = get_job(parent_job_id, home=store.home) if parent_job_id else None
    plan = make_plan(
        store,
        action,
        given.source,
        parent=parent,
        own_results=folder / "results",
        cwd=os.getcwd(),
        has_key=given.secret is not None,
        train_data=_data_folder(train_data),
    )
    check_search(plan)  # said now rather than when the job runs
    return plan, given, parent


def _missing(store: Store, action: str, values: Mapping[str, Any], parent: Job | None, cwd: str) -> str:
    from kinetag.jobs.planning import missing_input

    return missing_input(store, action, values, parent, cwd)


def _data_folder(train_data: str | Path | None) -> str:
    if not train_data:
        return ""
    if is_remote(train_data):
        from kinetag.storage import exists

        folder, there = str(train_data), not is_stored(train_data) or exists(train_data)
    else:
        folder = os.path.abspath(train_data)
        there = os.path.exists(folder)
    if not there:
        raise KinetagError(f"no such file or folder: {train_data}")
    return folder


def _write(folder: Path, given: "Given") -> None:
    """What the job is made of, before the store knows of it."""
    import yaml

    try:
        folder.mkdir(mode=0o700, parents=True)
        with whole_file(folder / "given.yaml") as draft:
            draft.write_text(yaml.safe_dump(given.source.values, sort_keys=False, allow_unicode=True), "utf-8")
        with whole_file(folder / "overrides.json") as draft:
            draft.write_text(json.dumps(given.overrides), "utf-8")
    except OSError as error:
        raise KinetagError(f"cannot write into {folder}: {(error.strerror or str(error)).lower()}") from None


def _queue(store: Store, job: Job) -> bool:
    """Queue a job that ended badly and start a runner; False when somebody else was faster."""
    values = {"state": QUEUED, "reason": "", "launched": time.time(), "runner": None, "worker": None, "cancelling": 0}
    values |= {"ended": None, "exit_code": None, "ready": 0.0}
    if not store.change(job, ENDED_BADLY, **values):
        return False
    launch(store, store.get(job.id))
    return True
