"""Video in and out: files, images, folders of frames, cameras and streams as upright RGB frames with true times.

Decoding runs on a thread of its own, a few frames ahead (FFmpeg releases the GIL), so it overlaps with pose estimation;
however long the source is, only those few frames are held.
"""

import math
import os
import queue
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from kinetag.decoding import MAX_PIXELS, Clock, Reading, check_size, decode, to_image
from kinetag.errors import KinetagError
from kinetag.sequence import Frame
from kinetag.storage import local_source
from kinetag.urls import local_path, shown_url
from kinetag.video_writer import VideoWriter

__all__ = ["IMAGE_SUFFIXES", "VideoSource", "VideoWriter", "open_source"]

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".jp2"})
STREAM_SCHEMES = ("rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "udp", "tcp", "rtp", "srt")
TIMEOUT = 10.0  # seconds without a word from a camera or stream until it counts as gone
_AHEAD_BYTES = 16 << 20  # decoded pictures that may wait for the consumer
_LISTEN = "1000000"  # microseconds that a stream is listened to, to learn what it holds
_DEFAULT_RATE = 30.0

Produce = Callable[["VideoSource", Reading], Iterator[Frame]]


def open_source(
    source: str | Path | int,
    *,
    start: float | None = None,
    end: float | None = None,
    rate: float | None = None,
    frame_rate: float = _DEFAULT_RATE,
    timeout: float = TIMEOUT,
) -> "VideoSource":
    """Open a video file, an image, a folder of frames, a camera (0, '0', '/dev/video0') or a stream URL.

    ``start`` and ``end`` (s, from the first frame) limit what is read. ``rate`` yields about that many frames a second,
    picked by timestamp; the others are decoded, since later frames build on them, but not converted. ``frame_rate``
    is that of a folder of frames. ``timeout`` (s) applies to cameras and streams.

    Raises KinetagError, one line, when nothing can be read from the source.
    """
    for name, value in (("start", start), ("end", end), ("rate", rate), ("frame_rate", frame_rate)):
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise KinetagError(f"{name} is {value}, but must be a number of 0 or more")
    if rate == 0 or frame_rate == 0:
        raise KinetagError("rate is 0, but must be more than 0 frames a second")
    if end is not None and end <= (start or 0.0):
        raise KinetagError(f"end ({end} s) must come after start ({start or 0.0} s)")
    source = local_source(source)
    reading = Reading(start or 0.0, math.inf if end is None else end, rate)
    text = str(source)
    if isinstance(source, int) or (text.isdecimal() and not Path(text).exists()):
        return _open_camera(int(text), reading, timeout)
    if text.startswith("/dev/video"):
        return _open_camera(int(re.sub(r"\D", "", text) or 0), reading, timeout)
    if "://" in text and not text.startswith("file://"):
        return _open_stream(text, reading, timeout)
    path = local_path(text)
    _check_path(path)
    if path.is_dir():
        return _open_folder(path, reading, frame_rate)
    return _open_file(path, reading)


class VideoSource:
    """Frames of one source, once through: iterate, and close (or use as a context manager).

    ``width`` and ``height`` are those of the upright frames with square pixels; ``frame_rate`` the nominal one;
    ``duration`` seconds of the whole source, None when unknown; ``warnings`` grows while reading; ``rereadable``
    says whether opening the same source again gives the same frames; ``live``, whether they come at their own pace.
    """

    def __init__(self, name: str, produce: Produce, reading: Reading, *, live: bool = False, ahead: int = 4) -> None:
        self.name = name
        self.width = self.height = 0
        self.frame_rate = _DEFAULT_RATE
        self.duration: float | None = None
        self.rereadable = not live
        self.warnings = reading.warnings
        self._reading, self.live = reading, live
        self._queue: queue.Queue[Frame | Exception | None] = queue.Queue(maxsize=ahead)
        self._closing = threading.Event()
        self._first: Frame | None = None
        self._ended = False
        self._thread = threading.Thread(target=self._run, args=(produce,), name=f"decode {name}", daemon=True)

    def begin(self) -> "VideoSource":
        """Start decoding and wait for the first frame, so that errors and the frame size are known."""
        self._thread.start()
        try:
            self._first = self._next()
        except BaseException:
            self.close()
            raise
        if self._first is None:
            raise KinetagError(f"{self.name}: {self._why_empty()}")
        self.height, self.width = self._first.image.shape[:2]
        return self

    def __iter__(self) -> Iterator[Frame]:
        while True:
            frame, self._first = self._first or self._next(), None
            if frame is None:
                return
            yield frame

    def __enter__(self) -> "VideoSource":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop decoding and let go of the source. Safe to call twice."""
        self._closing.set()
        self._ended = True
        if self._thread.is_alive():
            self._thread.join(timeout=5.0)

    def _run(self, produce: Produce) -> None:
        ending: Exception | None = None
        try:
            for frame in produce(self, self._reading):
                if not self._put(frame):
                    return
        except Exception as error:  # travels to the consumer
            ending = error
        self._put(ending)

    def _put(self, item: Frame | Exception | None) -> bool:
        """Hand over one item; False when nobody wants it any more."""
        while not self._closing.is_set():
            try:
                self._queue.put(item, timeout=0.05)
                return True
            except queue.Full:
                if self.live and isinstance(item, Frame):
                    # A live picture that waits grows old: the newest ones are worth more.
                    with suppress(queue.Empty):
                        self._queue.get_nowait()
        return False

    def _next(self) -> Frame | None:
        while not self._ended:
            try:
                item = self._queue.get(timeout=0.5)  # a timeout, for on Windows an endless wait cannot be interrupted
            except queue.Empty:
                continue
            if isinstance(item, Frame):
                return item
            self._ended = True
            if item is not None:
                raise item
        return None

    def _why_empty(self) -> str:
        limits = self._reading
        if limits.frame_count and (limits.start > 0 or limits.end < math.inf):
            until = "its end" if limits.end == math.inf else f"{limits.end:g} s"
            return f"no frames between {limits.start:g} s and {until}; it ends at {limits.reached:.2f} s"
        return f"no frames could be decoded: empty, damaged or over {MAX_PIXELS // 1_000_000} million pixels a frame"


def _check_path(path: Path) -> None:
    try:
        if not path.exists():
            raise KinetagError(f"no such file or folder: {path}")
        if path.is_file() and path.stat().st_size == 0:
            raise KinetagError(f"{path}: the file is empty (0 bytes)")
    except (OSError, ValueError) as error:  # a name too long, a folder that may not be entered, a zero byte
        raise KinetagError(f"{path}: cannot be read ({_reason(error)})") from None
    if not os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0)):
        raise KinetagError(f"{path}: cannot be read (permission denied)")


def _open_file(path: Path, reading: Reading) -> VideoSource:
    image = path.suffix.lower() in IMAGE_SUFFIXES
    # A local file may be a playlist in disguise: it must not make this machine open connections.
    options = {"protocol_whitelist": "file,crypto,data"}
    if image:
        options["pattern_type"] = "none"  # a '%' in a file's name is no sequence pattern
    container = _open(f"file:{path}", str(path), options)
    source = _from_container(container, str(path), path.name, reading, seekable=not image)
    source.rereadable = path.is_file()
    if image:
        source.duration, source.frame_rate = 0.0, 1.0
    return source.begin()


def _open_stream(url: str, reading: Reading, timeout: float) -> VideoSource:
    scheme = url.split("://", 1)[0].lower()
    shown = shown_url(url)  # a password has no place in messages and reports
    if scheme not in STREAM_SCHEMES:
        raise KinetagError(f"{shown}: unknown kind of stream '{scheme}'; known: {', '.join(STREAM_SCHEMES)}")
    # FFmpeg would listen for five seconds before it gives the first frame, which then are late or lost.
    options = {"analyzeduration": _LISTEN} | ({"rtsp_transport": "tcp"} if scheme == "rtsp" else {})
    container = _open(url, shown, options, timeout=timeout)
    # What has a length is a file on a server: every frame of it counts. What has none is live.
    live = not container.duration
    source = _from_container(container, shown, shown, reading, seekable=False, live=live)
    source.rereadable = False
    return source.begin()


def _open_camera(index: int, reading: Reading, timeout: float) -> VideoSource:
    name = f"camera {index}"
    if sys.platform.startswith("linux"):
        device, kind = f"/dev/video{index}", "v4l2"
        if not Path(device).exists():
            found = ", ".join(sorted(str(p) for p in Path("/dev").glob("video*"))) or "none"
            raise KinetagError(f"no {name}: {device} does not exist (cameras found: {found})")
    elif sys.platform == "darwin":
        device, kind = f"{index}:none", "avfoundation"
    else:
        device, kind = f"video={_windows_camera(index)}", "dshow"
    options = {"framerate": "30"} if kind == "avfoundation" else {}
    container = _open(device, name, options, kind=kind, timeout=timeout)
    return _from_container(container, name, name, reading, seekable=False, live=True).begin()


def _windows_camera(index: int) -> str:
    """DirectShow knows cameras by name only."""
    from av.device import enumerate_input_devices

    names = [d.description or d.name for d in enumerate_input_devices("dshow") if "video" in (d.media_types or [])]
    if index >= len(names):
        raise KinetagError(f"no camera {index} (cameras found: {', '.join(names) or 'none'})")
    return names[index]


def _open(
    url: str, name: str, options: dict[str, str], *, kind: str | None = None, timeout: float | None = None
) -> Any:
    import av
    from av import error as av_error

    try:
        return av.open(url, format=kind, options=options, timeout=timeout, metadata_errors="replace")
    except av_error.InvalidDataError:
        raise KinetagError(
            f"{name}: not a video that can be read, or cut off before its index; try to save it again"
        ) from None
    except (TimeoutError, av_error.ExitError):
        raise KinetagError(
            f"{name}: no answer within {timeout or TIMEOUT:g} s; check the address and the network"
        ) from None
    except av_error.FFmpegError as error:
        raise KinetagError(f"{name}: cannot be opened ({_reason(error)})") from None
    except (OSError, ValueError) as error:
        raise KinetagError(f"{name}: cannot be opened ({_reason(error)})") from None


def _from_container(
    container: Any, name: str, title: str, reading: Reading, *, seekable: bool, live: bool = False
) -> VideoSource:
    try:
        stream = _video_stream(container, name)
        context = stream.codec_context
        check_size(context.width, context.height, name) if context.width or context.height else None
        context.thread_type = "AUTO"
        context.options = {"max_pixels": str(MAX_PIXELS)}
    except BaseException:
        container.close()
        raise
    rate = _frame_rate(stream)
    reading.pixel_aspect = float(stream.sample_aspect_ratio or 1)
    duration, certain = _duration(container, stream)

    def produce(source: VideoSource, reading: Reading) -> Iterator[Frame]:
        clock = Clock(1 / rate)
        with container:
            try:
                yield from decode(container, stream, clock, reading, seekable=seekable)
            finally:
                for note in clock.notes():
                    reading.warn(note)
        if reading.reached < reading.end:
            _settle_duration(source, reading, 1 / rate, certain=certain)

    picture = max(1, context.width * context.height * 3)
    ahead = max(2, min(8, _AHEAD_BYTES // picture))
    source = VideoSource(title, produce, reading, live=live, ahead=ahead)
    source.frame_rate, source.duration = rate, duration
    return source


def _video_stream(container: Any, name: str) -> Any:
    from av.stream import Disposition

    streams = container.streams.video
    moving = [stream for stream in streams if not stream.disposition & Disposition.attached_pic]
    if moving:
        return max(moving, key=lambda s: ((s.codec_context.width or 0) * (s.codec_context.height or 0), -s.index))
    what = "only sound" if container.streams.audio else "no pictures"
    raise KinetagError(f"{name}: not a video, it holds {what}{' and a cover picture' if streams else ''}")


def _frame_rate(stream: Any) -> float:
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate and 0.01 <= rate <= 1000:
            return float(rate)
    return _DEFAULT_RATE


def _duration(container: Any, stream: Any) -> tuple[float | None, bool]:
    """The duration that the header promises, and whether it is surely the picture's and not the sound's."""
    if stream.duration and stream.duration > 0:
        return float(stream.duration * stream.time_base), True
    if container.duration and container.duration > 0:
        return container.duration / 1_000_000, len(container.streams) == 1
    return None, False


def _settle_duration(source: VideoSource, reading: Reading, interval: float, *, certain: bool) -> None:
    """After the last frame the duration is known; one far shorter than promised means that the file was cut off."""
    read = reading.reached + interval
    promised = source.duration
    if promised is None:
        source.duration = read
    elif source.rereadable and read < promised - max(1.0, 0.02 * promised):
        if certain:
            reading.warn(f"cut off: only {read:.1f} s of {promised:.1f} s could be read")
        source.duration = read


def _no_pictures(folder: Path) -> str:
    """What to do with a folder that is no series of pictures; most such are folders of videos."""
    from kinetag.datasets.listing import VIDEO_SUFFIXES

    below = (path for pattern in ("*", "*/*") for path in sorted(folder.glob(pattern)))
    video = next((p for p in below if p.suffix.lower() in VIDEO_SUFFIXES and not p.name.startswith(".")), None)
    if video is not None:
        return f"no pictures in this folder, but videos: give one at a time, such as {video}"
    return f"no pictures in this folder (looked for {', '.join(sorted(IMAGE_SUFFIXES))})"


def _open_folder(folder: Path, reading: Reading, frame_rate: float) -> VideoSource:
    try:
        files = [p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".")]
    except OSError as error:
        raise KinetagError(f"{folder}: cannot be read ({_reason(error)})") from None
    if not files:
        raise KinetagError(f"{folder}: {_no_pictures(folder)}")
    files.sort(key=lambda p: _natural(p.name))

    def produce(source: VideoSource, reading: Reading) -> Iterator[Frame]:
        unreadable = 0
        for index, file in enumerate(files):
            time = index / frame_rate
            reading.frame_count, reading.reached = index + 1, time
            if time > reading.end:
                break
            if time < reading.start - 1e-6 or not reading.picker(time):
                continue
            try:
                yield Frame(_read_image(file, reading), time, index)
            except KinetagError:
                unreadable += 1
                reading.warn(f"{file.name} is not a picture that can be read; it was left out")
        if unreadable > 1:
            reading.warn(f"{unreadable} pictures of {len(files)} could not be read")

    source = VideoSource(folder.name or str(folder), produce, reading)
    source.frame_rate, source.duration = frame_rate, len(files) / frame_rate
    return source.begin()


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Sort key: frame2 comes before frame10."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name.lower()) if part]


def _read_image(path: Path, reading: Reading) -> np.ndarray:
    from av import error as av_error

    container = _open(f"file:{path}", str(path), {"protocol_whitelist": "file", "pattern_type": "none"})
    with container:
        stream = _video_stream(container, str(path))
        check_size(stream.codec_context.width, stream.codec_context.height, str(path))
        try:
            return to_image(next(container.decode(stream)), reading)
        except (av_error.FFmpegError, StopIteration):
            raise KinetagError(f"{path}: not a picture that can be read") from None


def _reason(error: BaseException) -> str:
    """An operating system's or FFmpeg's reason, without path and number."""
    text = getattr(error, "strerror", None) or str(error)
    return text[:1].lower() + text[1:]
