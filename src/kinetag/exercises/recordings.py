"""Recordings of a pose estimator beside the truth, and the compact file that holds many of them.

The file is an .npz without pickles. What changes from frame to frame is kept as the difference from the frame before,
in whole units (see `_UNITS`) of 16 bits, high and low bytes apart: a fifth of what float32 would take.
"""

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kinetag.errors import KinetagError
from kinetag.exercises.kinematics import BODY
from kinetag.sequence import PoseSequence
from kinetag.skeletons import BLAZEPOSE
from kinetag.whole_file import whole_file

_FORMAT = "kinetag-recordings-1"
_OUTSIDE = 0.2  # as in kinetag.pose.people: factor on the confidence of a joint outside the picture
# Parts of a pixel and of a metre that are told apart, and shapes of a frame.
_UNITS: dict[str, tuple[float, tuple[int, ...]]] = {
    "keypoints": (8, (33, 2)),
    "world": (500, (33, 3)),
    "joints": (1000, (len(BODY), 3)),
    "visibility": (255, (33,)),
    "inside": (255, (33,)),
    "score": (255, ()),
}
_FLAGS = {"found": (), "shown": (13,), "behind": (13,)}
_CLIP = (
    "label",
    "variant",
    "seed",
    "number",
    "azimuth",
    "elevation",
    "focal",
    "size",
    "rate",
    "up",
    "eye",
    "repetitions",
)


@dataclass(frozen=True)
class Recording:
    """What an estimator made of one clip of T frames, and what was so.

    Estimated: ``found`` (T,) was there a person; ``score`` (T,); ``keypoints`` (T, 33, 2) pixels; ``visibility`` and
    ``inside`` (T, 33) in [0, 1]; ``world`` (T, 33, 3) metres from mid-hip. True: ``joints`` (T, 25, 3) metres from the
    lens, in the order of kinematics.BODY; ``shown`` (T, 13) in the picture and behind nothing, ``behind`` (T, 13)
    behind the own body, in the 'kinetag' layout. World points and joints have x right, y down, z away from the
    camera. ``azimuth`` degrees: 0 in front of the person, 90 at the left side; ``elevation`` degrees; ``focal`` pixels;
    ``size`` (width, height) pixels; ``rate`` frames a second; ``up`` (3,) upwards in the camera's axes; ``eye`` metres
    from the floor to the lens; ``repetitions``: how many are done, where that was asked for.
    """

    label: str
    variant: str
    seed: int
    number: int
    azimuth: float
    elevation: float
    focal: float
    size: tuple[int, int]
    rate: float
    up: tuple[float, float, float]
    eye: float
    found: np.ndarray
    score: np.ndarray
    keypoints: np.ndarray
    visibility: np.ndarray
    inside: np.ndarray
    world: np.ndarray
    joints: np.ndarray
    shown: np.ndarray
    behind: np.ndarray
    repetitions: int = 0

    def __len__(self) -> int:
        return len(self.found)

    @property
    def confidence(self) -> np.ndarray:
        """Confidence of each keypoint as the product gives it, (T, 33); 0 where there was nobody."""
        within = ((self.keypoints >= 0) & (self.keypoints < self.size)).all(-1)
        return self.visibility * self.inside * np.where(within, 1, _OUTSIDE) * self.found[:, None]

    @property
    def pixels(self) -> np.ndarray:
        """Where the true joints are in the picture, (T, 25, 2); NaN behind the lens."""
        depth = self.joints[..., 2:]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(depth > 1e-6, self.joints[..., :2] / depth * self.focal, np.nan) + np.array(self.size) / 2

    def sequence(self) -> PoseSequence:
        """The frames with a person, as any estimator would give them."""
        return PoseSequence(
            np.flatnonzero(self.found) / self.rate,
            self.keypoints[self.found],
            self.confidence[self.found],
            BLAZEPOSE.name,
            self.size,
            world=self.world[self.found],
        )


def write_recordings(path: Path, clips: Sequence[Recording]) -> None:
    """Write all clips; the file appears only when it is whole."""
    arrays: dict[str, Any] = {"format": np.array(_FORMAT), "frames": np.array([len(clip) for clip in clips])}
    for name in _CLIP:
        arrays[name] = np.array([getattr(clip, name) for clip in clips])
    for name, (unit, shape) in _UNITS.items():
        values = _joined(clips, name, shape)
        whole = np.clip(np.round(np.nan_to_num(values) * unit), -32768, 32767).astype(np.int16)
        step = np.diff(whole, axis=0, prepend=np.zeros((1, *shape), np.int16))  # wraps around, as the sum does
        arrays[name] = np.stack([step >> 8, step & 255]).astype(np.uint8)
    for name, shape in _FLAGS.items():
        arrays[name] = np.packbits(_joined(clips, name, shape).astype(bool))
    with whole_file(path) as draft, draft.open("wb") as file:
        np.savez_compressed(file, **arrays)


def _joined(clips: Sequence[Recording], name: str, shape: tuple[int, ...]) -> np.ndarray:
    return np.concatenate([getattr(clip, name) for clip in clips] or [np.zeros((0, *shape))])


def read_recordings(path: Path) -> list[Recording]:
    """All clips of a file that `write_recordings` wrote. Raises KinetagError for anything else."""
    try:
        with np.load(path) as arrays:
            if str(arrays["format"]) != _FORMAT:
                raise ValueError(f"format {arrays['format']}")
            content = {name: arrays[name] for name in arrays.files}
        return _clips(content)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise KinetagError(f"cannot read '{path}' as recordings: {error}") from None


def _clips(content: dict[str, np.ndarray]) -> list[Recording]:
    ends = np.cumsum(content["frames"])
    total = int(ends[-1]) if len(ends) else 0
    frames: dict[str, np.ndarray] = {}
    for name, (unit, _) in _UNITS.items():
        high, low = content[name].astype(np.int16)
        frames[name] = np.cumsum((high << 8) | low, axis=0, dtype=np.int16).astype(np.float32) / np.float32(unit)
    for name, shape in _FLAGS.items():
        count = total * int(np.prod(shape))
        frames[name] = np.unpackbits(content[name], count=count).astype(bool).reshape(total, *shape)
    content.setdefault("repetitions", np.zeros(len(content["frames"]), int))  # older files lack them
    columns = {name: content[name].tolist() for name in _CLIP}
    for name in ("size", "up"):
        columns[name] = [tuple(values) for values in columns[name]]
    clips = []
    for i, (count, end) in enumerate(zip(content["frames"], ends, strict=True)):
        own: dict[str, Any] = {name: columns[name][i] for name in _CLIP}
        own |= {name: values[end - count : end] for name, values in frames.items()}
        clips.append(Recording(**own))
    return clips
