"""Videos made on the fly for the tests of input and output."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

WIDTH, HEIGHT = 96, 64


def quadrants(index: int = 0, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """Red upper left, green upper right, blue lower left, white lower right: shows any turn or flip. RGB uint8."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2, 0] = 255
    image[: height // 2, width // 2 :, 1] = 255
    image[height // 2 :, : width // 2, 2] = 255
    image[height // 2 :, width // 2 :] = 255
    return image


def numbered(index: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """A picture of its own number: eight bars, white for the binary ones."""
    bits = (index >> np.arange(8)) & 1
    row = np.repeat(bits * 255, -(-width // 8))[:width].astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(row[None, :, None], (height, width, 3)))


def number_of(image: np.ndarray) -> int:
    """The number that `numbered` drew."""
    middle = image[image.shape[0] // 2, :, 1]
    bar = -(-len(middle) // 8)
    return int(sum(1 << i for i in range(8) if middle[i * bar + bar // 2] > 127))


def video(
    path: Path,
    count: int = 30,
    *,
    rate: int = 30,
    times: Sequence[float] | None = None,
    draw: Callable[..., np.ndarray] = numbered,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    codec: str = "libx264",
    pixels: str = "yuv420p",
    source_pixels: str = "rgb24",
    rotation: int | None = None,
    keyframes: int = 10,
    aspect: float | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Encode ``count`` pictures, at ``times`` (s) if given."""
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height = size
        stream.pix_fmt = pixels
        if codec == "libx264":
            stream.codec_context.gop_size = keyframes
        if aspect:
            stream.codec_context.sample_aspect_ratio = Fraction(aspect).limit_denominator(100)
        if times is not None:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        if rotation is not None:
            stream.set_display_rotation(rotation)
        for index in range(count):
            frame = av.VideoFrame.from_ndarray(draw(index, *size), format=source_pixels)
            frame.pts = index if times is None else round(times[index] * 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def sound(path: Path) -> Path:
    """A file with sound only."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16_000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
