"""Addresses in object stores and on the web: what they are made of, and how they are shown."""

import re
from pathlib import Path
from urllib.parse import unquote

from kinetag.errors import KinetagError

MASK = "***"  # what stands in a spec in place of a secret
STORES = ("s3", "gs", "gcs", "az", "abfs", "abfss")  # whose files are fetched before they are read

_ADDRESS = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://")

# Addresses in a text. Where a colon follows the user, a password does, which may hold anything: blanks, quotes and '@',
# up to the last '@' of the line or before the next address.
_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]{0,30}://"
_WITH_PASSWORD = rf"[^\s/?#:'\"]*:(?!\s)(?:(?![\s'\"(\[{{<,;=]{_SCHEME})[^\n])*"
_USER = re.compile(rf"({_SCHEME})({_WITH_PASSWORD}|[^\s/?#'\"]+)@([^\s'\"]*)")
_QUERY = re.compile(rf"({_SCHEME}[^\s'\"?#]*)\?[^\s'\"]+")
_NAMED = re.compile(r"(://[^\s'\"]*?(?:password|passwd|pwd)=)[^&/\s'\"]+", re.IGNORECASE)  # as cameras have it
_PASSWORDS = (re.compile(r"(?<=://)[^:/@]*:(.+)@"), re.compile(r"[?&]password=([^&]+)"))  # of databases


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
    """Text whose addresses show neither user nor password nor query, where tokens and signatures stand.

    Where an address ends in a text is not sure: in doubt too much is hidden. `shown_url` knows.
    """
    if "://" not in text:
        return text
    return _NAMED.sub(r"\1***", _QUERY.sub(r"\1?***", _USER.sub(_without_user, text)))


def _without_user(found: re.Match[str]) -> str:
    scheme, user, place = found.groups()
    return f"{scheme}***@{'***' if '?' in user else place}"  # that '@' may have been in a signature


def shown_url(url: str) -> str:
    """An address as it may be shown: without user, password and query, whatever characters these are made of."""
    found = _ADDRESS.match(url)
    if found is None:
        return hide_secrets(url)
    rest = url[found.end() :]
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    user, at, place = rest.rpartition("@")
    if ":" not in (authority if is_stored(url) else user):  # no password: '@' may be in the name of a file
        user, at, place = authority.rpartition("@")
        place += rest[len(authority) :]
    place, query, _ = place.partition("?")
    if "?" in user:
        place, query = "***", ""
    return _NAMED.sub(r"\1***", f"{found[0]}{'***' if user else ''}{at}{place}{query}{'***' if query else ''}")


def split_password(url: str) -> tuple[str, str | None]:
    """The address of a database with *** in place of the password in it, and the password, if there is one to see.

    Other than with `hide_secrets`, the rest stays as it is, so that the address can be used with the password again.
    """
    password = None
    for pattern in _PASSWORDS:
        if found := pattern.search(url):
            password = None if found[1] == MASK else unquote(found[1])
            url = f"{url[: found.start(1)]}{MASK}{url[found.end(1) :]}"
    return url, password


def local_path(path: str | Path) -> Path:
    """A path of this machine, which may be written as file:///..., where %20 is a blank."""
    if not isinstance(path, str):
        return path
    return Path(unquote(path.removeprefix("file://"))) if path.startswith("file://") else Path(path)


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
        raise KinetagError(f"{shown_url(where)}: '{name[:80]}' cannot be the name of a file; rename that object")
    return name
