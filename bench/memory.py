"""Does memory grow with a video's length? Measures `kinetag analyze` on an hour of video in a process of its own.

    python bench/memory.py                                 one hour, three rendered people, 1280x720
    python bench/memory.py --people 1 --size 640x360 --minutes 8
    python bench/memory.py --stage decode                  decoding alone, a minute or two for an hour of video

The clip is a rendered minute, repeated by copying its packets, so an hour takes little longer to make than a minute.
Exits with 1 when the peak of resident memory passes --limit (600 MB).
"""

import argparse
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import save, show

_DECODE = """
import sys
from kinetag.video import open_source
with open_source(sys.argv[1], rate=15) as video:
    print(sum(1 for _ in video), "frames")
"""


def main() -> int:
    parser = argparse.ArgumentParser(description="Resident memory over a long video.")
    parser.add_argument("--minutes", type=float, default=60.0, help="length of the video (60)")
    parser.add_argument("--limit", type=float, default=600.0, help="megabytes of resident memory allowed (600)")
    parser.add_argument("--size", default="1280x720", help="of the rendered clip (1280x720)")
    parser.add_argument("--people", type=int, choices=(1, 2, 3), default=3, help="in the rendered clip (3)")
    parser.add_argument("--clip", type=Path, help="an H.264 clip to repeat in place of the rendered one")
    parser.add_argument("--model", type=Path, help="a classifier in place of the shipped one")
    parser.add_argument("--stage", choices=("analyze", "decode"), default="analyze")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        minute = args.clip or make_minute(Path(folder) / "minute.mp4", args.people, args.size)
        clip = repeat(minute, Path(folder) / "long.mp4", args.minutes * 60)
        if args.stage == "decode":
            command = [sys.executable, "-c", _DECODE, str(clip)]
        else:
            command = [sys.executable, "-m", "kinetag", "analyze", str(clip), "--format", "csv", "--quiet"]
            command += ["--model", str(args.model)] if args.model else []
        found = watch(command)
    about = {"clip": args.clip.stem} if args.clip else {"people": args.people, "size": args.size}
    found = {"stage": args.stage, "minutes": args.minutes, **about, **found}
    show("Resident memory", [found])
    save(f"memory_{args.stage}", **found, limit_mb=args.limit)
    if found["exit"] or found["peak_mb"] > args.limit:
        print(f"failed: exit code {found['exit']}, peak {found['peak_mb']} MB of {args.limit:g}")
        return 1
    return 0


def make_minute(path: Path, people: int, size: str) -> Path:
    """A rendered minute of up to three people who exercise; ``size``: width and height in pixels, like 1280x720."""
    from speed import trio

    width, _, height = size.partition("x")
    trio(people, 3, int(width), int(height)).write(path)
    return path


def repeat(source: Path, target: Path, seconds: float) -> Path:
    """The same video again and again for this long: packets are copied, their times moved on."""
    import av

    with av.open(str(target), "w") as out, av.open(str(source)) as first:
        template = first.streams.video[0]
        stream: Any = out.add_stream_from_template(template)
        length = template.duration or 0
        base: Any = template.time_base
        for turn in range(max(1, round(seconds / float(length * base)))):
            with av.open(str(source)) as again:
                for packet in again.demux(video=0):
                    if packet.dts is None:
                        continue
                    packet.pts = (packet.pts or 0) + turn * length
                    packet.dts += turn * length
                    packet.stream = stream
                    out.mux(packet)
    return target


def watch(command: list[str]) -> dict[str, Any]:
    """Run it and follow its resident memory, from outside."""
    import psutil

    began = time.monotonic()
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    samples: list[tuple[float, float]] = []

    def follow() -> None:
        process = psutil.Process(running.pid)
        while running.poll() is None:
            try:
                samples.append((time.monotonic() - began, process.memory_info().rss / 1e6))
            except psutil.NoSuchProcess:
                return
            time.sleep(0.2)

    thread = threading.Thread(target=follow)
    thread.start()
    _, complaints = running.communicate()
    thread.join()
    if running.returncode:
        print(complaints[-2000:])
    times, memory = np.array(samples).T
    quarters = [memory[(times >= a) & (times <= b)] for a, b in zip(*quartiles(times[-1]), strict=True)]
    found: dict[str, Any] = {f"quarter_{i}_mb": round(float(q.max()), 1) for i, q in enumerate(quarters, 1) if len(q)}
    return {
        **found,
        "peak_mb": round(float(memory.max()), 1),
        "seconds": round(times[-1], 1),
        "exit": running.returncode,
    }


def quartiles(end: float) -> tuple[list[float], list[float]]:
    marks = np.linspace(0, end, 5).tolist()
    return marks[:-1], marks[1:]


if __name__ == "__main__":
    sys.exit(main())
