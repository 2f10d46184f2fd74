"""H.264 out: `VideoWriter`, atomic and with the timestamps it is given."""

import errno
import os
import secrets
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from kinetag.errors import KinetagError

# In order of preference; only those that this FFmpeg was built with and that open on this machine are used.
_ENCODERS = ("libx264", "h264_videotoolbox", "libopenh264", "h264_mf", "h264_nvenc", "h264_qsv", "h264_v4l2m2m")
_ENCODER_OPTIONS = {"libx264": {"preset": "veryfast", "crf": "21"}}
_FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
_TIME_BASE = Fraction(1, 90_000)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_BT709 = 1


class VideoWriter:
    """Write RGB images as H.264 (yuv420p, playable from its first byte), a context manager.

    ``write(image, time)`` takes RGB uint8 (height, width, 3) and its time in seconds, which must increase and is kept.
    The file appears under its name only when all of it was written; on any failure nothing is left behind. Odd sizes
    grow by one row or column, for H.264 knows even ones only.
    """

    def __init__(self, path: str | Path, width: int, height: int, frame_rate: float = 30.0) -> None:
        self.path = Path(path)
        from av.video.reformatter import VideoReformatter

        if self.path.suffix.lower() not in _FORMATS:
            raise KinetagError(
                f"cannot write a video as '{self.path.name}': its name must end in {', '.join(_FORMATS)}"
            )
        if width < 1 or height < 1 or not frame_rate > 0:
            raise KinetagError(f"cannot write a video of {width}x{height} at {frame_rate} frames a second")
        self.width, self.height = width, height
        self._last = -1
        self._reformatter: Any = VideoReformatter()  # one for all frames: each frame's own would start threads
        self._temporary = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}.tmp")
        self._container: Any = self._open()
        self._stream = self._add_stream(min(frame_rate, 1000.0))

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def write(self, image: np.ndarray, time: float) -> None:
        """Append one frame, shown from ``time`` (s) on."""
        import av

        if image.shape != (self.height, self.width, 3) or image.dtype != np.uint8:
            raise KinetagError(
                f"a frame of shape {image.shape} {image.dtype} does not fit a video of {self.width}x{self.height} RGB"
            )
        pts = round(time / _TIME_BASE)
        if pts <= self._last:
            raise KinetagError(f"frame time {time:.4f} s does not come after the frame before it")
        self._last = pts
        padding = ((0, self.height % 2), (0, self.width % 2), (0, 0))
        if self.height % 2 or self.width % 2:
            image = np.pad(image, padding, mode="edge")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        frame = self._reformatter.reformat(frame, format="yuv420p", dst_colorspace="ITU709")
        frame.pts, frame.time_base = pts, _TIME_BASE
        self._mux(frame)

    def close(self) -> None:
        """Finish the file and put it in its place. Safe to call twice."""
        if self._container is None:
            return
        try:
            if self._last < 0:
                raise KinetagError(f"{self.path}: no frames were written, so there is no video")
            self._mux(None)
            self._container.close()
            self._container = None
            os.replace(self._temporary, self.path)
        except OSError as error:
            self.discard()
            raise self._failure(error) from None
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """Give up: remove what was written so far."""
        container, self._container = self._container, None
        try:
            if container is not None:
                container.close()
        except Exception:  # the disk may be full, which is why we are here; what matters is that the file goes
            pass
        finally:
            self._temporary.unlink(missing_ok=True)

    def _open(self) -> Any:
        import av

        if not self.path.parent.is_dir():
            raise KinetagError(f"cannot write {self.path}: there is no folder {self.path.parent}")
        if self.path.is_dir():
            raise KinetagError(f"cannot write {self.path}: it is a folder")
        kind = _FORMATS[self.path.suffix.lower()]
        options = {"movflags": "+faststart"} if kind != "matroska" else {}
        try:
            return av.open(f"file:{self._temporary}", "w", format=kind, options=options)
        except OSError as error:
            raise self._failure(error) from None

    def _add_stream(self, frame_rate: float) -> Any:
        import av

        rate = Fraction(frame_rate).limit_denominator(1001)
        size = (self.width + self.width % 2, self.height + self.height % 2)
        for name in _ENCODERS:
            if name in av.codecs_available and _encoder_works(name, *size):
                break
        else:
            self.discard()
            raise KinetagError("cannot write video: this build of PyAV has no H.264 encoder; pip install --upgrade av")
        stream: Any = self._container.add_stream(name, rate=rate, options=_ENCODER_OPTIONS.get(name, {}))
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = _TIME_BASE
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        return stream

    def _mux(self, frame: Any) -> None:
        try:
            for packet in self._stream.encode(frame):
                self._container.mux(packet)
        except OSError as error:
            self.discard()
            raise self._failure(error) from None

    def _failure(self, error: OSError) -> KinetagError:
        if error.errno in _FULL:
            return KinetagError(f"cannot write {self.path}: the disk is full; nothing was left half-written")
        reason = (error.strerror or str(error)).lower()
        return KinetagError(f"cannot write {self.path}: {reason}")


def _encoder_works(name: str, width: int, height: int) -> bool:
    """Hardware encoders are listed even where the hardware is missing; opening one tells."""
    import av
    from av.error import FFmpegError

    if name == "libx264":
        return True
    context: Any = av.CodecContext.create(name, "w")
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.time_base = Fraction(1, 30)
    try:
        context.open()
    except FFmpegError:
        return False
    return True
