"""Readers of labelled skeleton clips, one way in: `load_clips`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kinetag.datasets.clips import Clips
from kinetag.errors import KinetagError

FORMATS = ("auto", "array", "pyskl", "videos", "deepstream", "openpose", "kinetag")


def load_clips(
    source: Any,
    dataset: Any,
    model: Any,
    *,
    need_labels: bool = True,
    role: str = "",
    class_names: Sequence[str] | None = None,
) -> Clips:
    """The clips of a dataset source, in the model's layout and channels.

    ``source`` has ``data_path``, ``label_path`` and ``format``; ``dataset`` and ``model`` are those parts of the spec.
    ``role`` ('train', 'val', 'test') chooses among TAO's well-known names when the path is a folder of arrays.
    ``class_names``, for example a checkpoint's, overrule the spec's label map.

    Raises KinetagError that names the first bad sample.
    """
    if not source.data_path:
        raise KinetagError("data_path is empty: give the array, folder or file that holds the clips")
    names = tuple(class_names) if class_names is not None else class_names_of(dataset)
    layout = getattr(dataset, "source_layout", "") or model.graph_layout
    kind = getattr(source, "format", "auto") or "auto"
    if kind == "auto":
        kind = _format_of(Path(source.data_path), role)
    if kind == "array":
        from kinetag.datasets.arrays import read_arrays

        label_path = source.label_path or ""
        clips = read_arrays(
            source.data_path, label_path, layout=layout, class_names=names, role=role, need_labels=need_labels
        )
        return _as_model_wants(clips, model)
    raise KinetagError(f"dataset format '{kind}' is not known; known: {', '.join(FORMATS)}")


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


def _format_of(path: Path, role: str) -> str:
    return "array"


def _as_model_wants(clips: Clips, model: Any) -> Clips:
    """An array's clips checked against the model's layout and channels."""
    wanted = int(model.input_channels)
    if len(clips.channels) != wanted:
        raise KinetagError(
            f"{clips.source}: {len(clips.channels)} channels ({', '.join(clips.channels)}), but model.input_channels is "
            f"{wanted}; set it to {len(clips.channels)}"
        )
    return clips
