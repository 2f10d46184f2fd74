"""Labelled clips of skeletons: what every reader gives, and what training, evaluation and inference take."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from kinetag.errors import KinetagError
from kinetag.skeletons import get_layout

FEW = 10  # clips of a class below which a warning is due
COORDINATES = ("array", "pixels", "frame", "pelvis3d", "metres", "body")


@dataclass(frozen=True)
class Clips:
    """Clips of one layout and one set of channels.

    ``arrays[i]`` is (C, T_i, V, M) float32: channels, frames, joints, people; clips may differ in length. An unseen
    joint is zero in every channel, as the reference's arrays have it, so where the channels include 'confidence' it is
    the mask. ``labels`` (N,) int64 index ``class_names``; None for clips without labels. ``lengths`` (N,) counts the
    frames that are not padding. ``rate`` is frames a second, None where unknown. ``coordinates`` says how the numbers
    were made: 'array' (unknown), 'pixels', 'frame' (x / width - 0.5, y / height - 0.5), 'pelvis3d' ((p - pelvis) /
    focal length), 'metres', 'body' (centred on the body and divided by its size). ``groups`` names what a clip shares
    with others (its file and person), so that a split never puts one person on both sides. ``people`` and ``intervals``
    ((start, end) in seconds) say where a clip came from.
    """

    source: str
    layout: str
    channels: tuple[str, ...]
    class_names: tuple[str, ...]
    names: Sequence[str]
    labels: np.ndarray | None
    arrays: Sequence[np.ndarray]
    lengths: np.ndarray | None = None
    rate: float | None = None
    coordinates: str = "array"
    people: tuple[int, ...] | None = None
    intervals: tuple[tuple[float, float], ...] | None = None
    groups: tuple[str, ...] | None = None
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.arrays)
        if not count:
            raise KinetagError(f"{self.source}: no clips in it")
        per_clip = ("names", "labels", "lengths", "people", "intervals", "groups")
        for field in per_clip:
            value = getattr(self, field)
            if value is not None and len(value) != count:
                raise KinetagError(f"{self.source}: {count} clips but {len(value)} {field}; they must be as many")

    def __len__(self) -> int:
        return len(self.arrays)

    def subset(self, chosen: Sequence[int] | np.ndarray) -> "Clips":
        """Some of the clips, in the order of ``chosen``."""
        index = [int(i) for i in chosen]

        def pick(values: Sequence | None) -> tuple | None:
            return None if values is None else tuple(values[i] for i in index)

        return replace(
            self,
            names=pick(self.names),
            labels=None if self.labels is None else self.labels[index],
            arrays=Picked(self.arrays, tuple(index)),
            lengths=None if self.lengths is None else self.lengths[index],
            people=pick(self.people),
            intervals=pick(self.intervals),
            groups=pick(self.groups),
        )

    def counts(self) -> dict[str, int]:
        """Clips per class, also of classes that have none."""
        found = np.zeros(len(self.class_names), int)
        if self.labels is not None:
            found = np.bincount(self.labels, minlength=len(self.class_names))
        return {name: int(number) for name, number in zip(self.class_names, found, strict=True)}


class Picked(Sequence[np.ndarray]):
    """Some items of a sequence, read when they are asked for."""

    def __init__(self, items: Sequence[np.ndarray], chosen: tuple[int, ...]) -> None:
        self.items, self.chosen = items, chosen

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, i: int) -> np.ndarray:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self.items[self.chosen[i]]


class Kept(Sequence[np.ndarray]):
    """Items of a sequence that takes work to give them, each kept for the next time while ``most`` bytes hold them.

    Training asks for every clip once an epoch. Each worker process keeps its own.
    """

    def __init__(self, items: Sequence[np.ndarray], most: int = 256 << 20) -> None:
        self.items, self.room = items, most
        self.kept: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, i: int) -> np.ndarray:  # pyright: ignore[reportIncompatibleMethodOverride]
        if i in self.kept:
            return self.kept[i]
        item = self.items[i]
        if item.nbytes <= self.room:
            item.flags.writeable = False  # what one reader did to it the next would see
            self.kept[i], self.room = item, self.room - item.nbytes
        return item


def check_labels(labels: Sequence[int] | np.ndarray, names: Sequence[str], classes: int, source: str) -> np.ndarray:
    """Labels as int64 (N,); the first one that is no whole number in [0, classes) raises a KinetagError."""
    try:
        values = np.asarray(labels)
    except ValueError:
        raise KinetagError(f"{source}: labels must be one whole number a clip, but some are lists") from None
    if values.ndim != 1:
        raise KinetagError(f"{source}: labels have shape {values.shape}, but must be a list with one label a clip")
    if values.dtype.kind not in "iub":
        raise KinetagError(f"{source}: labels must be whole numbers, but the first is {str(values[:1])[1:40]!r}")
    bad = np.flatnonzero((values < 0) | (values >= classes))
    if len(bad):
        first = int(bad[0])
        raise KinetagError(
            f"{source}: label {values[first]} of sample {first} ('{one_line(names[first])}') is outside "
            f"[0, {classes}); set dataset.num_classes and dataset.label_map, or mend the labels"
        )
    return values.astype(np.int64)


def check_joints(count: int, layout: str, source: str) -> None:
    """The array's joints must be those of the layout."""
    skeleton = get_layout(layout)
    if count != len(skeleton):
        from kinetag.skeletons import LAYOUTS

        fitting = [name for name, other in LAYOUTS.items() if len(other) == count]
        hint = f"set model.graph_layout to {' or '.join(fitting)}" if fitting else "no known layout has that many"
        raise KinetagError(f"{source}: {count} joints a person, but layout '{layout}' has {len(skeleton)}; {hint}")


def check_finite(clip: np.ndarray, index: int, name: str, source: str) -> None:
    """A clip (C, T, V, M) with a NaN or an infinite value raises a KinetagError that says where."""
    finite = np.isfinite(clip)
    if not finite.all():
        c, t, v, m = (int(i) for i in np.argwhere(~finite)[0])
        raise KinetagError(
            f"{source}: sample {index} ('{one_line(name)}') holds {clip[c, t, v, m]} at channel {c}, frame {t}, "
            f"joint {v}, person {m}; write an unseen joint as zeros"
        )


def one_line(value: object) -> str:
    """Something from a file as a short piece of a message."""
    return " ".join(str(value)[:200].split())[:60]


def too_few(clips: Clips) -> list[str]:
    """A warning of the classes that have hardly any clips, or none."""
    few = [f"{name} {count}" for name, count in clips.counts().items() if count < FEW]
    if clips.labels is None or not few:
        return []
    return [f"fewer than {FEW} clips of {', '.join(few)}: too few to learn from, or to judge by"]


def true_length(clip: np.ndarray) -> int:
    """Frames up to the last one that is not all zeros; (C, T, V, M) -> at least 1."""
    used = np.flatnonzero(clip.any(axis=(0, 2, 3)))
    return int(used[-1]) + 1 if len(used) else 1


def split(clips: Clips, share: float, seed: int = 0) -> tuple[Clips, Clips]:
    """Split clips into (the rest, about ``share`` of each class), with no group (file and person) on both sides.

    Groups are dealt in a random order that the seed fixes; each goes where the classes it holds are most lacking.
    """
    if not 0 < share < 1:
        raise KinetagError(f"dataset.validation_split is {share:g}, but must lie between 0 and 1")
    labels = np.zeros(len(clips), np.int64) if clips.labels is None else clips.labels
    groups = clips.groups or tuple(str(i) for i in range(len(clips)))
    chosen = held_out(labels, groups, share, seed)
    if chosen.all() or not chosen.any():
        raise KinetagError(
            f"{clips.source}: cannot hold out {share:g} of its clips by person; it has {len(set(groups))} person(s) or "
            "file(s), so give dataset.val_dataset"
        )
    return clips.subset(np.flatnonzero(~chosen)), clips.subset(np.flatnonzero(chosen))


def held_out(labels: np.ndarray, groups: Sequence[str], share: float, seed: int = 0) -> np.ndarray:
    """Which clips to hold out, bool (N,): whole groups, near ``share`` of every class."""
    names = sorted(set(groups))
    order = np.random.default_rng(seed).permutation(len(names))
    member = {name: i for i, name in enumerate(names)}
    held = np.zeros((len(names), int(labels.max(initial=0)) + 1))  # clips of each group by class
    np.add.at(held, (np.array([member[group] for group in groups]), labels), 1)
    wanted = held.sum(axis=0) * share
    taken, chosen = np.zeros_like(wanted), np.zeros(len(names), bool)
    for i in order:
        # taking a group must bring the counts nearer to what is wanted, class by class
        if np.abs(taken + held[i] - wanted).sum() < np.abs(taken - wanted).sum():
            taken, chosen[i] = taken + held[i], True
    return chosen[[member[group] for group in groups]]
