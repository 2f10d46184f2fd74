"""dataset_convert: DeepStream's body poses, or labelled videos and pose files, as arrays to train on.

Of DeepStream's JSON it writes one object_<id>.npy a person, float32 (windows, C, frames, joints, 1), bit for bit what
the reference writes. Of anything that `kinetag.datasets` reads as poses (a folder of videos in class folders, a CSV
list, pose files) it writes train_data.npy and train_label.pkl, and val_* with a split.
"""

import json
import pickle
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from kinetag.datasets import deepstream
from kinetag.datasets.clips import Clips, held_out
from kinetag.datasets.clips import split as split_clips
from kinetag.errors import KinetagError
from kinetag.pose.foreign import is_deepstream
from kinetag.pose.found import load_json
from kinetag.progress import Progress, silent
from kinetag.spec import Spec
from kinetag.status import Status
from kinetag.storage import stored
from kinetag.whole_file import whole_file

_AXES = {"3dbp": ("x", "y", "z"), "25dbp": ("x", "y", "z"), "2dbp": ("x", "y")}
_COORDINATES = {"3dbp": "pelvis3d", "25dbp": "frame", "2dbp": "frame"}
_MAX_BYTES = 16 << 30  # of one array
_FEWEST_TO_VALIDATE = 2  # clips of a class


@dataclass
class DatasetConvert:
    """What was written. ``windows`` counts them by person; labelled data are counted by class instead."""

    files: list[Path] = field(default_factory=list)  # addresses where they were put into a store
    windows: dict[str, int] = field(default_factory=dict)
    clips: dict[str, int] = field(default_factory=dict)  # what the arrays were cut from
    train_windows: dict[str, int] = field(default_factory=dict)
    val_windows: dict[str, int] = field(default_factory=dict)
    too_short: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@stored("dataset_convert")
def dataset_convert(spec: Spec, *, progress: Progress = silent) -> DatasetConvert:
    """Convert ``dataset_convert.data`` and write into the results folder.

    Raises KinetagError for data that cannot be read, and for data in which no person fills a window.
    """
    folder = spec.results_folder("dataset_convert")
    with Status(folder, "dataset_convert", secret=spec.secret(), shown=spec.shown) as status:
        data = spec.dataset_convert.data
        if not data:
            raise KinetagError("dataset_convert.data is empty: give DeepStream's JSON, or a folder of labelled videos")
        path = Path(data)
        if not path.exists():
            raise KinetagError(f"no such file or folder: {path}")
        content = load_json(path, deepstream.MAX_BYTES) if path.suffix.lower() == ".json" else None
        if isinstance(content, list) and (not content or is_deepstream(content)):
            result = _convert_tracks(content, spec, folder, progress)
            status.running(kpi={"Number of objects": len(result.windows) + len(result.too_short)})
        else:
            result = _convert_labelled(spec, folder, progress)
        for file in result.files:
            status.running(f"Saved {file.name}")
        for role, windows in (("Training", result.train_windows), ("Validation", result.val_windows)):
            if windows:
                told = ", ".join(f"{name} {count}" for name, count in windows.items())
                status.running(f"{role} windows: {told}")
        for warning in result.warnings:
            status.running(warning, verbosity="WARNING")
    return result


# --- DeepStream ------------------------------------------------------------------------------------------------------


def _convert_tracks(content: list[Any], spec: Spec, folder: Path, progress: Progress) -> DatasetConvert:
    options = spec.dataset_convert
    _check_lengths(options)
    tracks = deepstream.read_tracks(content, deepstream.KEYS[options.pose_type], options.num_joints, options.data)
    result = DatasetConvert()
    targets = _targets(tracks, options, folder)
    for done, track in enumerate(tracks):
        progress("Converting", done, len(tracks))
        windows = person_windows(track, options)
        name = f"person {track.person}"
        if not len(windows):
            result.too_short.append(str(track.person))
            result.warnings.append(
                f"{name} was left out: {len(track.frames)} frames, of which none fill a window of "
                f"{options.sequence_length_min} (dataset_convert.sequence_length_min)"
            )
            continue
        file = targets[track.person] / f"object_{track.person}.npy"
        file.parent.mkdir(exist_ok=True)
        _save(windows, file)
        if options.keep_confidence:
            _write_side(file, _about(options))
            result.files.append(file.with_suffix(".json"))
        result.files.append(file)
        result.windows[name] = len(windows)
    progress("Converting", len(tracks), len(tracks))
    if not result.windows:
        raise KinetagError(
            f"{options.data}: no window of {options.sequence_length_min} frames in it; {len(tracks)} person(s), the "
            f"longest has {max((len(track.frames) for track in tracks), default=0)} frames"
        )
    return result


def person_windows(track: deepstream.Track, options: Any) -> np.ndarray:
    """A person's windows, float32 (N, C, sequence_length_max, V, 1), padded with zeros.

    Without keep_confidence every frame follows the one before it in the file, as in the reference. With it a person's
    frames stay in their place in time: up to ``max_gap`` missing ones are zeros of confidence 0, and a longer gap ends
    the piece, so that no window reaches across.
    """
    values = deepstream.normalise_poses(
        track.poses,
        options.pose_type,
        width=float(options.input_width),
        height=float(options.input_height),
        focal_length=options.focal_length,
    )
    if not options.keep_confidence:
        return _cut([values], options)
    values = np.concatenate([values, np.clip(track.poses[..., 3:], 0.0, 1.0)], axis=-1)
    frames = np.array(track.frames)
    runs = deepstream.pieces(track.frames, options.max_gap)
    return _cut([deepstream.on_grid(values[rows], frames[rows]) for rows in runs], options)


def _cut(pieces: Sequence[np.ndarray], options: Any) -> np.ndarray:
    """Pieces (T, V, C) -> windows (N, C, sequence_length_max, V, 1)."""
    step = int(options.sequence_length * options.sequence_overlap)
    spans = [
        piece[start : start + options.sequence_length]
        for piece in pieces
        for start in range(0, len(piece) - options.sequence_length_min + 1, step)
    ]
    joints, channels = pieces[0].shape[1:]
    shape = (len(spans), channels, options.sequence_length_max, joints, 1)
    if np.prod([float(n) for n in shape]) * 4 > _MAX_BYTES:
        raise KinetagError(f"the array {shape} would take more than {_MAX_BYTES >> 30} GiB; lower sequence_length_max")
    windows = np.zeros(shape, np.float32)
    for window, span in zip(windows, spans, strict=True):
        window[:, : len(span), :, 0] = span.transpose(2, 0, 1)
    return windows


def _check_lengths(options: Any) -> None:
    if options.sequence_length > options.sequence_length_max:
        raise KinetagError(
            f"dataset_convert.sequence_length is {options.sequence_length}, more than sequence_length_max "
            f"({options.sequence_length_max}), so a window does not fit into the array"
        )
    if int(options.sequence_length * options.sequence_overlap) < 1:
        raise KinetagError(
            f"dataset_convert.sequence_overlap is {options.sequence_overlap:g}, so a window would start where the last "
            f"one did; give at least {1 / options.sequence_length:.3g}"
        )


def _targets(tracks: Sequence[deepstream.Track], options: Any, folder: Path) -> dict[int, Path]:
    """The folder that each person's file goes to: all the same, or train and val with a split by person."""
    if not options.split:
        return {track.person: folder for track in tracks}
    groups = [str(track.person) for track in tracks]
    held = held_out(np.zeros(len(tracks), np.int64), groups, options.split)
    if held.all() or not held.any():
        raise KinetagError(
            f"{options.data}: {len(tracks)} person(s) cannot be split with dataset_convert.split={options.split:g}"
        )
    return {track.person: folder / ("val" if out else "train") for track, out in zip(tracks, held, strict=True)}


def _about(options: Any) -> dict[str, Any]:
    return {
        "layout": "nvidia" if options.num_joints == 34 else None,
        "channels": [*_AXES[options.pose_type], "confidence"],
        "coordinates": _COORDINATES[options.pose_type],
    }


# --- labelled videos and pose files ----------------------------------------------------------------------------------


@dataclass
class _Source:
    data_path: str
    label_path: str = ""
    format: str = "auto"


def _convert_labelled(spec: Spec, folder: Path, progress: Progress) -> DatasetConvert:
    """Labelled clips -> train_data.npy, train_label.pkl, and val_* with a split, in the spec's layout."""
    from kinetag.datasets import load_clips

    options = spec.dataset_convert
    _check_lengths(options)
    channels = spec.model.input_channels if "model.input_channels" in spec.explicit else 2 + options.keep_confidence
    model = spec.model.model_copy(update={"input_channels": channels})
    clips = load_clips(_Source(options.data), spec.dataset, model, progress=progress)
    if clips.groups:
        clips = replace(clips, groups=tuple(map(spec.shown, clips.groups)))
    result = DatasetConvert(warnings=list(clips.warnings))
    parts = {"train": clips}
    if options.split:
        parts["train"], parts["val"] = split_clips(clips, options.split, seed=0)
    result.clips = clips.counts()
    windows: dict[str, dict[str, int]] = {"val": {}}
    for role, part in parts.items():
        files, windows[role], groups = _write_part(part, role, options, folder)
        result.files += files
        if role == "val":
            result.warnings += _doubtful_validation(part.counts(), groups)
    result.train_windows, result.val_windows = windows["train"], windows["val"]
    return result


def _doubtful_validation(clips: dict[str, int], groups: Sequence[str]) -> list[str]:
    """What makes the accuracy on these windows say little; ``groups`` has each window's file and person."""
    warnings = []
    few = [f"{name} {count}" for name, count in clips.items() if count < _FEWEST_TO_VALIDATE]
    if few:
        warnings.append(
            f"validation has fewer than {_FEWEST_TO_VALIDATE} clips of {', '.join(few)}: the accuracy on them will "
            "say little; give more clips, or a larger dataset_convert.split"
        )
    (source, most), *_ = Counter(group.rpartition("#")[0] or group for group in groups).most_common(1)
    if most > len(groups) / 2:
        warnings.append(
            f"{most} of the {len(groups)} validation windows come from {source}: the accuracy on them will say little "
            "of other videos; give more videos, or shorter pieces of this one"
        )
    return warnings


def _write_part(
    clips: Clips, role: str, options: Any, folder: Path
) -> tuple[list[Path], dict[str, int], Sequence[str]]:
    """One array and its labels: the files, the windows of each class, and the group of each window.

    A clip longer than the array is cut into windows, each with the clip's label.
    """
    assert clips.labels is not None
    blocks, names, labels, groups = [], [], [], []
    for i in range(len(clips)):
        clip = clips.arrays[i][..., 0]  # (C, T, V)
        whole = clip.shape[1] <= options.sequence_length_max
        spans = _padded(clip, options.sequence_length_max) if whole else _cut([clip.transpose(1, 2, 0)], options)
        blocks.append(spans)
        for k in range(len(spans)):
            names.append(clips.names[i] if whole else f"{clips.names[i]} window {k}")
            labels.append(int(clips.labels[i]))
            groups.append(clips.groups[i] if clips.groups else clips.names[i])
    data, label = folder / f"{role}_data.npy", folder / f"{role}_label.pkl"
    _save(np.concatenate(blocks), data)
    with _replacing(label) as stream:
        pickle.dump((names, labels), stream, protocol=4)
    about = {
        "layout": clips.layout,
        "channels": list(clips.channels),
        "coordinates": clips.coordinates,
        "rate": clips.rate,
        "class_names": list(clips.class_names),
        "groups": groups,
    }
    _write_side(data, about)
    counts = {name: labels.count(i) for i, name in enumerate(clips.class_names)}
    return [data, label, data.with_suffix(".json")], counts, groups


def _padded(clip: np.ndarray, length: int) -> np.ndarray:
    """(C, T, V) -> (1, C, length, V, 1)."""
    out = np.zeros((1, clip.shape[0], length, clip.shape[2], 1), np.float32)
    out[0, :, : clip.shape[1], :, 0] = clip
    return out


# --- writing ---------------------------------------------------------------------------------------------------------


def _save(array: np.ndarray, path: Path) -> None:
    with _replacing(path) as stream:
        np.save(stream, array, allow_pickle=False)


def _write_side(path: Path, about: dict[str, Any]) -> None:
    """What an array alone does not say, in a .json beside it."""
    text = json.dumps({"format": "kinetag-clips", **about}, indent=1)
    with _replacing(path.with_suffix(".json")) as stream:
        stream.write(text.encode())


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file that appears whole or not at all."""
    try:
        with whole_file(path) as draft, open(draft, "wb") as stream:
            yield stream
    except OSError as error:
        raise KinetagError(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from None
