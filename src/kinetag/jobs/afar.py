"""The status.json of jobs whose results are in a store, without waiting for the store.

A run on this machine keeps its results here until they are sent, so that is where it is read first. Else the store is
asked once, on a thread of its own: one that cannot be reached holds nobody up for longer than `PATIENCE`.
"""

import threading
import time
from collections.abc import Sequence
from contextlib import suppress

from kinetag.errors import KinetagError
from kinetag.jobs.store import Job
from kinetag.status import STATUS_FILE
from kinetag.urls import join

PATIENCE = 2.0  # s that all stores together get to answer
_AGAIN = 30.0  # s until the store is asked anew for what it has answered, or not
_AT_ONCE = 16


def status_files(jobs: Sequence[Job]) -> dict[str, bytes | str]:
    """By the ids of the jobs what their status.json holds, or, as text, why that is not known."""
    found: dict[str, bytes | str] = {}
    looks: dict[str, _Look] = {}
    for job in jobs:
        here = _mirror(job.results)
        if here is not None:
            found[job.id] = here
        else:
            _load(job.results)
            looks[job.id] = _look(job)
    until = time.monotonic() + PATIENCE
    for job_id, look in looks.items():
        look.over.wait(max(0.0, until - time.monotonic()))
        found[job_id] = look.answer
    return found


def _mirror(folder: str) -> bytes | None:
    from kinetag.storage.staging import mirror_folder

    try:
        return (mirror_folder(folder.rstrip("/")) / STATUS_FILE).read_bytes()
    except (OSError, KinetagError):
        return None


def _load(url: str) -> None:
    """The store's package, which may take longer than the store: that is not the store's fault."""
    from kinetag.storage.store import kind_of

    with suppress(ImportError, KinetagError):  # the look says so
        import fsspec

        fsspec.get_filesystem_class(kind_of(url).protocol)


class _Look:
    """One question to a store. Its thread is a daemon: it may still wait for an answer when the program ends."""

    def __init__(self, url: str) -> None:
        self.url, self.began, self.over = url, time.monotonic(), threading.Event()
        self.answer: bytes | str = f"no answer within {PATIENCE:g} s"
        threading.Thread(target=self._ask, name=f"look at {STATUS_FILE}", daemon=True).start()

    def _ask(self) -> None:
        from kinetag.storage.store import reason_of

        try:
            with _places:
                self.answer = _read(self.url)
        except FileNotFoundError:
            self.answer = b""  # nothing was told yet
        except Exception as error:  # each SDK raises its own kinds
            self.answer = reason_of(error)
        self.over.set()


_places = threading.BoundedSemaphore(_AT_ONCE)
_opening = threading.Lock()  # several at once would each make a client of their own, which takes long
_looks: dict[tuple[str, int, bool], _Look] = {}


def _look(job: Job) -> _Look:
    """The look that is under way or was had lately, else a new one."""
    key = (job.id, job.attempts, job.is_over)
    look = _looks.get(key)
    if look is None or (look.over.is_set() and time.monotonic() - look.began > _AGAIN):
        look = _looks[key] = _Look(join(job.results, STATUS_FILE))
    return look


def _read(url: str) -> bytes:
    from kinetag.storage import store

    with _opening:
        system = store.filesystem(url)
        if store.kind_of(url).protocol == "s3":
            system.connect()
    return system.cat_file(url)
