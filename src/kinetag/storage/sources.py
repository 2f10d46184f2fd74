"""What belongs to an input in a store: a file and its companions, or a folder; and fetching it."""

import csv
import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from kinetag.errors import KinetagError
from kinetag.progress import Progress, silent
from kinetag.storage import store
from kinetag.storage.cache import Lease
from kinetag.storage.parts import AT_ONCE
from kinetag.storage.store import StoredFile
from kinetag.urls import join, name_of, safe_relative, scheme_of, shown_url, with_name

_ROLES = ("train", "val", "test")  # as kinetag.datasets.arrays; written again, for that needs numpy
_LATEST = "pc_model_latest.pth"  # as kinetag.learning.keeping
_MAX_LIST = 64 << 20  # bytes


def fetch(url: str, lease: Lease, *, role: str = "", alone: bool = False, progress: Progress = silent) -> Path:
    """A local copy of a file or folder in a store, under its own name, with what the readers of such a file look for.

    ``role``: of a folder of arrays, only those of this role ('train', 'val', 'test'); 'checkpoint': of a folder, only
    the latest checkpoint. ``alone``: a file without what readers look for beside it. Raises KinetagError when there is
    nothing.
    """
    name = name_of(url)
    room = lease.room()
    file = store.look(url) if not url.endswith("/") else None
    if file is not None:
        lease.add(file, room / name, progress=progress)
        if not alone:
            _fetch_companions(url, room / name, lease, progress)
        return room / name
    wanted = _in_folder(url, role)
    if not wanted:
        raise KinetagError(f"no such file or folder: {shown_url(url)}")
    _fetch_all(wanted, room / name, lease, progress)
    return room / name


def _in_folder(url: str, role: str) -> dict[str, StoredFile]:
    """The files of a folder that are wanted, by their names below it."""
    if scheme_of(url) in ("http", "https"):  # the web does not list what it has
        names = [_LATEST] if role == "checkpoint" else [f"{role}_data.npy", f"{role}_label.pkl", f"{role}_data.json"]
        found = {name: store.look(join(url, name)) for name in names}
        return {name: file for name, file in found.items() if file is not None}
    length = len(url.rstrip("/")) + 1
    there = {file.path[length:]: file for file in store.list_folder(url)}
    there = {name: file for name, file in there.items() if not any(part.startswith(".") for part in name.split("/"))}
    if role == "checkpoint":
        return {name: file for name, file in there.items() if name == _LATEST}
    marks = {f"{each}_{kind}" for each in _ROLES for kind in ("data.npy", "label.pkl")}
    if role in _ROLES and marks & there.keys():
        own = (f"{role}_data.npy", f"{role}_label.pkl", f"{role}_data.json")
        found = {name: there[name] for name in own if name in there}
        if not found:
            raise KinetagError(
                f"no such file: {shown_url(join(url, own[0]))}; a folder of arrays for this must hold it"
            )
        return found
    return there


def _fetch_all(files: dict[str, StoredFile], folder: Path, lease: Lease, progress: Progress) -> None:
    """Several files at once; a lot of small ones would take long one by one."""
    total, stage = len(files), f"Fetching {folder.name}"
    one = silent if total > 1 else progress
    pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="fetch")
    try:
        waiting = [pool.submit(lease.add, file, folder / name, progress=one) for name, file in files.items()]
        for done, future in enumerate(waiting):
            if total > 1:
                progress(stage, done, total)
            future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _fetch_companions(url: str, path: Path, lease: Lease, progress: Progress) -> None:
    """What readers look for beside a file: labels and description of an array, the files that a list names."""
    beside: list[str] = []
    if path.suffix.lower() == ".npy":
        beside = [path.with_suffix(".json").name]
        if path.name.endswith("_data.npy"):
            beside.append(path.name.replace("_data.npy", "_label.pkl"))
        found = {name: store.look(with_name(url, name)) for name in beside}
        _fetch_all({n: file for n, file in found.items() if file is not None}, path.parent, lease, silent)
    elif path.suffix.lower() in (".csv", ".json") and path.stat().st_size <= _MAX_LIST:
        files: dict[str, StoredFile] = {}
        for name in _listed(path):
            safe_relative(name, url)
            file = store.look(with_name(url, name))
            if file is None:
                raise KinetagError(f"{shown_url(url)}: no such file: {shown_url(with_name(url, name))}")
            files[name] = file
        _fetch_all(files, path.parent, lease, progress)


def _listed(path: Path) -> list[str]:
    """The files that a list of labelled files names; [] for anything else, whose own reader says what is wrong."""
    try:
        text = path.read_text("utf-8-sig")
        rows: Any = json.loads(text) if path.suffix.lower() == ".json" else list(csv.DictReader(io.StringIO(text)))
    except (ValueError, RecursionError, csv.Error):
        return []
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return []
    names = [row.get("file") for row in rows]
    return list(dict.fromkeys(name.strip() for name in names if isinstance(name, str) and name.strip()))
