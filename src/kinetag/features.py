"""From a PoseSequence to what the classifier sees: windows of normalised joints, bones, motion and depth.

Training and inference share `window_features`, so there is no second implementation that could drift from the first.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from kinetag.sequence import PoseSequence
from kinetag.skeletons import KINETAG13, get_layout

LAYOUT = "kinetag19"
RATE = 12.0  # frames a second inside the classifier: a rope turns at most 3 times a second
WINDOW = 48  # frames, 4 s: one slow repetition, or several quick ones
HOP = 0.25  # seconds between windows
CHANNELS = (
    "x", "y", "bone_x", "bone_y", "motion_x", "motion_y", "confidence",
    "world_x", "world_y", "world_z", "world_confidence",
)  # fmt: skip
MIRROR_SIGN = np.array([-1 if channel.endswith("x") else 1 for channel in CHANNELS], np.float32)  # (C,)

_MAX_GAP = 0.5  # seconds that a joint is interpolated over; a longer absence stays an absence
_MIN_CONFIDENCE = 0.05  # below this an estimator is guessing
_MIN_FRAMES = 7  # a window with fewer poses says nothing
_LIMIT = 6.0  # body scales; a wilder coordinate is an outlier
_MOTION_SCALE = 0.25  # brings motion (body scales a second) to the size of the other channels

_SKELETON = get_layout(LAYOUT)
# The joints that place and scale a body: every estimator gives these, so that what else it gives changes nothing.
_MAIN = _SKELETON.indices(KINETAG13.joints)
_SHOULDERS = _SKELETON.indices(("left_shoulder", "right_shoulder"))
_TRUNK = _SKELETON.indices(("left_shoulder", "right_shoulder", "left_hip", "right_hip"))
# Where each joint's bone starts; None is the neck, half-way between the shoulders.
_PARENT: dict[str, str | None] = {"nose": None, "left_shoulder": None, "right_shoulder": None} | {
    child: parent
    for parent, child in _SKELETON.bones
    if parent != "nose" and parent.split("_")[0] == child.split("_")[0]
} | {"left_ear": "nose", "right_ear": "nose"}  # fmt: skip
_PARENTS = np.array(
    [len(_SKELETON) if (parent := _PARENT[joint]) is None else _SKELETON.index(parent) for joint in _SKELETON.joints]
)


@dataclass(frozen=True)
class Windows:
    """``times`` (W,) s, the windows' centres; ``features`` (W, T, V, C); ``mask`` (W, T), True where a pose is."""

    times: np.ndarray
    features: np.ndarray
    mask: np.ndarray

    def __len__(self) -> int:
        return len(self.times)


def windows(sequence: PoseSequence, *, hop: float = HOP, rate: float = RATE, length: int = WINDOW) -> Windows:
    """Cut a sequence into overlapping windows of ``length`` frames at ``rate``, one every ``hop`` seconds.

    Centres run from the first pose to the last; what lies outside the sequence, or in a gap, is masked. A window with
    hardly any pose in it is left out, so the times may have holes. A smaller hop follows changes more closely and
    costs more.
    """
    batches = list(window_batches(sequence, hop=hop, rate=rate, length=length))
    if not batches:
        count = len(_SKELETON)
        empty = np.zeros((0, length, count, len(CHANNELS)), np.float32)
        return Windows(np.zeros(0), empty, np.zeros((0, length), bool))
    return Windows(
        np.concatenate([batch.times for batch in batches]),
        np.concatenate([batch.features for batch in batches]),
        np.concatenate([batch.mask for batch in batches]),
    )


def window_batches(
    sequence: PoseSequence, *, hop: float = HOP, rate: float = RATE, length: int = WINDOW, size: int = 16
) -> Iterator[Windows]:
    """The same windows, ``size`` at a time: an hour of them at once would fill a gigabyte, and 64 are no faster."""
    times, points, confidence = _on_grid(sequence.to_layout(LAYOUT), rate, world=True)
    step = max(1, round(hop * rate))
    before, after = length // 2, length - length // 2
    points = np.pad(points, ((before, after), (0, 0), (0, 0)))
    confidence = np.pad(confidence, ((before, after), (0, 0)))
    present = np.any(confidence > 0, axis=-1)  # (T,)
    starts = np.arange(0, len(times), step)
    for at in range(0, len(starts), size):
        chosen = starts[at : at + size]
        index = chosen[:, None] + np.arange(length)  # (W, T)
        seen = present[index].sum(axis=1) >= _MIN_FRAMES
        if seen.any():
            cut = points[index[seen]]
            features, mask = window_features(cut[..., :2], confidence[index[seen]], rate, world=cut[..., 2:])
            yield Windows(times[chosen[seen]], features, mask)


def resample(sequence: PoseSequence, rate: float = RATE) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Put a sequence on a uniform time grid: times (T,), keypoints (T, V, 2) and confidence (T, V), 0 where unseen.

    Linear interpolation on true time, joint by joint, but never over more than half a second without the joint.
    """
    return _on_grid(sequence, rate, world=False)


def _on_grid(sequence: PoseSequence, rate: float, *, world: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `resample`; with ``world`` the points are (T, V, 5): the picture's x, y and the world's x, y, z (or NaN)."""
    points = sequence.keypoints
    if world:
        depth = np.full((*points.shape[:2], 3), np.nan, np.float32) if sequence.world is None else sequence.world
        points = np.concatenate([points, depth], axis=-1)
    if not len(sequence):
        return np.zeros(0), np.zeros(points.shape, np.float32), np.zeros(points.shape[:2], np.float32)
    grid = sequence.times[0] + np.arange(int(np.floor(sequence.duration * rate + 1e-6)) + 1) / rate
    out = np.zeros((len(grid), *points.shape[1:]), np.float32)
    confidence = np.zeros(out.shape[:2], np.float32)
    known = np.isfinite(sequence.keypoints).all(axis=-1) & (sequence.confidence >= _MIN_CONFIDENCE)  # (T, V)
    for joint in range(known.shape[1]):
        rows = np.flatnonzero(known[:, joint])
        if not len(rows):
            continue
        at = sequence.times[rows]
        covered = _covered(grid, at, tolerance=0.5 / rate)
        values = [*points[rows, joint].T, sequence.confidence[rows, joint]]
        *coordinates, score = (np.where(covered, np.interp(grid, at, value), 0) for value in values)
        out[:, joint] = np.stack(coordinates, axis=-1)
        confidence[:, joint] = np.clip(score, 0, 1)
    return grid, out, confidence


def _covered(grid: np.ndarray, at: np.ndarray, tolerance: float) -> np.ndarray:
    """Which grid times lie between two samples that are near each other, or right beside one, bool (T,)."""
    after = np.searchsorted(at, grid)
    left = at[np.clip(after - 1, 0, len(at) - 1)]
    right = at[np.clip(after, 0, len(at) - 1)]
    inside = (left <= grid) & (grid <= right) & (right - left <= _MAX_GAP)
    return inside | (np.minimum(abs(grid - left), abs(grid - right)) <= tolerance)


def window_features(
    keypoints: np.ndarray, confidence: np.ndarray, rate: float = RATE, world: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Channels of windows on the uniform grid: features (N, T, V, C) and mask (N, T).

    ``keypoints`` (N, T, V, 2) in any unit of length, y down; ``confidence`` (N, T, V), 0 where a joint was not seen,
    and then its coordinates are never read; ``world`` (N, T, V, 3) in any unit, x right, y down, z away from the
    camera, NaN where unknown. Positions are relative to the window's mean body centre, so a body that travels or rises
    still does; the unit is the root mean square distance of the main joints from the body's centre in their own frame,
    so travelling does not shrink a person.
    """
    weight = confidence.astype(np.float32)[..., None]  # (N, T, V, 1)
    seen: np.ndarray = weight > 0
    points = np.where(seen, keypoints, 0).astype(np.float32)
    main, main_weight = points[:, :, _MAIN], weight[:, :, _MAIN]
    frame_weight = main_weight.sum(axis=2, keepdims=True)  # (N, T, 1, 1)
    centre = (main * main_weight).sum(axis=2, keepdims=True) / np.maximum(frame_weight, 1e-6)
    total = np.maximum(frame_weight.sum(axis=1, keepdims=True), 1e-6)  # (N, 1, 1, 1)
    spread = (((main - centre) ** 2).sum(axis=-1, keepdims=True) * main_weight).sum(axis=(1, 2), keepdims=True)
    scale = np.sqrt(spread / total)
    middle = (centre * frame_weight).sum(axis=1, keepdims=True) / total
    position = (points - middle) / np.maximum(scale, 1e-6)
    position = np.where(seen, np.clip(position, -_LIMIT, _LIMIT), 0)
    motion = np.zeros_like(position)
    both = seen[:, 1:] & seen[:, :-1]
    motion[:, 1:] = np.where(both, position[:, 1:] - position[:, :-1], 0) * (rate * _MOTION_SCALE)
    motion = np.clip(motion, -_LIMIT, _LIMIT)
    depth = _depth(world, weight) if world is not None else np.zeros((*position.shape[:-1], 4), np.float32)
    features = np.concatenate([position, _bones(position, seen), motion, weight, depth], axis=-1)
    return features, np.any(seen[..., 0], axis=-1)


def _depth(world: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """World points as seen from in front of the person, and their confidence, (N, T, V, 4), all 0 where unknown.

    Relative to the trunk's centre in each frame, in units of the joints' spread, and turned about the vertical so that
    over the window the person's left is at +x: then one motion looks the same from every side.
    """
    known: np.ndarray = np.isfinite(world).all(axis=-1, keepdims=True) & (weight > 0)
    points = np.where(known, world, 0).astype(np.float32)
    weight = np.where(known, weight, 0)  # (N, T, V, 1)
    left, right = points[:, :, _TRUNK[0::2]], points[:, :, _TRUNK[1::2]]
    sure = weight[:, :, _TRUNK[0::2]] * weight[:, :, _TRUNK[1::2]]
    lateral = ((left - right) * sure).sum(axis=(1, 2))  # (N, 3)
    length = np.hypot(lateral[:, 0], lateral[:, 2])
    cos, sin = (np.where(length > 0, part / np.maximum(length, 1e-9), first) for part, first in
                ((lateral[:, 0], 1.0), (lateral[:, 2], 0.0)))  # fmt: skip
    cos, sin = cos[:, None, None].astype(np.float32), sin[:, None, None].astype(np.float32)
    x, y, z = (points[..., axis] for axis in range(3))
    turned = np.stack([cos * x + sin * z, y, cos * z - sin * x], axis=-1)
    trunk = weight[:, :, _TRUNK]
    centre = (turned[:, :, _TRUNK] * trunk).sum(axis=2, keepdims=True) / np.maximum(
        trunk.sum(axis=2, keepdims=True), 1e-6
    )
    own = turned - centre
    main, main_weight = own[:, :, _MAIN], weight[:, :, _MAIN]
    spread = ((main**2).sum(axis=-1, keepdims=True) * main_weight).sum(axis=(1, 2), keepdims=True)
    scale = np.sqrt(spread / np.maximum(main_weight.sum(axis=(1, 2), keepdims=True), 1e-6))
    own = np.where(known, np.clip(own / np.maximum(scale, 1e-6), -_LIMIT, _LIMIT), 0)
    return np.concatenate([own, weight], axis=-1)


def _bones(position: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Each joint relative to the joint its bone starts from, 0 where either was not seen, (N, T, V, 2)."""
    neck = position[:, :, _SHOULDERS].mean(axis=2, keepdims=True)
    neck_seen = seen[:, :, _SHOULDERS].all(axis=2, keepdims=True)
    parents = np.concatenate([position, neck], axis=2)[:, :, _PARENTS]
    parents_seen = np.concatenate([seen, neck_seen], axis=2)[:, :, _PARENTS]
    return np.where(seen & parents_seen, position - parents, 0)


def mirror(features: np.ndarray) -> np.ndarray:
    """The features (..., V, C) of the same windows seen in a mirror: left and right change places, x changes sign."""
    return features[..., _SKELETON.mirror, :] * MIRROR_SIGN.astype(features.dtype)
