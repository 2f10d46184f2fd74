"""Processes that outlive the one that started them: who they are, whether they still run, and how they are ended.

A process is known by its number, the time at which it started and the boot of its machine, so that a number that the
system gave to another process since is not taken for it.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kinetag.errors import KinetagError
from kinetag.locks import take

_PATIENCE = 60.0  # s to wait for the processes of an earlier attempt to be gone


@dataclass(frozen=True)
class Identity:
    """One process of one machine. ``started`` and ``boot`` are compared, never computed with."""

    host: str
    boot: str
    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> "Identity | None":
        """The identity of a process of this machine; None when it does not run."""
        started = _started(pid)
        return None if started is None else cls(socket.gethostname(), _boot(), pid, started)

    @classmethod
    def own(cls) -> "Identity":
        """The identity of this process."""
        identity = cls.of(os.getpid())
        assert identity is not None
        return identity

    @classmethod
    def from_text(cls, text: str | None) -> "Identity | None":
        """What `to_text` wrote; None for nothing."""
        if not text:
            return None
        host, boot, pid, started = text.split("\t")
        return cls(host, boot, int(pid), started)

    def to_text(self) -> str:
        return f"{self.host}\t{self.boot}\t{self.pid}\t{self.started}"

    def runs(self) -> bool | None:
        """Whether the process still runs; None where that cannot be known, on another machine.

        No two machines share a boot, so the name of this one may have changed since.
        """
        if self.boot == _boot():
            return _started(self.pid) == self.started
        return False if self.host == socket.gethostname() else None

    def end_group(self, number: int) -> bool:
        """Send a signal to the group that the process leads; False when it is not there, or not ours to end."""
        if not self.runs():
            return False
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True


def _started(pid: int) -> str | None:
    """When a process started, in the system's own units; None when it does not run (a zombie does not)."""
    if sys.platform == "linux":
        try:
            text = Path(f"/proc/{pid}/stat").read_text("ascii", "replace")
        except OSError:
            return None
        fields = text.rpartition(")")[2].split()  # behind the name, which may hold anything
        return None if fields[0] in "ZX" else fields[19]  # clock ticks since the boot, proc(5)
    return started_by_ps(pid)


def started_by_ps(pid: int) -> str | None:
    """The same from ps(1), for systems without /proc: to the second, which is fine enough for a recycled number."""
    found = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, started = found.stdout.strip().partition(" ")
    return None if not started or state.startswith("Z") else started.strip()


def _boot() -> str:
    """What tells this boot of the machine from any other."""
    if sys.platform == "linux":
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    command = ["sysctl", "-n", "kern.bootsessionuuid"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


# --- starting and ending ---------------------------------------------------------------------------------------------


def start_detached(module: str, words: Sequence[str], *, cwd: str | Path, log: Path, env: Mapping[str, str]) -> None:
    """Run a module of kinetag's in a session of its own, which goes on when this process and its terminal are gone."""
    with open(log, "ab") as output:
        process = subprocess.Popen(
            python_command(module, *words),
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    threading.Thread(target=process.wait, daemon=True).start()  # a client that lives on must not keep a zombie


def python_command(module: str, *words: str) -> list[str]:
    """A module of kinetag's as a command. -P: a file in the user's folder must not stand in for a library."""
    return [sys.executable, "-P", "-m", module, *words]


def end_group(process: "subprocess.Popen[bytes]", *, grace: float) -> None:
    """End a process that leads a group, with the group: as Ctrl-C does, and after ``grace`` seconds without asking.

    The process is asked alone, because it ends its own helpers in order. The group is sure to be its own as long as the
    process has not been waited for.
    """
    if grace:
        process.send_signal(signal.SIGINT)
    until = time.monotonic() + grace
    while unfinished(process) and time.monotonic() < until:
        time.sleep(0.05)
    _signal_group(process, signal.SIGKILL)  # what the leader left behind ends too
    process.wait()


def unfinished(process: "subprocess.Popen[bytes]") -> bool:
    """Whether a child still runs, without taking note of its end: then its group's number would be free for others."""
    if process.returncode is not None or not hasattr(os, "waitid"):  # macOS has it from Python 3.13
        return process.poll() is None
    found = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    return found is None


def _signal_group(process: "subprocess.Popen[bytes]", number: int) -> None:
    if process.returncode is None:
        try:
            os.killpg(process.pid, number)
        except (ProcessLookupError, PermissionError):  # on macOS a group of zombies may not be signalled
            return


# --- one at a time ---------------------------------------------------------------------------------------------------


@contextmanager
def held(path: Path, *, patience: float = _PATIENCE) -> Iterator[int]:
    """Hold the lock of a file; yields its descriptor. Every process that inherits it holds the lock too.

    The system frees the lock when the last of them is gone, however it went.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        until = time.monotonic() + patience
        while not take(descriptor, "jobs"):
            if time.monotonic() > until:
                raise KinetagError(f"processes of an earlier attempt still hold {path}: end them")
            time.sleep(0.1)
        yield descriptor
    finally:
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """Whether any process holds the lock of a file."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        return not take(descriptor, "jobs", shared=True)
    finally:
        os.close(descriptor)
