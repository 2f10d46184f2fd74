"""Which checkpoint of a parent's folder its child gets: the best by the monitored metric if known, else the latest."""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kinetag.errors import KinetagError
from kinetag.status import STATUS_FILE
from kinetag.urls import is_remote, is_stored

CHECKPOINTS = (".pth", ".ckpt", ".safetensors")
MONITORED = "val_acc"
_EPOCH = re.compile(r"(?:^|_)epoch_(\d+)")  # counted from 0, as training names its checkpoints
_MOST_STATUS = 64 << 20  # bytes of a status.json that are read


@dataclass(frozen=True)
class Found:
    """A file in a results folder."""

    path: str
    name: str  # within the folder, parts separated by /
    size: int
    modified: float


@dataclass(frozen=True)
class Choice:
    path: str
    why: str


def list_folder(folder: str | Path, *, deep: bool = True) -> list[Found]:
    """The files in a folder, of this machine or in a store, and (``deep``) the folders within, by name; none when it is
    not there.

    Drafts (their names begin with a dot) and links that lead out of the folder are left out. The web lists no folders.
    """
    if is_remote(folder):
        return _stored(str(folder).rstrip("/"), deep) if is_stored(folder) else []
    root = os.path.realpath(folder)
    return sorted(_files(root, root, deep), key=lambda found: found.name)


def _stored(folder: str, deep: bool) -> list[Found]:
    """The same of a folder in a store."""
    from kinetag.storage import list_files  # a runner that waits does without

    found = [
        Found(file.path, file.path.removeprefix(f"{folder}/"), -1 if file.size is None else file.size, file.modified)
        for file in list_files(folder)
    ]
    parts = {file.path: file.name.split("/") for file in found}
    visible = [file for file in found if not any(part.startswith(".") for part in parts[file.path])]
    return [file for file in visible if deep or len(parts[file.path]) == 1]


def _files(folder: str, root: str, deep: bool) -> Iterator[Found]:
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _files(entry.path, root, deep) if deep else ()
        elif entry.is_file() and os.path.realpath(entry.path).startswith(root + os.sep):
            about = entry.stat()
            yield Found(
                entry.path, os.path.relpath(entry.path, root).replace(os.sep, "/"), about.st_size, about.st_mtime
            )


def choose_checkpoint(folder: str | Path, metric: str = MONITORED, *, maximize: bool = True) -> Choice:
    """The checkpoint of a training's folder (a search's keeps its best there too) that a child is to have.

    One that training has kept as the best; else the epoch whose ``metric`` in status.json is best, of those that are
    there; else the latest. Checkpoints in the folder itself come before those in folders within it.
    """
    found = [file for file in list_folder(folder) if file.name.lower().endswith(CHECKPOINTS) and file.size]
    if not found:
        raise KinetagError(f"no checkpoint (*.pth) in {folder}: nothing can go on from it")
    files = [file for file in found if "/" not in file.name] or found
    scores = scores_by_epoch(os.path.join(folder, STATUS_FILE), metric=metric, maximize=maximize)
    best_of = max if maximize else min
    if best := [file for file in files if "best" in os.path.basename(file.name).lower()]:
        chosen = max(best, key=lambda file: (file.modified, file.name))
        return Choice(chosen.path, f"best by {metric}" + (f" ({best_of(scores.values()):.4g})" if scores else ""))
    if judged := [(scores[epoch], file) for file in files if (epoch := _epoch(file)) in scores]:
        sign = 1 if maximize else -1
        score, chosen = max(judged, key=lambda pair: (sign * pair[0], -(_epoch(pair[1]) or 0)))
        return Choice(chosen.path, f"best by {metric} ({score:.4g}) of those that were kept")
    chosen = max(files, key=lambda file: ("latest" in file.name.lower(), _epoch(file) or 0, file.modified, file.name))
    return Choice(chosen.path, f"the latest; no {metric} is known")


def choose_onnx(folder: str | Path, named: str = "") -> Choice:
    """The model that an export wrote: the file it named, else the newest .onnx in its folder."""
    if named and _is_there(named):
        return Choice(named, "the file that it wrote")
    found = [file for file in list_folder(folder) if file.name.lower().endswith(".onnx") and file.size]
    if not found:
        raise KinetagError(f"no .onnx file in {folder}: nothing can go on from it")
    return Choice(max(found, key=lambda file: (file.modified, file.name)).path, "the newest .onnx in its folder")


def _is_there(path: str) -> bool:
    if not is_remote(path):
        return os.path.isfile(path)
    from kinetag.storage import exists

    return exists(path)


def _epoch(file: Found) -> int | None:
    """The epoch, counted from 1, in the name of a checkpoint."""
    match = _EPOCH.search(os.path.basename(file.name))
    return int(match[1]) + 1 if match else None


def scores_by_epoch(
    path: str | Path, offset: int = 0, *, metric: str = MONITORED, maximize: bool = True
) -> dict[int, float]:
    """The metric of each epoch (counted from 1) that a status.json tells of; of a search its best trial's.

    An epoch that comes again is of another run in the folder, or of one that went on from there: what was told of it
    and of later epochs no longer holds.
    """
    scores: dict[int, float] = {}
    for record in records(path, offset):
        numbers = record.get("kpi")
        if isinstance(numbers, dict):
            epoch, score = numbers.get("epoch"), numbers.get(metric)
            if isinstance(epoch, int) and isinstance(score, int | float):
                if "trial" in numbers:
                    score = (max if maximize else min)(score, scores.get(epoch, score))
                else:
                    scores = {earlier: scores[earlier] for earlier in scores if earlier < epoch}
                scores[epoch] = float(score)
    return scores


def records(path: str | Path, offset: int = 0) -> Iterator[dict[str, object]]:
    """The records of a status.json behind a byte of it. A line that is cut or not one of ours is passed over."""
    from kinetag.storage import fetched

    try:
        with open(fetched(path), "rb") as file:
            file.seek(offset)
            content = file.read(_MOST_STATUS)
    except (OSError, KinetagError):
        return
    yield from records_in(content)


def records_in(content: bytes) -> Iterator[dict[str, object]]:
    """The records of such content."""
    for line in content.splitlines():
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(record, dict):
            yield record
