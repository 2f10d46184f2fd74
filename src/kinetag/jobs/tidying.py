"""What a kill, a crash or a reboot left behind: found and put right by whoever looks next."""

import os
import signal
import time

from kinetag.errors import KinetagError
from kinetag.jobs.process import Identity, is_held, start_detached
from kinetag.jobs.store import CANCELLED, FAILED, HOME_VARIABLE, INTERRUPTED, QUEUED, RUNNING, Job, Store

# As in kinetag.spec, which would load pydantic; a test compares.
KEY_VARIABLE, PASSWORD_VARIABLE = "KINETAG_ENCRYPTION_KEY", "PGPASSWORD"
_LAUNCH_TIME = 10.0  # s that a new runner gets to report before another is started; only one of them will run the job
_LONGEST_LAUNCH = 120.0  # s until a job is given up whose key nobody here has: another may be starting it


def tidy(store: Store) -> None:
    """Look at every job that is not over."""
    for job in store.jobs(QUEUED, RUNNING):
        tidy_one(store, job)


def tidy_one(store: Store, job: Job) -> None:
    """Mark a running job whose process is gone; give a queued one a runner if it has none.

    Jobs of another machine are left alone, and so is a job that any process still works on.
    """
    gone = job.runner is not None and job.runner.runs() is False
    if job.state == RUNNING and gone:
        if job.worker is not None:
            job.worker.end_group(signal.SIGKILL)  # it ends itself when its runner is gone, unless it hangs
        if is_held(job.lock):
            return
        state = CANCELLED if job.cancelling else INTERRUPTED
        store.lose(job, state=state, reason=_loss(job), ended=time.time(), runner=None, worker=None, cancelling=0)
        return
    without = job.state == QUEUED and (gone or job.runner is None)
    patience = _LAUNCH_TIME if gone or not job.needs_key or os.environ.get(KEY_VARIABLE) else _LONGEST_LAUNCH
    if without and store.take_launch(job, before=time.time() - patience):
        launch(store, job)


def _loss(job: Job) -> str:
    if job.cancelling:
        return "by the user"
    mine = Identity.own()
    rebooted = job.runner is not None and job.runner.boot != mine.boot
    how = "the machine was restarted" if rebooted else "its process is gone, as after a kill"
    return f"{how}; {goes_on(job)}"


def goes_on(job: Job) -> str:
    return f"'kinetag jobs retry {job.id}' goes on"


def launch(store: Store, job: Job, secret: str | None = None, password: str | None = None) -> None:
    """Start a runner for a queued job. The key and a database's password go to it by its environment, nowhere else."""
    key = secret or os.environ.get(KEY_VARIABLE)
    if job.needs_key and not key:
        store.lose(job, state=INTERRUPTED, reason=missing_key(job), ended=time.time(), runner=None)
        return
    environment = {**os.environ, HOME_VARIABLE: str(store.home)}
    environment.pop(KEY_VARIABLE, None)
    if job.needs_key and key:
        environment[KEY_VARIABLE] = key
    if password:
        environment[PASSWORD_VARIABLE] = password
    try:
        start_detached("kinetag.jobs.runner", [job.id], cwd=job.cwd, log=job.log, env=environment)
    except OSError as error:
        reason = f"it cannot be started in the folder {job.cwd}: {(error.strerror or str(error)).lower()}"
        store.lose(job, state=FAILED, reason=reason, ended=time.time(), runner=None)
        raise KinetagError(f"job {job.id}: {reason}") from None


def missing_key(job: Job) -> str:
    return f"it needs the encryption key: set {KEY_VARIABLE} to it, then 'kinetag jobs retry {job.id}'"
