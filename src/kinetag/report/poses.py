"""Measured poses as a table: one row for each person and time, three columns a joint."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kinetag.timeline import Person, Timeline

_CHUNK = 2000  # rows formatted at a time, so that an hour of many people stays small in memory


def pose_columns(timeline: Timeline) -> list[str]:
    """'person', 'time', then <joint>_x, <joint>_y (pixels) and <joint>_confidence for each joint of the layout."""
    poses = next((person.poses for person in timeline.people if person.poses is not None), None)
    joints = poses.skeleton.joints if poses is not None else ()
    return ["person", "time", *(f"{joint}_{part}" for joint in joints for part in ("x", "y", "confidence"))]


def write_poses_csv(timeline: Timeline, path: Path) -> None:
    """Write every person's poses; a joint that was not seen has empty coordinates and confidence 0."""
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(",".join(pose_columns(timeline)) + "\n")
        for person, rows in _rows(timeline):
            line = f"{person.id},%.4f" + ",%.2f,%.2f,%.3f" * ((rows.shape[1] - 1) // 3) + "\n"
            file.write("".join([line % tuple(row) for row in rows.tolist()]).replace("nan", ""))


def write_poses_parquet(timeline: Timeline, path: Path) -> bool:
    """The same table as parquet; False (nothing written) when pyarrow is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        return False
    columns = pose_columns(timeline)
    types = {"person": pyarrow.int32(), "time": pyarrow.float64()}
    schema = pyarrow.schema([(name, types.get(name, pyarrow.float32())) for name in columns])
    with pyarrow.parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for person, rows in _rows(timeline):
            ids = pyarrow.array(np.full(len(rows), person.id, np.int32))
            values = [pyarrow.array(column, from_pandas=True) for column in rows.T]  # NaN -> null
            arrays = [array.cast(schema.field(i + 1).type) for i, array in enumerate(values)]
            writer.write_table(pyarrow.table([ids, *arrays], schema=schema))
    return True


def _rows(timeline: Timeline) -> Iterator[tuple[Person, np.ndarray]]:
    """Each person's rows in chunks: float64 (N, 1 + 3 V) of time, then x, y, confidence of each joint."""
    for person in timeline.people:
        if person.poses is None:
            continue
        for first in range(0, len(person.poses), _CHUNK):
            part = slice(first, first + _CHUNK)
            joints = np.concatenate([person.poses.keypoints[part], person.poses.confidence[part, :, None]], axis=2)
            times = person.poses.times[part, None]
            yield person, np.concatenate([times, joints.reshape(len(times), -1)], axis=1)
