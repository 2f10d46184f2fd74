"""What bench/architectures.py trains and tests on: Penn Action and UI-PRMD as annotation files and as TAO's arrays."""

import json
import pickle
from pathlib import Path

import numpy as np

from kinetag.datasets.clips import Clips
from kinetag.datasets.pyskl import read_annotations

# Of a Kinect's 22 joints those of the 'kinetag' layout, in its order; the head stands in for the nose.
PRMD_JOINTS = ("head", *(f"{side}_{part}" for part in ("upper_arm", "forearm", "hand", "upper_leg", "lower_leg", "foot")
                         for side in ("left", "right")))  # fmt: skip
FOLDS = {"penn": ("official",), "prmd": tuple(f"s{subject:02d}" for subject in range(1, 11))}


def prepared(task: str, data: Path, work: Path) -> Path:
    """The annotations of a task, written when they are not there."""
    path = work / f"{task}.pkl"
    if not path.exists():
        writer, source = {"penn": (write_penn, "penn_action.npz"), "prmd": (write_prmd, "ui_prmd.npz")}[task]
        writer(data / source, path)
    return path


def write_penn(source: Path, path: Path) -> None:
    data = dict(np.load(source))  # an archive would unpack an array whenever it is asked for
    names = sorted({str(action) for action in data["action"]})
    notes, split = [], {"train": [], "test": []}
    for i in range(len(data["action"])):
        points = data["keypoints"][data["offsets"][i] : data["offsets"][i + 1]]
        height, width, _ = (int(v) for v in data["height_width_frames"][i])
        name = str(data["clip"][i])
        notes.append(note(name, points[..., :2], points[..., 2], names.index(str(data["action"][i])), (height, width)))
        split["train" if data["train"][i] else "test"].append(name)
    write(path, names, notes, split)


def write_prmd(source: Path, path: Path) -> None:
    data = dict(np.load(source))  # an archive would unpack an array whenever it is asked for
    columns = [list(data["joints"]).index(name) for name in PRMD_JOINTS]
    notes: list[dict] = []
    split: dict[str, list[str]] = {f"{fold}_{part}": [] for fold in FOLDS["prmd"] for part in ("train", "test")}
    for i in range(len(data["movement"])):
        points = data["joints_cm"][data["offsets"][i] : data["offsets"][i + 1], columns].astype(np.float32) / 100
        name = f"{i:04d}"
        notes.append(note(name, points, np.ones(points.shape[:2]), int(data["movement"][i]) - 1, None))
        for fold in FOLDS["prmd"]:
            split[f"{fold}_{'test' if int(fold[1:]) == data['subject'][i] else 'train'}"].append(name)
    write(path, [str(name) for name in data["movement_names"]], notes, split)


def note(name: str, points: np.ndarray, score: np.ndarray, label: int, shape: tuple[int, int] | None) -> dict:
    """A clip in the form of PYSKL; ``points`` (T, V, D), ``score`` (T, V)."""
    seen = np.where(score[..., None] > 0, points, 0).astype(np.float32)
    return {
        "frame_dir": name,
        "label": label,
        "total_frames": len(points),
        "keypoint": seen[None],
        "keypoint_score": score[None].astype(np.float32),
        **({"img_shape": shape} if shape else {}),
    }


def write(path: Path, names: list[str], notes: list[dict], split: dict[str, list[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".json").write_text(json.dumps(names))
    path.write_bytes(pickle.dumps({"split": split, "annotations": notes}))


def split_name(task: str, fold: str, part: str) -> str:
    return part if task == "penn" else f"{fold}_{part}"


def read(path: Path, task: str, fold: str, part: str) -> Clips:
    names = json.loads(path.with_suffix(".json").read_text())
    return read_annotations(path, layout="kinetag", class_names=names, split=split_name(task, fold, part))


def write_arrays(folder: Path, clips: Clips, role: str, frames: int) -> None:
    """Arrays as TAO has them: (N, C, T, V, M), zeros after a clip's end."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = np.zeros((len(clips), *_thinned(clips.arrays[0], frames).shape), np.float32)
    for i in range(len(clips)):
        arrays[i] = _thinned(clips.arrays[i], frames)
    np.save(folder / f"{role}_data.npy", arrays)
    assert clips.labels is not None
    (folder / f"{role}_label.pkl").write_bytes(pickle.dumps((list(clips.names), clips.labels.tolist())))


def _thinned(clip: np.ndarray, frames: int) -> np.ndarray:
    clip = clip[:, :: -(-clip.shape[1] // frames)]
    return np.pad(clip, ((0, 0), (0, frames - clip.shape[1]), (0, 0), (0, 0)))
