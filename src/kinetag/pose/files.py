"""Pose files in place of a video, and kinetag's own pose files out.

Read: kinetag's own (CSV, JSON, Parquet), OpenPose (a folder of JSON files, or one), COCO keypoint results or
annotations (AlphaPose writes them too), DeepStream bodypose JSON, MediaPipe landmarks (CSV or JSON). The content tells
the format, not the name.
"""

import csv
import errno
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from kinetag.errors import KinetagError
from kinetag.pose import foreign, table
from kinetag.pose.found import Found, load_json
from kinetag.pose.mediapipe import is_mediapipe, mediapipe, mediapipe_table
from kinetag.sequence import Pose, PoseSequence
from kinetag.whole_file import whole_file

_SUFFIXES = (".json", ".csv", ".parquet")
_MAX_BYTES = 256 << 20  # of text, which takes ten to twenty times that once it is read
_MAX_SPAN = 7 * 86_400.0  # seconds from the first pose to the last; more means that a frame number is nonsense
_MAX_PEOPLE = 1000


def is_pose_source(source: str | Path | int) -> bool:
    """Whether a source is a pose file, or a folder of them, rather than pictures."""
    if isinstance(source, int) or "://" in str(source):
        return False
    path = Path(source)
    try:
        if path.is_dir():
            return any(p.suffix.lower() == ".json" for p in path.iterdir()) and not _has_pictures(path)
    except OSError:
        return False
    return path.suffix.lower() in _SUFFIXES


def read_pose_file(
    path: str | Path, *, frame_rate: float = 30.0, frame_size: tuple[int, int] | None = None
) -> list[PoseSequence]:
    """Every person's poses in a pose file or a folder of OpenPose files.

    ``frame_rate`` gives frame numbers a time where the file has no times of its own. ``frame_size`` (width, height) is
    needed for MediaPipe's coordinates, which are fractions of the frame, unless the file states it; elsewhere it is
    read from the file or taken from the largest coordinate. People without ids are told apart by tracking.

    Raises KinetagError that names the entry that is wrong.
    """
    path = Path(path)
    if not frame_rate > 0:
        raise KinetagError(f"frame_rate is {frame_rate}, but must be more than 0")
    if frame_size is not None and min(frame_size) < 1:
        raise KinetagError(f"frame_size is {frame_size}, but must be (width, height) in pixels")
    if not path.exists():
        raise KinetagError(f"no such file or folder: {path}")
    if path.is_dir():
        return _assemble(*_read_folder(path, frame_rate), frame_size, str(path))
    if path.stat().st_size > _MAX_BYTES and path.suffix.lower() != ".parquet":
        raise KinetagError(f"{path}: larger than {_MAX_BYTES >> 20} MiB; split it, or write it as Parquet")
    reader = {".csv": _read_csv, ".parquet": _read_parquet}.get(path.suffix.lower(), _read_json)
    return reader(path, frame_rate, frame_size)


def write_poses(sequences: Sequence[PoseSequence], path: str | Path) -> None:
    """Write people's poses as .csv, .json or .parquet (needs pyarrow); `read_pose_file` gives back the same numbers."""
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise KinetagError(f"cannot write poses as '{path.name}': its name must end in {', '.join(_SUFFIXES)}")
    try:
        with whole_file(path) as draft:
            if suffix == ".parquet":
                with open(draft, "wb") as stream:
                    table.write_parquet(sequences, stream)
            else:
                with open(draft, "w", encoding="utf-8", newline="") as stream:
                    (table.write_csv if suffix == ".csv" else table.write_json)(sequences, stream)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        reason = "the disk is full" if full else (error.strerror or str(error)).lower()
        raise KinetagError(f"cannot write {path}: {reason}") from None


def _has_pictures(folder: Path) -> bool:
    from kinetag.video import IMAGE_SUFFIXES

    return any(p.suffix.lower() in IMAGE_SUFFIXES for p in folder.iterdir())


def _read_folder(folder: Path, frame_rate: float) -> tuple[list[Found], str, None]:
    """A folder of OpenPose files, one a frame; the frame's number is the last number in the file's name."""
    files = sorted(folder.glob("*.json"), key=lambda p: (_frame_number(p) or 0, p.name))
    if not files:
        raise KinetagError(f"{folder}: no .json files in this folder")
    found, layouts = [], set()
    for rank, file in enumerate(files):
        number = _frame_number(file)
        data = load_json(file, _MAX_BYTES)
        if not foreign.is_openpose(data):
            raise KinetagError(f"{file}: not an OpenPose file (it has no list 'people')")
        people, layout = foreign.openpose(data, (rank if number is None else number) / frame_rate, str(file))
        found += people
        if layout:
            layouts.add(layout)
    if len(layouts) > 1:
        raise KinetagError(f"{folder}: its files mix the layouts {', '.join(sorted(layouts))}")
    return found, layouts.pop() if layouts else "openpose25", None


def _frame_number(file: Path) -> int | None:
    numbers = re.findall(r"\d+", file.stem)
    return int(numbers[-1][-15:]) if numbers else None


def _read_json(path: Path, frame_rate: float, size: tuple[int, int] | None) -> list[PoseSequence]:
    data, name = load_json(path, _MAX_BYTES), str(path)
    if isinstance(data, dict) and data.get("format") == table.FORMAT:
        return table.read_json(data, name)
    if foreign.is_openpose(data):
        found, layout = foreign.openpose(data, 0.0, name)
        return _assemble(found, layout or "openpose25", None, size, name)
    if foreign.is_coco(data):
        return _assemble(*foreign.coco(data, frame_rate, name), size, name)
    if foreign.is_deepstream(data):
        return _assemble(*foreign.deepstream(data, frame_rate, name), size, name)
    if is_mediapipe(data):
        return _assemble(*mediapipe(data, frame_rate, size, name), size, name)
    raise KinetagError(
        f"{path}: no known pose format; known are kinetag's own, OpenPose, COCO keypoints, DeepStream bodypose and "
        "MediaPipe landmarks"
    )


def _read_csv(path: Path, frame_rate: float, size: tuple[int, int] | None) -> list[PoseSequence]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            rows = (row for row in csv.reader(stream) if row)
            header = [cell.strip() for cell in next(rows, [])]
            if not header:
                raise KinetagError(f"{path}: the file is empty")
            body = _even_rows(rows, len(header), path)
            if table.layout_of(header) is not None:
                return table.read_csv_rows(header, body, str(path))
            return _assemble(*mediapipe_table(header, list(body), frame_rate, size, str(path)), size, str(path))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise KinetagError(f"{path}: not a CSV file that can be read ({error})") from None


def _even_rows(rows: Iterator[list[str]], width: int, path: Path) -> Iterator[list[str]]:
    for line, row in enumerate(rows, 2):
        if len(row) != width:
            raise KinetagError(f"{path}, line {line}: {len(row)} cells, but the header has {width}")
        yield row


def _read_parquet(path: Path, frame_rate: float, size: tuple[int, int] | None) -> list[PoseSequence]:
    return table.read_parquet(path)


def _assemble(
    found: list[Found], layout: str, stated: tuple[int, int] | None, size: tuple[int, int] | None, name: str
) -> list[PoseSequence]:
    """Single poses -> one sequence a person, by id where there are ids, else by tracking."""
    found = sorted(found, key=lambda item: item.time)
    if not found:
        return []
    if found[-1].time - found[0].time > _MAX_SPAN:
        raise KinetagError(
            f"{name}: its times run from {found[0].time:g} s to {found[-1].time:g} s, more than a week; "
            "a frame number or timestamp is wrong"
        )
    size = size or stated or _extent(found)
    if any(item.person is None for item in found):
        return _track(found, layout, size)
    people: dict[int, dict[float, Found]] = {}
    for item in found:
        own = people.setdefault(item.person or 0, {})
        if item.time not in own or item.score > own[item.time].score:
            own[item.time] = item
    if len(people) > _MAX_PEOPLE:
        raise KinetagError(f"{name}: {len(people)} person ids, more than {_MAX_PEOPLE}; are they ids at all?")
    return [_sequence(person, list(own.values()), layout, size) for person, own in people.items()]


def _sequence(person: int, rows: list[Found], layout: str, size: tuple[int, int]) -> PoseSequence:
    worlds = [row.world for row in rows if row.world is not None]
    return PoseSequence(
        times=np.array([row.time for row in rows]),
        keypoints=np.stack([row.keypoints for row in rows]),
        confidence=np.stack([row.confidence for row in rows]),
        layout=layout,
        frame_size=size,
        person=person,
        world=np.stack(worlds) if len(worlds) == len(rows) else None,
    )


def _track(found: list[Found], layout: str, size: tuple[int, int]) -> list[PoseSequence]:
    from kinetag.tracking import Tracker

    tracker = Tracker()
    moments: dict[float, list[Pose]] = {}
    for item in found:
        pose = Pose(item.keypoints, item.confidence, item.score, layout, item.world)
        moments.setdefault(item.time, []).append(pose)
    for time, poses in moments.items():
        tracker.update(poses, time)
    return tracker.sequences(size)


def _extent(found: list[Found]) -> tuple[int, int]:
    """A frame size that holds every coordinate, for files that do not state it."""
    known = [item.keypoints[np.isfinite(item.keypoints).all(axis=-1)] for item in found]
    points = np.concatenate(known)
    if not len(points):
        return 1, 1
    width, height = np.clip(np.ceil(points.max(axis=0)), 1, 1e6)
    return int(width), int(height)
