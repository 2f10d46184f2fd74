"""Which files hold which exercise: class folders, or a CSV or JSON list of (file, label, start, end, person)."""

import csv
import io
import json
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinetag.errors import KinetagError

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp", ".ts", ".mts", ".gif"}
)
POSE_SUFFIXES = frozenset({".json", ".csv", ".parquet"})
_COLUMNS = ("file", "label", "start", "end", "person")
_MAX_BYTES = 64 << 20
_MAX_TIME = 1e7  # seconds


@dataclass(frozen=True)
class Entry:
    """One labelled piece of a file. ``start`` and ``end`` are seconds; None: from the beginning, to the end.

    ``person`` is the id to take, None: the most prominent. ``label`` is None for data without labels.
    """

    file: Path
    name: str
    label: str | None = None
    start: float | None = None
    end: float | None = None
    person: int | None = None


def list_entries(data_path: Path, label_path: str = "") -> list[Entry]:
    """What there is to read, in a fixed order: a list, class folders, a folder of files, or one file."""
    if label_path:
        return read_list(Path(label_path), data_path if data_path.is_dir() else data_path.parent)
    if not data_path.exists():
        raise KinetagError(f"no such file or folder: {data_path}")
    if data_path.is_dir():
        return _folder(data_path)
    if _is_list(data_path):
        return read_list(data_path, data_path.parent)
    return [Entry(data_path, data_path.name)]


def is_media(path: Path) -> bool:
    """A video, a pose file, or a folder of OpenPose files."""
    if path.is_dir():
        return any(child.suffix.lower() == ".json" for child in path.iterdir())
    return path.suffix.lower() in VIDEO_SUFFIXES | POSE_SUFFIXES


def _folder(root: Path) -> list[Entry]:
    """A list in ``root``, or class folders below it; without any, the files in it, which then have no labels."""
    lists = [path for path in _children(root) if path.is_file() and _is_list(path)]
    if len(lists) == 1:
        return read_list(lists[0], root)
    if lists:
        raise KinetagError(
            f"{root}: {len(lists)} lists in it, {lists[0].name} and {lists[1].name}; give the one to use"
        )
    entries = []
    for folder in _children(root):
        if folder.is_dir() and not _is_openpose(folder):
            entries += [Entry(p, f"{folder.name}/{p.name}", folder.name) for p in _children(folder) if is_media(p)]
    if entries:
        return entries
    if _is_openpose(root):
        return [Entry(root, root.name)]
    entries = [Entry(path, path.name) for path in _children(root) if is_media(path)]
    if not entries:
        raise KinetagError(f"{root}: no videos or pose files in it, nor in folders below it that are named by class")
    return entries


def _children(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _is_openpose(folder: Path) -> bool:
    """Whether a folder is one recording: OpenPose writes NAME_000000000012_keypoints.json, one file a frame."""
    return folder.is_dir() and any(path.name.endswith("_keypoints.json") for path in folder.iterdir())


def _is_list(path: Path) -> bool:
    """Whether a CSV or JSON file is a list of files rather than poses."""
    try:
        with open(path, "rb") as stream:
            head = stream.read(4096).decode("utf-8-sig", "replace")
    except OSError:
        return False
    if path.suffix.lower() == ".csv":
        return "file" in [cell.strip().lower() for cell in head.split("\n", 1)[0].split(",")]
    return path.suffix.lower() == ".json" and head.lstrip().startswith("[") and '"file"' in head


def read_list(path: Path, root: Path) -> list[Entry]:
    """Entries of a CSV with a header, or a JSON list of objects; ``file`` is relative to ``root`` and lies below it."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise KinetagError(f"{path}: larger than {_MAX_BYTES >> 20} MiB, too large for a list of files")
        text = path.read_text(encoding="utf-8-sig")
        rows = _csv_rows(text, path) if path.suffix.lower() == ".csv" else _json_rows(text, path)
    except (OSError, UnicodeDecodeError) as error:
        raise KinetagError(f"{path}: cannot be read ({str(error)[:80]})") from None
    entries = [_entry(row, root, where) for where, row in rows]
    if not entries:
        raise KinetagError(f"{path}: the list is empty")
    if len({entry.label is None for entry in entries}) > 1:
        without = next(entry for entry in entries if entry.label is None)
        raise KinetagError(f"{path}: '{without.name}' has no label, but others have; give every row one, or none")
    return entries


def _csv_rows(text: str, path: Path) -> Iterable[tuple[str, dict[str, Any]]]:
    try:
        lines = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    except csv.Error as error:
        raise KinetagError(f"{path}: not CSV ({error})") from None
    header = [cell.strip().lower() for cell in lines[0]] if lines else []
    _check_columns(header, str(path))
    for number, row in enumerate(lines[1:], 2):
        if len(row) != len(header):
            raise KinetagError(f"{path}, line {number}: {len(row)} cells, but the header has {len(header)}")
        yield f"{path}, line {number}", {name: cell.strip() or None for name, cell in zip(header, row, strict=True)}


def _json_rows(text: str, path: Path) -> Iterable[tuple[str, dict[str, Any]]]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise KinetagError(f"{path}: not JSON that can be read ({str(error)[:60]})") from None
    if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
        raise KinetagError(f"{path}: must be a list of objects with the keys {', '.join(_COLUMNS)}")
    for index, row in enumerate(data):
        _check_columns(list(row), f"{path}, entry {index}")
        yield f"{path}, entry {index}", row


def _check_columns(names: list[str], where: str) -> None:
    odd = [name for name in names if name not in _COLUMNS]
    if "file" not in names or odd:
        found = f"unknown column '{odd[0][:40]}'" if odd else "no column 'file'"
        raise KinetagError(f"{where}: {found}; the columns are {', '.join(_COLUMNS)} (only file is needed)")


def _entry(row: dict[str, Any], root: Path, where: str) -> Entry:
    file, label = row.get("file"), row.get("label")
    if not isinstance(file, str) or not file.strip() or "\0" in file:
        raise KinetagError(f"{where}: 'file' must be a path, found {str(file)[:40]!r}")
    top = os.path.abspath(root)
    full = Path(os.path.abspath(os.path.join(top, file)))  # links in it are the user's own and may lead anywhere
    if "://" in file or not full.is_relative_to(top):
        raise KinetagError(f"{where}: '{file[:80]}' leads out of {root}; put the list in a folder above its files")
    if not full.exists():
        raise KinetagError(f"{where}: no such file: {full}")
    start, end = _time(row.get("start"), "start", where), _time(row.get("end"), "end", where)
    if end is not None and end <= (start or 0.0):
        raise KinetagError(f"{where}: end ({end:g} s) must come after start ({start or 0.0:g} s)")
    if label is not None and (not isinstance(label, str | int) or len(str(label)) > 200):
        raise KinetagError(f"{where}: label {str(label)[:40]!r} is not a name")
    part = "" if start is None and end is None else f" {start or 0:g}-{'' if end is None else f'{end:g}'}"
    return Entry(full, file + part, None if label is None else str(label), start, end, _person(row, where))


def _time(value: Any, name: str, where: str) -> float | None:
    if value is None:
        return None
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if isinstance(value, bool) or not 0 <= seconds <= _MAX_TIME:
        raise KinetagError(f"{where}: {name} is {str(value)[:40]!r}, but must be seconds from the file's beginning")
    return seconds


def _person(row: dict[str, Any], where: str) -> int | None:
    value = row.get("person")
    if value is None:
        return None
    if isinstance(value, bool) or not str(value).isdecimal() or len(str(value)) > 9:
        raise KinetagError(f"{where}: person is {str(value)[:40]!r}, but must be the number of a person, such as 1")
    return int(value)
