"""Readers of labelled skeleton clips, one way in: `load_clips`."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kinetag.datasets.clips import Clips
from kinetag.errors import KinetagError
from kinetag.progress import Progress, silent

FORMATS = ("auto", "array", "pyskl", "videos", "deepstream", "openpose", "kinetag")


def load_clips(
    source: Any,
    dataset: Any,
    model: Any,
    *,
    need_labels: bool = True,
    role: str = "",
    class_names: Sequence[str] | None = None,
    progress: Progress = silent,
) -> Clips:
    """The clips of a dataset source, in the model's layout and channels.

    ``source`` has ``data_path``, ``label_path`` and ``format``; ``dataset`` and ``model`` are those parts of the spec.
    ``role`` ('train', 'val', 'test') chooses among TAO's well-known names when the path is a folder of arrays, and
    among the splits of an annotation pickle. ``class_names``, for example a checkpoint's, overrule the spec's label
    map; without them, a class of which no video or pose file could be used is an error. ``progress`` counts the files
    whose poses are read.

    Raises KinetagError that names the first bad sample. What could be read only in part is told in ``Clips.warnings``.
    """
    if not source.data_path:
        raise KinetagError("data_path is empty: give the array, folder or file that holds the clips")
    if "://" in source.data_path:
        raise KinetagError(f"{source.data_path}: an address; kinetag.storage.local_copy fetches it to this machine")
    path, label_path = Path(source.data_path), source.label_path or ""
    kind = getattr(source, "format", "auto") or "auto"
    kind = _format_of(path) if kind == "auto" else kind
    if kind == "array":
        clips = _arrays(path, label_path, dataset, model, role, need_labels, class_names)
    elif kind == "pyskl":
        clips = _annotations(path, label_path, dataset, model, role, need_labels, class_names)
    elif kind in FORMATS:
        clips = _poses(path, label_path, dataset, model, need_labels, class_names, progress)
    else:
        raise KinetagError(f"dataset format '{kind}' is not known; known: {', '.join(FORMATS)}")
    if need_labels and clips.labels is None:
        raise KinetagError(f"{path}: no labels in it; use class folders, or a CSV with the columns file and label")
    return clips


def class_names_of(dataset: Any) -> tuple[str, ...]:
    """Class names in the order of their indices, from dataset.label_map, which must agree with dataset.num_classes."""
    count = int(dataset.num_classes)
    mapping = dict(dataset.label_map or {})
    if not mapping:
        return tuple(f"class_{i}" for i in range(count))
    if sorted(mapping.values()) != list(range(count)):
        raise KinetagError(
            f"dataset.label_map has {len(mapping)} classes with indices {sorted(mapping.values())[:8]}, but "
            f"dataset.num_classes is {count}: the indices must be 0 to {count - 1}, each once"
        )
    return tuple(sorted(mapping, key=lambda name: mapping[name]))


def _format_of(path: Path) -> str:
    """What a path holds, by its name and content."""
    from kinetag.datasets.arrays import ROLES

    if path.suffix.lower() in (".npy", ".npz"):
        return "array"
    if path.suffix.lower() in (".pkl", ".pickle"):
        return "pyskl"
    marks = [f"{role}_{kind}" for role in ROLES for kind in ("data.npy", "label.pkl")]
    if path.is_dir() and any((path / mark).is_file() for mark in marks):
        return "array"
    if not path.exists():
        raise KinetagError(f"no such file or folder: {path}")
    return "videos"


def _arrays(
    path: Path,
    label_path: str,
    dataset: Any,
    model: Any,
    role: str,
    need_labels: bool,
    class_names: Sequence[str] | None,
) -> Clips:
    from kinetag.datasets.arrays import convert_arrays, read_arrays

    layout = getattr(dataset, "source_layout", "") or model.graph_layout
    if class_names is None and not _placeholder(dataset.label_map):
        class_names = class_names_of(dataset)
    clips = read_arrays(
        str(path),
        label_path,
        layout=layout,
        class_names=class_names,
        classes=int(dataset.num_classes),
        role=role,
        need_labels=need_labels,
    )
    wanted = int(model.input_channels)
    if len(clips.channels) != wanted:
        raise KinetagError(
            f"{clips.source}: {len(clips.channels)} channels ({', '.join(clips.channels)}), but "
            f"model.input_channels is {wanted}; set it to {len(clips.channels)}"
        )
    stated = getattr(dataset, "coordinates", "auto")
    if clips.coordinates == "array" and stated != "auto":  # the user knows what the array cannot say
        clips = replace(clips, coordinates=stated)
    return convert_arrays(clips, model.graph_layout)


def _annotations(
    path: Path,
    label_path: str,
    dataset: Any,
    model: Any,
    role: str,
    need_labels: bool,
    class_names: Sequence[str] | None,
) -> Clips:
    from kinetag.datasets.pyskl import read_annotations

    return read_annotations(
        path,
        layout=model.graph_layout,
        source_layout=getattr(dataset, "source_layout", ""),
        channel_count=int(model.input_channels),
        coordinates=getattr(dataset, "coordinates", "auto"),
        class_names=class_names if class_names is not None else class_names_of(dataset),
        split=label_path,
        role=role,
        need_labels=need_labels,
    )


def _poses(
    path: Path,
    label_path: str,
    dataset: Any,
    model: Any,
    need_labels: bool,
    class_names: Sequence[str] | None,
    progress: Progress,
) -> Clips:
    from kinetag.datasets.extraction import default_cache
    from kinetag.datasets.listing import list_entries
    from kinetag.datasets.poses import Wish, read_entries

    cache = getattr(dataset, "cache_dir", "")
    window = int(getattr(dataset, "window_size", -1))
    size = getattr(dataset, "frame_size", None)
    wish = Wish(
        layout=model.graph_layout,
        channel_count=int(model.input_channels),
        coordinates=getattr(dataset, "coordinates", "auto"),
        rate=float(getattr(dataset, "rate", 15.0)),
        cache=Path(cache) if cache else default_cache(),
        window=window if window > 0 else 100,
        frame_size=(size[0], size[1]) if size else None,
    )
    entries = list_entries(path, label_path)
    every_class = class_names is None  # what a model has learned may be missing in other data
    if class_names is None and not _placeholder(dataset.label_map):
        class_names = class_names_of(dataset)
    return read_entries(
        entries,
        wish,
        source=str(path),
        class_names=class_names,
        need_labels=need_labels,
        every_class=every_class and need_labels,
        progress=progress,
    )


def _placeholder(label_map: dict[str, int] | None) -> bool:
    """Whether a label map is the template's (class_0, class_1, ...), which says nothing."""
    return all(name == f"class_{index}" for name, index in (label_map or {}).items())
