"""One training on several processes of this machine.

The parent starts `python -m kinetag.learning.processes` once a device, hands each its work through standard input,
listens to what they tell (one JSON object a line), and ends all when one fails. A process whose parent is gone ends
itself. torchrun and SLURM start the processes themselves; then none of this is used.
"""

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any, NoReturn

from kinetag.cores import core_count
from kinetag.errors import KinetagError, OtherRunError

_GRACE = 10.0  # s that the others get to end by themselves
Event = dict[str, Any]


def launched_outside() -> bool:
    """Whether torchrun, SLURM or a parent of ours started this process as one of several."""
    return "LOCAL_RANK" in os.environ or int(os.environ.get("SLURM_NTASKS", "1")) > 1


def run_processes(count: int, work: dict[str, Any], on_event: Callable[[Event], None]) -> Event:
    """Do ``work`` on ``count`` processes; returns the first one's result.

    ``on_event`` hears what the first process tells. Raises the KinetagError of the process that failed first.
    """
    node = int(os.environ.get("NODE_RANK", "0"))
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())} | _threads(count)
    heard: queue.Queue[tuple[int, Event | None]] = queue.Queue()
    children: list[subprocess.Popen[str]] = []
    try:
        for rank in range(count):
            child = _start({**shared, **os.environ, "LOCAL_RANK": str(rank), "NODE_RANK": str(node)}, work)
            children.append(child)
            threading.Thread(target=_listen, args=(rank, child, heard), daemon=True).start()
        return _follow(children, heard, on_event)
    finally:
        for child in children:
            _end(child)


def _start(environment: dict[str, str], work: dict[str, Any]) -> "subprocess.Popen[str]":
    """A process of its own session, so that Ctrl-C reaches the parent alone, which then ends it."""
    command = [sys.executable, "-m", "kinetag.learning.processes"]
    child = subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert child.stdin is not None
    child.stdin.write(json.dumps(work) + "\n")
    child.stdin.flush()
    return child


def _listen(rank: int, child: "subprocess.Popen[str]", heard: "queue.Queue[tuple[int, Event | None]]") -> None:
    assert child.stdout is not None
    for line in child.stdout:
        heard.put((rank, json.loads(line)))
    child.wait()
    heard.put((rank, None))


def _follow(
    children: "list[subprocess.Popen[str]]",
    heard: "queue.Queue[tuple[int, Event | None]]",
    on_event: Callable[[Event], None],
) -> Event:
    """Listen until all have ended well, or one has not."""
    result: Event | None = None
    running = len(children)
    while running:
        rank, event = heard.get()
        if event is None:
            running -= 1
            if children[rank].returncode:
                code = children[rank].returncode
                raise KinetagError(f"process {rank} of the training ended with code {code}; its messages are above")
        elif event["event"] == "error":
            raise (OtherRunError if event["other_run"] else KinetagError)(event["message"])
        elif event["event"] == "result":
            result = event if rank == 0 else result
        elif rank == 0:
            on_event(event)
    if result is None:
        raise KinetagError("the training's processes ended without a result")
    return result


def _end(child: "subprocess.Popen[str]") -> None:
    """Close the pipe, at which the process ends itself; kill it if it does not."""
    if child.stdin is not None:
        child.stdin.close()
    try:
        child.wait(_GRACE)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _threads(count: int) -> dict[str, str]:
    """Share the processor; two processes that use all of it each are slower than one."""
    return {"OMP_NUM_THREADS": str(max(1, core_count() // count))}


# --- in a process ----------------------------------------------------------------------------------------------------


def _main() -> NoReturn:
    """One process of a training: read the work, do it, tell how it goes."""
    tell = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print must not come between the events
    pipe = os.dup(0)  # a thread that waits on sys.stdin itself would hold its lock, and every fork would hang
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    with os.fdopen(pipe, closefd=False) as source:
        work = json.loads(source.readline())
    threading.Thread(target=_end_with_parent, args=(pipe,), daemon=True).start()

    def emit(event: Event) -> None:
        tell.write(json.dumps(event) + "\n")

    try:
        from kinetag.actions.train import train_process

        emit({"event": "result", **train_process(work, emit)})
    except KinetagError as error:
        emit({"event": "error", "message": str(error), "other_run": isinstance(error, OtherRunError)})
    sys.stderr.flush()
    os._exit(0)  # all is told and written; taking torch apart would cost seconds


def _end_with_parent(pipe: int) -> None:
    os.read(pipe, 1)  # returns when the parent closes the pipe or dies
    if os.getpgrp() == os.getpid():  # with those that load its data
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


if __name__ == "__main__":
    _main()
