"""Labelled clips in every format, made on the fly, for the tests of the readers and of what uses them."""

import json
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from made_poses import body, seen, squat

from kinetag.pose.files import write_poses


def source(path: Path, labels: str = "", kind: str = "auto") -> SimpleNamespace:
    """A dataset source as the spec has it."""
    return SimpleNamespace(data_path=str(path), label_path=str(labels), format=kind)


def dataset(classes: int = 3, names: tuple[str, ...] = (), **options: Any) -> SimpleNamespace:
    """The dataset part of a spec."""
    known = {
        "num_classes": classes,
        "label_map": {name: i for i, name in enumerate(names)},
        "source_layout": "",
        "rate": 15.0,
        "cache_dir": "",
        "coordinates": "auto",
        "window_size": -1,
    }
    return SimpleNamespace(**(known | options))


def model(layout: str = "nvidia", channels: int = 3) -> SimpleNamespace:
    """The model part of a spec."""
    return SimpleNamespace(graph_layout=layout, input_channels=channels)


def write_arrays(
    folder: Path,
    shape: tuple[int, ...] = (6, 3, 20, 34, 1),
    *,
    role: str = "train",
    classes: int = 3,
    protocol: int = 4,
    seed: int = 0,
) -> np.ndarray:
    """{role}_data.npy and {role}_label.pkl; gives back the array."""
    data = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    np.save(folder / f"{role}_data.npy", data)
    names = [f"clip_{i}" for i in range(shape[0])]
    write_labels(folder / f"{role}_label.pkl", names, [i % classes for i in range(shape[0])], protocol)
    return data


def write_labels(path: Path, names: Any, labels: Any, protocol: int = 4) -> None:
    path.write_bytes(pickle.dumps((names, labels), protocol=protocol))


def person(number: int = 1, seconds: float = 4.0, *, rate: float = 15.0, start: float = 0.0, size: float = 1.0):
    """Somebody who squats, as a PoseSequence in 13 joints."""
    times = start + np.arange(round(seconds * rate)) / rate
    joints = body(len(times))
    squat(joints, 45 - 45 * np.cos(2 * np.pi * times / 2))
    sequence = seen(joints, times)
    sequence.person = number
    middle = np.nanmean(sequence.keypoints, axis=(0, 1))
    sequence.keypoints = (sequence.keypoints - middle) * size + middle
    return sequence


def bodypose(
    people: dict[int, list[int]], *, frames: int = 60, joints: int = 34, stated: bool = False, seed: int = 0
) -> list[dict[str, Any]]:
    """DeepStream's JSON: ``people`` maps an id to the frames it is in. Some joints have confidence 0."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(frames):
        objects = []
        for identity, present in people.items():
            if number not in present:
                continue
            flat = rng.normal(500, 300, (joints, 4))
            flat[:, 3] = rng.uniform(0, 1, joints) * (rng.uniform(size=joints) > 0.2)
            deep = rng.normal(0, 800, (joints, 4))
            deep[:, 3] = flat[:, 3]
            objects.append({"object_id": identity, "pose25d": flat.ravel().tolist(), "pose3d": deep.ravel().tolist()})
        made.append({"objects": objects} | ({"frame_num": number} if stated else {}))
    batches = [made[i : i + 8] for i in range(0, frames, 8)]
    return [{"num_frames_in_batch": len(batch), "batches": batch} for batch in batches]


def write_json(path: Path, data: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data))
    return path


def annotation(name: str, label: int | None = 0, *, people: int = 1, frames: int = 12, joints: int = 17, axes: int = 2):
    """One clip of PYSKL's annotation pickles."""
    rng = np.random.default_rng(len(name))
    note: dict[str, Any] = {
        "frame_dir": name,
        "total_frames": frames,
        "img_shape": (240, 320),
        "keypoint": rng.uniform(20, 200, (people, frames, joints, axes)).astype(np.float16),
    }
    if axes == 2:
        note["keypoint_score"] = rng.uniform(0.2, 1, (people, frames, joints)).astype(np.float16)
    if label is not None:
        note["label"] = label
    return note


def labelled_folder(folder: Path, count: int = 6) -> Path:
    """Files of poses in class folders."""
    for label in ("squat", "lunge"):
        for i in range(count):
            path = folder / label / f"{i}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_poses([person(seconds=1 + i)], path)
    return folder
