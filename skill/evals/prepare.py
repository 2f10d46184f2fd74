"""Make the input files of the evals in a folder: `python prepare.py FOLDER`. Everything is rendered; needs kinetag."""

import json
import pickle
import sys
from pathlib import Path

import numpy as np

from kinetag.exercises.scenes import make_scene


def prepare(folder: Path) -> None:
    """workout.mp4, clips/ (two classes), data/ (arrays), poses.json (DeepStream's) and broken.mp4."""
    folder.mkdir(parents=True, exist_ok=True)
    make_scene("single:squat", width=480, height=360, frame_rate=15.0).write(folder / "workout.mp4")
    for name in ("squat", "jumping_jack"):
        (folder / "clips" / name).mkdir(parents=True, exist_ok=True)
        for seed in range(3):
            scene = make_scene(f"single:{name}", seed=seed, width=320, height=240, frame_rate=10.0)
            scene.write(folder / "clips" / name / f"{seed}.mp4")
    for seed, role in enumerate(("train", "val", "test")):
        arrays(folder / "data", role, seed)
    (folder / "poses.json").write_text(json.dumps(deepstream(people=2, frames=30)))
    (folder / "broken.mp4").write_bytes(b"this is no video\n" * 100)


def arrays(folder: Path, role: str, seed: int, clips: int = 24) -> None:
    """Clips of 17 joints; in each of two classes another joint waves."""
    folder.mkdir(parents=True, exist_ok=True)
    rng, labels = np.random.default_rng(seed), [i % 2 for i in range(clips)]
    data = rng.normal(0, 0.05, (clips, 3, 12, 17, 1)).astype(np.float32)
    for clip, label in zip(data, labels, strict=True):
        clip[1, :, 7 + 3 * label, 0] += np.sin(np.arange(12) * 0.7 + rng.uniform(0, 6))
    np.save(folder / f"{role}_data.npy", data)
    (folder / f"{role}_label.pkl").write_bytes(pickle.dumps(([f"clip_{i}" for i in range(clips)], labels)))


def deepstream(*, people: int, frames: int) -> list[dict]:
    """What DeepStream's bodypose-3d publishes of people who stand there."""
    rng = np.random.default_rng(0)
    poses = [np.hstack([rng.normal(0, 0.4, (34, 2)), np.full((34, 2), (3.0, 0.9))]) for _ in range(people)]
    batches = []
    for frame in range(frames):
        moved = [(pose + 0.001 * frame).ravel().tolist() for pose in poses]
        objects = [{"object_id": i + 1, "pose3d": pose} for i, pose in enumerate(moved)]
        batches.append({"num_frames_in_batch": 1, "batches": [{"frame_num": frame, "objects": objects}]})
    return batches


if __name__ == "__main__":
    prepare(Path(sys.argv[1]))
