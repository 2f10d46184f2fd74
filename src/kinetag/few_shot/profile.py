"""The file that keeps what was taught: one .npz without pickles, written whole or not at all.

It holds the poses of the clips (never a picture), so that everything else in it can be made again for another
classifier: the space that embeddings are compared in, the prototypes, and how they are calibrated.
"""

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kinetag.errors import KinetagError
from kinetag.exercises.library import Counting, Exercise, Pose, Tempo
from kinetag.exercises.values import Name
from kinetag.few_shot.clips import TaughtClip
from kinetag.few_shot.space import Space
from kinetag.sequence import PoseSequence
from kinetag.storage import in_users_names, local_copy, write_file
from kinetag.urls import is_remote

MAX_CLIPS = 10  # filmed, of one exercise
MAX_CLIPS_TRAINED = 200  # the same, with --finetune

_FORMAT, _VERSION = "kinetag-profile", 1
_MAX_BYTES = 256 << 20  # unpacked, that are read
_MOST_ARRAYS = 240 << 20  # that are written: a file has headers too
_MOST_CLIPS = 300  # of one exercise, filmed and made
_SPACE = ("mean", "whitening", "prototypes", "prototype_labels", "negatives", "negative_labels")
_SMALL = ("whitening", "prototypes", "negatives")  # stored with 16 bits: they need no more


@dataclass(frozen=True)
class Taught:
    """One taught exercise: its clips, and how it is counted (None: a pose that is held, or nothing that repeats).

    ``written`` is what its YAML file says, where it was taught by one: its norms and faults count too."""

    name: str
    title: str
    counting: Counting | None
    clips: tuple[TaughtClip, ...]
    written: Exercise | None = None

    @property
    def exercise(self) -> Exercise:
        """What the rest of kinetag knows it by."""
        if self.written is not None:
            said = {"name": self.name, "title": self.title, "counting": self.counting}
            return self.written.model_copy(update=said)
        shortest = min(clip.end - clip.start for clip in self.clips)
        about: dict[str, Any] = {"name": self.name, "title": self.title, "family": "taught"}
        about["min_duration"] = float(np.clip(shortest / 2, 1.0, 2.0))
        if self.counting is None:
            return Exercise(**about, poses={"held": Pose()})
        period = (self.counting.min_period, self.counting.max_period)
        return Exercise(
            **about, poses={"rest": Pose(), "peak": Pose()}, tempo=Tempo(period=period), counting=self.counting
        )


@dataclass(frozen=True)
class Profile:
    """What was taught, and what a classifier (by its ``fingerprint``) makes of it.

    ``prototypes`` (J, D) are points of the ``space``, one an exercise, in order; ``biases`` (J,) and ``temperature``
    make probabilities of similarities to them (see `prototypes.calibrate`).
    """

    exercises: dict[str, Taught] = field(default_factory=dict)
    fingerprint: str = ""
    space: Space | None = None
    prototypes: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    biases: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))
    temperature: float = 0.1
    finetuned: bool = False


_UNREADABLE = (OSError, ValueError, KeyError, TypeError, IndexError, EOFError, NotImplementedError)
_UNREADABLE += (zipfile.BadZipFile, zlib.error)


# --- the file --------------------------------------------------------------------------------------------------------


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


_Seconds = Annotated[float, Field(ge=-1e7, le=1e7, allow_inf_nan=False)]
_Text = Annotated[str, Field(max_length=300)]


class _Clip(_Model):
    name: _Text
    start: _Seconds
    end: _Seconds
    layout: _Text
    frame_size: tuple[Annotated[int, Field(ge=0, le=100_000)], Annotated[int, Field(ge=0, le=100_000)]]
    person: int
    world: bool
    cuts: Annotated[tuple[_Seconds, ...], Field(max_length=100_000)] = ()  # a profile of before cuts were kept has none
    made: bool = False


class _Exercise(_Model):
    name: Name
    title: Annotated[str, Field(max_length=80)]
    counting: Counting | None
    clips: Annotated[list[_Clip], Field(min_length=1, max_length=_MOST_CLIPS)]
    written: Exercise | None = None


class _About(_Model):
    format: Literal["kinetag-profile"]
    version: Literal[1]
    kinetag: _Text
    fingerprint: _Text
    labels: Annotated[list[_Text], Field(max_length=10_000)]
    exercises: Annotated[list[_Exercise], Field(max_length=1000)]
    temperature: Annotated[float, Field(gt=0, le=100)]
    finetuned: bool


def save_profile(profile: Profile, path: str | Path) -> None:
    """Write a profile, here or into a store; the old file stays until the new one is complete."""
    from kinetag import __version__

    assert profile.space is not None
    arrays: dict[str, np.ndarray] = {"taught": profile.prototypes, "biases": profile.biases.astype(np.float32)}
    for name in _SPACE:
        values = getattr(profile.space, name)
        kind = np.float16 if name in _SMALL else np.int32 if values.dtype.kind == "i" else np.float32
        arrays[name] = values.astype(kind)
    exercises = []
    for taught in profile.exercises.values():
        clips = []
        for clip in taught.clips:
            number = sum(len(exercise.clips) for exercise in exercises) + len(clips)
            arrays |= _pose_arrays(clip.poses, number)
            about = {key: getattr(clip.poses, key) for key in ("layout", "frame_size", "person", "cuts")}
            times = {"name": clip.name[-300:], "start": clip.start, "end": clip.end, "made": clip.made}
            clips.append(_Clip(**times, **about, world=clip.poses.world is not None))
        said = {"name": taught.name, "title": taught.title, "counting": taught.counting, "written": taught.written}
        exercises.append(_Exercise(**said, clips=clips))
    about = _About(
        format=_FORMAT, version=_VERSION, kinetag=__version__, fingerprint=profile.fingerprint,
        labels=list(profile.space.labels), exercises=exercises, temperature=profile.temperature,
        finetuned=profile.finetuned,
    )  # fmt: skip
    arrays["about"] = np.frombuffer(about.model_dump_json().encode(), np.uint8)
    unpacked = sum(array.nbytes for array in arrays.values())
    if unpacked > _MOST_ARRAYS:
        raise KinetagError(
            f"{path} would hold {unpacked >> 20} MiB of poses, more than {_MOST_ARRAYS >> 20}: teach from fewer "
            "clips, or from shorter ones; a few repetitions a clip are enough"
        )
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **arrays)
    write_file(path, content.getvalue())


def load_profile(path: str | Path) -> Profile:
    """Read a profile. Raises KinetagError for a file that is none, is damaged, or comes from a newer kinetag."""
    if is_remote(path):
        copy = local_copy(path)
        with in_users_names({str(copy): str(path)}):
            return load_profile(copy)
    path = Path(path)
    if not path.is_file():
        raise KinetagError(f"no profile at {path}; make one: kinetag teach NAME CLIP... --profile {path}")
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > _MAX_BYTES:
                raise KinetagError(
                    f"{path} unpacks to more than {_MAX_BYTES >> 20} MiB: this is no profile of kinetag's"
                )
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return _profile(arrays)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise _broken(path, f"{where}: {first['msg'].lower()}") from None
    except _UNREADABLE as error:
        raise _broken(path, str(error).splitlines()[0][:120] if str(error) else type(error).__name__) from None


def _broken(path: Path, reason: str) -> KinetagError:
    return KinetagError(f"{path} cannot be read as a profile ({reason}); make it again with kinetag teach")


def _profile(arrays: Mapping[str, np.ndarray]) -> Profile:
    """Arrays of a file -> Profile; whatever does not fit raises ValueError or another of the errors caught above."""
    about = _About.model_validate(json.loads(arrays["about"].tobytes()))
    space = Space(tuple(about.labels), **{name: _numbers(arrays[name]) for name in _SPACE})
    taught, biases = _numbers(arrays["taught"]), _numbers(arrays["biases"])
    width, count = len(space.mean), len(about.exercises)
    for name, array, shape in (
        ("mean", space.mean, (width,)),
        ("whitening", space.whitening, (width, width)),
        ("prototypes", space.prototypes, (len(space.prototype_labels), width)),
        ("negatives", space.negatives, (len(space.negative_labels), width)),
        ("taught", taught, (count, width)),
        ("biases", biases, (count,)),
    ):
        if array.shape != shape:
            raise ValueError(f"'{name}' has shape {array.shape}, but should have {shape}")
    for name, array in (("prototype_labels", space.prototype_labels), ("negative_labels", space.negative_labels)):
        if not len(array) or array.min() < -1 or array.max() >= len(space.labels):
            raise ValueError(f"'{name}' is empty or names a class that is not there")
    exercises, number = {}, 0
    for each in about.exercises:
        clips = []
        for clip in each.clips:
            clips.append(TaughtClip(clip.name, _poses(arrays, clip, number), clip.start, clip.end, clip.made))
            number += 1
        exercises[each.name] = Taught(each.name, each.title, each.counting, tuple(clips), each.written)
    return Profile(exercises, about.fingerprint, space, taught, biases, about.temperature, about.finetuned)


def _numbers(array: np.ndarray) -> np.ndarray:
    """Finite numbers, as they are worked with."""
    if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
        raise ValueError("an array holds something else than finite numbers")
    return array.astype(np.float32 if array.dtype.kind == "f" else np.int64)


def _pose_arrays(poses: PoseSequence, number: int) -> dict[str, np.ndarray]:
    """What is kept of a clip's poses: around the body's centre half precision is a fraction of a pixel."""
    centre = np.nanmean(poses.keypoints, axis=1, keepdims=True) if len(poses) else np.zeros((0, 1, 2))
    centre = np.nan_to_num(centre).astype(np.float32)
    arrays = {
        f"times_{number}": poses.times,
        f"centre_{number}": centre,
        f"keypoints_{number}": (poses.keypoints - centre).astype(np.float16),
        f"confidence_{number}": np.round(255 * np.clip(poses.confidence, 0, 1)).astype(np.uint8),
    }
    return arrays if poses.world is None else {**arrays, f"world_{number}": poses.world.astype(np.float16)}


def _poses(arrays: Mapping[str, np.ndarray], clip: _Clip, number: int) -> PoseSequence:
    times = arrays[f"times_{number}"].astype(np.float64)
    if not np.isfinite(times).all() or len(times) < 2:
        raise ValueError(f"clip {number} has no times")
    try:
        return PoseSequence(
            times,
            arrays[f"keypoints_{number}"].astype(np.float32) + arrays[f"centre_{number}"],
            arrays[f"confidence_{number}"].astype(np.float32) / 255,
            clip.layout,
            clip.frame_size,
            clip.person,
            world=arrays[f"world_{number}"].astype(np.float32) if clip.world else None,
            cuts=clip.cuts,
        )
    except KinetagError as error:
        raise ValueError(str(error)) from None
