"""Poses kept on disk while a long analysis runs, so that the same command goes on where it was stopped.

Finding poses is nearly all of the work; tracking and labelling them again takes seconds an hour. So only poses are
kept, a part every half minute, in a hidden folder beside the outputs. A part holds plain numbers and is read without
unpickling anything; whatever does not fit is thrown away and made again.
"""

import hashlib
import json
import math
import shutil
import time as clock
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from kinetag.sequence import Pose
from kinetag.whole_file import whole_file

FOLDER = ".kinetag-resume"
_EVERY = 30.0  # seconds of work between two parts
_FORMAT = 2

Found = tuple[float, list[Pose], bool]  # time of a frame, everybody in it, and whether it begins another shot


def fingerprint(source: str | Path, *, known_as: str = "", **options: object) -> str | None:
    """What a source and the options that decide its poses are known by; None for what cannot be read again.

    ``known_as``: what a copy of a stored file is known by in place of its path and time.
    """
    path = Path(str(source))
    if not path.is_file():
        return None
    from kinetag import __version__

    state = path.stat()
    identity = [known_as] if known_as else [str(path.resolve()), state.st_size, state.st_mtime_ns]
    known = [_FORMAT, __version__, *identity, sorted(options.items())]
    return hashlib.sha256(json.dumps(known, default=str).encode()).hexdigest()


def open_log(
    folder: Path | None, source: str | Path | int, *, known_as: str = "", **options: object
) -> "PoseLog | None":
    """The log in ``folder`` of this source with these options; None without a folder or for a source that passes by."""
    key = fingerprint(str(source), known_as=known_as, **options) if folder is not None else None
    return PoseLog(folder, key) if folder is not None and key is not None else None


def forget(folder: Path) -> None:
    """Remove the poses that are kept in ``folder``: the analysis is done."""
    shutil.rmtree(folder / FOLDER, ignore_errors=True)


class PoseLog:
    """The poses of one analysis in ``folder``; those of an earlier run count when it had the same ``key``.

    ``reached`` is the time of the last frame that is kept (None: nothing is); it is to be looked at once more, so that
    there always is a frame to read.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder, self.key = folder / FOLDER, key
        self.frame_size = (0, 0)
        self.reached: float | None = None
        self._waiting: list[Found] = []
        self._written = clock.monotonic()
        self._parts = 0
        while part := self._read(self._path(self._parts)):
            self._parts, self.reached = self._parts + 1, part[-1][0]
        for path in self.folder.glob("*.npz"):  # what comes after a damaged part, or of another run
            if path.name >= self._path(self._parts).name:
                path.unlink(missing_ok=True)

    def kept(self) -> Iterator[Found]:
        """What earlier runs found, in order, all but the last frame."""
        last = -math.inf
        for number in range(self._parts):
            for time, poses, cut in self._read(self._path(number)) or ():
                if last < time and (self.reached is None or time < self.reached):
                    last = time
                    yield time, poses, cut

    def add(self, time: float, poses: Sequence[Pose], cut: bool = False) -> None:
        """Keep the poses of one more frame; written from time to time."""
        self._waiting.append((time, list(poses), cut))
        if clock.monotonic() - self._written >= _EVERY:
            self.write()

    def write(self) -> None:
        """Write what is waiting as one more part, whole or not at all. On a full disk it waits for the next time."""
        if not self._waiting:
            return
        self._written = clock.monotonic()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with whole_file(self._path(self._parts)) as draft, draft.open("wb") as file:
                np.savez(file, allow_pickle=False, **_to_arrays(self._waiting, self.key, self.frame_size))
        except OSError:  # to go on later is a help; that it cannot be is no reason to stop
            return
        self._parts, self._waiting = self._parts + 1, []

    def _path(self, part: int) -> Path:
        return self.folder / f"poses-{part:05d}.npz"

    def _read(self, path: Path) -> list[Found] | None:
        """The frames of a part; None when it is not there, damaged or of another analysis."""
        try:
            with np.load(path, allow_pickle=False) as arrays:
                if str(arrays["key"]) != self.key:
                    return None
                self.frame_size = (int(arrays["frame_size"][0]), int(arrays["frame_size"][1]))
                return _from_arrays({name: arrays[name] for name in arrays.files})
        except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile):
            return None


def _to_arrays(found: Sequence[Found], key: str, frame_size: tuple[int, int]) -> dict[str, np.ndarray]:
    """Frames and their poses as arrays; what a pose does not have is NaN."""
    poses = [pose for _, some, _ in found for pose in some]
    joints = len(poses[0].keypoints) if poses else 0
    colors = max((len(p.appearance) for p in poses if p.appearance is not None), default=0)
    return {
        "key": np.array(key),
        "frame_size": np.array(frame_size),
        "layout": np.array(poses[0].layout if poses else ""),
        "times": np.array([time for time, _, _ in found]),
        "counts": np.array([len(some) for _, some, _ in found]),
        "cuts": np.array([cut for _, _, cut in found]),
        "keypoints": np.array([p.keypoints for p in poses], np.float32).reshape(len(poses), joints, 2),
        "confidence": np.array([p.confidence for p in poses], np.float32).reshape(len(poses), joints),
        "scores": np.array([p.score for p in poses]),
        "world": np.array(
            [np.full((joints, 3), np.nan) if p.world is None else p.world for p in poses], np.float32
        ).reshape(len(poses), joints, 3),
        "appearance": np.array(
            [np.full(colors, np.nan) if p.appearance is None else p.appearance for p in poses], np.float32
        ).reshape(len(poses), colors),
    }


def _from_arrays(arrays: dict[str, np.ndarray]) -> list[Found]:
    ends = np.cumsum(arrays["counts"])
    if len(ends) and ends[-1] != len(arrays["keypoints"]):
        raise ValueError("frames and poses do not fit")
    poses = [
        Pose(
            keypoints,
            confidence,
            float(score),
            str(arrays["layout"]),
            None if np.isnan(world).all() else world,
            None if not len(colors) or np.isnan(colors).all() else colors,
        )
        for keypoints, confidence, score, world, colors in zip(
            arrays["keypoints"],
            arrays["confidence"],
            arrays["scores"],
            arrays["world"],
            arrays["appearance"],
            strict=True,
        )
    ]
    return [
        (float(time), poses[end - count : end], bool(cut))
        for time, end, count, cut in zip(arrays["times"], ends, arrays["counts"], arrays["cuts"], strict=True)
    ]
