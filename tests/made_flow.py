"""DeepStream's poses of people who each move one limb, in class folders of a bucket: the data of the published flow."""

import json
from pathlib import Path

import numpy as np

from kinetag import storage
from kinetag.skeletons import get_layout

MOVES = {"left_arm": "left_wrist", "right_arm": "right_wrist", "right_leg": "right_knee"}  # class -> joint
FRAMES = 40


def deepstream(classes: list[str], seed: int) -> list[dict]:
    """One recording: person i + 1 does ``classes[i]``; pixels of a 1920x1080 picture, confidence 0.9."""
    layout = get_layout("nvidia")
    rng = np.random.default_rng(seed)
    rest = rng.normal(0, 3, (len(classes), 34, 2)) + _standing(layout.joints) * 200
    batches = []
    for frame in range(FRAMES):
        objects = []
        for i, name in enumerate(classes):
            points = rest[i] + [500 + 400 * i, 500] + rng.normal(0, 2, (34, 2))
            points[layout.joints.index(MOVES[name]), 1] += 150 * np.sin(frame * 0.5 + seed)
            pose = np.concatenate([points, np.zeros((34, 1)), np.full((34, 1), 0.9)], axis=1)
            space = np.concatenate([(points - points[0]) / 500, np.full((34, 1), 3.0), np.full((34, 1), 0.9)], axis=1)
            objects.append({"object_id": i + 1, "pose25d": pose.ravel().tolist(), "pose3d": space.ravel().tolist()})
        batches.append({"num_frames_in_batch": 1, "batches": [{"frame_num": frame, "objects": objects}]})
    return batches


def put_poses(folder: Path, url: str, clips: int = 8) -> None:
    """``clips`` recordings of each class in class folders below ``url``, and below ``url``-new one of three people."""
    for name in MOVES:
        for k in range(clips):
            put_json(folder, f"{url}/{name}/{k}.json", deepstream([name], seed=10 * k + len(name)))
    put_json(folder, f"{url}-new/people.json", deepstream(list(MOVES), seed=99))


def put_json(folder: Path, url: str, content: object) -> None:
    draft = folder / "draft.json"
    draft.write_text(json.dumps(content))
    storage.upload(draft, url)


def _standing(joints: tuple[str, ...]) -> np.ndarray:
    """A rough body: height by the name of the joint, left and right apart."""
    heights = {
        "ankle": 1.8,
        "toe": 1.9,
        "heel": 1.9,
        "knee": 1.0,
        "hip": 0.0,
        "pelvis": 0.0,
        "torso": -0.5,
        "neck": -1.0,
    }
    heights |= {"shoulder": -1.0, "elbow": -0.5, "wrist": 0.0, "nose": -1.3, "eye": -1.4, "ear": -1.35}
    sides = {"left": 0.4, "right": -0.4}
    points = []
    for joint in joints:
        height = next((value for name, value in heights.items() if name in joint), 0.1)
        points.append((sides.get(joint.partition("_")[0], 0.0), height))
    return np.array(points)
