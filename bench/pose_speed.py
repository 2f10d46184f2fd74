"""Pose estimation side by side with MediaPipe's own Python pipeline: same frames, one person, a pose for every frame.

    python bench/pose_speed.py --mediapipe-python /path/to/python [--clip CLIP] [--runs 5]

The other interpreter needs `pip install mediapipe==0.10.21`, whose numpy is older than ours. Decoding is outside the
clock on both sides. Without --clip a person is rendered at 640x360, 30 fps. Runs alternate, so that a busy moment hits
both. Agreement is PCK: the share of joints that lie within 10 % of MediaPipe's trunk length (mid-shoulder to mid-hip)
of MediaPipe's own, which smooths over time and we do not.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from common import save, show

from kinetag.pose.blazepose import BlazePose
from kinetag.sequence import Frame
from kinetag.skeletons import BLAZEPOSE, KINETAG13

_RUN = 8  # frames at a time, as the analysis does
_WARM_UP = 10  # frames before the clock starts, both sides

# Runs in the other interpreter: reads frames, writes landmarks (N, 33, 2) in pixels and the seconds it took.
_MEDIAPIPE = f"""
import sys, time, resource
import numpy as np, mediapipe as mp
frames = np.load(sys.argv[1], mmap_mode="r")
height, width = frames.shape[1:3]
found = np.full((len(frames), 33, 2), np.nan)
def used():
    return sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
with mp.solutions.pose.Pose(model_complexity=1) as pose:
    for image in frames[:{_WARM_UP}]:
        pose.process(np.ascontiguousarray(image))
with mp.solutions.pose.Pose(model_complexity=1) as pose:
    pose.process(np.ascontiguousarray(frames[0]))
    wall, cpu = time.perf_counter(), used()
    for i, image in enumerate(frames):
        marks = pose.process(np.ascontiguousarray(image)).pose_landmarks
        if marks:
            found[i] = [(mark.x * width, mark.y * height) for mark in marks.landmark]
    np.savez(sys.argv[2], points=found, wall=time.perf_counter() - wall, cpu=used() - cpu)
"""


def run_mediapipe(python: Path, frames: Path, out: Path) -> tuple[np.ndarray, float, float]:
    """Landmarks (N, 33, 2) and the wall and processor seconds of MediaPipe 0.10.21."""
    subprocess.run([str(python), "-c", _MEDIAPIPE, str(frames), str(out)], check=True, capture_output=True)
    with np.load(out) as saved:
        return saved["points"], float(saved["wall"]), float(saved["cpu"])


def run_kinetag(images: np.ndarray, rate: float) -> tuple[np.ndarray, float, float]:
    """The same of BlazePose as shipped with kinetag; of several people the one seen most clearly."""
    frames = [Frame(image, i / rate, i) for i, image in enumerate(images)]
    estimator = BlazePose(max_people=1)
    estimator.estimate(frames[:_WARM_UP])
    estimator.reset()
    points = np.full((len(frames), len(BLAZEPOSE), 2), np.nan)
    wall, cpu = time.perf_counter(), _used()
    for start in range(0, len(frames), _RUN):
        for i, poses in enumerate(estimator.estimate(frames[start : start + _RUN]), start):
            if poses:
                points[i] = max(poses, key=lambda pose: pose.confidence.sum()).keypoints
    return points, time.perf_counter() - wall, _used() - cpu


def _used() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def agreement(ours: np.ndarray, theirs: np.ndarray, joints: list[int], limit: float = 0.1) -> float:
    """PCK: share of ``joints`` closer than ``limit`` trunk lengths, over the frames in which both saw somebody."""
    middle = {part: theirs[:, BLAZEPOSE.indices((f"left_{part}", f"right_{part}"))].mean(axis=1) for part in _TRUNK}
    trunk = np.linalg.norm(middle["shoulder"] - middle["hip"], axis=-1)  # (N,)
    distance = np.linalg.norm(ours - theirs, axis=-1)[:, joints]  # (N, J)
    both = np.isfinite(distance).all(axis=1)
    return float((distance[both] < limit * trunk[both, None]).mean())


_TRUNK = ("shoulder", "hip")


def read_clip(path: Path, size: tuple[int, int], most: int) -> tuple[np.ndarray, float]:
    """Up to ``most`` frames of a clip at ``size`` (the picture's proportions kept, the rest black), and their rate."""
    from kinetag.video import open_source

    width, height = size
    images = []
    with open_source(path) as video:
        rate = video.frame_rate or 30.0
        for frame in video:
            scale = min(width / frame.image.shape[1], height / frame.image.shape[0])
            small = cv2.resize(frame.image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            image = np.zeros((height, width, 3), np.uint8)
            image[: small.shape[0], : small.shape[1]] = small[:height, :width]
            images.append(image)
            if len(images) == most:
                break
    return np.stack(images), rate


def render_clip(size: tuple[int, int], most: int) -> tuple[np.ndarray, float]:
    from kinetag.exercises.scenes import make_scene

    scene = make_scene("single:squat", width=size[0], height=size[1], frame_rate=30.0)
    return np.stack([frame.image for frame in islice(scene.frames(), most)]), 30.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mediapipe-python", type=Path, required=True)
    parser.add_argument("--clip", type=Path)
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    if arguments.clip:
        images, rate = read_clip(arguments.clip, (width, height), arguments.frames)
    else:
        images, rate = render_clip((width, height), arguments.frames)
    with tempfile.TemporaryDirectory() as folder:
        stored = Path(folder) / "frames.npy"
        np.save(stored, images)
        theirs, ours = [], []
        for _ in range(arguments.runs):
            theirs.append(run_mediapipe(arguments.mediapipe_python, stored, Path(folder) / "out.npz"))
            ours.append(run_kinetag(images, rate))
    rows = [_row(name, runs, len(images)) for name, runs in (("mediapipe 0.10.21", theirs), ("kinetag", ours))]
    ratio = statistics.median(their[1] / our[1] for their, our in zip(theirs, ours, strict=True))
    cpu_ratio = statistics.median(their[2] / our[2] for their, our in zip(theirs, ours, strict=True))
    pck = {
        "PCK@0.1, 13 main joints": agreement(ours[0][0], theirs[0][0], BLAZEPOSE.indices(KINETAG13.joints)),
        "PCK@0.1, all 33 points": agreement(ours[0][0], theirs[0][0], list(range(len(BLAZEPOSE)))),
    }
    show("Pose estimation, one person", rows)
    print(f"kinetag / mediapipe: {ratio:.2f} x the frames a second, {cpu_ratio:.2f} x a processor second")
    print(", ".join(f"{name}: {value:.1%}" for name, value in pck.items()))
    clip = arguments.clip.stem if arguments.clip else "rendered squat"
    ratios = {"ratio": round(ratio, 2), "cpu_ratio": round(cpu_ratio, 2)}
    save("pose_speed", clip=clip, size=arguments.size, frames=len(images), rows=rows, **ratios, agreement=pck)


def _row(name: str, runs: list[tuple[np.ndarray, float, float]], count: int) -> dict:
    points = runs[0][0]
    return {
        "pipeline": name,
        "frames/s": round(count / statistics.median(wall for _, wall, _ in runs), 1),
        "CPU ms a frame": round(1000 * statistics.median(cpu for _, _, cpu in runs) / count, 1),
        "frames with a pose": f"{np.isfinite(points).all(axis=(1, 2)).mean():.1%}",
    }


if __name__ == "__main__":
    sys.exit(main())
