"""Everything that `kinetag analyze SOURCE --out DIR` writes.

Every file is made in a hidden folder inside DIR and moved into place when it is complete, so a reader never meets
half a file. The data files come first: whatever happens to the video afterwards, an hour's analysis is not lost.
"""

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from kinetag.errors import KinetagError
from kinetag.timeline import Timeline

_TABLES = ("segments.csv", "repetitions.csv", "frames.csv", "poses.csv", "poses.parquet")
DATA_FILES = ("timeline.json", *_TABLES, "subtitles.vtt")
OUTPUT_FILES = (*DATA_FILES, "annotated.mp4", "report.html")

Progress = Callable[[float, float | None], None]


def check_output_folder(out: str | Path, *, overwrite: bool = False) -> Path:
    """Raise a KinetagError when ``out`` cannot take the outputs: before the long work, not after it.

    A folder that already holds outputs of another run is refused unless ``overwrite``; other files in it are never
    touched.
    """
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise KinetagError(f"--out '{out}' is a file, but should be a folder")
    old = [name for name in OUTPUT_FILES if (out / name).exists()]
    if old and not overwrite:
        raise _already_there(out, old[0])
    with _clear_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out).close()
    return out


@contextmanager
def output_folder(out: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """The folder ``out`` on this machine: itself, or one that is sent to ``out`` in a store, at once and at the end.

    Outputs of another run there are refused as `check_output_folder` does, and go when the block ends well.
    """
    from kinetag.pose_log import FOLDER
    from kinetag.storage import delete, is_remote, join, list_files, mirrored

    if not is_remote(out):
        yield Path(out)
        return
    place = str(out).rstrip("/")
    there = [file.path.removeprefix(f"{place}/") for file in list_files(place)]
    old = [name for name in OUTPUT_FILES if name in there]
    if old and not overwrite and not any(name.startswith(f"{FOLDER}/") for name in there):
        raise _already_there(place, old[0])
    with mirrored(place, wanted=lambda name: name.startswith(f"{FOLDER}/")) as local:
        yield local
        for name in old:
            if not (local / name).exists():
                delete(join(place, name))


def _already_there(out: str | Path, name: str) -> KinetagError:
    return KinetagError(f"'{out}' already holds {name} of another run: choose another --out, or add --overwrite")


def write_outputs(
    timeline: Timeline,
    out: str | Path,
    source: str | Path | int | None = None,
    *,
    start: float | None = None,
    end: float | None = None,
    annotated: bool = True,
    report: bool = True,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> list[Path]:
    """Write ``timeline`` to the folder ``out`` and return the files written.

    ``source`` is read a second time, from ``start`` to ``end`` (s), for the annotated video, and for the report's
    pictures where ``timeline.snapshots`` does not hold them; where it is None or cannot be read twice (a camera, a
    stream, a file of poses) they are left out. Raises
    KinetagError when the folder cannot be written or the disk is full; files in place by then are complete.
    """
    from kinetag.report.second_pass import can_read_again, second_pass, snapshot_pictures

    out = check_output_folder(out, overwrite=overwrite)
    written: list[Path] = []
    with _clear_errors(out, written), _staging(out) as staging:
        _write_data(timeline, staging)
        for name in OUTPUT_FILES:  # leave no file of an older run beside the new ones
            (out / name).unlink(missing_ok=True)
        _move(staging, out, written)
        pictures, complete = snapshot_pictures(timeline) if report else ({}, True)
        if source is not None and (annotated or not complete) and timeline.people and can_read_again(source):
            video = staging / "annotated.mp4" if annotated else None
            pictures = second_pass(timeline, source, video, start=start, end=end, progress=progress)
            _move(staging, out, written)
        if report:
            from kinetag.report.html import report_html

            has_video = (out / "annotated.mp4").exists()
            page = report_html(timeline, pictures, video="annotated.mp4" if has_video else None)
            _write_text(staging / "report.html", page)
            _move(staging, out, written)
    return written


def _write_data(timeline: Timeline, folder: Path) -> None:
    from kinetag.pose.files import write_poses
    from kinetag.report.frames import write_frames

    _write_text(folder / "timeline.json", timeline.to_json() + "\n")
    _write_text(folder / "segments.csv", timeline.to_csv())
    _write_text(folder / "repetitions.csv", timeline.to_repetitions_csv())
    with open(folder / "frames.csv", "w", encoding="utf-8", errors="backslashreplace", newline="") as stream:
        write_frames(timeline, stream)
    _write_text(folder / "subtitles.vtt", timeline.to_vtt())
    poses = [person.poses for person in timeline.people if person.poses is not None]
    write_poses(poses, folder / "poses.csv")
    if find_spec("pyarrow") is not None:
        write_poses(poses, folder / "poses.parquet")


def _write_text(path: Path, text: str) -> None:
    # A file name that is not valid UTF-8 reaches us with surrogates; escaped they are still valid JSON, CSV and HTML.
    path.write_text(text, encoding="utf-8", errors="backslashreplace", newline="")


def _move(staging: Path, out: Path, written: list[Path]) -> None:
    for name in OUTPUT_FILES:
        if (staging / name).exists():
            os.replace(staging / name, out / name)
            written.append(out / name)


@contextmanager
def _staging(out: Path) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=".kinetag-", suffix=".tmp", dir=out))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _clear_errors(out: Path, written: list[Path] | None = None) -> Iterator[None]:
    """Turn the system's errors into one line that says what to do, and what is kept."""
    try:
        yield
    except KinetagError as error:
        raise KinetagError(re.sub(r"\.kinetag-\w+\.tmp.", "", str(error)) + _kept(written)) from error
    except OSError as error:
        kept = _kept(written)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise KinetagError(f"no space left for '{out}': free some, or choose another --out{kept}") from error
        reason = error.strerror or str(error)
        raise KinetagError(f"cannot write to '{out}': {reason}; choose another --out{kept}") from error


def _kept(written: list[Path] | None) -> str:
    return f"; complete so far: {', '.join(path.name for path in written)}" if written else ""
