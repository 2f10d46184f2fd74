"""kinetag's own pose files: a table (CSV or Parquet) with one row a person and moment, or JSON. Exact both ways.

Columns: person, time (s), then x, y (pixels) and confidence of every joint, then world_x, world_y, world_z (metres) of
every joint where they are known, then frame_width, frame_height, then, where the film is cut, the number of the shot.
An unknown coordinate is empty (NaN in Parquet).
"""

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kinetag.errors import KinetagError, missing_extra
from kinetag.sequence import PoseSequence
from kinetag.skeletons import LAYOUTS, get_layout

FORMAT = "kinetag-poses"
VERSION = 1
_POSE = ("x", "y", "confidence")
_WORLD = ("world_x", "world_y", "world_z")
_SIZE = ("frame_width", "frame_height")
_SHOT = "shot"
_PIECE = 10_000  # poses written at a time


def columns(layout: str, *, world: bool, shots: bool = False) -> list[str]:
    """The table's header for a layout."""
    joints = get_layout(layout).joints
    names = ["person", "time", *(f"{joint}_{axis}" for joint in joints for axis in _POSE)]
    if world:
        names += [f"{joint}_{axis}" for joint in joints for axis in _WORLD]
    return [*names, *_SIZE, _SHOT] if shots else [*names, *_SIZE]


def layout_of(header: Sequence[str]) -> str | None:
    """The layout whose joints a table's header names, None when it is no table of kinetag's."""
    if list(header[:2]) != ["person", "time"]:
        return None
    joints = tuple(name.removesuffix("_confidence") for name in header if name.endswith("_confidence"))
    return next((name for name, layout in LAYOUTS.items() if layout.joints == joints), None)


def write_csv(sequences: Sequence[PoseSequence], stream: Any) -> None:
    layout, world, shots = _common(sequences)
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns(layout, world=world, shots=shots))
    for sequence in sequences:
        size = [str(value) for value in sequence.frame_size]
        for piece in _pieces(sequence):
            for time, row, shot in zip(piece.times, _values(piece, world), _shots(piece), strict=True):
                # str of a numpy float is the shortest text that reads back as the same number
                cells = ["" if value != value else str(value) for value in row]
                writer.writerow([str(sequence.person), str(time), *cells, *size, *([str(shot)] if shots else [])])


def write_parquet(sequences: Sequence[PoseSequence], stream: Any) -> None:
    arrow, parquet = _arrow()
    layout, world, shots = _common(sequences)
    names = columns(layout, world=world, shots=shots)
    kinds = {"person": arrow.int64(), "time": arrow.float64(), **dict.fromkeys((*_SIZE, _SHOT), arrow.int32())}
    schema = arrow.schema([(name, kinds.get(name, arrow.float32())) for name in names])
    with parquet.ParquetWriter(stream, schema) as writer:
        for piece in (piece for sequence in sequences for piece in _pieces(sequence)):
            body = _values(piece, world)
            numbers = [np.full(len(piece), piece.person), piece.times, *body.T]
            numbers += [np.full(len(piece), side) for side in piece.frame_size]
            numbers += [_shots(piece)] if shots else []
            arrays = [arrow.array(values, field.type) for values, field in zip(numbers, schema, strict=True)]
            writer.write_table(arrow.Table.from_arrays(arrays, schema=schema))


def write_json(sequences: Sequence[PoseSequence], stream: Any) -> None:
    people = [
        {
            "person": sequence.person,
            "layout": sequence.layout,
            "joints": list(sequence.skeleton.joints),
            "frame_size": list(sequence.frame_size),
            "times": sequence.times.tolist(),
            "keypoints": _nulls(sequence.keypoints),
            "confidence": _nulls(sequence.confidence),
            "world": None if sequence.world is None else _nulls(sequence.world),
            **({"cuts": list(sequence.cuts)} if sequence.cuts else {}),
        }
        for sequence in sequences
    ]
    json.dump({"format": FORMAT, "version": VERSION, "people": people}, stream, allow_nan=False)


def read_csv_rows(header: Sequence[str], rows: Iterable[list[str]], name: str) -> list[PoseSequence]:
    """People of a table whose header `layout_of` knows. ``rows`` may have been checked for length already."""
    people: list[str] = []
    numbers: list[np.ndarray] = []
    for line, row in enumerate(rows, 2):
        try:
            people.append(row[0])
            numbers.append(np.array([cell or "nan" for cell in row[1:]], np.float64))
        except ValueError:
            bad = next(cell for cell in row[1:] if not _is_number(cell))
            raise KinetagError(f"{name}, line {line}: '{bad[:40]}' is not a number") from None
    table = np.stack(numbers) if numbers else np.zeros((0, len(header) - 1))
    try:
        persons = np.array([int(person) for person in people], np.int64)
    except (ValueError, OverflowError):
        bad = next(person for person in people if not _is_whole(person))
        raise KinetagError(f"{name}: person '{bad[:40]}' is not a whole number") from None
    return _sequences(list(header), persons, table, name)


def read_parquet(path: Path) -> list[PoseSequence]:
    _, parquet = _arrow()
    try:
        table = parquet.read_table(path)
        header = table.column_names
        if layout_of(header) is None:
            raise KinetagError(f"{path}: not a table of poses; its columns begin {', '.join(header[:5])}")
        persons = table.column("person").to_numpy().astype(np.int64)
        body = np.stack([table.column(name).to_numpy().astype(np.float64) for name in header[1:]], axis=1)
    except (OSError, ValueError, TypeError) as error:
        raise KinetagError(f"{path}: not a Parquet table of poses ({str(error).splitlines()[0][:80]})") from None
    return _sequences(header, persons, body, str(path))


def read_json(data: dict[str, Any], name: str) -> list[PoseSequence]:
    if data.get("version") != VERSION:
        raise KinetagError(f"{name}: version {data.get('version')!r} of kinetag's pose format is not known here")
    people = data.get("people")
    if not isinstance(people, list):
        raise KinetagError(f"{name}: 'people' must be a list")
    return [_person(entry, f"{name}, people[{i}]") for i, entry in enumerate(people)]


def _person(entry: Any, where: str) -> PoseSequence:
    try:
        width, height = entry["frame_size"]
        world = entry.get("world")
        layout = get_layout(str(entry["layout"]))
        shape = (len(entry["times"]), len(layout))
        if not np.isfinite(np.array(entry["times"], np.float64)).all():
            raise KinetagError("a time is not a finite number")
        return PoseSequence(
            times=np.array(entry["times"], np.float64),
            keypoints=np.array(entry["keypoints"], np.float32).reshape(*shape, 2),
            confidence=np.array(entry["confidence"], np.float32).reshape(shape),
            layout=layout.name,
            frame_size=(int(width), int(height)),
            person=int(entry["person"]),
            world=None if world is None else np.array(world, np.float32).reshape(*shape, 3),
            cuts=tuple(float(cut) for cut in entry.get("cuts", ())),
        )
    except KinetagError as error:
        raise KinetagError(f"{where}: {error}") from None
    except KeyError as error:
        raise KinetagError(f"{where}: {error} is missing") from None
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise KinetagError(f"{where}: {str(error).splitlines()[0][:120]}") from None


def _sequences(header: list[str], persons: np.ndarray, body: np.ndarray, name: str) -> list[PoseSequence]:
    """``body`` (N, columns without person) -> one sequence a person, in order of first appearance."""
    layout = layout_of(header)
    assert layout is not None
    world = f"{get_layout(layout).joints[0]}_world_x" in header
    shots = header[-1] == _SHOT
    expected = columns(layout, world=world, shots=shots)
    if header != expected:
        odd = sorted(set(header) ^ set(expected))
        raise KinetagError(f"{name}: columns missing or unknown: {', '.join(odd[:5]) or 'their order differs'}")
    numbers = body[:, -1] if shots else np.zeros(len(body))
    body = body[:, :-1] if shots else body
    joints = len(get_layout(layout))
    pose = body[:, 1 : 1 + 3 * joints].reshape(-1, joints, 3)
    places = body[:, 1 + 3 * joints : -2].reshape(-1, joints, 3) if world else None
    sequences = []
    for person in dict.fromkeys(persons.tolist()):
        own = persons == person
        if not np.isfinite(body[own][:, [0, -2, -1]]).all():
            raise KinetagError(f"{name}: person {person} has a row without time or frame size")
        if not (np.diff(body[own, 0]) > 0).all():
            raise KinetagError(f"{name}: the times of person {person} do not increase from row to row")
        own_places = None if places is None or np.isnan(places[own]).all() else places[own]
        sequences.append(
            PoseSequence(
                times=body[own, 0],
                keypoints=pose[own, :, :2],
                confidence=np.nan_to_num(pose[own, :, 2]),
                layout=layout,
                frame_size=(int(body[own, -2][0]), int(body[own, -1][0])),
                person=person,
                world=own_places,
                cuts=tuple(body[own, 0][1:][np.diff(numbers[own]) != 0].tolist()),
            )
        )
    return sequences


def _common(sequences: Sequence[PoseSequence]) -> tuple[str, bool, bool]:
    """Their layout, whether any has world points, and whether the film is cut."""
    layouts = {sequence.layout for sequence in sequences} or {"kinetag"}
    if len(layouts) > 1:
        raise KinetagError(
            f"one table holds one layout, but here are {', '.join(sorted(layouts))}; write .json instead"
        )
    world = any(sequence.world is not None for sequence in sequences)
    return layouts.pop(), world, any(sequence.cuts for sequence in sequences)


def _pieces(sequence: PoseSequence) -> Iterator[PoseSequence]:
    """The same poses in order, a few megabytes at a time."""
    return (sequence.rows(slice(first, first + _PIECE)) for first in range(0, len(sequence), _PIECE))


def _shots(sequence: PoseSequence) -> np.ndarray:
    """The number of each row's shot, counted from 1 at this person's first, (T,)."""
    return 1 + np.searchsorted(np.array(sequence.cuts), sequence.times, side="right")


def _values(sequence: PoseSequence, world: bool) -> np.ndarray:
    """All numbers of the joints, float32 (T, 3 V) or with world points (T, 6 V)."""
    count = len(sequence)
    parts = [np.concatenate([sequence.keypoints, sequence.confidence[..., None]], axis=-1).reshape(count, -1)]
    if world:
        places = sequence.world
        if places is None:
            places = np.full((*sequence.confidence.shape, 3), np.nan, np.float32)
        parts.append(places.reshape(count, -1))
    return np.concatenate(parts, axis=1)


def _nulls(values: np.ndarray) -> list[Any]:
    """Nested lists with None for NaN; numbers as the shortest text that reads back as the same float32."""
    short = [None if value != value else float(str(value)) for value in values.ravel()]
    return np.array(short, object).reshape(values.shape).tolist()


def _is_number(cell: str) -> bool:
    try:
        float(cell or "nan")
    except ValueError:
        return False
    return True


def _is_whole(cell: str) -> bool:
    try:
        return abs(int(cell)) < 1 << 63
    except ValueError:
        return False


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise missing_extra("pyarrow", "parquet", "Parquet") from None
    return pyarrow, pyarrow.parquet
