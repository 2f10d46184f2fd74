"""Addresses in object stores and on the web: what they are made of, and how they are shown."""

import re
from pathlib import Path
from urllib.parse import unquote

from kinetag.errors import KinetagError

STORES = ("s3", "gs", "gcs", "az", "abfs", "abfss")  # whose files are fetched before they are read

_ADDRESS = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://")
_USER = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^/@\s'\"]+@")
_QUERY = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^\s'\"?#]*)\?[^\s'\"]+")


def is_remote(path: str | Path) -> bool:
    """Whether a path is an address (s3://..., https://...) rather than a file or folder of this machine."""
    return scheme_of(path) not in ("", "file")


def is_stored(path: str | Path) -> bool:
    """Whether a path is an address in an object store."""
    return scheme_of(path) in STORES


def scheme_of(path: str | Path) -> str:
    """'s3' of s3://bucket/key; '' of a local path."""
    found = _ADDRESS.match(str(path)) if isinstance(path, str) else None
    return found[1].lower() if found else ""


def hide_secrets(text: str) -> str:
    """Text whose addresses show neither user nor password nor query, where tokens and signatures stand."""
    if "://" not in text:
        return text
    return _QUERY.sub(r"\1?***", _USER.sub(r"\1***@", text))


def local_path(path: str | Path) -> Path:
    """A path of this machine, which may be written as file:///..."""
    return Path(path.removeprefix("file://")) if isinstance(path, str) else path


def split_query(url: str) -> tuple[str, str]:
    """An address without its query, and the query with its '?', which only http knows; '' without one."""
    if scheme_of(url) not in ("http", "https"):
        return url, ""
    bare, mark, query = url.partition("?")
    return bare, mark + query


def join(url: str, *names: str) -> str:
    """The address of something below ``url``; a query stays at the end."""
    bare, query = split_query(url)
    return "/".join([bare.rstrip("/"), *names]) + query


def parent(url: str) -> str:
    """The address of the folder that something is in."""
    bare, query = split_query(url)
    return bare.rstrip("/").rpartition("/")[0] + query


def name_of(url: str) -> str:
    """The last part of an address, as the name of a file of this machine."""
    bare, _ = split_query(url)
    name = bare.rstrip("/").rpartition("/")[2]
    return safe_relative(unquote(name) if scheme_of(url) in ("http", "https") else name, url)


def with_name(url: str, name: str) -> str:
    """The address of a neighbour."""
    return join(parent(url), name)


def safe_relative(name: str, where: str) -> str:
    """A name below a folder as it came from a store, refused when it would lead out of a local folder."""
    parts = name.split("/")
    if any(part in ("", ".", "..") or "\\" in part or "\0" in part or len(part.encode()) > 255 for part in parts):
        raise KinetagError(f"{hide_secrets(where)}: '{name[:80]}' cannot be the name of a file; rename that object")
    return name
