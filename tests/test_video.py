"""Video in and out: true pictures at true times from every kind of source, and nothing half-written."""

import contextlib
import gc
import os
import socket
import subprocess
import sys
import threading
import time
from itertools import pairwise

import av
import cv2
import numpy as np
import pytest
from footage import HEIGHT, WIDTH, number_of, numbered, quadrants, video
from hypothesis import given, settings
from hypothesis import strategies as st

from kinetag.decoding import Clock, Picker, Reading, _upright
from kinetag.errors import KinetagError
from kinetag.video import VideoWriter, open_source


def read(source, **options):
    with open_source(source, **options) as found:
        frames = list(found)
    return found, frames


def corners(image):
    """The colours of the four quarters' middles, in reading order, as letters."""
    height, width = image.shape[:2]
    names = {(1, 0, 0): "r", (0, 1, 0): "g", (0, 0, 1): "b", (1, 1, 1): "w", (0, 0, 0): "k"}
    spots = [image[y, x] for y in (height // 4, 3 * height // 4) for x in (width // 4, 3 * width // 4)]
    return "".join(names.get(tuple(int(v > 127) for v in spot), "?") for spot in spots)


# Containers and pixel formats


CONTAINERS = {
    "mp4": {}, "mov": {}, "mkv": {}, "webm": {"codec": "libvpx-vp9", "options": {"deadline": "realtime"}},
    "avi": {"codec": "mpeg4"}, "gif": {"codec": "gif", "pixels": "rgb8"},
}  # fmt: skip


@pytest.mark.parametrize("kind", CONTAINERS)
def test_containers(tmp_path, kind):
    path = video(tmp_path / f"a.{kind}", 20, rate=10, **CONTAINERS[kind], draw=lambda i, w, h: quadrants(i, w, h))
    source, frames = read(path)
    assert (source.width, source.height, source.name) == (WIDTH, HEIGHT, f"a.{kind}")
    assert len(frames) == 20
    np.testing.assert_allclose([f.time for f in frames], np.arange(20) / 10, atol=0.011)
    assert [f.index for f in frames] == list(range(20))
    assert corners(frames[-1].image) == "rgbw"
    assert source.duration == pytest.approx(2, abs=0.02)
    assert source.frame_rate == pytest.approx(10, rel=0.01)
    assert source.warnings == []
    assert source.rereadable


PIXELS = {
    "grey": ("ffv1", "gray", "gray"), "10 bit": ("libx264", "yuv420p10le", "rgb24"),
    "4:2:2": ("libx264", "yuv422p", "rgb24"), "4:4:4": ("libx264", "yuv444p", "rgb24"),
    "alpha": ("png", "rgba", "rgba"), "16 bit": ("png", "rgb48be", "rgb48be"),
}  # fmt: skip


@pytest.mark.parametrize("case", PIXELS)
def test_pixel_formats(tmp_path, case):
    codec, pixels, given = PIXELS[case]

    def draw(index, width, height):
        image = quadrants(index, width, height)
        if given == "gray":
            return image[..., 0]
        if given == "rgba":
            return np.dstack([image, np.full((height, width), 128, np.uint8)])
        return image.astype(np.uint16) * 257 if given == "rgb48be" else image

    path = tmp_path / ("a.mov" if codec == "png" else "a.mkv")
    _, frames = read(video(path, 3, codec=codec, pixels=pixels, source_pixels=given, draw=draw))
    assert len(frames) == 3
    assert frames[0].image.dtype == np.uint8
    assert frames[0].image.shape == (HEIGHT, WIDTH, 3)
    assert corners(frames[0].image) == {"gray": "wkkw"}.get(given, "rgbw")


def test_odd_sizes(tmp_path):
    _, frames = read(video(tmp_path / "a.mkv", 3, codec="ffv1", pixels="bgr0", size=(97, 61), draw=quadrants))
    assert frames[0].image.shape == (61, 97, 3)
    assert corners(frames[0].image) == "rgbw"


def test_anamorphic_pixels_become_square(tmp_path):
    source, frames = read(video(tmp_path / "a.mp4", 3, aspect=2.0, draw=quadrants))
    assert (source.width, source.height) == (2 * WIDTH, HEIGHT)
    assert corners(frames[0].image) == "rgbw"


# Rotation


# Counterclockwise, as in FFmpeg: a phone held upright writes -90.
@pytest.mark.parametrize(("rotation", "seen"), [(0, "rgbw"), (90, "gwrb"), (180, "wbgr"), (-90, "brwg"), (270, "brwg")])
def test_rotation(tmp_path, rotation, seen):
    source, frames = read(video(tmp_path / "a.mp4", 2, rotation=rotation, draw=quadrants))
    assert corners(frames[0].image) == seen
    sideways = rotation % 180 != 0
    assert (source.width, source.height) == ((HEIGHT, WIDTH) if sideways else (WIDTH, HEIGHT))
    assert frames[0].image.flags.c_contiguous
    assert source.warnings == []


@pytest.mark.parametrize(("rotation", "seen"), [(37, "rgbw"), (100, "gwrb"), (-60, "brwg")])
def test_odd_rotation_goes_to_the_nearest_quarter(tmp_path, rotation, seen):
    source, frames = read(video(tmp_path / "a.mp4", 2, rotation=rotation, draw=quadrants))
    assert corners(frames[0].image) == seen
    assert len(source.warnings) == 1
    assert "nearest quarter" in source.warnings[0]


@pytest.mark.parametrize(
    ("matrix", "seen"),
    [
        ((-1, 0, 0, 1), "grwb"),
        ((1, 0, 0, -1), "bwrg"),
        ((0, 1, 1, 0), "rbgw"),
        ((0, -1, -1, 0), "wgbr"),
        ((0, 0, 0, 0), "rgbw"),
    ],
)
def test_mirrored_and_broken_matrices(matrix, seen):
    reading = Reading()
    assert corners(_upright(quadrants(), matrix, reading)) == seen
    assert bool(reading.warnings) == (matrix == (0, 0, 0, 0))


def test_decoded_pictures_do_not_wait_for_the_garbage_collector(tmp_path):
    path = video(tmp_path / "a.mp4", 60, rotation=90)
    gc.collect()
    gc.disable()
    try:
        with open_source(path) as source:
            for _ in source:
                pass
        left = sum(isinstance(thing, av.sidedata.sidedata.SideDataContainer) for thing in gc.get_objects())
    finally:
        gc.enable()
    assert left <= 1


# Time


def test_variable_frame_rate_keeps_true_times(tmp_path):
    times = [0, 0.033, 0.1, 0.5, 0.51, 2.0, 2.2]
    _, frames = read(video(tmp_path / "a.mkv", 7, times=times))
    np.testing.assert_allclose([f.time for f in frames], times, atol=1e-3)


@pytest.mark.parametrize("shift", [5.0, -1.0])
def test_first_frame_is_time_zero(tmp_path, shift):
    path = video(tmp_path / "a.mkv", 5, times=[shift + i / 10 for i in range(5)])
    _, frames = read(path)
    np.testing.assert_allclose([f.time for f in frames], np.arange(5) / 10, atol=1e-3)


@pytest.mark.parametrize("kind", ["mp4", "mkv", "avi"])
def test_start_and_end(tmp_path, kind):
    path = video(tmp_path / f"a.{kind}", 100, rate=10, keyframes=30, codec="mpeg4" if kind == "avi" else "libx264")
    _, frames = read(path, start=4.5, end=6.0)
    np.testing.assert_allclose([f.time for f in frames], np.arange(45, 61) / 10, atol=2e-3)
    assert [number_of(f.image) for f in frames] == list(range(45, 61))
    _, frames = read(path, start=9.0)
    assert [number_of(f.image) for f in frames] == list(range(90, 100))


def test_start_seeks_instead_of_decoding(tmp_path, monkeypatch):
    import kinetag.decoding

    decoded = []
    original = kinetag.decoding._raw_time
    monkeypatch.setattr(kinetag.decoding, "_raw_time", lambda *a: decoded.append(1) or original(*a))
    read(video(tmp_path / "a.mp4", 100, rate=10, keyframes=10), start=9.0)
    assert len(decoded) < 25


def test_start_in_a_shifted_file_counts_from_the_first_frame(tmp_path):
    path = video(tmp_path / "a.mkv", 50, times=[7 + i / 10 for i in range(50)])
    _, frames = read(path, start=2.0, end=2.5)
    assert [number_of(f.image) for f in frames] == [20, 21, 22, 23, 24, 25]


@pytest.mark.parametrize(("rate", "expected"), [(10, 20), (15, 30), (25, 50), (30, 60), (100, 60), (None, 60)])
@pytest.mark.parametrize("kind", ["mp4", "mkv"])  # mkv rounds times to milliseconds
def test_rate_picks_evenly(tmp_path, rate, expected, kind):
    _, frames = read(video(tmp_path / f"a.{kind}", 60), rate=rate)
    assert len(frames) == expected
    steps = np.diff([f.time for f in frames])
    assert steps.max() - steps.min() < 1 / 30 + 2e-3
    if rate in (10, 15):  # whole ratios: exactly even
        assert len(set(np.diff([f.index for f in frames]))) == 1


@given(st.lists(st.floats(0.001, 0.5), min_size=1, max_size=200), st.floats(1, 60))
def test_picker_never_picks_more_than_asked(steps, rate):
    picker, times = Picker(rate), np.cumsum([0, *steps])
    picked = [t for t in times if picker(t)]
    assert picked[0] == 0
    assert len(picked) <= times[-1] * rate + 2
    # and no tick that has a frame near it goes without
    for a, b in pairwise(picked):
        assert not [t for t in times if t - a > 1.25 / rate and b - t > 1.5 / rate]


@settings(deadline=None)
@given(st.lists(st.none() | st.floats(allow_nan=True, allow_infinity=True, width=32), min_size=1, max_size=80))
def test_clock_always_increases_from_zero(raw):
    clock = Clock(1 / 30)
    times = [t for t in map(clock, raw) if t is not None]
    assert times[0] == 0
    assert (np.diff(times) > 0).all()
    assert (np.diff(times) <= 3600 + 1).all()


def test_clock_leaves_out_repeats_and_late_frames():
    clock = Clock(0.1)
    assert [clock(t) for t in (0, 0.1, 0.1, 0.3, 0.2, 0.4)] == [0, 0.1, None, 0.3, None, 0.4]
    assert clock.notes() == ["left out 2 frames that repeated an earlier timestamp"]


def test_clock_goes_on_after_a_restart_and_when_it_stands_still():
    clock = Clock(0.1)
    times = [clock(t) for t in (50.0, 50.1, 0.0, 0.1, 0.2)]
    np.testing.assert_allclose(times, [0, 0.1, 0.2, 0.3, 0.4])
    clock = Clock(0.1)
    times = [t for t in (clock(7.0) for _ in range(25)) if t is not None]
    np.testing.assert_allclose(np.diff(times), 0.1)
    assert len(times) == 20


# Images, folders, cameras, streams


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "webp", "tiff"])
def test_still_image(tmp_path, suffix):
    path = tmp_path / f"100% %d.{suffix}"
    cv2.imwrite(str(path), quadrants()[..., ::-1])
    source, frames = read(path)
    assert [f.time for f in frames] == [0]
    assert corners(frames[0].image) == "rgbw"
    assert source.duration == 0


@pytest.mark.parametrize("first", ["b.mp4", "squat/1.MOV"])
def test_a_folder_of_videos_names_the_first(tmp_path, first):
    for name in (first, "z/9.mp4", ".hidden.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(KinetagError) as error:
        open_source(tmp_path)
    assert "no pictures in this folder, but videos" in str(error.value)
    assert str(error.value).endswith(f"such as {tmp_path / first}")


def test_folder_of_frames_in_natural_order(tmp_path):
    for index in (0, 1, 2, 9, 10, 11):
        cv2.imwrite(str(tmp_path / f"frame{index}.png"), numbered(index))
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / "frame10.png").write_bytes(b"broken")
    source, frames = read(tmp_path, frame_rate=10)
    assert [number_of(f.image) for f in frames] == [0, 1, 2, 9, 11]
    np.testing.assert_allclose([f.time for f in frames], [0, 0.1, 0.2, 0.3, 0.5])
    assert source.duration == pytest.approx(0.6)
    assert source.warnings == ["frame10.png is not a picture that can be read; it was left out"]
    _, frames = read(tmp_path, frame_rate=10, start=0.2, end=0.3)
    assert [number_of(f.image) for f in frames] == [2, 9]


def test_changing_size_is_brought_to_the_first(tmp_path):
    cv2.imwrite(str(tmp_path / "1.png"), quadrants(0, 96, 64)[..., ::-1])
    cv2.imwrite(str(tmp_path / "2.png"), quadrants(0, 50, 40)[..., ::-1])
    source, frames = read(tmp_path)
    assert [f.image.shape for f in frames] == [(64, 96, 3)] * 2
    assert corners(frames[1].image) == "rgbw"
    assert "from 96x64 to 50x40" in source.warnings[0]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="device files are Linux's")
@pytest.mark.parametrize("camera", [97, "97", "/dev/video97"])
def test_missing_camera(camera):
    with pytest.raises(KinetagError, match="no camera 97: /dev/video97 does not exist"):
        open_source(camera)


@pytest.mark.parametrize("password", ["p@ss-w0rd", "p@s'w0rd", "pa/ss@w0rd", "pa?ss w0rd", 'a"b#w0rd'])
@pytest.mark.parametrize("scheme", ["rtsp", "http", "ftp"])
def test_no_part_of_a_password_is_told(scheme, password):
    with pytest.raises(KinetagError) as caught:
        open_source(f"{scheme}://admin:{password}@127.0.0.1:9/live", timeout=0.5)
    assert str(caught.value).startswith(f"{scheme}://***@")
    assert "w0rd" not in str(caught.value)


def test_streams_that_do_not_answer():
    with pytest.raises(KinetagError, match="unknown kind of stream 'ftp'"):
        open_source("ftp://host/a.mp4")
    silent = socket.create_server(("127.0.0.1", 0))
    port = silent.getsockname()[1]
    began = time.monotonic()
    with pytest.raises(KinetagError, match=r"no answer within 0\.5 s") as caught:
        open_source(f"http://user:secret@127.0.0.1:{port}/a.mp4", timeout=0.5)
    assert time.monotonic() - began < 5
    assert "secret" not in str(caught.value)
    silent.close()
    with pytest.raises(KinetagError, match="refused"):
        open_source(f"http://127.0.0.1:{port}/a.mp4", timeout=0.5)


def test_http_stream(tmp_path):
    from functools import partial
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    video(tmp_path / "a.mp4", 20, container_options={"movflags": "+faststart"})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        source, frames = read(f"http://me:p@ss@127.0.0.1:{server.server_port}/a.mp4")
    finally:
        server.shutdown()
    assert source.name == f"http://***@127.0.0.1:{server.server_port}/a.mp4"
    assert len(frames) == 20
    assert not source.rereadable


def test_a_live_stream_is_read_while_it_comes(tmp_path):
    path = video(tmp_path / "a.ts", 150, size=(640, 480))
    listener = socket.create_server(("127.0.0.1", 0))
    gone = threading.Event()

    def serve():  # two thirds of it in real time, and then nothing more until somebody has seen some
        connection, _ = listener.accept()
        content = path.read_bytes()
        with connection, contextlib.suppress(OSError):
            for piece in range(34):
                connection.sendall(content[piece * len(content) // 50 : (piece + 1) * len(content) // 50])
                time.sleep(0.1)
            gone.wait(20)

    threading.Thread(target=serve, daemon=True).start()
    with open_source(f"tcp://127.0.0.1:{listener.getsockname()[1]}") as source:
        frames = [frame for frame, _ in zip(source, range(30), strict=False)]
    gone.set()
    listener.close()
    assert [number_of(frame.image) for frame in frames] == list(range(30))
    assert source.duration is None


def test_a_playlist_opens_no_connections(tmp_path):
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.5)
    port = listener.getsockname()[1]
    path = tmp_path / "a.m3u8"
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nhttp://127.0.0.1:{port}/a.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(KinetagError):
        open_source(path)
    with pytest.raises(TimeoutError):
        listener.accept()
    listener.close()


# The decoding thread


def decoding_threads():
    return [t for t in threading.enumerate() if t.name.startswith("decode ")]


def test_closing_early_stops_the_thread(tmp_path):
    path = video(tmp_path / "a.mp4", 200)
    with open_source(path) as source:
        assert next(iter(source)).index == 0
        assert decoding_threads()
    assert not decoding_threads()
    source.close()
    assert list(source) == []


def test_only_a_few_frames_are_decoded_ahead(tmp_path):
    path = video(tmp_path / "a.mp4", 200)
    with open_source(path) as source:
        time.sleep(0.3)
        assert source._queue.qsize() <= 8
        assert source._reading.frame_count < 20
        assert len(list(source)) == 200


def test_errors_of_the_thread_reach_the_reader(tmp_path, monkeypatch):
    import kinetag.decoding

    path = video(tmp_path / "a.mp4", 50)
    original, calls = kinetag.decoding.to_image, []

    def fail_later(*arguments):
        calls.append(1)
        if len(calls) > 5:
            raise MemoryError("no memory")
        return original(*arguments)

    monkeypatch.setattr(kinetag.decoding, "to_image", fail_later)
    with pytest.raises(MemoryError), open_source(path) as source:
        list(source)
    assert not decoding_threads()


@pytest.mark.parametrize("options", [{"start": -1}, {"start": 3, "end": 2}, {"rate": 0}, {"rate": float("nan")}])
def test_senseless_options(tmp_path, options):
    with pytest.raises(KinetagError):
        open_source(video(tmp_path / "a.mp4", 3), **options)


# Writing


def test_writer_round_trip(tmp_path):
    path = tmp_path / "out.mp4"
    times = [0, 0.04, 0.1, 0.5, 0.9]
    with VideoWriter(path, 97, 61, 25) as writer:
        for moment in times:
            writer.write(quadrants(0, 97, 61), moment)
        assert not path.exists()
    source, frames = read(path)
    assert (source.width, source.height) == (98, 62)
    np.testing.assert_allclose([f.time for f in frames], times, atol=1e-3)
    assert corners(frames[3].image) == "rgbw"
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # playable from its first byte
    assert os.listdir(tmp_path) == ["out.mp4"]


def test_writer_keeps_colours(tmp_path):
    colour = np.array([200, 120, 60], np.uint8)
    with VideoWriter(tmp_path / "a.mp4", 64, 64) as writer:
        writer.write(np.full((64, 64, 3), colour), 0)
    _, (frame,) = read(tmp_path / "a.mp4")
    np.testing.assert_allclose(frame.image.mean((0, 1)), colour, atol=4)


def test_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_text("precious")
    for error in (RuntimeError, KeyboardInterrupt):
        with pytest.raises(error), VideoWriter(path, 64, 64) as writer:
            _write_and_raise(writer, error)
        assert path.read_text() == "precious"
        assert os.listdir(tmp_path) == ["a.mp4"]


def _write_and_raise(writer, error):
    writer.write(np.zeros((64, 64, 3), np.uint8), 0)
    raise error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a.txt", 64, 64), "must end in .mp4"),
        (("none/a.mp4", 64, 64), "there is no folder"),
        (("a.mp4", 0, 64), "0x64"),
    ],
)
def test_writer_refuses(tmp_path, arguments, message):
    with pytest.raises(KinetagError, match=message):
        VideoWriter(tmp_path / arguments[0], *arguments[1:])
    assert os.listdir(tmp_path) == []


def test_two_writers_of_one_name_do_not_meet(tmp_path):
    path, image = tmp_path / "a.mp4", np.zeros((64, 64, 3), np.uint8)
    with VideoWriter(path, 64, 64) as first, VideoWriter(path, 64, 64) as second:
        assert first._temporary != second._temporary
        first.write(image, 0.0)
        second.write(image, 0.0)
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]
    with open_source(path) as video:
        assert video.width == 64


def test_writer_refuses_wrong_frames(tmp_path):
    with pytest.raises(KinetagError, match="does not fit"), VideoWriter(tmp_path / "a.mp4", 64, 64) as writer:
        writer.write(np.zeros((60, 64, 3), np.uint8), 0)
    writer = VideoWriter(tmp_path / "a.mp4", 64, 64)
    writer.write(np.zeros((64, 64, 3), np.uint8), 1.0)
    with pytest.raises(KinetagError, match="does not come after"):
        writer.write(np.zeros((64, 64, 3), np.uint8), 1.0)
    writer.discard()
    with pytest.raises(KinetagError, match="no frames"), VideoWriter(tmp_path / "a.mp4", 64, 64):
        pass
    assert os.listdir(tmp_path) == []


FULL_DISK = """
import resource, signal, sys
import numpy as np
from kinetag.errors import KinetagError
from kinetag.video import VideoWriter
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
random = np.random.default_rng(0)
try:
    with VideoWriter(sys.argv[1], 320, 240) as writer:
        for index in range(60):
            writer.write(random.integers(0, 255, (240, 320, 3), dtype=np.uint8), index / 30)
except KinetagError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
def test_full_disk(tmp_path):
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(tmp_path / "a.mp4")], capture_output=True, text=True)
    assert "the disk is full" in done.stdout
    assert done.stderr == ""
    assert os.listdir(tmp_path) == []


def test_missing_encoder(tmp_path, monkeypatch):
    monkeypatch.setattr("kinetag.video_writer._ENCODERS", ("h264_nvenc", "no_such_encoder"))
    monkeypatch.setattr("kinetag.video_writer._encoder_works", lambda *_: False)
    with pytest.raises(KinetagError, match=r"no H\.264 encoder"):
        VideoWriter(tmp_path / "a.mp4", 64, 64)
    assert os.listdir(tmp_path) == []


def test_import_is_free():
    code = "import sys, kinetag.video, kinetag.pose.files; sys.exit(any(m in sys.modules for m in ('av', 'cv2')))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts threads through /proc")
def test_threads_do_not_pile_up(tmp_path):
    """Each picture's own colour conversion would leave threads behind, and their memory with them."""
    before = len(os.listdir("/proc/self/task"))
    path = tmp_path / "a.mp4"
    with VideoWriter(path, 320, 240) as writer:
        for index in range(60):
            writer.write(numbered(index, 320, 240), index / 30)
        assert len(os.listdir("/proc/self/task")) < before + 16
    with open_source(path) as source:
        for _ in source:
            assert len(os.listdir("/proc/self/task")) < before + 16


def test_an_end_that_was_asked_for_is_not_a_file_that_was_cut_off(tmp_path):
    path = video(tmp_path / "long.mp4", 150)
    with open_source(path, start=1.0, end=2.01) as source:  # between two frames
        times = [frame.time for frame in source]
    assert times[-1] <= 2.01
    assert source.warnings == []
    assert source.duration == pytest.approx(5.0, abs=0.2)
