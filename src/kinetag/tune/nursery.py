"""A process that has torch loaded, and forks one process for each trial.

`python -m kinetag.tune.nursery` reads jobs from standard input and tells on standard output what happens, one JSON
object a line, each written in one stroke. A trial that is killed takes nothing with it; when the search ends or dies,
the pipe closes and all its trials end; so they do when the nursery dies. Each trial leads a process group, so that
those that load its data end with it.
"""

import json
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from kinetag.errors import KinetagError

Event = dict[str, Any]
_LONGEST = 600  # characters of a message: a line must fit into what a pipe takes at once
_LOOK = 0.2  # s between two looks after the children, and after the parent


class Nursery:
    """The search's side: `start` a job, `hear` what happens, `close`."""

    def __init__(self, threads: int) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
        source = str(Path(__file__).parents[2])
        paths = [source, *filter(None, [environment.get("PYTHONPATH")])]
        environment["PYTHONPATH"] = os.pathsep.join(paths)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "kinetag.tune.nursery", str(threads)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C reaches the search alone, which then ends this
        )
        self._heard: queue.Queue[Event | None] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def start(self, name: str, work: Event) -> None:
        """Do ``work`` in a process of its own; what happens is told under ``name``."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # `hear` tells
            self._process.stdin.write(json.dumps({"name": name, "work": work}) + "\n")
            self._process.stdin.flush()

    def hear(self, timeout: float) -> Event | None:
        """The next thing that happened, or None when nothing did for ``timeout`` seconds."""
        try:
            event = self._heard.get(timeout=timeout)
        except queue.Empty:
            return None
        if event is None:
            raise KinetagError(f"the process that trains has ended with code {self._process.wait()}; start again")
        return event

    def close(self) -> None:
        """End all trials that still run."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._heard.put(json.loads(line))
        self._heard.put(None)


# --- in the nursery --------------------------------------------------------------------------------------------------


def _main() -> NoReturn:
    tell = os.dup(1)
    os.dup2(2, 1)  # what libraries print must not come between the events
    jobs = os.dup(0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    children: dict[int, str] = {}
    _load()
    rest = b""
    while True:
        if select.select([jobs], [], [], _LOOK)[0]:
            data = os.read(jobs, 65536)
            if not data:
                _end(children)
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                job = json.loads(line)
                children[_fork(job, tell, jobs)] = job["name"]
        for child in list(children):
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                _kill_group(child)  # what a trial that was killed left behind
                code = os.waitstatus_to_exitcode(status)
                _tell(tell, {"name": children.pop(child), "event": "ended", "code": code})


def _load() -> None:
    """Load what every trial needs, once. What is missing is told by the trial that needs it."""
    try:
        import torch

        import kinetag.learning.fitting  # noqa: F401

        torch.set_num_threads(int(sys.argv[1]))
    except ImportError:
        pass


def _end(children: dict[int, str]) -> NoReturn:
    for child in children:
        _kill_group(child)
    os._exit(0)


def _kill_group(leader: int) -> None:
    with suppress(ProcessLookupError, PermissionError):  # on macOS a group of zombies may not be signalled
        os.killpg(leader, signal.SIGKILL)


def _fork(job: Event, tell: int, jobs: int) -> int:
    parent = os.getpid()
    child = os.fork()
    with suppress(OSError):  # in both, so that it is done before either goes on
        os.setpgid(child, child)
    if child:
        return child
    os.close(jobs)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    name = job["name"]
    try:
        _do(job["work"], lambda event: _tell(tell, {"name": name, **event}))
    except KinetagError as error:
        _tell(tell, {"name": name, "event": "error", "kind": type(error).__name__, "message": str(error)})
    except BaseException as error:
        import traceback

        traceback.print_exc()
        message = f"{type(error).__name__}: {error}"
        _tell(tell, {"name": name, "event": "error", "kind": type(error).__name__, "message": message})
    os._exit(0)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK)
    os.killpg(0, signal.SIGKILL)


def _do(work: Event, emit: Any) -> None:
    from kinetag.tune.jobs import do

    emit({"event": "result", **do(work, emit)})


def _tell(pipe: int, event: Event) -> None:
    """One line in one write, which the system does not mix with those of other processes."""
    if "message" in event:
        event["message"] = " ".join(str(event["message"]).split())[:_LONGEST]
    os.write(pipe, json.dumps(event).encode() + b"\n")


if __name__ == "__main__":
    _main()
