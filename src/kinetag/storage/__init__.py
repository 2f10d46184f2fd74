"""Files in object stores (s3, gs, az) and on the web, and paths of this machine, in one way.

    local_copy("s3://bucket/clip.mp4")  a path of this machine, through a cache that is checked at every use
    upload("report.html", "gs://bucket/report.html")
    with staged(spec, "train") as local: ...  # an action's inputs fetched, its results sent while it works

Credentials come from the environment or the usual files of each store, never from a path. Needs the extra 'cloud' for
anything but local paths; importing this needs nothing.
"""

import os
import shutil
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from kinetag.errors import KinetagError
from kinetag.progress import Progress, silent
from kinetag.storage.names import Names
from kinetag.storage.staging import in_users_names, mirrored, staged, stored
from kinetag.urls import hide_secrets, is_remote, is_stored, join, local_path, name_of, scheme_of, shown_url
from kinetag.whole_file import whole_file

if TYPE_CHECKING:
    from kinetag.storage.cache import Lease
    from kinetag.storage.store import StoredFile

__all__ = [
    "Names",
    "delete",
    "exists",
    "fetched",
    "hide_secrets",
    "in_users_names",
    "is_remote",
    "join",
    "list_files",
    "local_copy",
    "local_source",
    "mirrored",
    "read_text",
    "staged",
    "stored",
    "upload",
    "version_of",
    "write_file",
]


Given = TypeVar("Given")
_POSE_SUFFIXES = (".json", ".csv", ".parquet")


def local_copy(path: str | Path, *, progress: Progress = silent) -> Path:
    """A file as a path of this machine: one in a store through the cache, a local one as it is.

    The copy keeps the file's name and stays until the process ends. A folder in a store comes with all that is in it.
    Raises KinetagError when it is not there or cannot be fetched.
    """
    if not is_remote(path):
        return local_path(path)
    from kinetag.storage.sources import fetch

    return fetch(str(path), _lease_of_process(os.getpid(), *_cache_settings()), progress=progress, alone=True)


def fetched(path: Given) -> Given | Path:
    """Of a file in a store or on the web a copy, as `local_copy` makes it; anything else (a path, a name) as it is."""
    return local_copy(path) if isinstance(path, str) and is_remote(path) else path


def local_source(source: str | Path | int, *, progress: Progress = silent) -> str | Path | int:
    """What `kinetag.video` and `kinetag.pose.files` open: of a file or folder in a store, a local copy.

    Videos on the web pass by as streams, as do cameras; only files of poses are fetched from there.
    """
    if isinstance(source, int) or not is_remote(source):
        return source
    poses = scheme_of(source) in ("http", "https") and name_of(str(source)).lower().endswith(_POSE_SUFFIXES)
    return local_copy(source, progress=progress) if poses or is_stored(source) else source


def version_of(source: str | Path | int) -> str:
    """What a file in a store is known by on any machine, until it changes; '' for everything else."""
    from kinetag.storage import store

    if isinstance(source, int) or not is_stored(source) or str(source).endswith("/"):
        return ""
    file = store.look(str(source))
    return f"{source} {file.etag}" if file is not None and file.etag else ""


def list_files(folder: str | Path) -> "list[StoredFile]":
    """All files below a folder, in order of their names; [] when there are none."""
    from kinetag.storage import store

    if is_remote(folder):
        return store.list_folder(str(folder))
    files = [Path(place, name) for place, _, names in os.walk(local_path(folder)) for name in names]
    return [_local_file(path) for path in sorted(files)]


def exists(path: str | Path) -> bool:
    """Whether there is a file, or a folder with something in it."""
    if not is_remote(path):
        return local_path(path).exists()
    from kinetag.storage import store

    url = str(path)
    return (not url.endswith("/") and store.look(url) is not None) or bool(store.list_folder(url))


def read_text(path: str | Path) -> str:
    """The content of a text file (UTF-8)."""
    try:
        return local_copy(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise KinetagError(f"{shown_url(str(path))} cannot be read ({reason})") from None


def upload(local: str | Path, url: str | Path, *, progress: Progress = silent) -> None:
    """Copy a local file to a place in a store (or of this machine): whole there, or not at all."""
    if is_remote(url):
        from kinetag.storage import store

        store.put(Path(local), str(url), progress=progress)
        return
    target = local_path(url)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(target) as draft:
            shutil.copyfile(local, draft)
    except OSError as error:
        raise KinetagError(f"cannot write {target}: {error.strerror}") from None


def write_file(path: str | Path, data: bytes) -> None:
    """Write a small file whole or not at all."""
    if not is_remote(path):
        from kinetag.encryption import write_file as write

        write(local_path(path), data)
        return
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / name_of(str(path))
        draft.write_bytes(data)
        upload(draft, path)


def delete(path: str | Path) -> None:
    """Delete a file; it is no error when there is none."""
    if not is_remote(path):
        local_path(path).unlink(missing_ok=True)
        return
    from kinetag.storage import store

    store.remove(str(path))


def _local_file(path: Path) -> "StoredFile":
    from kinetag.storage.store import StoredFile

    state = path.stat()
    return StoredFile(str(path), state.st_size, state.st_mtime, f"{state.st_mtime_ns}-{state.st_size}")


def _cache_settings() -> tuple[Path, int]:
    from kinetag.storage.cache import cache_folder, cache_size

    return cache_folder(), cache_size()


@lru_cache(maxsize=4)
def _lease_of_process(process: int, folder: Path, size: int) -> "Lease":
    """A lease that ends with this process: tidily, or by the next one that looks after the cache."""
    import atexit

    from kinetag.storage.cache import Cache

    stack = ExitStack()
    lease = stack.enter_context(Cache(folder, size).lease())
    atexit.register(lambda: stack.close() if os.getpid() == process else None)
    return lease
