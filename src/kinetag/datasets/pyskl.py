"""Annotation pickles of PYSKL and MMAction2: a list of clips, or {'split': ..., 'annotations': that list}.

A clip is a dict with 'keypoint' (M, T, V, C), C 2 or 3, 'keypoint_score' (M, T, V) for 2D, 'total_frames', 'label',
'frame_dir' (its name) and 'img_shape' (height, width). Format: PYSKL (Duan et al. 2022, arXiv:2205.09443), tools/data.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kinetag.datasets.clips import Clips, Kept, check_labels, one_line
from kinetag.datasets.coordinates import FLAT, channel_names, normalise
from kinetag.datasets.safe_pickle import read_pickle
from kinetag.errors import KinetagError
from kinetag.skeletons import LAYOUTS, convert

_MAX_PEOPLE = 2
# What a number of joints means when the spec does not say: by (joints, coordinates a joint).
_LAYOUTS = {
    (17, 2): "coco", (18, 2): "openpose", (25, 2): "openpose25", (25, 3): "ntu-rgb+d", (33, 2): "blazepose",
    (34, 2): "nvidia", (34, 3): "nvidia", (13, 2): "kinetag", (17, 3): "human3.6m",
}  # fmt: skip


@dataclass(frozen=True)
class _How:
    source: str
    layout: str
    target: str
    coordinates: str
    channels: tuple[str, ...]
    people: int


class AnnotationClips(Sequence[np.ndarray]):
    """The annotations' clips, each brought to layout, coordinates and channels when it is asked for."""

    def __init__(self, annotations: list[dict[str, Any]], how: _How) -> None:
        self.annotations, self.how = annotations, how

    def __len__(self) -> int:
        return len(self.annotations)

    def __getitem__(self, i: int) -> np.ndarray:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Clip i, float32 (C, T, V, M)."""
        note, how = self.annotations[i], self.how
        points = np.asarray(note["keypoint"], np.float32)  # (M, T, V, D)
        score = _score(note, points)
        if len(points) > how.people:  # the ones that are seen most
            order = np.sort(np.argsort(-score.sum(axis=(1, 2)), kind="stable")[: how.people])
            points, score = points[order], score[order]
        points, score = convert(points, score, how.layout, how.target)
        people, frames, joints = score.shape
        points = np.moveaxis(points, 0, 1).reshape(frames, people * joints, -1)
        score = np.moveaxis(score, 0, 1).reshape(frames, people * joints)
        points = normalise(points, score, how.coordinates, _frame_size(note))
        parts = [points, score[..., None]] if how.channels[-1] == "confidence" else [points]
        data = np.concatenate(parts, axis=-1).reshape(frames, people, joints, -1)
        clip = np.zeros((data.shape[-1], frames, joints, how.people), np.float32)
        clip[..., :people] = data.transpose(3, 0, 2, 1)
        return clip


def read_annotations(
    path: Path,
    *,
    layout: str,
    source_layout: str = "",
    channel_count: int = 3,
    coordinates: str = "auto",
    class_names: Sequence[str],
    split: str = "",
    role: str = "",
    need_labels: bool = True,
) -> Clips:
    """Clips of an annotation pickle, all of them or one split ('xsub_train', or the only one that ends in ``role``).

    Raises KinetagError that names the first bad annotation.
    """
    annotations = _chosen(read_pickle(path), split, role, str(path))
    first = _check(annotations[0], 0, str(path), None)
    own = source_layout or _layout_of(first, layout, str(path))
    if own not in LAYOUTS or len(LAYOUTS[own]) != first[0]:
        raise KinetagError(
            f"{path}: {first[0]} joints a person, but layout '{own}' has {len(LAYOUTS.get(own, ()))}; set "
            "dataset.source_layout"
        )
    people = 1
    for i, note in enumerate(annotations):
        _check(note, i, str(path), first)
        people = max(people, len(note["keypoint"]))
    if coordinates == "auto":
        coordinates = "body"
    axes = channel_names(channel_count, "body" if first[1] == 2 else "metres", str(path))
    if coordinates not in (*FLAT, "metres"):
        raise KinetagError(f"{path}: dataset.coordinates '{coordinates}' cannot be made from annotations; use body")
    names = [str(note.get("frame_dir", i)) for i, note in enumerate(annotations)]
    labels = None
    if need_labels or all("label" in note for note in annotations):
        missing = next((i for i, note in enumerate(annotations) if "label" not in note), None)
        if missing is not None:
            raise KinetagError(f"{path}: annotation {missing} ('{one_line(names[missing])}') has no label")
        labels = check_labels([note["label"] for note in annotations], names, len(class_names), str(path))
    how = _How(str(path), own, layout, coordinates, axes, min(people, _MAX_PEOPLE))
    return Clips(
        source=str(path),
        layout=layout,
        channels=axes,
        class_names=tuple(class_names),
        names=names,
        labels=labels,
        arrays=Kept(AnnotationClips(annotations, how)),
        lengths=np.array([np.shape(note["keypoint"])[1] for note in annotations], np.int64),
        coordinates=coordinates,
        groups=tuple(names),
    )


def _chosen(data: Any, split: str, role: str, source: str) -> list[dict[str, Any]]:
    """The annotations of a split, or all."""
    splits: dict[str, Any] = {}
    if isinstance(data, dict):
        splits, data = data.get("split") or {}, data.get("annotations")
    if not isinstance(data, list) or not data or not isinstance(splits, dict):
        raise KinetagError(f"{source}: must be a list of annotations, or a dict with 'annotations'; found neither")
    for i, note in enumerate(data):
        if not isinstance(note, dict):
            raise KinetagError(f"{source}: annotation {i} is a {type(note).__name__}, but must be a dict")
    if not split and splits and role:
        fitting = [name for name in splits if str(name) == role] or [n for n in splits if str(n).endswith(role)]
        if not fitting and role == "test":
            fitting = [name for name in splits if str(name).endswith("val")]
        if len(fitting) != 1:
            raise KinetagError(
                f"{source}: which split is for {role}? it has {', '.join(map(str, splits))}; name one in label_path"
            )
        split = fitting[0]
    if not split:
        return data
    if split not in splits:
        raise KinetagError(f"{source}: no split '{split}'; it has {', '.join(map(str, splits)) or 'none'}")
    wanted = {str(name) for name in splits[split]}
    chosen = [note for note in data if str(note.get("frame_dir")) in wanted]
    if not chosen:
        raise KinetagError(f"{source}: split '{split}' names no annotation that is there")
    return chosen


def _check(note: dict[str, Any], i: int, source: str, first: tuple[int, int] | None) -> tuple[int, int]:
    """(joints, coordinates) of an annotation whose shapes and numbers are right."""
    where = f"{source}: annotation {i} ('{one_line(note.get('frame_dir', i))}')"
    if "keypoint" not in note:
        hint = "; poses left out to save space must be put in first" if "raw_file" in note else ""
        raise KinetagError(f"{where} has no 'keypoint'{hint}")
    points = note["keypoint"]
    if _shape(points, 4) is None or points.shape[3] not in (2, 3) or 0 in points.shape:
        found = f"shape {points.shape}" if isinstance(points, np.ndarray) else f"no array but a {type(points).__name__}"
        raise KinetagError(f"{where}: 'keypoint' has {found}, but must be numbers (people, frames, joints, 2 or 3)")
    if first is not None and points.shape[2:] != first:
        raise KinetagError(f"{where}: {points.shape[2:]} joints and coordinates, but the first annotation has {first}")
    if not np.isfinite(points).all():
        raise KinetagError(f"{where}: 'keypoint' holds NaN or infinity; write an unseen joint with score 0")
    score = note.get("keypoint_score")
    if score is not None and _shape(score, 3) != points.shape[:3]:
        raise KinetagError(f"{where}: 'keypoint_score' must be numbers of shape {points.shape[:3]}")
    frames = note.get("total_frames", points.shape[1])
    if not isinstance(frames, int | float) or frames != points.shape[1]:
        raise KinetagError(f"{where}: total_frames is {one_line(frames)}, but 'keypoint' has {points.shape[1]}")
    return points.shape[2], points.shape[3]


def _shape(value: Any, rank: int) -> tuple[int, ...] | None:
    """The shape of an array of numbers with that many dimensions, None for anything else."""
    plain = isinstance(value, np.ndarray) and value.dtype.kind in "fiu" and value.ndim == rank
    return value.shape if plain else None


def _layout_of(first: tuple[int, int], layout: str, source: str) -> str:
    if first[0] == len(LAYOUTS[layout]):
        return layout
    if first not in _LAYOUTS:
        raise KinetagError(
            f"{source}: {first[0]} joints a person, which no known layout has; known: {', '.join(LAYOUTS)}"
        )
    return _LAYOUTS[first]


def _score(note: dict[str, Any], points: np.ndarray) -> np.ndarray:
    """(M, T, V): the score; without one, 1 where a joint is not at the origin."""
    score = note.get("keypoint_score")
    if score is None:
        return np.where(points.any(axis=-1), 1, 0).astype(np.float32)
    return np.clip(np.nan_to_num(np.asarray(score, np.float32)), 0, 1)


def _frame_size(note: dict[str, Any]) -> tuple[int, int] | None:
    shape = note.get("img_shape", note.get("original_shape"))
    try:
        height, width = (int(value) for value in tuple(shape)[:2])  # pyright: ignore[reportArgumentType]
        return width, height
    except (TypeError, ValueError, OverflowError):
        return None
