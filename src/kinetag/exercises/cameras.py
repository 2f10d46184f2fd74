"""Cameras: where they stand about a person, through which lens they look, and where in the picture the person is."""

import numpy as np

Rng = np.random.Generator

# Where people are in the picture: radians to either side, and above or below, of where the lens points.
_YAW, _PITCH = 0.35, 0.25
_ACTION_CAMERAS, _BARREL = 0.12, 0.3  # share of lenses that bend straight lines, and by how much at most


def camera_space(joints: np.ndarray, rng: Rng) -> np.ndarray:
    """Joints (N, T, V, 3) in the axes of a random camera each, metres from the body's centre: x right, y down, z away
    from the camera."""
    count = len(joints)
    centre = joints.mean(axis=(1, 2), keepdims=True)
    azimuth = rng.uniform(0, 2 * np.pi, count)
    # Mostly from knee to above head height; some from the floor or from high up.
    usual = rng.random(count) < 0.85
    elevation = np.where(usual, rng.uniform(-0.12, 0.42, count), rng.uniform(-0.3, 0.95, count))
    back = np.stack([np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)], 1)
    right = np.stack([np.cos(azimuth), np.zeros(count), -np.sin(azimuth)], 1)
    roll = rng.normal(0, 0.07, count)
    up = np.cross(back, right)
    right, up = (
        right * np.cos(roll)[:, None] + up * np.sin(roll)[:, None],
        up * np.cos(roll)[:, None] - right * np.sin(roll)[:, None],
    )
    axes = np.stack([right, -up, -back], 1).astype(joints.dtype)  # (N, 3, 3)
    return np.matmul((joints - centre).reshape(count, -1, 3), axes.transpose(0, 2, 1)).reshape(joints.shape)


def project(space: np.ndarray, rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    """Perspective views of joints in a camera's axes, from random distances, with the person anywhere in the picture:
    keypoints (N, T, V, 2), y down, and depth (N, T, V) in metres."""
    distance = each(rng, len(space), 1.8, 9, 3)
    depth = np.maximum(distance + space[..., 2], 0.6)
    flat = _aside(space[..., :2] / depth[..., None], rng) * distance[..., None]
    return flat.astype(np.float32), depth.astype(np.float32)


def _aside(flat: np.ndarray, rng: Rng) -> np.ndarray:
    """Views (N, T, V, 2), in distances from a lens that points at the person, through one that points past them.

    Turning a camera is a homography (Hartley and Zisserman, Multiple View Geometry, 8.4). What is away from the middle
    of the picture is stretched; lenses of action cameras bend it inwards instead, by the square of that distance (the
    first term of Brown, 'Decentering distortion of lenses', 1966).
    """
    count = len(flat)
    yaw, pitch = (rng.uniform(-most, most, (count, 1, 1)).astype(np.float32) for most in (_YAW, _PITCH))
    x, y = flat[..., 0], flat[..., 1]
    x, z = x * np.cos(yaw) + np.sin(yaw), np.cos(yaw) - x * np.sin(yaw)
    y, z = y * np.cos(pitch) + z * np.sin(pitch), np.maximum(z * np.cos(pitch) - y * np.sin(pitch), 0.2)
    out = np.stack([x / z, y / z], axis=-1)
    bent = rng.uniform(0, _BARREL, (count, 1, 1)) * (rng.random((count, 1, 1)) < _ACTION_CAMERAS)
    apart = (out * out).sum(axis=-1)
    return out * (1 - bent * np.minimum(apart, 1)).astype(np.float32)[..., None]


def each(rng: Rng, count: int, low: float, high: float, dims: int) -> np.ndarray:
    """One uniform number a sample, shaped to broadcast over ``dims`` axes."""
    return rng.uniform(low, high, (count, *[1] * (dims - 1))).astype(np.float32)
