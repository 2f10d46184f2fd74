"""Copies of stored files on this machine: fetched once, checked by ETag at every use, and bounded in size.

    objects/<address>/<version>   a file's content; the oldest use goes first when they outgrow the bound
    leases/<id>/...               what somebody uses now, by its own names: hard links to objects
    locks/                        for files being fetched, for leases, and for the books

Who uses a file holds a hard link to it, so nothing can be deleted under him, and the number of links says whether an
object is in use. A lease whose lock is free has lost its owner, however that one ended, and is cleared away.
"""

import errno
import hashlib
import logging
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kinetag.errors import KinetagError, missing_extra
from kinetag.progress import Progress, silent
from kinetag.storage.store import ChangedError, StoredFile, get, look
from kinetag.urls import shown_url

PLACE, SIZE = "KINETAG_CACHE", "KINETAG_CACHE_SIZE"
DEFAULT_SIZE = 20 << 30  # bytes
_TRIES = 3  # a file that changes while it is fetched, so many times in a row, is given up
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}

log = logging.getLogger("kinetag.storage")


def cache_folder() -> Path:
    """Where copies and unsent results are kept: KINETAG_CACHE, else the user's cache folder."""
    if place := os.environ.get(PLACE):
        return Path(place).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(base) if base else Path.home() / ".cache") / "kinetag" / "stores"


def cache_size() -> int:
    """Bytes that may be kept beyond what is in use: KINETAG_CACHE_SIZE, such as 500M or 20G."""
    text = os.environ.get(SIZE, "").strip()
    if not text:
        return DEFAULT_SIZE
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)i?B?", text, re.IGNORECASE)
    if found is None:
        raise KinetagError(f"{SIZE} is '{text[:40]}', but must be a size such as 500M or 20G")
    return int(float(found[1]) * _UNITS[found[2].upper()])


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold a lock between processes; yields False at once when it is taken and ``wait`` is off. A kill sets it free."""
    try:
        from filelock import FileLock, Timeout
    except ImportError:
        raise missing_extra("filelock", "cloud", "the cache of object stores") from None
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=-1 if wait else 0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


class Cache:
    """The cache in ``folder`` (default: `cache_folder`), of ``size`` bytes (default: `cache_size`)."""

    def __init__(self, folder: Path | None = None, size: int | None = None) -> None:
        self.folder = cache_folder() if folder is None else folder
        self.size = cache_size() if size is None else size

    @contextmanager
    def lease(self) -> Iterator["Lease"]:
        """A folder for files in use; it is gone, and the cache within its bound, when the block ends."""
        name = f"{os.getpid()}-{secrets.token_hex(4)}"
        folder, lock = self.folder / "leases" / name, self._lock(f"lease-{name}")
        with clear_errors(self.folder), self._books():
            self._sweep()
            holding = locked(lock)
            holding.__enter__()
            folder.mkdir(parents=True)
        try:
            yield Lease(self, folder)
        finally:
            with self._books():
                shutil.rmtree(folder, ignore_errors=True)
                holding.__exit__(None, None, None)
                lock.unlink(missing_ok=True)
                self._shrink()

    def copy_to(self, file: StoredFile, target: Path, *, progress: Progress = silent) -> StoredFile:
        """Make ``target`` a copy of a stored file as it is now, fetched only if the cache has not got that version.

        Returns what was copied: another version than ``file`` when it has changed since. Raises KinetagError.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(_TRIES):
            if not file.etag:  # nothing tells whether a copy is still true
                if self._fetch(file, target, progress):
                    return file
            elif self._linked(file, target):
                return file
            else:
                # Another process may be at it: then it is there now. Few lock files serve all addresses.
                with locked(self._lock(f"fetch-{_key(file.path)[:2]}")):
                    if self._linked(file, target):
                        return file
                    if self._fetch(file, target, progress):
                        self._keep(file, target)
                        return file
            found = look(file.path)
            if found is None:
                raise KinetagError(f"no such file or folder: {shown_url(file.path)}")
            file = found
        raise KinetagError(f"{shown_url(file.path)} changes all the time; run it again when it is complete")

    def _fetch(self, file: StoredFile, target: Path, progress: Progress) -> bool:
        """Fetch into ``target``, whole or not at all; False when the file changed meanwhile."""
        draft = target.with_name(f".{secrets.token_hex(4)}.draft")
        try:
            with clear_errors(self.folder, file):
                self._make_room(file)
                get(file, draft, progress=progress)
                os.replace(draft, target)
            return True
        except ChangedError:
            return False
        finally:
            draft.unlink(missing_ok=True)

    def _linked(self, file: StoredFile, target: Path) -> bool:
        """Whether this version was there and is now at ``target``."""
        entry = self._entry(file)
        with self._books():
            if not entry.is_file() or (file.size is not None and entry.stat().st_size != file.size):
                return False
            os.utime(entry, ns=(time.time_ns(), entry.stat().st_mtime_ns))  # its last use; reading need not note it
            target.unlink(missing_ok=True)
            _link(entry, target)
        return True

    def _keep(self, file: StoredFile, source: Path) -> None:
        """Add what was just fetched, and let go of what is older."""
        entry = self._entry(file)
        with self._books():
            for other in entry.parent.glob("*"):  # earlier versions; whoever uses one has his own link
                other.unlink(missing_ok=True)
            if source.stat().st_size > self.size:
                return
            entry.parent.mkdir(parents=True, exist_ok=True)
            with suppress(OSError):  # a full disk: it is fetched again the next time
                _link(source, entry)
            self._shrink()

    # --- the books ---------------------------------------------------------------------------------------------------

    def _books(self):
        """The short lock for everything that lists or deletes."""
        return locked(self._lock("books"))

    def _lock(self, name: str) -> Path:
        return self.folder / "locks" / f"{name}.lock"

    def _entry(self, file: StoredFile) -> Path:
        return self.folder / "objects" / _key(file.path) / _key(file.etag)

    def _shrink(self, most: int | None = None) -> int:
        """Delete unused objects, the longest unused first, until at most ``most`` bytes are kept; returns those."""
        most = self.size if most is None else most
        objects = []
        for path in self.folder.glob("objects/*/*"):
            with suppress(OSError):
                objects.append((path.stat(), path))
        kept = sum(state.st_size for state, _ in objects)
        for state, path in sorted(objects, key=lambda item: item[0].st_atime):
            if kept <= most:
                break
            if state.st_nlink == 1:
                path.unlink(missing_ok=True)
                kept -= state.st_size
                with suppress(OSError):
                    path.parent.rmdir()
        return kept

    def _sweep(self) -> None:
        """Clear away the leases of processes that are gone."""
        for folder in self.folder.glob("leases/*"):
            lock = self._lock(f"lease-{folder.name}")
            with locked(lock, wait=False) as free:
                if free:
                    shutil.rmtree(folder, ignore_errors=True)
            if free:
                lock.unlink(missing_ok=True)

    def _make_room(self, file: StoredFile) -> None:
        """See that the disk has room for a file, at the cost of older ones."""
        size = file.size or 0
        self.folder.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(self.folder).free > size:
            return
        with self._books():
            self._sweep()
            kept = self._shrink(self.size)
            self._shrink(max(0, kept - size))
        if shutil.disk_usage(self.folder).free <= size:
            raise OSError(errno.ENOSPC, "no space left")


class Lease:
    """A folder for files in use. ``add`` gives a stored file a place in it."""

    def __init__(self, cache: Cache, folder: Path) -> None:
        self.cache, self.folder = cache, folder
        self._count = 0

    def room(self) -> Path:
        """A new folder within, for files that belong together."""
        self._count += 1
        folder = self.folder / str(self._count)
        folder.mkdir()
        return folder

    def add(self, file: StoredFile, target: Path, *, progress: Progress = silent) -> StoredFile:
        """Make ``target``, a path below ``folder``, a copy of the file."""
        return self.cache.copy_to(file, target, progress=progress)


def _key(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:40]


def _link(source: Path, target: Path) -> None:
    """The same file under another name; a copy where the file system knows no hard links."""
    try:
        os.link(source, target)
    except FileExistsError:
        return
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        draft = target.with_name(f".{secrets.token_hex(4)}.draft")
        try:
            shutil.copyfile(source, draft)
            os.replace(draft, target)
        finally:
            draft.unlink(missing_ok=True)


@contextmanager
def clear_errors(folder: Path, file: StoredFile | None = None) -> Iterator[None]:
    """The system's errors in one line, with what to do."""
    try:
        yield
    except OSError as error:
        what = f" for {shown_url(file.path)}" if file else ""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            size = f" ({file.size / 1e6:.0f} MB)" if file and file.size else ""
            raise KinetagError(
                f"no space left in {folder}{what}{size}: free some, or set {PLACE} to a folder on another disk"
            ) from None
        reason = (error.strerror or str(error)).lower()
        raise KinetagError(
            f"the cache {folder} cannot be used{what} ({reason}); set {PLACE} to another folder"
        ) from None
