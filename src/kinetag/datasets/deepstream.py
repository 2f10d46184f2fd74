"""The JSON that DeepStream's bodypose-3d publishes: who was where in which frame, with 3D and 2.5D poses.

A list of batches, each with 'num_frames_in_batch' and 'batches', a list of frames; a frame has 'objects'; an object has
'object_id' and 'pose3d' (x, y, z, confidence for each joint) or 'pose25d' (x and y in pixels, z, confidence).
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kinetag.errors import KinetagError
from kinetag.pose.found import listing, mapping, numbers, whole

MAX_BYTES = 2 << 30  # of a file
KEYS = {"3dbp": "pose3d", "25dbp": "pose25d", "2dbp": "pose25d"}


@dataclass
class Track:
    """One person's poses. ``frames`` are the frame numbers, as stated or counted; ``poses`` (T, V, 4) as published."""

    person: int
    frames: list[int] = field(default_factory=list)
    rows: list[np.ndarray] = field(default_factory=list)

    @property
    def poses(self) -> np.ndarray:
        return np.stack(self.rows)


def read_tracks(data: Any, key: str, joints: int, where: str) -> list[Track]:
    """Every person in order of first appearance; ``key`` is 'pose3d' or 'pose25d'.

    Raises KinetagError that names the entry that is wrong.
    """
    tracks: dict[int, Track] = {}
    count = 0
    for i, batch in enumerate(listing(data, where)):
        place = f"{where}, entry {i}"
        frames = listing(mapping(batch, place).get("batches"), f"{place} 'batches'")
        stated = batch.get("num_frames_in_batch", len(frames))
        if stated != len(frames):
            raise KinetagError(f"{place}: num_frames_in_batch is {str(stated)[:20]}, but it has {len(frames)} frames")
        for j, frame in enumerate(frames):
            spot = f"{place}, batches[{j}]"
            number = mapping(frame, spot).get("frame_num")
            number = count if number is None else whole(number, f"{spot} 'frame_num'")
            count += 1
            for k, thing in enumerate(listing(frame.get("objects"), f"{spot} 'objects'")):
                _add(tracks, thing, number, key, joints, f"{spot}, objects[{k}]")
    return list(tracks.values())


def _add(tracks: dict[int, Track], thing: Any, number: int, key: str, joints: int, where: str) -> None:
    if key not in mapping(thing, where):
        raise KinetagError(f"{where}: no '{key}'; run deepstream-bodypose-3d with --publish-pose {key}")
    values = thing[key]
    if isinstance(values, list) and len(values) // 4 != joints:
        raise KinetagError(f"{where}: '{key}' holds {len(values) // 4} joints; set dataset_convert.num_joints to that")
    row = numbers(values, f"{where} '{key}'", (joints * 4,)).reshape(joints, 4)
    if not np.isfinite(row).all():
        raise KinetagError(f"{where}: '{key}' holds a number that is not finite")
    person = whole(thing.get("object_id"), f"{where} 'object_id'")
    track = tracks.setdefault(person, Track(person))
    track.frames.append(number)
    track.rows.append(row)


def normalise_poses(
    poses: np.ndarray, pose_type: str, *, width: float, height: float, focal_length: float
) -> np.ndarray:
    """The reference's numbers, float64 (T, V, C), C 2 for '2dbp', else 3; a joint of confidence 0 becomes zeros.

    '3dbp': (p - joint 0) / focal_length. '25dbp', '2dbp': x / width - 0.5, y / height - 0.5, z as it is.
    """
    if pose_type == "3dbp":
        out = (poses[..., :3] - poses[:, :1, :3]) / focal_length
    else:
        out = poses[..., :3].copy()
        out[..., 0] = out[..., 0] / width - 0.5
        out[..., 1] = out[..., 1] / height - 0.5
        out = out[..., : 2 if pose_type == "2dbp" else 3]
    return np.where(poses[..., 3:] == 0, 0.0, out)


def pieces(frames: list[int], max_gap: int) -> list[np.ndarray]:
    """Rows of a track between gaps of more than ``max_gap`` missing frames; frame numbers that go back start anew."""
    numbers_ = np.asarray(frames)
    steps = np.diff(numbers_)
    cuts = np.flatnonzero((steps > max_gap + 1) | (steps <= 0)) + 1
    return np.split(np.arange(len(frames)), cuts)


def on_grid(values: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Rows (T, V, C) put at their frame's place, frames that are missing as zeros: (last - first + 1, V, C)."""
    grid = np.zeros((int(frames[-1] - frames[0]) + 1, *values.shape[1:]), values.dtype)
    grid[frames - frames[0]] = values
    return grid
