"""People's poses from a video, kept in a cache so that no video is looked at twice.

An entry of the cache is one .npz without pickles, named after the video's content and the settings, so a renamed video
is found again and a changed one is not. It is written whole or not at all: work that is interrupted goes on where it
was.
"""

import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kinetag.errors import KinetagError
from kinetag.sequence import PoseSequence
from kinetag.whole_file import whole_file

if TYPE_CHECKING:
    from kinetag.analyzer import Analyzer

Seconds = Callable[[float, float | None], None]  # the time reached, and the duration where it is known

_VERSION = 2  # of the poses: raise it when extraction changes so much that old entries mislead
_WHOLE = 64 << 20  # bytes up to which a file's name in the cache depends on every byte
_FIELDS = ("times", "keypoints", "confidence", "world")


def default_cache() -> Path:
    """Where poses are kept when dataset.cache_dir says nothing: the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(base) if base else Path.home() / ".cache") / "kinetag" / "poses"


class Extractor:
    """Looks at videos, one after the other, with the same networks, which are loaded for the first of them.

    ``pose`` and ``detector`` are those of `kinetag.analyze`; ``frame_rate`` is that of folders of pictures.
    """

    def __init__(
        self, *, pose: str | Path = "blazepose", detector: str | Path | None = None, frame_rate: float = 30.0
    ) -> None:
        self._networks = {"pose": pose, "detector": detector}
        self._frame_rate = frame_rate
        self._analyzer: Analyzer | None = None

    def __call__(self, path: str | Path, *, rate: float, progress: Seconds | None = None) -> list[PoseSequence]:
        """Everybody's poses, as `kinetag.analyze` sees and numbers them; ``progress`` hears the time and duration."""
        from kinetag.analyzer import Analyzer, feed_all
        from kinetag.video import open_source

        if self._analyzer is None:
            # every_frame as in `analyze`, so that a trained network meets the poses that it was trained on
            self._analyzer = Analyzer(**self._networks, running_labels=False, every_frame=False)
        self._analyzer.reset()
        with open_source(path, rate=rate, frame_rate=self._frame_rate) as video:
            for time in feed_all(video, self._analyzer):
                if progress is not None:
                    progress(time, video.duration)
        return self._analyzer.tracker.sequences(self._analyzer.frame_size)


def video_poses(
    path: Path, *, rate: float, cache: Path, extract: Callable[..., list[PoseSequence]], progress: Seconds | None = None
) -> list[PoseSequence]:
    """Everybody's poses in a video at about ``rate`` frames a second, from the cache where they are known.

    ``extract`` is an `Extractor`. Raises KinetagError when the video cannot be read. A cache that cannot be written
    only costs time.
    """
    file = cache / f"{content_key(path, rate=rate)}.npz"
    known = read_cached(file)
    if known is not None:
        return known
    sequences = extract(path, rate=rate, progress=progress)
    with suppress(OSError):
        write_cached(sequences, file)
    return sequences


def content_key(path: Path, **settings: object) -> str:
    """A name for a file's content and the settings: of a large file, its size and pieces of it are looked at."""
    digest = hashlib.sha256(json.dumps([_VERSION, settings], sort_keys=True).encode())
    try:
        size = path.stat().st_size
        digest.update(str(size).encode())
        with open(path, "rb") as stream:
            steps = range(0, size, 1 << 20) if size <= _WHOLE else np.linspace(0, size - (1 << 20), 64, dtype=int)
            for start in steps:
                stream.seek(int(start))
                digest.update(stream.read(1 << 20))
    except OSError as error:
        raise KinetagError(f"{path}: cannot be read ({(error.strerror or str(error)).lower()})") from None
    return digest.hexdigest()[:32]


def write_cached(sequences: list[PoseSequence], file: Path) -> None:
    """Write people's poses to an .npz, atomically."""
    arrays: dict[str, np.ndarray] = {"count": np.array(len(sequences))}
    for i, sequence in enumerate(sequences):
        about = {name: getattr(sequence, name) for name in ("layout", "frame_size", "person", "cuts")}
        arrays[f"about_{i}"] = np.array(json.dumps(about))
        for field in _FIELDS:
            value = getattr(sequence, field)
            if value is not None:
                arrays[f"{field}_{i}"] = value
    file.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(file) as draft, open(draft, "wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **arrays)


def read_cached(file: Path) -> list[PoseSequence] | None:
    """The poses in an entry of the cache; None when there is none, or it is broken and must be made again."""
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return [_sequence(arrays, i) for i in range(int(arrays["count"]))]
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error, KinetagError):
        return None


def _sequence(arrays: np.lib.npyio.NpzFile, i: int) -> PoseSequence:
    about = json.loads(str(arrays[f"about_{i}"]))
    width, height = about["frame_size"]
    return PoseSequence(
        times=arrays[f"times_{i}"],
        keypoints=arrays[f"keypoints_{i}"],
        confidence=arrays[f"confidence_{i}"],
        layout=about["layout"],
        frame_size=(int(width), int(height)),
        person=int(about["person"]),
        world=arrays.get(f"world_{i}"),
        cuts=tuple(float(cut) for cut in about["cuts"]),
    )
