"""A camera and an estimator's errors for joints in depth: what benches use where no footage is needed."""

import numpy as np

from kinetag.sequence import PoseSequence
from kinetag.skeletons import KINETAG13

SIZE = (1280, 720)


def observe(
    times: np.ndarray,
    joints: np.ndarray,
    rng: np.random.Generator,
    *,
    azimuth: float | None = None,
    noise: float = 0.02,
    dropout: float = 0.02,
    world: bool = True,
) -> PoseSequence:
    """Joints (T, 13, 3) metres, Y up, in the 'kinetag' layout, as an estimator sees them from a random camera.

    ``azimuth`` (degrees) turns the camera around the person; ``noise`` in torso lengths is the size of each of three
    errors: one that changes every frame, one that drifts within about a second, and one that stays. Depth of the
    world points is three times as bad. The far side of a body seen from the side is guessed: worse and unsure.
    ``dropout``: share of joint sightings lost, in single frames and in stretches.
    """
    azimuth = rng.uniform(0, 360) if azimuth is None else azimuth
    camera = joints @ _rotation(np.radians(azimuth), np.radians(rng.uniform(-5, 20))).T  # x right, y up, z to the lens
    torso = np.linalg.norm(camera[:, 1:3].mean(axis=1) - camera[:, 7:9].mean(axis=1), axis=-1).mean()
    middle = camera.mean(axis=(0, 1))
    distance = rng.uniform(2.5, 6)
    scale = 0.8 * SIZE[1] / max(np.ptp(camera[..., 1]), np.ptp(camera[..., 0]), 1.0)  # pixels a metre, about
    perspective = distance / (distance - (camera[..., 2] - middle[2]).clip(max=distance - 0.5))
    flat = (camera[..., :2] - middle[:2]) * perspective[..., None]
    far = np.clip((camera[:, KINETAG13.mirror, 2] - camera[..., 2] - 0.1) / 0.3, 0, 1)  # (T, V)
    error = noise * torso * (1 + 2 * far)[..., None]
    flat = flat + error * _errors(times, (*flat.shape,), rng)
    pelvis = camera[:, 7:9].mean(axis=1, keepdims=True)
    depth = camera - pelvis + error * np.array([1, 1, 3]) * _errors(times, camera.shape, rng)
    gone = _lost(times, joints.shape[1], dropout, rng)
    confidence = np.where(gone, 0, (0.95 - 0.5 * far) * rng.uniform(0.8, 1, far.shape))
    pixels = np.array(SIZE) / 2 + flat * np.array([1, -1]) * scale
    pixels[gone] = np.nan
    depth = np.where(gone[..., None], np.nan, depth * np.array([1, -1, -1]))
    return PoseSequence(times, pixels, confidence, KINETAG13.name, SIZE, world=depth if world else None)


def _rotation(azimuth: float, elevation: float) -> np.ndarray:
    turn = np.array([[np.cos(azimuth), 0, -np.sin(azimuth)], [0, 1, 0], [np.sin(azimuth), 0, np.cos(azimuth)]])
    tilt = np.array([[1, 0, 0], [0, np.cos(elevation), -np.sin(elevation)], [0, np.sin(elevation), np.cos(elevation)]])
    return tilt @ turn


def _errors(times: np.ndarray, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Unit white noise, plus unit noise that drifts within about a second, plus a unit constant for each joint."""
    knots = np.arange(times[0] - 1, times[-1] + 2, 0.8)
    values = rng.normal(size=(len(knots), *shape[1:])).reshape(len(knots), -1)
    drift = np.stack([np.interp(times, knots, column) for column in values.T], axis=1).reshape(shape)
    return rng.normal(size=shape) + drift + rng.normal(size=(1, *shape[1:]))


def _lost(times: np.ndarray, joints: int, share: float, rng: np.random.Generator) -> np.ndarray:
    """Joints not seen, bool (T, V): half of them in single frames, half in stretches of up to a second."""
    gone = rng.random((len(times), joints)) < share / 2
    for joint in range(joints):
        for _ in range(rng.poisson(share * (times[-1] - times[0]))):
            start = rng.uniform(times[0], times[-1])
            gone[(times >= start) & (times < start + rng.uniform(0.2, 0.8)), joint] = True
    return gone
