"""Object stores and web servers through fsspec: one way to look, fetch, put and delete, with retries and clear errors.

What is done again: whatever may pass (a dropped connection, no answer in time, 'slow down', an error of the server),
with a pause that doubles and is drawn at random, a few times and not for longer than two minutes. What is not: a wrong
name, a missing right, an expired token. The clients also try again by themselves: S3's each part of a large transfer
(AWS_MAX_ATTEMPTS), Google's six times and Azure's four, which take half a minute and a whole one.
"""

import errno
import hashlib
import logging
import os
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from kinetag.errors import KinetagError, missing_extra
from kinetag.progress import Progress, silent
from kinetag.storage.parts import AT_ONCE, put_in_parts
from kinetag.urls import hide_secrets, join, safe_relative, scheme_of, shown_url

CONNECT_TIMEOUT, READ_TIMEOUT = 10, 30  # s without a word from the store
ATTEMPTS, PATIENCE = 5, 120.0  # how often something is tried, and for how long (s) it is begun again
PART = 8 << 20  # bytes of a part of a large transfer

T = TypeVar("T")


@dataclass(frozen=True)
class StoredFile:
    """A file in a store or on this machine. ``etag`` changes with the content; '' where the server tells none."""

    path: str  # full address, or local path
    size: int | None  # bytes; None where a web server does not say
    modified: float  # s since 1970; 0 where it is not told
    etag: str


@dataclass(frozen=True)
class Kind:
    """A kind of store: fsspec's name of it, the package it needs, its options, whether it can be written to, and
    whether its client tries again for so long that twice of that is enough."""

    protocol: str
    package: str
    options: Callable[[], dict[str, Any]]
    writable: bool = True
    patient: bool = False


def _s3() -> dict[str, Any]:
    retries: dict[str, Any] = {"mode": os.environ.get("AWS_RETRY_MODE", "standard")}
    if "AWS_MAX_ATTEMPTS" not in os.environ:
        retries["total_max_attempts"] = 4
    config = {"connect_timeout": CONNECT_TIMEOUT, "read_timeout": READ_TIMEOUT, "retries": retries}
    return {"config_kwargs": config, "use_listings_cache": False}


def _gs() -> dict[str, Any]:
    # They log a traceback for what is raised anyway, and a warning a call where a bucket's kind may not be asked for.
    for name in ("gcsfs", "google.auth"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return {"use_listings_cache": False}


def _az() -> dict[str, Any]:
    timeouts = {"connection_timeout": CONNECT_TIMEOUT, "read_timeout": READ_TIMEOUT}
    return {"use_listings_cache": False, "max_concurrency": AT_ONCE, **timeouts}


def _http() -> dict[str, Any]:
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT, sock_read=READ_TIMEOUT)
    return {"client_kwargs": {"timeout": timeout, "trust_env": True}, "use_listings_cache": False}


KINDS = {
    "s3": Kind("s3", "s3fs", _s3),
    "gs": Kind("gs", "gcsfs", _gs, patient=True),
    "gcs": Kind("gs", "gcsfs", _gs, patient=True),
    "az": Kind("az", "adlfs", _az, patient=True),
    "abfs": Kind("abfs", "adlfs", _az, patient=True),
    "abfss": Kind("abfss", "adlfs", _az, patient=True),
    "http": Kind("http", "aiohttp", _http, writable=False),
    "https": Kind("https", "aiohttp", _http, writable=False),
}


def kind_of(url: str) -> Kind:
    """The kind of store that an address is in; KinetagError for one that kinetag does not know."""
    scheme = scheme_of(url)
    if scheme not in KINDS:
        known = ", ".join(f"{name}://" for name in KINDS)
        raise KinetagError(f"{shown_url(url)}: '{scheme}://' is not known; known are {known} and local paths")
    return KINDS[scheme]


def need_writable(url: str, key: str) -> None:
    """Raise a KinetagError when what ``key`` names can only be read."""
    if not kind_of(url).writable:
        raise KinetagError(f"{key} {shown_url(url)}: the web can only be read; give a local folder or a store")


def filesystem(url: str) -> Any:
    """fsspec's filesystem of an address, opened with what the environment says; the same one while that stays."""
    kind_of(url)
    return _opened(scheme_of(url), _environment(), os.getpid())


@lru_cache(maxsize=8)
def _opened(scheme: str, environment: str, process: int) -> Any:
    kind = KINDS[scheme]
    try:
        import fsspec

        made = fsspec.filesystem(kind.protocol, skip_instance_cache=True, **kind.options())
    except ImportError as error:
        raise missing_extra(error.name or kind.package, "cloud", f"{scheme}://") from None
    except Exception as error:  # whatever an SDK thinks of the environment that it is opened in
        if "either a connection_string or account_name" in str(error):
            raise KinetagError(
                f"{scheme}://: no account; set AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT_NAME and a "
                "key, see docs/stores.md"
            ) from None
        raise KinetagError(f"{scheme}:// cannot be opened: {reason_of(error)}; see docs/stores.md") from None
    if kind.protocol == "s3":
        made.retries = 1  # botocore's own, with jitter, do the same
    return made


def _environment() -> str:
    """Changes with the credentials and addresses that the environment gives."""
    prefixes = ("AWS_", "AZURE_", "GOOGLE_", "STORAGE_EMULATOR", "GCS", "FSSPEC_")
    values = sorted((key, value) for key, value in os.environ.items() if key.startswith(prefixes))
    return hashlib.sha256(repr(values).encode()).hexdigest()


# --- what can be done ------------------------------------------------------------------------------------------------


def look(url: str) -> StoredFile | None:
    """What is at an address as a file, asked anew; None when there is no such file."""

    def ask() -> dict[str, Any] | None:
        try:
            return filesystem(url).info(url)
        except OSError as error:
            if not isinstance(error, FileNotFoundError):
                if not _passes(error):
                    _say_why(url)
                raise
            if _no_bucket(error):
                raise
            if kind_of(url).protocol.startswith("http") and error.__cause__ is not None and _passes(error.__cause__):
                raise error.__cause__ from None  # fsspec calls whatever went wrong a missing file
            return None

    info = trying(ask, url, "looking at")
    return None if info is None or info.get("type") == "directory" else _stored(url, info)


def list_folder(url: str) -> list[StoredFile]:
    """All files below an address, in order of their names; [] when there are none."""

    def ask() -> dict[str, dict[str, Any]]:
        system = filesystem(url)
        try:
            return system.find(url, detail=True)
        except FileNotFoundError as error:
            if _no_bucket(error):
                raise
            return {}

    found = trying(ask, url, "listing")
    root = str(filesystem(url)._strip_protocol(url)).rstrip("/") + "/"
    files = []
    for name, info in sorted(found.items()):
        if info.get("type") == "directory" or name.endswith("/") or not name.startswith(root):
            continue
        files.append(_stored(join(url, safe_relative(name.removeprefix(root), url)), info))
    return files


def get(file: StoredFile, target: Path, *, progress: Progress = silent) -> None:
    """Fetch a file as it was when it was looked at.

    One that has changed since raises `ChangedError`; ``target`` may then hold anything. Memory does not grow with the
    file: large ones come in parts, several at once.
    """
    stage = f"Fetching {shown_url(file.path).rpartition('/')[2]}"
    system, inner = filesystem(file.path), file.path
    if file.size is not None and file.size > PART and not kind_of(file.path).protocol.startswith("http"):
        _get_parts(file, target, lambda done: progress(stage, done, file.size))
    else:
        trying(lambda: system.get_file(inner, str(target)), file.path, "reading")
        size = target.stat().st_size
        progress(stage, size, file.size)
        if file.size is not None and size != file.size:
            raise ChangedError(file.path)
    now = look(file.path)
    if now is None or (now.etag, now.size) != (file.etag, file.size):
        raise ChangedError(file.path)


class ChangedError(Exception):
    """A file is another one than when it was looked at."""


def _get_parts(file: StoredFile, target: Path, tell: Callable[[int], None]) -> None:
    system, inner, size = filesystem(file.path), file.path, file.size or 0
    with open(target, "wb") as stream:
        stream.truncate(size)

    def part(start: int) -> int:
        end = min(size, start + PART)

        def fetch() -> bytes:
            data = system.cat_file(inner, start=start, end=end)
            if len(data) != end - start:
                raise ConnectionError(f"{len(data)} of {end - start} bytes came")
            return data

        data = trying(fetch, file.path, "reading")
        with open(target, "r+b") as stream:
            stream.seek(start)
            stream.write(data)
        return len(data)

    done = 0
    pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="fetch")
    try:
        for count in pool.map(part, range(0, size, PART)):
            done += count
            tell(done)
    finally:
        pool.shutdown(cancel_futures=True)


def put(source: Path, url: str, *, progress: Progress = silent) -> StoredFile:
    """Store a file under an address, whole or not at all; what was there before stays until the new one is complete."""
    need_writable(url, "writing to")
    system, stage, size = filesystem(url), f"Sending {source.name}", source.stat().st_size
    if kind_of(url).protocol == "s3" and size > PART:
        put_in_parts(
            system,
            source,
            url,
            PART,
            lambda do: trying(do, url, "writing"),
            lambda done: progress(stage, done, size),
        )
    else:
        options = {"chunksize": PART} if kind_of(url).protocol == "gs" else {}
        trying(lambda: system.put_file(str(source), url, **options), url, "writing")
    found = _written(url)
    progress(stage, found.size or 0, found.size)
    return found


def copy(source: str, url: str) -> StoredFile:
    """Copy a file within a store, without its content passing through here."""
    need_writable(url, "writing to")
    trying(lambda: filesystem(url).cp_file(source, url), url, "copying")
    return _written(url)


def _written(url: str) -> StoredFile:
    found = look(url)
    if found is None:
        raise KinetagError(f"{shown_url(url)} was written, but is not there: does something delete it?")
    return found


def remove(url: str) -> None:
    """Delete a file; it is no error when there is none."""
    need_writable(url, "deleting")

    def ask() -> None:
        try:
            filesystem(url).rm_file(url)
        except FileNotFoundError:
            return

    trying(ask, url, "deleting")


def _stored(url: str, info: dict[str, Any]) -> StoredFile:
    size = info.get("size")
    etag = next((str(info[key]) for key in ("ETag", "etag", "generation", "md5Hash") if info.get(key)), "")
    times = ("LastModified", "last_modified", "Last-Modified", "mtime", "updated", "created")
    modified = next((info[key] for key in times if info.get(key)), 0)
    if not etag and modified and size is not None:  # a web server without ETag
        etag = f"{modified}-{size}"
    return StoredFile(url, None if size is None else int(size), _seconds(modified), etag)


def _seconds(moment: Any) -> float:
    try:
        if isinstance(moment, datetime):
            return moment.timestamp()
        if isinstance(moment, str):
            return (parsedate_to_datetime(moment) if "," in moment else datetime.fromisoformat(moment)).timestamp()
        return float(moment)
    except (TypeError, ValueError):
        return 0.0


def _say_why(url: str) -> None:
    """S3 answers the question for a file's head without a reason; the question for its first byte has one."""
    if scheme_of(url) == "s3":
        filesystem(url).cat_file(url, start=0, end=1)


# --- going wrong -----------------------------------------------------------------------------------------------------


def trying(do: Callable[[], T], url: str, doing: str) -> T:
    """Do something with a store, again while what goes wrong may pass; else a KinetagError of one line."""
    began, attempt = time.monotonic(), 0
    most = min(2, ATTEMPTS) if kind_of(url).patient else ATTEMPTS
    while True:
        try:
            return do()
        except KinetagError:
            raise
        except Exception as error:  # each SDK raises its own kinds
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise  # of this machine's disk
            attempt += 1
            waited = time.monotonic() - began
            if not _passes(error) or attempt >= most or waited > PATIENCE:
                if "expired" in str(error).lower():
                    _opened.cache_clear()  # the next call reads the credentials anew
                raise _explained(error, url, doing, attempt) from None
            time.sleep(random.uniform(0.5, 1.0) * min(20.0, 0.25 * 2**attempt))


_PASSING = {errno.EBUSY, errno.EIO, errno.ECONNRESET, errno.EPIPE, errno.ETIMEDOUT, errno.ECONNREFUSED}
_PASSING |= {getattr(errno, "EREMOTEIO", errno.EIO), errno.ENETUNREACH, errno.EHOSTUNREACH}
_PASSING_KINDS = {
    "botocore": ("HTTPClientError", "ConnectionError", "IncompleteReadError", "ResponseParserError"),
    "aiohttp": ("ClientConnectionError", "ClientPayloadError", "ServerTimeoutError"),
    "azure": ("ServiceRequestError", "ServiceResponseError", "IncompleteReadError"),
    "requests": ("ConnectionError", "Timeout", "ChunkedEncodingError"),
}


def _passes(error: BaseException) -> bool:
    """Whether trying again may help."""
    if isinstance(error, FileNotFoundError | PermissionError | FileExistsError):
        return False
    if _status(error) == 429 or _status(error) >= 500:
        return True
    for kind in type(error).__mro__:
        names = _PASSING_KINDS.get(kind.__module__.partition(".")[0], ())
        if kind.__name__ in names:
            return True
    if isinstance(error, TimeoutError | ConnectionError):
        return True
    return isinstance(error, OSError) and error.errno in _PASSING


def _status(error: BaseException) -> int:
    """What the server answered in the words of HTTP; 0 where the error does not say."""
    found = (getattr(error, name, None) for name in ("status", "status_code", "code"))
    return next((status for status in found if isinstance(status, int)), 0)


def _explained(error: Exception, url: str, doing: str, attempts: int) -> KinetagError:
    shown, reason = shown_url(url), reason_of(error)
    name, text = type(error).__name__, str(error).lower()
    if "expired" in text:
        return KinetagError(f"{doing} {shown}: the credentials have expired ({reason}); get new ones, and run it again")
    if name in ("NoCredentialsError", "CredentialRetrievalError", "DefaultCredentialsError", "ProfileNotFound"):
        return KinetagError(
            f"{doing} {shown}: no credentials ({reason}); give them in the environment or the usual files, see "
            "docs/stores.md"
        )
    if isinstance(error, PermissionError) or _status(error) in (401, 403) or text.startswith("forbidden"):
        return KinetagError(
            f"{doing} {shown}: refused ({reason}); check the credentials in the environment, and what they may do"
        )
    if isinstance(error, FileNotFoundError):
        if _no_bucket(error) or doing == "writing":  # what is written is here, so it is the place that is not there
            return KinetagError(f"{doing} {shown}: there is no such bucket ({reason}); check its name and region")
        return KinetagError(f"no such file or folder: {shown}")
    if _passes(error):
        times = "once" if attempts == 1 else f"{attempts} times"
        return KinetagError(f"{doing} {shown}: tried {times} in vain ({reason}); check the network, and run it again")
    return KinetagError(f"{doing} {shown}: {reason}")


def _no_bucket(error: BaseException) -> bool:
    text = str(error).lower()
    return ("bucket" in text or "container" in text) and "not exist" in text


def reason_of(error: BaseException) -> str:
    """What an SDK has to say, in one short line without secrets."""
    text = " ".join(str(error).split()) or type(error).__name__
    return hide_secrets(text)[:200]
