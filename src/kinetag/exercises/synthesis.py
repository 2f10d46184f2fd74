"""Motions -> what a pose estimator would have seen of them: cameras, sensor noise, occlusion, dropout.

Everything works on a batch: joints (N, T, V, 3) in metres, Y up, on the classifier's time grid, become keypoints
(N, T, V, 2) and confidence (N, T, V), 0 where a joint was not seen. Amplitudes are in body scales (root mean square
distance of the joints from the body's centre). Drift, jitter and the errors of world points are about BlazePose's after
smoothing, as bench/sensor_errors.py measures them on recordings of rendered people. How often sides are swapped, far
limbs are guessed and joints are missing was chosen by looking at its output on prone, cut off and side-on people, and
is more than was measured, since other estimators and real footage are worse.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from kinetag.exercises.cameras import camera_space, each, project
from kinetag.exercises.hiding import FEET, crop_visibility, drop, stretches
from kinetag.features import LAYOUT
from kinetag.skeletons import KINETAG13, get_layout

Rng = np.random.Generator

_SKELETON = get_layout(LAYOUT)
_MIRROR = _SKELETON.mirror
_MAIN = _SKELETON.indices(KINETAG13.joints)
_LEGS = _SKELETON.indices(("left_knee", "right_knee", "left_ankle", "right_ankle", *FEET))
_ARMS = _SKELETON.indices(("left_elbow", "right_elbow", "left_wrist", "right_wrist"))
_HIPS = _SKELETON.indices(("left_hip", "right_hip"))
_TRUNK = _SKELETON.indices(("left_shoulder", "right_shoulder", "left_hip", "right_hip"))

_CROSSED = 0.012  # chance that a limb is for a moment that of somebody who crosses

# Errors of BlazePose's world points along z, smoothed, in torso lengths: that stay, that wander, that are new in every
# frame; fitted to what bench/sensor_errors.py measures.
_BY_PART = {
    "nose": (0.20, 0.14, 0.033), "ear": (0.20, 0.14, 0.033), "shoulder": (0.12, 0.10, 0.025),
    "elbow": (0.19, 0.15, 0.030), "wrist": (0.34, 0.22, 0.050), "hip": (0.04, 0.022, 0.006),
    "knee": (0.15, 0.09, 0.021), "ankle": (0.24, 0.14, 0.032), "heel": (0.25, 0.15, 0.034),
    "index": (0.26, 0.15, 0.036),
}  # fmt: skip
_WORLD_ERRORS = np.array([_BY_PART[name.rsplit("_", 1)[-1]] for name in _SKELETON.joints], np.float32).T
# How much more or less than others a joint shakes and drifts in the picture; measured likewise, but for ears, heels and
# toes, which are to nose and ankle as in depth.
_SHAKES = {
    "nose": 0.72, "ear": 0.72, "shoulder": 0.82, "elbow": 1.30, "wrist": 1.55, "hip": 0.68, "knee": 0.96, "ankle": 1.0,
    "heel": 1.05, "index": 1.1,
}  # fmt: skip
_SHAKY = np.array([[_SHAKES[name.rsplit("_", 1)[-1]]] for name in _SKELETON.joints], np.float32)  # (V, 1)
_WORLD_SPREAD = 0.5  # people differ: spread (log) of all errors
_WORLD_SLOPE = (0.70, 0.13)  # how much of the depth comes out


@dataclass
class Observation:
    """What was seen of N people: ``keypoints`` (N, T, V, 2), y down; ``confidence`` (N, T, V), 0 where unseen;
    ``world`` (N, T, V, 3), x right, y down, z away from the camera, NaN for estimators without a notion of depth."""

    keypoints: np.ndarray
    confidence: np.ndarray
    world: np.ndarray


@dataclass
class Errors:
    """What an estimator really got wrong in windows of N people: ``flat`` (N, T, V, 2) and ``deep`` (N, T, V, 3) in
    body scales, ``slope`` (N,), how much of the depth comes out, ``confidence`` (N, T, V)."""

    flat: np.ndarray
    deep: np.ndarray
    slope: np.ndarray
    confidence: np.ndarray


@dataclass
class Stances:
    """How N people are seen. ``posture`` (N,): 0 upright, 1 inclined, 2 lying (or upside down), by the trunk; ``view``
    (N,): 0 from the front, 1 from a side, 2 from behind; ``left`` (N,) bool: the left side is nearer to the camera."""

    posture: np.ndarray
    view: np.ndarray
    left: np.ndarray

    @classmethod
    def of(cls, space: np.ndarray, up: np.ndarray) -> "Stances":
        """Of joints (N, T, 19, 3) in a camera's axes, in which ``up`` (N, 3) points away from the floor."""
        left, right = (space[:, :, _TRUNK[side::2]].mean(axis=1) for side in (0, 1))  # (N, 2, 3): shoulder and hip
        trunk = (left + right)[:, 0] - (left + right)[:, 1]
        rise = (trunk * up).sum(axis=1) / np.maximum(np.linalg.norm(trunk, axis=1), 1e-6)
        front = np.cross((left - right)[:, 0], trunk)
        toward = -front[:, 2] / np.maximum(np.linalg.norm(front, axis=1), 1e-6)
        posture = np.where(rise > np.cos(np.deg2rad(35)), 0, np.where(rise > np.cos(np.deg2rad(65)), 1, 2))
        view = np.where(toward > 0.65, 0, np.where(toward < -0.65, 2, 1))
        return cls(posture, view, (left - right)[..., 2].mean(axis=1) < 0)


Lender = Callable[[Stances, Rng], Errors]


def observe(
    joints: np.ndarray, rng: Rng, *, clean: bool = False, lender: Lender | None = None, lent: int = 0
) -> Observation:
    """Look at each motion (N, T, V, 3) with a camera and an estimator of its own; V are 13 or 19 joints.

    ``clean`` leaves out the estimator's errors and all occlusion: only the camera remains. For the first ``lent`` of
    the motions, errors of a real estimator take the place of its imitation: ``lender`` has some for how they are seen.
    """
    joints, given = _all_joints(joints)
    space = camera_space(joints, rng)
    flat, depth = project(space, rng)
    truth = _unit_scale(flat)
    if clean:
        confidence = np.ones(truth.shape[:3], np.float32)
        return _given(Observation(truth, confidence, space.astype(np.float32)), given)
    keypoints, confidence = estimate(truth, depth, rng)
    world = world_points(space, keypoints - truth, rng)
    if lender is not None and lent:
        errors = lender(_stances(joints[:lent], space[:lent]), rng)
        real = slice(0, lent)
        keypoints[real], confidence[real] = truth[real] + errors.flat, errors.confidence
        world[real] = own_scale(space[real]) * _depth_only(errors.slope) + errors.deep
    both = np.concatenate([keypoints, world], axis=-1)
    both, confidence = _take_over(both, confidence, rng)
    both, confidence = _swap_sides(both, confidence, rng)
    keypoints, world = both[..., :2], both[..., 2:]
    confidence = confidence * crop_visibility(keypoints, rng)
    # A joint that the estimator itself doubts is placed worse.
    doubt = np.maximum(0, 0.5 - confidence)[..., None] * each(rng, len(joints), 0, 0.5, 4)
    keypoints = keypoints + doubt * _drift(rng, keypoints.shape, knots=8)
    confidence = confidence * drop(confidence.shape, rng)
    confidence = _restyle(confidence, rng).astype(np.float32)
    return _given(Observation(keypoints.astype(np.float32), confidence, world.astype(np.float32)), given)


def _all_joints(joints: np.ndarray) -> tuple[np.ndarray, int]:
    """The 19 joints, ears and feet made up where only the 13 main ones are known; and how many were given."""
    given = joints.shape[2]
    if given == len(_SKELETON):
        return joints, given
    ears = np.repeat(joints[:, :, :1], 2, axis=2)
    feet = np.tile(joints[:, :, -2:], (1, 1, 2, 1))
    return np.concatenate([joints, ears, feet], axis=2), given


def _stances(joints: np.ndarray, space: np.ndarray) -> Stances:
    """How people are seen whose joints with Y up are also known in a camera's axes."""
    stances = Stances.of(space, np.zeros((len(space), 3)))
    upright = Stances.of(joints, np.tile([0.0, 1.0, 0.0], (len(joints), 1)))
    return Stances(upright.posture, stances.view, stances.left)


def _given(seen: Observation, joints: int) -> Observation:
    return Observation(seen.keypoints[:, :, :joints], seen.confidence[:, :, :joints], seen.world[:, :, :joints])


def world_points(space: np.ndarray, error: np.ndarray, rng: Rng) -> np.ndarray:
    """What BlazePose's world points would be of joints in a camera's axes (see `camera_space`), (N, T, V, 3) in body
    scales: x right, y down, z away from the camera.

    ``error`` (N, T, V, 2) is how far the keypoints are off, in body scales: the same shows in x and y. Depth is the
    worse, the farther a joint is from the hips, and comes out too flat. A third of the people have none at all (NaN).
    """
    count, _, joints, _ = space.shape
    world = own_scale(space)
    torso = world[:, :, _TRUNK[:2]].mean(axis=2) - world[:, :, _HIPS].mean(axis=2)
    torso = np.linalg.norm(torso, axis=-1).mean(axis=1)[:, None, None, None]
    stays, wanders, jitters = _WORLD_ERRORS[:, :, None]  # (V, 1) each
    off = stays * rng.standard_normal((count, 1, joints, 1), np.float32)
    off = off + wanders * _drift(rng, (*space.shape[:3], 1), knots=8)
    off = off + jitters * rng.standard_normal((*space.shape[:3], 1), np.float32)
    off = off * torso * np.exp(_WORLD_SPREAD * rng.standard_normal((count, 1, 1, 1), np.float32))
    slope = rng.normal(*_WORLD_SLOPE, (count, 1, 1, 1)).astype(np.float32)
    world[..., 2:] = world[..., 2:] * slope + off
    world[..., :2] += error
    return np.where(rng.random((count, 1, 1, 1)) < 0.33, np.float32(np.nan), world)


def own_scale(space: np.ndarray) -> np.ndarray:
    """Joints (N, T, V, 3) about each frame's middle, in body scales."""
    centred = space - space.mean(axis=2, keepdims=True)
    scale = np.sqrt((centred**2).sum(axis=-1).mean(axis=(1, 2)))[:, None, None, None]
    return (centred / np.maximum(scale, 1e-4)).astype(np.float32)


def _depth_only(slope: np.ndarray) -> np.ndarray:
    """Factors (N, 1, 1, 3) that leave x and y as they are."""
    return np.stack([np.ones_like(slope), np.ones_like(slope), slope], axis=-1)[:, None, None]


def estimate(points: np.ndarray, depth: np.ndarray, rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    """Errors of an estimator that follows one person: bias, drift, jitter, far limbs, outliers.

    Returns keypoints and the confidence that an honest estimator would give, in [0, 1].
    """
    count, frames, joints, _ = points.shape
    # The crop around a person wanders and breathes; some trackers pin the hips to its middle.
    pinned = (rng.random(count) < 0.12)[:, None, None, None]
    points = points - pinned * points[:, :, _HIPS].mean(axis=2, keepdims=True)
    points = points + _drift(rng, (count, frames, 1, 2), knots=4) * each(rng, count, 0, 0.06, 4)
    points = points * (1 + _drift(rng, (count, frames, 1, 1), knots=3) * each(rng, count, 0, 0.04, 4))
    points = points * (1 + 0.06 * rng.standard_normal((count, 1, 1, 2), np.float32))
    noise = each(rng, count, 0, 1, 4)
    points = points + 0.05 * noise * rng.standard_normal((count, 1, joints, 2), np.float32)
    # Most estimates are steady from frame to frame; a few shake a lot.
    drift, jitter = 0.11 * each(rng, count, 0, 1, 4) ** 3, 0.05 * each(rng, count, 0, 1, 4) ** 2
    points = points + drift * _SHAKY * _drift(rng, points.shape, knots=8)
    points = points + jitter * _SHAKY * rng.standard_normal(points.shape, np.float32)
    points, confidence = _far_side(points, depth, rng)
    points = _limb_failures(points, rng)
    outlier = (rng.random((count, frames, joints)) < 0.01) & (rng.random((count, 1, 1)) < 0.25)
    points = points + 0.5 * outlier[..., None] * rng.standard_normal(points.shape, np.float32)
    points = _smooth(points, rng)
    return points.astype(np.float32), confidence * np.where(outlier, 0.6, 1)


def _far_side(points: np.ndarray, depth: np.ndarray, rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    """Side-on, the far limb is guessed: pulled to its near twin, noisier, less sure; sometimes not given at all."""
    count, _, joints, _ = points.shape
    behind = depth - depth[:, :, _MIRROR]  # metres, positive: the far one of a pair
    far = np.clip((behind - 0.1) / 0.25, 0, 1) * (rng.random((count, 1, 1)) < 0.6)
    far[:, :, _TRUNK] *= 0.3
    pull = (far * each(rng, count, 0, 0.7, 3))[..., None]
    points = points + pull * (points[:, :, _MIRROR] - points)
    points = points + (0.12 * far * each(rng, count, 0, 1, 3))[..., None] * _drift(rng, points.shape, knots=10)
    confidence = 1 - far * each(rng, count, 0.1, 0.95, 3)
    hidden = (far > 0.5) & (rng.random((count, 1, joints)) < 0.4) & (rng.random((count, 1, 1)) < 0.2)
    return points, np.where(hidden, 0, confidence)


def _limb_failures(points: np.ndarray, rng: Rng) -> np.ndarray:
    """For a while a whole limb is somewhere else: most often when the trunk is not upright."""
    count, frames, _, _ = points.shape
    trunk = points[:, :, _TRUNK[:2]].mean(axis=(1, 2)) - points[:, :, _HIPS].mean(axis=(1, 2))  # (N, 2)
    lying = abs(trunk[:, 0]) > -trunk[:, 1]
    out = points.copy()
    for limb in (_LEGS[0::2], _LEGS[1::2], _ARMS[0::2], _ARMS[1::2], _LEGS, _ARMS):
        fails = rng.random(count) < np.where(lying, 0.06, 0.015)
        when = stretches(rng, count, frames, 4, frames)  # (N, T)
        shift = 0.45 * rng.standard_normal((count, 1, len(limb), 2), np.float32)
        wobble = 0.2 * _drift(rng, (count, frames, len(limb), 2), knots=8)
        out[:, :, limb] += (fails[:, None] & when)[:, :, None, None] * (shift + wobble)
    return out


def _smooth(points: np.ndarray, rng: Rng) -> np.ndarray:
    """Some estimators filter over time, which shrinks and delays quick movement."""
    lag = rng.uniform(0.2, 0.7, (len(points), 1, 1, 1)) * (rng.random((len(points), 1, 1, 1)) < 0.3)
    out = points.copy()
    for t in range(1, points.shape[1]):
        out[:, t : t + 1] += lag * (out[:, t - 1 : t] - out[:, t : t + 1])
    return out


def _take_over(points: np.ndarray, confidence: np.ndarray, rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    """Somebody crosses: for a moment an arm or a leg is that of another person of the batch who is about there.

    points (N, T, V, 5): the picture's x, y and the world's x, y, z, of which the depth stays.
    """
    count, frames, _, _ = points.shape
    taken, sure = points.copy(), confidence.copy()
    other = rng.permutation(count)
    for limb in (_LEGS[0::2], _LEGS[1::2], _ARMS[0::2], _ARMS[1::2]):
        rows = np.flatnonzero((rng.random(count) < _CROSSED) & (other != np.arange(count)))
        when = stretches(rng, len(rows), frames, 3, 14)[..., None]  # (R, T, 1)
        away = rng.normal(0, (0.5, 0.15), (len(rows), 1, 1, 2)) + 0.3 * _drift(rng, (len(rows), frames, 1, 2), knots=3)
        own, theirs = points[rows][:, :, limb], points[other[rows]][:, :, limb, :2]
        off = np.where(when[..., None], theirs * each(rng, len(rows), 0.8, 1.25, 4) + away - own[..., :2], 0)
        own[..., :2] += off
        own[..., 2:4] += off
        taken[rows[:, None], :, limb] = own.transpose(0, 2, 1, 3)
        mine, sure_of = confidence[rows][:, :, limb], confidence[other[rows]][:, :, limb]
        sure[rows[:, None], :, limb] = np.where(when, sure_of, mine).transpose(0, 2, 1)
    return taken, sure


def _swap_sides(points: np.ndarray, confidence: np.ndarray, rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    """Left and right are mixed up: for a while in a limb pair, or all along."""
    count, frames, joints, _ = points.shape
    for group, chance in ((_LEGS, 0.06), (_ARMS, 0.06), (range(joints), 0.06)):
        when = stretches(rng, count, frames, 1, 14) & (rng.random((count, 1)) < chance)
        if group == range(joints):
            when |= rng.random((count, 1)) < 0.06
        among = np.isin(np.arange(joints), list(group))
        swap = when[:, :, None] & among
        points = np.where(swap[..., None], points[:, :, _MIRROR], points)
        confidence = np.where(swap, confidence[:, :, _MIRROR], confidence)
    return points, confidence


def _restyle(confidence: np.ndarray, rng: Rng) -> np.ndarray:
    """Estimators differ in what a confidence means: yes-or-no, nearly always 1, or a broad score."""
    count = len(confidence)
    style = rng.random((count, 1, 1))
    broad = (
        confidence * rng.uniform(0.4, 1, (count, 1, 1)) + 0.08 * _drift(rng, (*confidence.shape, 1), knots=8)[..., 0]
    )
    styled = np.where(style < 0.2, 1, np.where(style < 0.75, confidence, np.clip(broad, 0.06, 1)))
    return np.where(confidence < 0.05, 0, np.clip(styled, 0.05, 1))


def _unit_scale(points: np.ndarray) -> np.ndarray:
    """Centre each window, and scale it so that joints lie 1 from their body's centre (root mean square)."""
    middle = points[:, :, _MAIN].mean(axis=(1, 2), keepdims=True)
    return (points - middle) / unit_scale(points)


def unit_scale(points: np.ndarray) -> np.ndarray:
    """The body's scale in each window (N, 1, 1, 1): root mean square distance of the main joints from their centre."""
    main = points[:, :, _MAIN]
    spread = main - main.mean(axis=2, keepdims=True)
    return np.maximum(np.sqrt((spread**2).sum(axis=-1).mean(axis=(1, 2)))[:, None, None, None], 1e-4)


def _drift(rng: Rng, shape: tuple[int, ...], knots: int) -> np.ndarray:
    """Slow noise of unit size along axis 1 of (N, T, ...): random knots, joined by straight lines."""
    values = rng.standard_normal((shape[0], knots, *shape[2:]), np.float32)
    at = np.linspace(0, knots - 1, shape[1], dtype=np.float32)
    left = np.minimum(at.astype(int), knots - 2)
    part = (at - left).reshape(1, -1, *[1] * (len(shape) - 2))
    return values[:, left] * (1 - part) + values[:, left + 1] * part
