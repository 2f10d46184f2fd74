"""Clips from videos and pose files: whose poses, from when to when, in which layout, rate and coordinates."""

import difflib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kinetag.datasets import deepstream
from kinetag.datasets.clips import Clips, too_few
from kinetag.datasets.coordinates import FLAT, channel_names, normalise, stack
from kinetag.datasets.extraction import Extractor, video_poses
from kinetag.datasets.listing import POSE_SUFFIXES, Entry
from kinetag.errors import KinetagError
from kinetag.features import resample
from kinetag.pose.found import load_json
from kinetag.progress import Progress, silent
from kinetag.sequence import PoseSequence
from kinetag.skeletons import convert

FRAME_RATE = 30.0  # of pose files whose frames carry no time
_STAGE = "Reading poses"
_MIN_POSES = 2
_MAX_GAP = 30  # frames; DeepStream's poses are cut where a person is missing for longer
_FOCAL_LENGTH = 1200.0  # the reference's default; networks that normalise do not mind
_MAX_WARNINGS = 20


@dataclass(frozen=True)
class Wish:
    """What clips are to look like: see `kinetag.datasets.load_clips`. ``window`` frames cut what has no label.

    ``frame_size`` (width, height) is that of the videos that files of poses come from, where these do not say it.
    """

    layout: str
    channel_count: int
    coordinates: str
    rate: float
    cache: Path
    window: int = 100
    frame_size: tuple[int, int] | None = None


@dataclass
class _Clip:
    entry: Entry
    person: int
    interval: tuple[float, float]
    data: np.ndarray  # (C, T, V, 1)


def read_entries(
    entries: Sequence[Entry],
    wish: Wish,
    *,
    source: str,
    class_names: Sequence[str] | None = None,
    need_labels: bool = True,
    every_class: bool = False,
    progress: Progress = silent,
) -> Clips:
    """Clips of everything in a list of files, with warnings for what had to be left out or guessed.

    A labelled piece of a file becomes one clip of one person; a file without a label is cut into windows, of everybody
    in it. Without ``class_names`` the labels' own names are the classes, in alphabetical order.
    Where no labels are needed, folders that are named after something else than the classes are no labels.
    ``every_class``: a label of which nothing could be used raises a KinetagError, rather than to be a class without
    clips.
    """
    labels = {entry.label for entry in entries if entry.label is not None}
    names = tuple(class_names) if class_names is not None else tuple(sorted(labels))
    if not labels <= set(names):
        if need_labels:
            raise _unknown_label(entries, names, source)
        entries = [replace(entry, label=None) for entry in entries]
    coordinates = _choose_coordinates(entries[0], wish)
    channels = channel_names(wish.channel_count, coordinates, source)
    reader = _Reader(replace(wish, coordinates=coordinates), channels, [])
    clips = list(_read_all(entries, reader, progress))
    if not clips:
        raise KinetagError(f"{source}: no clip in it could be used; {reader.warnings[0]}")
    if every_class and (lost := sorted(labels - {clip.entry.label for clip in clips})):
        raise _lost_class(lost, entries, reader.warnings, source)
    labelled = clips[0].entry.label is not None
    result = Clips(
        source=source,
        layout=wish.layout,
        channels=channels,
        class_names=names,
        names=[_name(clip) for clip in clips],
        labels=np.array([names.index(clip.entry.label or "") for clip in clips], np.int64) if labelled else None,
        arrays=[clip.data for clip in clips],
        lengths=np.array([clip.data.shape[1] for clip in clips], np.int64),
        rate=None if coordinates == "pelvis3d" else wish.rate,
        coordinates=coordinates,
        people=tuple(clip.person for clip in clips),
        intervals=tuple(clip.interval for clip in clips),
        groups=tuple(f"{clip.entry.file}#{clip.person}" for clip in clips),
    )
    return replace(result, warnings=(*_shortened(reader.warnings), *too_few(result)))


def _unknown_label(entries: Sequence[Entry], names: tuple[str, ...], source: str) -> KinetagError:
    entry = next(entry for entry in entries if entry.label is not None and entry.label not in names)
    near = difflib.get_close_matches(entry.label or "", names, 1)
    hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(names)[:120]}"
    return KinetagError(f"{source}: '{entry.name}' has the label '{entry.label}', which no class has; {hint}")


def _lost_class(lost: Sequence[str], entries: Sequence[Entry], warnings: Sequence[str], source: str) -> KinetagError:
    """That classes have entries, but not one that gave a clip: a network would learn nothing of them."""
    videos = [entry for entry in entries if entry.label == lost[0]]
    about = [line for line in warnings if any(v.name in line or str(v.file) in line for v in videos)]
    reason = f" ({about[0].removeprefix('left out: ')})" if about else ""
    more = f"; nor of {', '.join(lost[1:])[:120]}" if len(lost) > 1 else ""
    names = ", ".join(video.name for video in videos[:3]) + (", ..." if len(videos) > 3 else "")
    return KinetagError(
        f"{source}: nothing could be used of class '{lost[0]}', which has {names}{reason}{more}; add clips that show "
        "it, or leave the class out; the poses of the others are kept"
    )


def _read_all(entries: Sequence[Entry], reader: "_Reader", progress: Progress) -> Iterator[_Clip]:
    first_error: KinetagError | None = None
    good = 0
    for done, entry in enumerate(entries):
        progress(_STAGE, done, len(entries))
        reader.progress = lambda share, d=done: progress(_STAGE, d + share, len(entries))
        try:
            for clip in reader.read(entry):
                good += 1
                yield clip
        except KinetagError as error:
            first_error = first_error or error
            reader.warnings.append(f"left out: {error}")
    if first_error is not None and not good:
        raise first_error
    progress(_STAGE, len(entries), len(entries))


class _Reader:
    """Reads entries one after the other; keeps the poses of the last file, since its pieces often follow each other."""

    def __init__(self, wish: Wish, channels: tuple[str, ...], warnings: list[str]) -> None:
        self.wish, self.channels, self.warnings = wish, channels, warnings
        self.progress: Callable[[float], None] = lambda share: None
        self._extract = Extractor()
        self._file: Path | None = None
        self._sequences: list[PoseSequence] = []

    def read(self, entry: Entry) -> Iterator[_Clip]:
        if self.wish.coordinates == "pelvis3d":
            yield from self._spatial(entry)
            return
        sequences = [_between(sequence, entry) for sequence in self._poses(entry.file)]
        sequences = [sequence for sequence in sequences if len(sequence) >= _MIN_POSES]
        for sequence in self._choose(sequences, entry):
            yield from self._clips(sequence, entry)

    def _poses(self, file: Path) -> list[PoseSequence]:
        if file != self._file:
            from kinetag.smoothing import smooth

            self._sequences = [smooth(sequence) for sequence in self._raw(file)]
            self._file = file
        return self._sequences

    def _raw(self, file: Path) -> list[PoseSequence]:
        if not file.is_dir() and file.suffix.lower() not in POSE_SUFFIXES:
            update = self.progress
            return video_poses(
                file,
                rate=self.wish.rate,
                cache=self.wish.cache,
                extract=self._extract,
                progress=lambda time, duration: update(min(time / duration, 1.0) if duration else 0.0),
            )
        from kinetag.pose.files import read_pose_file

        return read_pose_file(file, frame_rate=FRAME_RATE, frame_size=self.wish.frame_size)

    def _choose(self, sequences: list[PoseSequence], entry: Entry) -> list[PoseSequence]:
        """The person that is asked for; else everybody where nothing is labelled, else the most prominent."""
        if not sequences:
            self.warnings.append(f"left out: {entry.name}: nobody was found in it")
        elif entry.person is not None:
            chosen = [sequence for sequence in sequences if sequence.person == entry.person]
            if not chosen:
                there = ", ".join(str(sequence.person) for sequence in sequences)
                self.warnings.append(f"left out: {entry.name}: no person {entry.person} in it, only {there}")
            return chosen
        elif len(sequences) > 1 and entry.label is not None:
            best = max(sequences, key=prominence)
            self.warnings.append(
                f"{entry.name}: {len(sequences)} people; took person {best.person}, the most prominent"
            )
            return [best]
        return sequences

    def _clips(self, sequence: PoseSequence, entry: Entry) -> Iterator[_Clip]:
        wish = self.wish
        sequence = sequence.to_layout(wish.layout)
        if not (sequence.confidence > 0).any():
            raise KinetagError(f"{entry.name}: its poses share no joint with layout '{wish.layout}'")
        times, points, confidence = uniform(sequence, wish.coordinates, wish.rate, entry.name)
        if not (confidence > 0).any():
            self.warnings.append(f"left out: {entry.name}: person {sequence.person} is never seen clearly")
        for rows in _windows(len(times), None if entry.label is not None else wish.window):
            if not (confidence[rows] > 0).any():
                continue
            numbers = normalise(points[rows], confidence[rows], wish.coordinates, sequence.frame_size)
            data = stack(numbers, confidence[rows], self.channels)
            interval = (float(times[rows][0]), float(times[rows][-1]))
            yield _Clip(entry, sequence.person, interval, data)

    def _spatial(self, entry: Entry) -> Iterator[_Clip]:
        """DeepStream's 3D poses as the reference normalises them, frame by frame."""
        name = str(entry.file)
        tracks = deepstream.read_tracks(load_json(entry.file, deepstream.MAX_BYTES), "pose3d", 34, name)
        tracks = [track for track in tracks if entry.person in (None, track.person)]
        if not tracks:
            self.warnings.append(f"left out: {entry.name}: nobody was found in it")
        if entry.label is not None and len(tracks) > 1:
            tracks = [max(tracks, key=lambda track: len(track.frames))]
            self.warnings.append(f"{entry.name}: several people; took person {tracks[0].person}, who is seen longest")
        for track in tracks:
            frames, poses = np.array(track.frames), track.poses
            inside = _within(frames / FRAME_RATE, entry)
            frames, poses = frames[inside], poses[inside]
            points = deepstream.normalise_poses(poses, "3dbp", width=1, height=1, focal_length=_FOCAL_LENGTH)
            runs = [rows for rows in deepstream.pieces(frames.tolist(), _MAX_GAP) if len(rows) >= _MIN_POSES]
            if not runs:
                self.warnings.append(f"left out: {entry.name}: person {track.person} is hardly seen")
            elif entry.label is not None and len(runs) > 1:
                self.warnings.append(
                    f"{entry.name}: person {track.person} is seen in {len(runs)} pieces; took the longest"
                )
                runs = [max(runs, key=len)]
            for rows in runs:
                both = np.concatenate([points[rows], np.clip(poses[rows][..., 3:], 0, 1)], axis=-1)
                grid = deepstream.on_grid(both, frames[rows])
                yield from self._spatial_windows(grid, int(frames[rows[0]]), track.person, entry)

    def _spatial_windows(self, grid: np.ndarray, first: int, person: int, entry: Entry) -> Iterator[_Clip]:
        """``grid`` (T, 34, 4): x, y, z, confidence, one row a frame."""
        points, confidence = convert(grid[..., :3], grid[..., 3], "nvidia", self.wish.layout)
        points = np.where(confidence[..., None] > 0, points, 0)
        for rows in _windows(len(grid), None if entry.label is not None else self.wish.window):
            interval = ((first + rows.start) / FRAME_RATE, (first + rows.stop - 1) / FRAME_RATE)
            yield _Clip(entry, person, interval, stack(points[rows], confidence[rows], self.channels))


def prominence(sequence: PoseSequence) -> float:
    """How much somebody fills the picture: the diagonal of the seen joints' box, summed over all poses."""
    known = np.where(sequence.confidence[..., None] > 0, sequence.keypoints, np.nan)
    rows = np.isfinite(known).any(axis=(1, 2))
    if not rows.any():
        return 0.0
    extent = np.nanmax(known[rows], axis=1) - np.nanmin(known[rows], axis=1)  # (T, 2)
    return float(np.linalg.norm(np.nan_to_num(extent), axis=-1).sum())


def _choose_coordinates(entry: Entry, wish: Wish) -> str:
    if wish.coordinates == "array":
        raise KinetagError("dataset.coordinates 'array' is for arrays; for poses choose auto, body, frame or metres")
    if wish.coordinates != "auto":
        return wish.coordinates
    if wish.channel_count >= 3 and entry.file.suffix.lower() == ".json" and _has_pose3d(entry.file):
        return "pelvis3d"
    return "metres" if wish.channel_count == 4 else "body"


def _has_pose3d(file: Path) -> bool:
    """Whether a file is DeepStream's with 3D poses, by its beginning."""
    with open(file, "rb") as stream:
        return b'"pose3d"' in stream.read(1 << 20)


def uniform(
    sequence: PoseSequence, coordinates: str, rate: float, name: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times (T,), points (T, V, 2 or 3) and confidence (T, V) at a constant ``rate``; ``name`` is for messages."""
    if coordinates in FLAT:
        return resample(sequence, rate)
    if sequence.world is None:
        raise KinetagError(f"{name}: no points in space in it; set dataset.coordinates to body and 3 input channels")
    times, xy, confidence = resample(replace(sequence, keypoints=sequence.world[..., :2]), rate)
    _, depth, _ = resample(replace(sequence, keypoints=sequence.world[..., [2, 2]]), rate)
    return times, np.concatenate([xy, depth[..., :1]], axis=-1), confidence


def _windows(count: int, window: int | None) -> Iterator[slice]:
    """All frames, or consecutive windows of them; a rest of less than a quarter is left out."""
    if window is None or count <= window:
        yield slice(0, count)
        return
    for start in range(0, count, window):
        if start == 0 or count - start >= window / 4:
            yield slice(start, min(start + window, count))


def _between(sequence: PoseSequence, entry: Entry) -> PoseSequence:
    return sequence.rows(_within(sequence.times, entry))


def _within(times: np.ndarray, entry: Entry) -> np.ndarray:
    return (times >= (entry.start or 0.0)) & (times <= (np.inf if entry.end is None else entry.end))


def _name(clip: _Clip) -> str:
    if clip.entry.label is not None:
        return clip.entry.name
    return f"{clip.entry.name} person {clip.person} {clip.interval[0]:.1f}-{clip.interval[1]:.1f}"


def _shortened(warnings: list[str]) -> list[str]:
    if len(warnings) <= _MAX_WARNINGS:
        return warnings
    return [*warnings[:_MAX_WARNINGS], f"and {len(warnings) - _MAX_WARNINGS} more warnings like these"]
