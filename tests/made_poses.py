"""Hand-made bodies for tests: 13 joints in depth, seen from any side."""

import numpy as np

from kinetag.sequence import PoseSequence
from kinetag.skeletons import get_layout

JOINTS = get_layout("kinetag").joints
TORSO = 0.5  # metres


def body(count: int) -> dict[str, np.ndarray]:
    """A person standing with hanging arms: joint -> (T, 3) metres; x to the person's left, y up, z forward."""
    still = {"nose": (0, 1.6, 0.1)}
    for side, x in (("left", 1.0), ("right", -1.0)):
        still |= {f"{side}_shoulder": (0.18 * x, 1.4, 0), f"{side}_elbow": (0.18 * x, 1.1, 0)}
        still |= {f"{side}_wrist": (0.18 * x, 0.85, 0), f"{side}_hip": (0.1 * x, 0.9, 0)}
        still |= {f"{side}_knee": (0.1 * x, 0.47, 0), f"{side}_ankle": (0.1 * x, 0.05, 0)}
    return {joint: np.tile(np.array(still[joint], float), (count, 1)) for joint in JOINTS}


def bend_elbow(joints: dict[str, np.ndarray], side: str, flexion: np.ndarray) -> None:
    """Lift the forearm forward by ``flexion`` (T,) degrees: the elbow angle becomes 180 - flexion."""
    turn = np.radians(flexion)
    forearm = np.stack([np.zeros_like(turn), -np.cos(turn), np.sin(turn)], axis=1) * 0.25
    joints[f"{side}_wrist"] = joints[f"{side}_elbow"] + forearm


def squat(joints: dict[str, np.ndarray], flexion: np.ndarray) -> None:
    """Bend both knees by ``flexion`` (T,) degrees over planted feet, trunk upright."""
    turn = np.radians(flexion) / 2
    for side in ("left", "right"):
        ankle = joints[f"{side}_ankle"]
        lean = np.stack([np.zeros_like(turn), np.cos(turn), np.sin(turn)], axis=1)
        back = np.stack([np.zeros_like(turn), np.cos(turn), -np.sin(turn)], axis=1)
        joints[f"{side}_knee"] = ankle + 0.42 * lean
        drop = joints[f"{side}_knee"] + 0.43 * back - joints[f"{side}_hip"]
        for joint in ("hip", "shoulder", "elbow", "wrist"):
            joints[f"{side}_{joint}"] = joints[f"{side}_{joint}"] + drop
    joints["nose"] = joints["nose"] + drop


def seen(
    joints: dict[str, np.ndarray],
    times: np.ndarray,
    *,
    azimuth: float = 60.0,
    noise: float = 0.0,
    world: bool = True,
    seed: int = 0,
) -> PoseSequence:
    """The body as an estimator gives it, from ``azimuth`` degrees (0: from the front, 90: from its left).

    ``noise`` is the standard deviation of each coordinate in torso lengths, independent from frame to frame.
    """
    rng = np.random.default_rng(seed)
    points = np.stack([joints[name] for name in JOINTS], axis=1)  # (T, 13, 3)
    turn = np.radians(azimuth)
    # A camera in front of the person sees the person's left on its right.
    right = points[..., 0] * np.cos(turn) - points[..., 2] * np.sin(turn)
    depth = -points[..., 0] * np.sin(turn) - points[..., 2] * np.cos(turn)
    camera = np.stack([right, -points[..., 1], depth], axis=-1)
    pelvis = camera[:, [JOINTS.index("left_hip"), JOINTS.index("right_hip")]].mean(axis=1, keepdims=True)
    pixels = 200 * camera[..., :2] + np.array([320, 400]) + 200 * TORSO * noise * rng.normal(size=camera[..., :2].shape)
    depths = camera - pelvis + TORSO * noise * rng.normal(size=camera.shape)
    confidence = np.ones(points.shape[:2])
    return PoseSequence(times, pixels, confidence, "kinetag", (640, 480), world=depths if world else None)


def standing_people(count: int = 40, frames: int = 48) -> np.ndarray:
    """Standing bodies that sway, (N, T, 13, 3)."""
    home = np.stack(list(body(1).values()), 1)  # (1, 13, 3)
    rng = np.random.default_rng(5)
    sway = 0.1 * np.sin(np.arange(frames) / 5)[None, :, None, None] * rng.normal(0, 1, (count, 1, 13, 3))
    return (home + sway).astype(np.float32)
