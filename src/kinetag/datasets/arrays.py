"""Clips in numpy arrays: one .npy of shape (N, C, T, V, M) and a pickle with the names and labels.

N clips, C channels (x, y[, z or confidence]), T frames, V joints, M people, padded with zeros: the arrays of ST-GCN
(Yan et al. 2018) and of NVIDIA TAO's pose classification. The array is memory-mapped, so it may be larger than memory.
A file beside it with the same name and the ending .json (kinetag writes one) says what an array alone cannot.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from kinetag.datasets.clips import COORDINATES, Clips, check_finite, check_joints, check_labels, true_length
from kinetag.datasets.safe_pickle import read_pickle
from kinetag.errors import KinetagError
from kinetag.skeletons import convert

ROLES = ("train", "val", "test")
# In these layouts the third channel is the confidence; in the others, which are 3D, it is z.
_FLAT = ("openpose", "openpose25", "coco", "blazepose", "kinetag")
_SIDE_FORMAT = "kinetag-clips"


class ArrayClips(Sequence[np.ndarray]):
    """The clips of a .npy file, each read from the disk when it is asked for, float32 (C, T, V, M).

    Other processes that load data open the file anew: only its path goes to them.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data = open_array(path)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, i: int) -> np.ndarray:  # pyright: ignore[reportIncompatibleMethodOverride]
        return np.array(self.data[i], np.float32)

    def __reduce__(self) -> tuple[Any, ...]:
        return ArrayClips, (self.path,)


def open_array(path: Path) -> np.ndarray:
    """Memory-map a .npy of shape (N, C, T, V, M); anything else raises a KinetagError."""
    if not path.is_file():
        raise KinetagError(f"no such file: {path}")
    try:
        data = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # a hostile header raises anything
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        if "allow_pickle" in text or "Python objects" in text:
            text = "it holds Python objects; save it as a plain float32 array"
        raise KinetagError(f"{path}: not a .npy array that can be read ({text[:100]})") from None
    if not isinstance(data, np.ndarray):
        data.close()
        raise KinetagError(f"{path}: an .npz archive; save the one array with numpy.save")
    if data.dtype.kind not in "fiu":
        raise KinetagError(f"{path}: holds {data.dtype}, but must hold float32 numbers")
    if data.ndim != 5:
        more = "; add the people as a last axis: data[..., None]" if data.ndim == 4 else ""
        raise KinetagError(
            f"{path}: {data.ndim} dimensions, shape {data.shape}, but must have 5: (samples, channels, frames, joints, "
            f"people){more}"
        )
    if 0 in data.shape:
        raise KinetagError(f"{path}: empty, its shape is {data.shape}")
    return data


def find_files(data_path: str, label_path: str, role: str = "") -> tuple[Path, Path | None]:
    """The array and label file of a source: files as given, or TAO's well-known names in a folder."""
    path = Path(data_path)
    if path.is_dir():
        roles = [role] if role else [name for name in ROLES if (path / f"{name}_data.npy").is_file()]
        if len(roles) != 1:
            known = ", ".join(f"{name}_data.npy" for name in ROLES)
            raise KinetagError(f"{path}: which array in this folder? it should hold one of {known}; name the file")
        path = path / f"{roles[0]}_data.npy"
        if not path.is_file():
            raise KinetagError(f"no such file: {path}; a folder of arrays for this must hold it")
    beside = path.with_name(path.name.replace("_data.npy", "_label.pkl"))
    if label_path:
        labels = Path(label_path)
        return path, labels / beside.name if labels.is_dir() else labels
    return path, beside if beside != path and beside.is_file() else None


def read_labels(path: Path) -> tuple[list[str], Any]:
    """(sample names, labels) of a label pickle; labels are still unchecked."""
    pair = read_pickle(path)
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        found = f"{len(pair)} of them" if isinstance(pair, list | tuple) else f"a {type(pair).__name__}"
        raise KinetagError(f"{path}: must hold the pair (sample names, labels), found {found}")
    names, labels = pair
    if not isinstance(names, list | tuple | np.ndarray) or not isinstance(labels, list | tuple | np.ndarray):
        raise KinetagError(f"{path}: sample names and labels must be two lists")
    if len(names) != len(labels):
        raise KinetagError(f"{path}: {len(names)} sample names but {len(labels)} labels")
    return [str(name) for name in names], labels


def read_arrays(
    data_path: str,
    label_path: str = "",
    *,
    layout: str,
    class_names: Sequence[str] | None = None,
    classes: int = 0,
    role: str = "",
    need_labels: bool = True,
) -> Clips:
    """Read and check clips: joints, labels, lengths, and every number, so that training cannot trip over them later.

    Without ``class_names`` they are those in the file beside the array, else ``classes`` of them that are called
    class_0 and so on. The first sample that is wrong is named. One pass over the file finds NaN and where each clip's
    padding begins.
    """
    path, label_file = find_files(data_path, label_path, role)
    arrays = ArrayClips(path)
    count = len(arrays)
    side = _side_file(path)
    known = class_names if class_names is not None else side.get("class_names")
    names_of_classes = tuple(known) if known else tuple(f"class_{i}" for i in range(classes))
    check_joints(arrays.data.shape[3], side.get("layout", layout), str(path))
    if label_file is None and need_labels:
        raise KinetagError(f"{path}: no labels; give label_path, a pickle with (sample names, labels)")
    names, labels = [str(i) for i in range(count)], None
    if label_file is not None and (need_labels or label_file.is_file()):
        names, raw = read_labels(label_file)
        if len(names) != count:
            raise KinetagError(f"{label_file}: {len(names)} labels, but {path} has {count} samples")
        labels = check_labels(raw, names, len(names_of_classes), str(label_file))
    lengths, flat = _look_through(arrays, names, str(path))
    return Clips(
        source=str(path),
        layout=side.get("layout", layout),
        channels=side.get("channels") or guess_channels(arrays.data.shape[1], layout, flat),
        class_names=names_of_classes,
        names=names,
        labels=labels,
        arrays=arrays,
        lengths=lengths,
        rate=side.get("rate"),
        coordinates=side.get("coordinates", "array"),
        groups=side.get("groups") if len(side.get("groups", ())) == count else None,
    )


def guess_channels(count: int, layout: str, third_is_score: bool) -> tuple[str, ...]:
    """What the channels of an array are: by their number, the layout, and whether the third lies within [0, 1]."""
    if count == 3:
        return ("x", "y", "confidence") if layout in _FLAT and third_is_score else ("x", "y", "z")
    known = ("x", "y", "z", "confidence")
    return known[:count] + tuple(f"channel_{i}" for i in range(4, count))


def _look_through(arrays: ArrayClips, names: Sequence[str], source: str) -> tuple[np.ndarray, bool]:
    """True length of every clip, and whether the third channel lies within [0, 1] throughout."""
    lengths, score = np.zeros(len(arrays), np.int64), arrays.data.shape[1] >= 3
    for i in range(len(arrays)):
        clip = arrays.data[i]
        check_finite(clip, i, names[i], source)
        lengths[i] = true_length(clip)
        score = score and bool(clip[2].min() >= 0 and clip[2].max() <= 1)
    return lengths, score


def _side_file(path: Path) -> dict[str, Any]:
    """What the .json beside an array says of it; nothing when there is none or it is another program's."""
    beside = path.with_suffix(".json")
    if not beside.is_file() or beside.stat().st_size > 64 << 20:
        return {}
    try:
        side = json.loads(beside.read_bytes())
    except (ValueError, OSError, RecursionError):
        return {}
    if not isinstance(side, dict) or side.get("format") != _SIDE_FORMAT:
        return {}
    out = {key: side[key] for key in ("layout", "rate", "coordinates") if side.get(key) is not None}
    if out.get("coordinates", "array") not in COORDINATES or not isinstance(out.get("layout", ""), str):
        raise KinetagError(f"{beside}: unknown layout or coordinates in it; write the array again, or delete this file")
    for key in ("channels", "groups", "class_names"):
        if isinstance(side.get(key), list):
            out[key] = tuple(str(name) for name in side[key])
    return out


def convert_arrays(clips: Clips, layout: str) -> Clips:
    """The same clips in another layout, each converted when it is asked for; joints that cannot be known are zero."""
    if clips.layout == layout:
        return clips
    if "confidence" not in clips.channels and len(clips.channels) > 3:
        raise KinetagError(f"{clips.source}: {len(clips.channels)} channels cannot be converted to layout '{layout}'")
    return replace(clips, layout=layout, arrays=_Converted(clips, layout))


class _Converted(Sequence[np.ndarray]):
    def __init__(self, clips: Clips, layout: str) -> None:
        self.arrays, self.source, self.target = clips.arrays, clips.layout, layout
        self.scored = "confidence" in clips.channels

    def __len__(self) -> int:
        return len(self.arrays)

    def __getitem__(self, i: int) -> np.ndarray:  # pyright: ignore[reportIncompatibleMethodOverride]
        clip = np.moveaxis(self.arrays[i], (0, 2), (-1, -2))  # (C, T, V, M) -> (T, M, V, C)
        score: np.ndarray = clip[..., -1] if self.scored else np.where(clip.any(axis=-1), 1, 0).astype(np.float32)
        points, confidence = convert(clip, score, self.source, self.target)
        if self.scored:
            points[..., -1] = confidence
        points = np.where(confidence[..., None] > 0, points, 0)  # an unseen joint must not half-make a derived one
        return np.ascontiguousarray(np.moveaxis(points, (-1, -2), (0, 2)), np.float32)
