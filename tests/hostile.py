"""Bad and odd inputs, made on the fly, with what the user must see. For the tests and for bench/bad_inputs.py."""

import json
import shutil
import struct
import wave
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from footage import numbered, quadrants, sound, video


@dataclass(frozen=True)
class Case:
    """``make`` puts the input into a folder and returns the source's name; ``sees`` is part of the line the user sees.

    ``code`` is the exit code of `kinetag analyze`: 2 for what cannot be read (one line of error), 0 for what could be
    (``sees`` is then a warning, or empty). ``locked`` inputs need a user who is not the administrator.
    """

    name: str
    make: Callable[[Path], str | Path]
    code: int
    sees: str = ""
    arguments: tuple[str, ...] = ()
    locked: bool = False
    slow: bool = False


def black(index: int, width: int, height: int) -> np.ndarray:
    return np.zeros((height, width, 3), np.uint8)


def noise(index: int, width: int, height: int) -> np.ndarray:
    return np.random.default_rng(index).integers(0, 255, (height, width, 3), dtype=np.uint8)


def written(name: str, content: bytes | str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return make


def clip(name: str = "clip.mp4", count: int = 30, **options) -> Callable[[Path], Path]:
    return lambda folder: video(folder / name, count, **options)


def cut_mkv(folder: Path) -> Path:
    path = video(folder / "cut.mkv", 150, draw=noise)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return path


def cut(folder: Path, *, index_first: bool) -> Path:
    options = {"movflags": "+faststart"} if index_first else {}
    path = video(folder / "cut.mp4", 150, draw=noise, container_options=options)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return path


def damaged(folder: Path) -> Path:
    path = video(folder / "damaged.mp4", 150, draw=noise, container_options={"movflags": "+faststart"})
    data = bytearray(path.read_bytes())
    data[len(data) // 3 : len(data) // 3 + 30_000] = bytes(30_000)
    path.write_bytes(data)
    return path


def png_header(folder: Path, width: int, height: int) -> Path:
    """A PNG that says it has this size, whatever it holds."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    path = folder / "picture.png"
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


def cover(folder: Path) -> Path:
    """A song with a picture on its sleeve."""
    picture = folder / "cover.png"
    cv2.imwrite(str(picture), quadrants())
    path = folder / "song.m4a"
    with (
        av.open(str(sound(folder / "sound.m4a"))) as tune,
        av.open(str(picture)) as sleeve,
        av.open(str(path), "w", format="mp4") as out,
    ):
        pairs = [(s, out.add_stream_from_template(s)) for s in (tune.streams.audio[0], sleeve.streams.video[0])]
        pairs[1][1].disposition = av.stream.Disposition.attached_pic
        for (source, target), container in zip(pairs, (tune, sleeve), strict=True):
            for packet in container.demux(source):
                if packet.dts is not None:
                    packet.stream = target
                    out.mux(packet)
    return path


def silence(folder: Path) -> Path:
    with wave.open(str(folder / "sound.wav"), "wb") as out:
        out.setparams((1, 2, 8000, 0, "NONE", ""))
        out.writeframes(bytes(16_000))
    return folder / "sound.wav"


def restarted(folder: Path) -> Path:
    """Two recordings glued together: the clock starts again in the middle."""
    parts = [video(folder / f"{i}.ts", 60, draw=numbered).read_bytes() for i in range(2)]
    path = folder / "glued.ts"
    path.write_bytes(b"".join(parts))
    return path


def negative(folder: Path) -> Path:
    return video(folder / "negative.mkv", 30, times=[i / 30 - 0.5 for i in range(30)])


def stuttering(folder: Path) -> Path:
    return video(folder / "gap.mkv", 30, times=[i / 30 + (20 if i > 15 else 0) for i in range(30)])


def pictures(folder: Path, *sizes: tuple[int, int], broken: int = 0) -> Path:
    place = folder / "frames"
    place.mkdir()
    for index, size in enumerate(sizes):
        cv2.imwrite(str(place / f"{index}.png"), quadrants(0, *size))
    for index in range(broken):
        (place / f"x{index}.png").write_bytes(b"not a picture")
    return place


def sizes(folder: Path) -> Path:
    return pictures(folder, *[(64, 64)] * 3, *[(96, 80)] * 3)


def empty_folder(folder: Path) -> Path:
    (folder / "nothing").mkdir()
    return folder / "nothing"


def locked_folder(folder: Path) -> Path:
    path = pictures(folder, (64, 64))
    path.chmod(0)
    return path


def locked_file(folder: Path) -> Path:
    path = video(folder / "locked.mp4", 3)
    path.chmod(0)
    return path


def ten_people(folder: Path) -> Path:
    """A class of ten, rendered."""
    from kinetag.exercises.scenes import make_scene
    from kinetag.video import VideoWriter

    scene = make_scene("class", seed=0)
    path = folder / "class.mp4"
    with VideoWriter(path, scene.width, scene.height, scene.frame_rate) as writer:
        for frame in scene.frames():
            writer.write(frame.image, frame.time)
            if frame.time > 3:
                break
    return path


def odd_name(folder: Path) -> Path:
    return video(folder / "100% of %d: $(x) 'ü'.mkv", 10)


def looping_link(folder: Path) -> Path:
    path = folder / "loop.mp4"
    path.symlink_to(path)
    return path


def deep_json(folder: Path) -> Path:
    return written("deep.json", "[" * 200_000)(folder)


def coco(keypoints: int) -> str:
    return json.dumps([{"image_id": 1, "category_id": 1, "keypoints": [1.0] * keypoints, "track_id": 1}])


def bad_cell(folder: Path) -> Path:
    from kinetag.pose.table import columns

    names = columns("coco", world=False)
    return written("poses.csv", ",".join(names) + "\n1,0.0," + ",".join(["oops"] * (len(names) - 2)) + "\n")(folder)


def copied(folder: Path) -> Path:
    """A video under the name of another kind: the content decides."""
    shutil.copy(video(folder / "a.mkv", 10), folder / "a.avi")
    return folder / "a.avi"


NOBODY = "nobody was found"
PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n"

CASES = [
    Case("no such file", lambda f: f / "missing.mp4", 2, "no such file or folder"),
    Case("empty file", written("empty.mp4", b""), 2, "the file is empty (0 bytes)"),
    Case("text renamed to .mp4", written("notes.mp4", "Monday: legs\n" * 100), 2, "not a video that can be read"),
    Case("random bytes", written("a.mp4", np.random.default_rng(0).bytes(9999)), 2, "not a video"),
    Case("cut off before its index", lambda f: cut(f, index_first=False), 2, "cut off before its index"),
    Case("cut off in the middle", lambda f: cut(f, index_first=True), 0, "cut off: only"),
    Case("MKV cut off in the middle", cut_mkv, 0, "cut off: only"),
    Case("zeros in the middle", damaged, 0, "damaged: "),
    Case("picture of 0x0", lambda f: png_header(f, 0, 0), 2, "picture.png"),
    Case("picture of 60000x60000 (a bomb)", lambda f: png_header(f, 60_000, 60_000), 2, "picture.png"),
    Case("rotation of 37 degrees", clip(rotation=37), 0, "turned to the nearest quarter"),
    Case("rotation of 90 degrees", clip(rotation=90), 0, NOBODY),
    Case("one frame", clip(count=1), 0, NOBODY),
    Case("4K", clip(count=2, size=(3840, 2160), draw=quadrants), 0, NOBODY),
    Case("2x2 pixels", clip("tiny.mkv", 5, size=(2, 2)), 0, NOBODY),
    Case("nobody in it", clip(draw=noise), 0, NOBODY),
    Case("ten people", ten_people, 0, slow=True),
    Case("black video", clip(draw=black), 0, NOBODY),
    Case("sound only", lambda f: sound(f / "voice.mp4"), 2, "not a video, it holds only sound"),
    Case("WAV file", silence, 2, "not a video, it holds only sound"),
    Case("song with a cover picture", cover, 2, "only sound and a cover picture"),
    Case("negative timestamps", negative, 0, NOBODY),
    Case("timestamps that start again", restarted, 0, "timestamp"),
    Case("gap of 20 s", stuttering, 0, NOBODY),
    Case("wrong file ending", copied, 0, NOBODY),
    Case("odd file name", odd_name, 0, NOBODY),
    Case("link to itself", looping_link, 2, "loop.mp4"),
    Case("file without permission", locked_file, 2, "permission denied", locked=True),
    Case("folder without permission", locked_folder, 2, "permission denied", locked=True),
    Case("empty folder", empty_folder, 2, "no pictures in this folder"),
    Case("folder of broken pictures", lambda f: pictures(f, broken=3), 2, "no frames could be decoded"),
    Case("broken pictures among good ones", lambda f: pictures(f, (64, 64), broken=3), 0, "is not a picture"),
    Case("pictures of different sizes", sizes, 0, "frame size changes"),
    Case("playlist that points elsewhere", written("a.m3u8", PLAYLIST), 2, "a.m3u8"),
    Case("camera that is not there", lambda f: "97", 2, "no camera 97"),
    Case("stream that refuses", lambda f: "rtsp://127.0.0.1:9/live", 2, "connection refused"),
    Case("unknown kind of stream", lambda f: "gopher://host/a", 2, "unknown kind of stream 'gopher'"),
    Case("start after the end", clip(), 2, "no frames between 60 s and its end", ("--start", "60")),
    Case("pose file that is no JSON", written("poses.json", "{half"), 2, "not JSON"),
    Case("pose file nested without end", deep_json, 2, "deep.json"),
    Case("pose file of no known format", written("poses.json", '{"a": 1}'), 2, "no known pose format"),
    Case("COCO entry with 50 numbers", written("poses.json", coco(50)), 2, "entry 0 'keypoints': 50 numbers"),
    Case("word in a table of poses", bad_cell, 2, "line 2: 'oops' is not a number"),
]  # fmt: skip
