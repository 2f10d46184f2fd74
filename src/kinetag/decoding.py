"""From a container to upright pictures with true times: what `kinetag.video` runs on its decoding thread.

Everything here is made for inputs that lie: wrong rotation, repeated timestamps, damaged packets, headers that promise
more than the file holds.
"""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from kinetag.errors import KinetagError
from kinetag.sequence import Frame

MAX_PIXELS = 8192 * 8192  # twice 8K; what lies beyond is a decompression bomb, not a video of people
MAX_FAULTS = 100  # consecutive damaged packets after which the rest is given up
_MAX_GAP = 3600.0  # seconds; a longer step from one frame to the next is a broken timestamp
_MAX_STEP_BACK = 1.0  # seconds; a longer step back is a restarted clock, a shorter one a repeated or late frame
_SAME = 1e-6  # seconds; two times closer than this are one
_MAX_REPEATS = 5  # consecutive frames without a new timestamp; from then on timestamps are made up


@dataclass
class Clock:
    """Turns a source's timestamps into seconds that start at 0 and increase.

    A frame whose time repeats or lies a little behind adds nothing and is left out (None). Where timestamps are
    missing, restart, jump by more than an hour or stand still, time goes on at the nominal ``interval`` (s).
    """

    interval: float
    last: float = -math.inf
    left_out: int = 0
    remade: int = 0
    _offset: float | None = None
    _repeats: int = 0

    def __call__(self, raw: float | None) -> float | None:
        if raw is None or not math.isfinite(raw):
            self.remade += 1
            self.last = 0.0 if self.last == -math.inf else self.last + self.interval
            return self.last
        if self._offset is None:
            self._offset = raw if self.last == -math.inf else raw - self.last - self.interval
        time = raw - self._offset
        step = time - self.last
        self._repeats = self._repeats + 1 if step < _SAME else 0
        if step < -_MAX_STEP_BACK or (self.last > -math.inf and step > _MAX_GAP) or self._repeats > _MAX_REPEATS:
            self.remade += 1
            time = self.last + self.interval
            self._offset = raw - time
        elif step < _SAME:
            self.left_out += 1
            return None
        self.last = time
        return time

    def seconds(self, raw: float | None) -> float | None:
        """Where a timestamp would lie, without moving the clock."""
        return None if raw is None or self._offset is None else raw - self._offset

    def jump(self) -> None:
        """Allow the next frame to lie anywhere: the source was told to seek."""
        self.last = -math.inf

    def notes(self) -> list[str]:
        """What had to be repaired, in words."""
        notes = []
        if self.left_out:
            notes.append(f"left out {count(self.left_out, 'frame')} that repeated an earlier timestamp")
        if self.remade:
            notes.append(f"repaired the missing or impossible timestamps of {count(self.remade, 'frame')}")
        return notes


@dataclass
class Picker:
    """Chooses about ``rate`` frames a second by their times: the frame nearest to each tick of an even grid."""

    rate: float | None
    _tick: int | None = None
    _last: float | None = None

    def __call__(self, time: float) -> bool:
        if self.rate is None:
            return True
        gap = 0.0 if self._last is None else min(time - self._last, 1 / self.rate)
        self._last = time
        tick = math.floor((time + gap / 2) * self.rate + 1e-6)
        if self._tick is not None and tick <= self._tick:
            return False
        self._tick = tick
        return True


@dataclass
class Reading:
    """What to read of a source, and what reading it has found out."""

    start: float = 0.0
    end: float = math.inf
    rate: float | None = None
    pixel_aspect: float = 1.0  # width of a pixel in heights
    warnings: list[str] = field(default_factory=list)
    size: tuple[int, int] | None = None  # (width, height) of the first frame, upright
    reached: float = 0.0  # time of the last frame decoded
    frame_count: int = 0
    picker: Picker = field(init=False)
    _reformatter: Any = None

    def __post_init__(self) -> None:
        self.picker = Picker(self.rate)

    def to_rgb(self, picture: Any) -> np.ndarray:
        """A decoded picture as RGB uint8 (H, W, 3), as it is stored."""
        if self._reformatter is None:
            from av.video.reformatter import VideoReformatter

            # One for all: a picture's own starts threads of its own, which live until the garbage collector comes.
            self._reformatter = VideoReformatter()
        return self._reformatter.reformat(picture, format="rgb24").to_ndarray()

    def warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)


def check_size(width: int, height: int, name: str) -> None:
    """Refuse a frame size that is nothing or absurd, before memory is taken for it."""
    if width < 1 or height < 1:
        raise KinetagError(f"{name}: its frames have no size ({width}x{height}); the file is empty or damaged")
    if width * height > MAX_PIXELS:
        raise KinetagError(
            f"{name}: frames of {width}x{height} are too large (at most {MAX_PIXELS // 1_000_000} million pixels)"
        )


def decode(container: Any, stream: Any, clock: Clock, reading: Reading, *, seekable: bool) -> Iterator[Frame]:
    """Upright RGB frames of ``stream`` between reading.start and reading.end, at reading.rate."""
    frames = _tolerant(container, stream, reading)
    if seekable and reading.start > 0:
        frames = _seek(container, stream, clock, reading, frames)
    for index, picture in enumerate(frames):
        reading.frame_count += 1
        time = clock(_raw_time(picture, stream))
        if time is None:
            continue
        reading.reached = time
        if time > reading.end:
            break
        # Frames before the start were only decoded because later ones build on them.
        if time >= reading.start - 1e-6 and reading.picker(time):
            yield Frame(to_image(picture, reading), time, index)


def _raw_time(picture: Any, stream: Any) -> float | None:
    if picture.pts is None:
        return None
    return float(picture.pts * (picture.time_base or stream.time_base))


def _tolerant(container: Any, stream: Any, reading: Reading) -> Iterator[Any]:
    """Decode; a damaged packet is passed over and told of at the end."""
    from av import error as av_error

    packets, faults, run, corrupt = container.demux(stream), 0, 0, 0
    try:
        while run < MAX_FAULTS:
            try:
                packet = next(packets)
                for picture in stream.decode(packet):
                    check_size(picture.width, picture.height, "the video")
                    corrupt += bool(picture.is_corrupt)
                    run = 0
                    yield picture
            except StopIteration:
                break
            except (TimeoutError, av_error.ExitError):
                reading.warn("the source stopped sending; what came before was used")
                break
            except av_error.EOFError:
                break
            except av_error.FFmpegError:
                faults, run = faults + 1, run + 1
                packets = container.demux(stream)  # a generator that raised is spent
    finally:
        if faults:
            reading.warn(f"damaged: {count(faults, 'part')} could not be decoded; the rest was used")
        if corrupt:
            reading.warn(f"damaged: {count(corrupt, 'frame')} decoded with faults")


def _seek(container: Any, stream: Any, clock: Clock, reading: Reading, frames: Iterator[Any]) -> Iterator[Any]:
    """Go to the keyframe at or before reading.start. The first frame is decoded first, for it defines time 0."""
    from av import error as av_error

    first = next(frames, None)
    origin = None if first is None else _raw_time(first, stream)
    if origin is None:
        return _chain(first, frames)
    clock(origin)
    clock.jump()
    for target in (origin + reading.start, origin):  # the file's beginning, should its index be wrong
        try:
            container.seek(round(target / stream.time_base), stream=stream)
        except av_error.FFmpegError:
            continue
        frames = _tolerant(container, stream, reading)
        landed = next(frames, None)
        at = None if landed is None else clock.seconds(_raw_time(landed, stream))
        if landed is not None and (at is None or at <= reading.start or target == origin):
            return _chain(landed, frames)
    return frames


def _chain(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    if first is not None:
        yield first
    yield from rest


def to_image(picture: Any, reading: Reading) -> np.ndarray:
    """A decoded picture as upright RGB uint8 (H, W, 3) with square pixels, always of the first one's size."""
    image = reading.to_rgb(picture)
    image = _square_pixels(image, reading.pixel_aspect)
    image = _upright(image, _display_matrix(picture), reading)
    size = (image.shape[1], image.shape[0])
    if reading.size is None:
        reading.size = size
    elif size != reading.size:
        image = _resize(image, reading.size)
        reading.warn(
            f"the frame size changes from {_by(reading.size)} to {_by(size)}; frames were resized to the first"
        )
    return np.ascontiguousarray(image)


def _square_pixels(image: np.ndarray, aspect: float) -> np.ndarray:
    """Stretch an anamorphic picture to its true proportions, else every joint angle would be wrong."""
    if aspect == 1 or not 0.2 <= aspect <= 5:
        return image
    return _resize(image, (max(1, round(image.shape[1] * aspect)), image.shape[0]))


def _upright(image: np.ndarray, matrix: tuple[float, float, float, float], reading: Reading) -> np.ndarray:
    """Apply the display matrix [a b; c d]: a point (x, y) of the picture is shown at (a x + c y, b x + d y)."""
    a, b, c, d = matrix
    if (a, b, c, d) == (1, 0, 0, 1):
        return image
    across, along = max(abs(a), abs(d)), max(abs(b), abs(c))
    if across == along == 0:
        reading.warn("the rotation stored in the video is nonsense and was ignored")
        return image
    if min(across, along) > 0.02 * max(across, along):
        degrees = round(math.degrees(math.atan2(b, a)))
        reading.warn(f"the video asks to be turned by {degrees} degrees; it was turned to the nearest quarter")
    if along > across:
        image = image.transpose(1, 0, 2)
        a, d = c, b
    return image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]


def _display_matrix(picture: Any) -> tuple[float, float, float, float]:
    from av.sidedata.sidedata import SideDataContainer

    try:
        # Not `picture.side_data`: the two would hold each other, and hundreds of pictures would pile up as garbage.
        data = cast(Any, SideDataContainer)(picture).get("DISPLAYMATRIX")
    except ValueError:  # side data that this PyAV has no name for
        angle = math.radians(-getattr(picture, "rotation", 0))
        return math.cos(angle), math.sin(angle), -math.sin(angle), math.cos(angle)
    if data is None:
        return 1, 0, 0, 1
    values = struct.unpack("=9i", bytes(data)[:36])  # 16.16 fixed point
    a, b, c, d = (values[i] / 65536 for i in (0, 1, 3, 4))
    return a, b, c, d


def _resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    import cv2

    return cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)


def count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
