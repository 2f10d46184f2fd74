"""Speed of the whole analysis, with all outputs but the annotated video, against the clip's own length.

    python bench/speed.py [CLIP ...]

Without clips it renders 720p, 30 fps scenes: one person and three people, 20 s and a minute long. Each is analysed in a
process of its own; the ratio is seconds of video a second of work, start-up included.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import av
from common import save, show

from kinetag.exercises.acting import Activity
from kinetag.exercises.scene import Scene
from kinetag.exercises.scenes import make_scene


def render_clips(folder: Path) -> list[Path]:
    """One person and three people, 20 s and a minute."""
    scenes = {
        f"{name}, {20 * times} s": trio(people, times)
        for times in (1, 3)
        for name, people in (("one person", 1), ("three people", 3))
    }
    for name, scene in scenes.items():
        scene.write(folder / f"{name}.mp4")
    return [folder / f"{name}.mp4" for name in scenes]


def trio(people: int, times: int, width: int = 1280, height: int = 720) -> Scene:
    """A scene of up to three people at 30 frames/s, ``times`` 20 s long: everybody does as many times as much."""
    scene = make_scene("trio", width=width, height=height, frame_rate=30.0)
    actors = [replace(a, activities=[_longer(x, times) for x in a.activities]) for a in scene.actors[:people]]
    return replace(scene, actors=actors, duration=times * scene.duration)


def _longer(activity: Activity, times: int) -> Activity:
    repetitions, duration = activity.repetitions, activity.duration
    assert repetitions is not None
    assert duration is not None
    return replace(activity, repetitions=times * repetitions, duration=times * duration)


def measure(clip: Path, runs: int) -> dict:
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        seconds = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else 0.0
        shape = f"{stream.width}x{stream.height}"
    walls, cpu = [], []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as out:
            command = [sys.executable, "-m", "kinetag", "analyze", str(clip), "--out", f"{out}/o", "--no-annotated"]
            before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            walls.append(time.perf_counter() - start)
            cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    wall = sorted(walls)[len(walls) // 2]
    return {
        "clip": clip.stem,
        "size": shape,
        "seconds": round(seconds, 1),
        "wall s": round(wall, 2),
        "CPU s": round(sorted(cpu)[len(cpu) // 2], 2),
        "times real time": round(seconds / wall, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="*", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clips = options.clips or render_clips(Path(folder))
        rows = [measure(clip, options.runs) for clip in clips]
    show("End to end, all outputs but the annotated video", rows)
    save("speed", rows=rows)


if __name__ == "__main__":
    main()
