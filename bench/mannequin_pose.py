"""Does a pose estimator see the mannequin as a person, and are its landmarks where the joints are?

    python bench/mannequin_pose.py [--exercises squat,plank] [--views front,side] [--height 360] [--seeds 1]

Renders every exercise from several views and runs the estimator on the frames. `found` is the share of frames with a
person at the right place; `pck` the share of joints that show, in those frames, within 20 % of the torso's diagonal
(left shoulder to right hip, largest of the scene) of the truth; `hidden` the same for joints behind the own body.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from common import save, show

from kinetag.exercises.scenes import make_scene
from kinetag.exercises.truth import PersonTruth
from kinetag.pose import open_estimator
from kinetag.sequence import Frame, Pose
from kinetag.skeletons import KINETAG13, convert

ALPHA = 0.2


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--exercises", help="comma-separated; all of the library")
    parser.add_argument("--views", default="front,three_quarter,side")
    parser.add_argument("--pose", default="blazepose")
    parser.add_argument("--height", type=int, default=360)
    parser.add_argument("--rate", type=float, default=12.5)
    parser.add_argument("--seconds", type=float, default=6.0, help="of each scene at most")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--compressed", action="store_true", help="through H.264, as footage comes")
    args = parser.parse_args()
    rows = []
    for exercise in args.exercises.split(",") if args.exercises else library_names():
        for view in args.views.split(","):
            scores = [measure(args, f"single:{exercise}:{view}", seed) for seed in range(args.seeds)]
            found, close, hidden, people = np.nanmean(scores, axis=0).tolist()
            rows.append({"exercise": exercise, "view": view, "found": found, "pck": close, "hidden": hidden,
                         "others": people})  # fmt: skip
            print(f"{exercise:20s} {view:14s} found {found:.2f}  pck {close:.2f}  hidden {hidden:.2f}", flush=True)
    for view in args.views.split(","):
        own = [r for r in rows if r["view"] == view]
        mean = {key: float(np.nanmean([r[key] for r in own])) for key in ("found", "pck", "hidden", "others")}
        rows.append({"exercise": "mean", "view": view, **mean})
    show("The mannequin in the eyes of a pose estimator", rows)
    save("mannequin_pose", pose=args.pose, height=args.height, alpha=ALPHA, compressed=args.compressed, rows=rows)


def library_names() -> list[str]:
    from kinetag.exercises.library import load_library

    return [name for name in load_library() if name != "other"]


def measure(args: argparse.Namespace, name: str, seed: int) -> tuple[float, float, float, float]:
    """Share of frames found, PCK of joints that show, PCK of joints hidden by the own body, other people a frame."""
    scene = make_scene(name, seed=seed, height=args.height, width=args.height * 16 // 9, frame_rate=args.rate)
    scene.duration = min(scene.duration, args.seconds)
    frames = list(scene.frames())
    truth = scene.truth().people[0]
    if args.compressed:
        frames = compress(frames, args.rate)
    estimator = open_estimator(args.pose)
    poses = [found for i in range(0, len(frames), 2) for found in estimator.estimate(frames[i : i + 2])]
    return score(poses, truth, estimator.layout)


def compress(frames: list[Frame], rate: float) -> list[Frame]:
    from kinetag.video import VideoWriter, open_source

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scene.mp4"
        height, width = frames[0].image.shape[:2]
        with VideoWriter(path, width, height, rate) as writer:
            for frame in frames:
                writer.write(frame.image, frame.time)
        with open_source(path) as source:
            return list(source)[: len(frames)]


def score(poses: list[list[Pose]], truth: PersonTruth, layout: str) -> tuple[float, float, float, float]:
    left, right = KINETAG13.index("left_shoulder"), KINETAG13.index("right_hip")
    reach = ALPHA * np.nanmax(np.linalg.norm(truth.keypoints[:, left] - truth.keypoints[:, right], axis=1))
    close, found = np.full(truth.visible.shape, np.nan), np.zeros(len(poses), bool)
    for t, people in enumerate(poses):
        distances = [np.linalg.norm(in_layout(pose, layout) - truth.keypoints[t], axis=1) for pose in people]
        errors = min(distances, key=np.nanmedian, default=None)
        if errors is not None and np.nanmedian(errors) < 2.5 * reach:
            found[t], close[t] = True, errors < reach
    shown = truth.visible & ~truth.self_occluded & found[:, None]
    hidden = truth.self_occluded & found[:, None]
    others = np.mean([len(people) for people in poses]) - found.mean()
    return found.mean(), close[shown].mean(), close[hidden].mean() if hidden.any() else np.nan, others


def in_layout(pose: Pose, layout: str) -> np.ndarray:
    return convert(pose.keypoints, pose.confidence, layout, KINETAG13.name)[0]


if __name__ == "__main__":
    main()
