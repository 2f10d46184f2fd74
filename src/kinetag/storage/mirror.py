"""A folder of this machine that is kept the same as one in a store, while files in it come and go.

Every few seconds what is new or changed is sent, oldest first, so that what others rest on is there before them; and
records last (every status.json, and the databases of searches), as they were before the others were looked at: what
they tell of is in the store when they tell so.

A journal says what was sent. A folder that could not be sent to the end stays, and the next run takes it from there. If
another machine has written to the store meanwhile, its state counts, and this folder is put aside.

A file is deleted in the store only when it was here in this run and was deleted during it: what is missing when a run
begins was taken by a kill or by whoever cleans up, and comes again from the store. The journal names a file before it
comes, is sent or is deleted, and it goes after the folder: a kill between two steps loses nothing.
"""

import json
import logging
import os
import secrets
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from kinetag.errors import KinetagError
from kinetag.progress import Progress, silent
from kinetag.status import STATUS_FILE
from kinetag.storage import store
from kinetag.storage.cache import clear_errors
from kinetag.storage.store import ChangedError, StoredFile
from kinetag.urls import join, parent, shown_url
from kinetag.whole_file import whole_file

EVERY = 5.0  # s between two looks at the folder
_LONGEST_PAUSE = 120.0  # s between tries while the store cannot be reached

_DATABASE = ".db"
_BESIDE_DATABASES = tuple(f"{_DATABASE}-{part}" for part in ("journal", "wal", "shm"))  # half of a change
_OF_PROCESSES = (".lock", ".working")  # by which those of a search know each other; they mean nothing elsewhere

log = logging.getLogger("kinetag.storage")

Wanted = Callable[[str], bool]  # a file's name below the folder -> whether a run needs it here


@dataclass
class Sent:
    """What the journal knows of a file: its size and time here when it was sent, and its ETag there."""

    size: int = -1
    time: int = -1  # ns
    etag: str = ""
    sending: bool = False  # begun, and not known to have ended


@dataclass
class Mirror:
    """``folder`` here and ``url`` there.

    ``only``: the one file in it that is looked after. ``recorded``: it is an action's, with a status.json. ``sends``:
    whether this process is the one whose results count; others of the same run only need the state.
    """

    url: str
    folder: Path
    journal: Path
    only: str = ""
    recorded: bool = False
    sends: bool = True
    _sent: dict[str, Sent] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    # --- the beginning and the end -----------------------------------------------------------------------------------

    def begin(self, wanted: Wanted, *, progress: Progress = silent) -> None:
        """Bring the folder to the state in the store, as far as it is ``wanted``, and see that one may write there."""
        store.need_writable(self.url, "writing to")
        there = self._there()
        self._sent = self._read_journal()
        if self._is_foreign(there):
            self._put_aside()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._sent = {name: sent for name, sent in self._sent.items() if (self.folder / name).exists()}
        for name, file in there.items():
            if wanted(name) and name not in self._sent and not (self.folder / name).exists():
                self._fetch(name, file, progress)
        self._write_journal()
        if self.sends:
            self._try_writing()
            self.send()

    def _try_writing(self) -> None:
        """Let a missing right show before the long work, not after it."""
        if self.recorded:
            (self.folder / STATUS_FILE).touch()  # sent now
        elif not self.only:
            probe = self.journal.with_name("probe")
            probe.touch()
            store.put(probe, join(self.url, ".kinetag-probe"))
            store.remove(join(self.url, ".kinetag-probe"))

    def start(self) -> None:
        """Send what changes from now on, on a thread of its own."""
        if not self.sends:
            return
        self._thread = threading.Thread(target=self._run, name=f"send to {shown_url(self.url)}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; what it is sending goes to its end."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def finish(self, *, progress: Progress = silent) -> None:
        """Send what is left. Then the folder is not needed any more and goes; it stays when sending fails."""
        self.stop()
        try:
            if self.sends:
                self.send(progress=progress)
        except KinetagError as error:
            raise KinetagError(
                f"{error}; nothing is lost: the results are in {self.folder}, and the same command sends them when the "
                "store can be reached"
            ) from None
        shutil.rmtree(self.folder, ignore_errors=True)
        if not self.folder.exists():
            self.journal.unlink(missing_ok=True)
        with suppress(OSError):
            self.folder.parent.rmdir()

    def _run(self) -> None:
        pause, told = EVERY, set()  # what was told since the last success: a lost connection has several faces
        while not self._stop.wait(pause):
            try:
                self.send()
                pause, told = EVERY, set()
            except KinetagError as error:  # the work goes on: it is sent later, or the end tells
                pause = min(_LONGEST_PAUSE, 2 * pause)
                if str(error) not in told:
                    told.add(str(error))
                    log.warning("%s; the work goes on, and this is tried again", error)
            except OSError as error:
                log.warning("%s cannot be read to be sent (%s)", self.folder, error.strerror)

    # --- sending -----------------------------------------------------------------------------------------------------

    def send(self, *, progress: Progress = silent) -> None:
        """Make the store what the folder is now."""
        copies = self.journal.with_suffix(".records")
        shutil.rmtree(copies, ignore_errors=True)
        try:
            records = [(name, state, _copy(self.folder / name, copies / name)) for name, state in self._changed(True)]
            for name, state in self._changed(False):
                self._send(name, self.folder / name, state, progress)
            for name in self._deleted():
                self._remove(name)
            for name, state, copy in records:
                self._send(name, copy, state, progress)
        finally:
            shutil.rmtree(copies, ignore_errors=True)

    def _changed(self, records: bool) -> list[tuple[str, os.stat_result]]:
        """New and changed files in the order in which they were made: the records, status.json last, or all others."""
        found = []
        for name in self._names():
            with suppress(FileNotFoundError):
                state = (self.folder / name).stat()
                sent = self._sent.get(name, Sent())
                same = (state.st_size, state.st_mtime_ns) == (sent.size, sent.time) and not sent.sending
                if not same and records == (self.recorded and _is_record(name)):
                    found.append((name, state))
        return sorted(found, key=lambda item: (item[0] == STATUS_FILE, item[1].st_mtime_ns, item[0]))

    def _deleted(self) -> list[str]:
        """What was here and is not any more; when even the folder is gone, it was not the action that did that."""
        if not self.folder.is_dir():
            return []
        return [name for name in self._sent if not (self.folder / name).exists()]

    def _remove(self, name: str) -> None:
        self._note_begun(name)
        store.remove(join(self.url, name))
        del self._sent[name]
        self._write_journal()

    def _note_begun(self, name: str) -> None:
        """From now on the file in the store may be the old or the new one: neither is another machine's."""
        before = self._sent.get(name, Sent())
        self._sent[name] = Sent(before.size, before.time, before.etag, sending=True)
        self._write_journal()

    def _send(self, name: str, source: Path, state: os.stat_result, progress: Progress) -> None:
        self._note_begun(name)
        twin = self._twin(name, state)
        try:
            if twin:
                made = store.copy(join(self.url, twin), join(self.url, name))
            else:
                made = store.put(source, join(self.url, name), progress=progress)
        except KinetagError:
            if not source.exists():  # gone meanwhile: the next look sees to it
                return
            raise
        self._sent[name] = Sent(state.st_size, state.st_mtime_ns, made.etag)
        self._write_journal()

    def _twin(self, name: str, state: os.stat_result) -> str:
        """The name of a file that is the same here and was sent: a checkpoint of an epoch is the latest as well."""
        for other, sent in self._sent.items():
            if other != name and not sent.sending and (sent.size, sent.time) == (state.st_size, state.st_mtime_ns):
                with suppress(OSError):
                    if state.st_nlink > 1 and (self.folder / other).stat().st_ino == state.st_ino:
                        return other
        return ""

    def _names(self) -> Iterator[str]:
        if self.only:
            yield self.only
            return
        for folder, folders, files in os.walk(self.folder):
            folders[:] = [name for name in folders if not name.endswith(".tmp") and name not in _OF_PROCESSES]
            for name in files:
                draft = name.startswith(".") and name.endswith(".draft")
                if not draft and name not in _OF_PROCESSES and not name.endswith(_BESIDE_DATABASES):
                    yield Path(folder, name).relative_to(self.folder).as_posix()

    # --- what is there, and what was ---------------------------------------------------------------------------------

    def _there(self) -> dict[str, StoredFile]:
        if self.only:
            file = store.look(join(self.url, self.only))
            return {} if file is None else {self.only: file}
        length = len(self.url.rstrip("/")) + 1
        return {file.path[length:]: file for file in store.list_folder(self.url)}

    def _is_foreign(self, there: dict[str, StoredFile]) -> bool:
        """Whether somebody else has written to the store since this folder was last sent."""
        for name, sent in self._sent.items():
            if not sent.sending and (name not in there or there[name].etag != sent.etag):
                return True
        return self.folder.exists() and not self._sent and bool(there)

    def _put_aside(self) -> None:
        if any(self._names()):
            aside = self.folder.with_name(f"{self.folder.name}.{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}")
            os.replace(self.folder, aside)
            log.warning(
                "%s was changed from elsewhere and counts; what a stopped run had left here is put aside in %s",
                shown_url(self.url),
                aside,
            )
        shutil.rmtree(self.folder, ignore_errors=True)
        self._sent = {}
        self.journal.unlink(missing_ok=True)

    def _fetch(self, name: str, file: StoredFile, progress: Progress) -> None:
        target = self.folder / name
        try:
            with clear_errors(self.folder, file):
                target.parent.mkdir(parents=True, exist_ok=True)
                with whole_file(target) as draft:
                    store.get(file, draft, progress=progress)
                    state = draft.stat()
                    self._sent[name] = Sent(state.st_size, state.st_mtime_ns, file.etag)
                    self._write_journal()
        except ChangedError:
            raise KinetagError(f"{shown_url(file.path)} is being written by another run: wait for it to end") from None

    def _read_journal(self) -> dict[str, Sent]:
        try:
            return {str(name): Sent(**values) for name, values in json.loads(self.journal.read_text("utf-8")).items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def _write_journal(self) -> None:
        self.journal.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(self.journal) as draft:
            draft.write_text(json.dumps({name: vars(sent) for name, sent in self._sent.items()}), "utf-8")


def _is_record(name: str) -> bool:
    """Whether a file tells of others: a status.json, of a search's trials too, or a database."""
    return name.rpartition("/")[2] == STATUS_FILE or name.endswith(_DATABASE)


def _copy(source: Path, target: Path) -> Path:
    """A copy of a record as it is now; of a database what was committed, whoever writes to it meanwhile."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not source.name.endswith(_DATABASE):
        shutil.copyfile(source, target)
        return target
    target.touch()
    try:
        with closing(sqlite3.connect(source, timeout=60)) as database, closing(sqlite3.connect(target)) as copy:
            database.backup(copy)
    except sqlite3.Error as error:
        raise KinetagError(f"{source} cannot be read to be sent ({error})") from None
    return target


def of_file(url: str, folder: Path, journal: Path) -> Mirror:
    """The mirror of one file, which is to be written as ``folder / its name``."""
    from kinetag.urls import name_of

    return Mirror(parent(url), folder, journal, only=name_of(url))
