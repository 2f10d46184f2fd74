"""A taught clip as other cameras and other pose estimators would have seen it.

The poses of a clip have depth where the estimator gives it, so the exercise can be looked at from anywhere, with the
same imitation of cameras and estimators that the classifier was trained with. One clip then teaches all views.
"""

import numpy as np

from kinetag.exercises.synthesis import observe
from kinetag.features import LAYOUT, RATE
from kinetag.sequence import PoseSequence
from kinetag.skeletons import get_layout

_HIPS = get_layout(LAYOUT).indices(("left_hip", "right_hip"))
_SHORTEST = 14  # frames; the imitated estimators cut clips to no less than 12
_PIXELS = 200.0  # a body's size in the made views


def has_depth(poses: PoseSequence) -> bool:
    """Whether the poses can be looked at from another side."""
    from kinetag.angles import world_is_sane

    return world_is_sane(poses)


def views(poses: PoseSequence, count: int, rng: np.random.Generator) -> list[PoseSequence]:
    """The clip as seen by ``count`` random cameras and estimators, each a sequence of its own; none without depth."""
    if not has_depth(poses):
        return []
    times, joints, seen = body_in_space(poses)
    if len(times) < _SHORTEST:
        return []
    found = observe(np.repeat(joints[None], count, axis=0), rng)
    confidence = found.confidence * seen
    made = []
    for i in range(count):
        rows = (confidence[i] > 0).any(axis=1)
        keypoints = _PIXELS * (found.keypoints[i][rows] + 3)
        made.append(PoseSequence(times[rows], keypoints, confidence[i][rows], LAYOUT, (1200, 1200)))
    return made


def body_in_space(poses: PoseSequence) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times (T,) at the classifier's rate, joints (T, 13, 3) in metres, Y up, and which were seen (T, 13).

    World points are centred on the hips; how these move in the picture is added, so that a jump goes up. What was never
    seen lies at the body's centre.
    """
    from kinetag.datasets.poses import uniform

    body = poses.to_layout(LAYOUT)
    assert body.world is not None
    times, world, confidence = uniform(body, "metres", RATE, "clip")
    _, picture, _ = uniform(body, "pixels", RATE, "clip")
    seen = confidence > 0
    weight = seen[..., None] / np.maximum(seen.sum(axis=1), 1)[:, None, None]
    centre = (world * weight).sum(axis=1, keepdims=True)
    joints = np.where(seen[..., None], world, centre)
    joints[..., :2] += _path(joints, picture, seen)[:, None]
    return times, (joints * np.array([1, -1, -1], joints.dtype)).astype(np.float32), seen


def _path(world: np.ndarray, picture: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """How the hips move across the picture, in metres (T, 2)."""
    both = seen[:, _HIPS].all(axis=1)
    if both.sum() < 2:
        return np.zeros((len(world), 2))
    spread = [_spread(points[..., :2], seen) for points in (world, picture)]
    scale = float(np.median(spread[0][both] / np.maximum(spread[1][both], 1e-6)))  # metres a pixel
    hips = picture[:, _HIPS].mean(axis=1)
    rows = np.arange(len(world))
    path = np.stack([np.interp(rows, rows[both], hips[both, axis]) for axis in (0, 1)], axis=1)
    return scale * (path - path.mean(axis=0))


def _spread(points: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Root mean square distance of the seen joints from their centre, (T,)."""
    weight = seen[..., None] / np.maximum(seen.sum(axis=1), 1)[:, None, None]
    centred = points - (points * weight).sum(axis=1, keepdims=True)
    return np.sqrt((centred**2 * weight).sum(axis=(1, 2)))
