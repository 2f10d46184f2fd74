"""Chance footage: a random person doing an exercise somewhere in the room, before a camera that somebody put down.

What varies is what varies in people's own videos: body and clothes, from where and how far away they are filmed,
through which lens, how upright the phone leans, what the edge of the picture cuts off, what stands in front, and how
bright, noisy and compressed the picture is.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from kinetag.exercises.acting import Activity, Actor, Performance, Waypoint, perform
from kinetag.exercises.kinematics import JOINT
from kinetag.exercises.library import Exercise
from kinetag.exercises.mannequin import random_look
from kinetag.exercises.motion import Motion, generate_batch
from kinetag.exercises.raster import Camera
from kinetag.exercises.room import BACK, FRONT, HEIGHT, WIDTH, Block, Pillar, Prop
from kinetag.exercises.scene import Scene
from kinetag.timeline import Repetition, Segment

Rng = np.random.Generator

# Longer side of a person in the picture, pixels. The landmark network sees 256 x 256 pixels of a region that is about
# 1.3 times as long as the person: below, it loses detail (measured: at 120 pixels its error is a third larger than at
# 300, and it shakes 1.7 times as much), above, it gains little.
_DETAIL = (150.0, 380.0)
_LONGEST = 800  # pixels of the picture's longer side, whatever the person's size in it
_SHAPES = ((9, 16), (9, 16), (16, 9), (16, 9), (3, 4), (4, 3), (1, 1))
_CLOSE_UP = 0.2  # chance that the picture's edge cuts somebody off
_LEAST = 0.55  # share of the joints that stays in the picture when it cuts somebody off
_OCCLUDER = 0.15  # chance that something stands in front
_AHEAD = 0.45  # metres between a body and what is in front of it, at least


@dataclass
class Footage(Scene):
    """A scene whose first actor's motion, ``joints`` (T, 25, 3) in the room, is given. ``azimuth`` degrees is where the
    camera stands about that person: 0 in front, 90 at the left side; ``elevation`` degrees is how far above."""

    motion: Motion | None = None
    azimuth: float = 0.0
    elevation: float = 0.0
    quality: int = 95
    levels: tuple[float, float] = (1.0, 1.0)

    @cached_property
    def performances(self) -> list[Performance]:
        motion = self.motion
        if motion is None:
            return super().performances
        turns = [Repetition(*times) for times in motion.repetitions]
        segments = [Segment(motion.label, 0.0, float(motion.times[-1]), 1.0, turns)]
        under_way = np.zeros(len(motion.times), int)
        given = Performance(motion.times, motion.joints, segments, under_way, [motion.equipment])
        return [given, *(perform(actor, self.times) for actor in self.actors[1:])]

    def worn(self, image: np.ndarray) -> np.ndarray:
        """The picture (H, W, 3) as it comes out of a phone: other brightness and contrast, and compressed."""
        import cv2

        gain, gamma = self.levels
        table = 255 * np.clip(gain * (np.arange(256) / 255) ** gamma, 0, 1)
        image = cv2.LUT(image, table.astype(np.uint8))
        _, packed = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, self.quality))
        unpacked = cv2.imdecode(packed, cv2.IMREAD_COLOR)
        assert unpacked is not None
        return unpacked


def film(
    exercise: Exercise | str,
    rng: Rng,
    *,
    seconds: float = 6.0,
    rate: float = 12.0,
    passers: float = 0.0,
    repetitions: int | None = None,
) -> Footage:
    """A random person doing ``exercise``, or a class of the library by its name ('other' included), for ``seconds``,
    filmed at ``rate`` frames a second; with ``repetitions`` for as long as so many whole ones take. ``passers`` is the
    chance that somebody walks past in front, where there is room; what else is filmed does not depend on it."""
    label = exercise if isinstance(exercise, str) else exercise.name
    (motion,) = generate_batch(exercise, rng, 1, duration=seconds, rate=rate, repetitions=repetitions)
    seconds = len(motion.times) / rate
    bearing, heading = rng.uniform(-60, 60), rng.uniform(0, 360)
    place = np.array([rng.uniform(-1.5, 1.5), 0.0, rng.uniform(-2.0, 1.0)])
    motion = replace(motion, joints=_placed(np.asarray(motion.joints, float), heading, place))
    camera, elevation = _camera(motion.joints, bearing, rng)
    look = replace(random_look(rng), thickness=float(rng.uniform(0.85, 1.3)))
    footage = Footage(
        [Actor((Activity(label),), look=look)],
        camera,
        camera.width,
        camera.height,
        rate,
        seconds,
        _occluders(motion.joints, camera, rng),
        label,
        int(rng.integers(1 << 30)),
        noise=float(rng.uniform(1, 5)),
        motion=motion,
        azimuth=float((bearing - heading) % 360),
        elevation=elevation,
        quality=int(rng.integers(45, 96)),
        levels=(float(rng.uniform(0.7, 1.15)), float(np.exp(rng.uniform(-0.25, 0.35)))),
    )
    passer = _passer(motion.joints, camera, seconds, rng) if rng.random() < passers else None
    return footage if passer is None else replace(footage, actors=[*footage.actors, passer])


def _placed(joints: np.ndarray, heading: float, place: np.ndarray) -> np.ndarray:
    """The motion (T, 25, 3) turned by ``heading`` degrees and moved to ``place``: the pelvis is there on average."""
    cos, sin = np.cos(np.deg2rad(heading)), np.sin(np.deg2rad(heading))
    turn = np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]])
    middle = joints[:, JOINT["pelvis"]].mean(0) * (1, 0, 1)
    return (joints - middle) @ turn + place


def _camera(joints: np.ndarray, bearing: float, rng: Rng) -> tuple[Camera, float]:
    """A camera that shows what it is meant to of joints (T, 25, 3), and its elevation in degrees."""
    heights = (rng.uniform(0.5, 1.9), rng.uniform(0.06, 0.5), rng.uniform(1.9, HEIGHT - 0.3))
    eye = rng.choice(heights, p=(0.7, 0.17, 0.13))
    shape = _SHAPES[rng.integers(len(_SHAPES))]
    # From an ultra-wide lens to a little zoom, in longer sides of the picture; 0.73 is a phone's main camera.
    lens = float(np.exp(rng.uniform(np.log(0.48), np.log(1.2))))
    camera = Camera((0, 1, 3), (0, 1, 0), lens * max(shape) / shape[1], *shape, roll=float(rng.normal(0, 4)))
    cut = rng.random() < _CLOSE_UP
    fill = rng.uniform(1.1, 1.7) if cut else rng.uniform(0.5, 1.0)
    low, high = np.quantile(joints.min(1), 0.02, axis=0) - 0.08, np.quantile(joints.max(1), 0.98, axis=0) + 0.08
    camera, share = _framed(camera, low, high, bearing, eye, fill)
    aimed = _aimed(camera, share, cut, rng)
    camera = aimed if _in_picture(aimed, joints) > _LEAST else camera
    pixels, _ = camera.project(joints)
    known: np.ndarray = np.asarray(np.isfinite(pixels).all(axis=-1))  # joints behind the lens have no place
    pixels = pixels[known.any(axis=1)]
    person = np.median((np.nanmax(pixels, axis=1) - np.nanmin(pixels, axis=1)).max(axis=-1)) / max(shape)
    detail = np.exp(rng.uniform(*np.log(_DETAIL)))
    long = float(np.clip(detail / max(person, 1e-3), 96, _LONGEST))
    width, height = (2 * round(long * side / max(shape) / 2) for side in shape)
    sight = np.array(camera.position) - (low + high) / 2
    return camera.resized(width, height), float(np.rad2deg(np.arctan2(sight[1], np.hypot(sight[0], sight[2]))))


def _framed(
    camera: Camera, low: np.ndarray, high: np.ndarray, bearing: float, eye: float, fill: float
) -> tuple[Camera, np.ndarray]:
    """The camera at the height ``eye``, so far away that the box from ``low`` to ``high`` takes ``fill`` of the picture
    across or upright, whichever is more; and these two shares, (2,)."""
    corners = np.array([[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])])
    middle, distance, share = (low + high) / 2, 3.0, np.ones(2)
    out = np.array([np.sin(np.deg2rad(bearing)), 0, np.cos(np.deg2rad(bearing))])
    for _ in range(4):
        position = middle * (1, 0, 1) + distance * out + (0, eye, 0)
        inside = np.clip(position, (0.2 - WIDTH / 2, 0.05, BACK + 0.2), (WIDTH / 2 - 0.2, HEIGHT - 0.1, FRONT - 0.2))
        camera = replace(camera, position=_point(inside), target=_point(middle))
        pixels, _ = camera.project(corners)
        share = np.nan_to_num(np.ptp(pixels, axis=0) / (camera.width, camera.height), nan=3.0)
        distance = float(np.clip(distance * share.max() / fill, 0.9, 14))
    return camera, share


def _in_picture(camera: Camera, joints: np.ndarray) -> float:
    """Share of the joints (T, 25, 3) that the picture shows."""
    pixels, _ = camera.project(joints)
    return float(((pixels >= 0) & (pixels < (camera.width, camera.height))).all(-1).mean())


def _point(vector: np.ndarray) -> tuple[float, float, float]:
    x, y, z = vector.tolist()
    return x, y, z


def _aimed(camera: Camera, share: np.ndarray, cut: bool, rng: Rng) -> Camera:
    """Aim beside the middle, so that the person is off it, or so that one edge cuts them off (mostly the feet).

    ``share`` (2,) is the part of the picture's width and height that the person takes.
    """
    across = np.abs(1 - share) / 2 * rng.uniform(-0.7, 0.7, 2)  # shares of the picture
    if cut:
        axis = int(share.argmax())
        side = rng.choice([-1, 1], p=[0.2, 0.8] if axis else [0.5, 0.5])
        across[axis] = side * ((share[axis] - 1) / 2 + 0.04)
    target, position = np.array(camera.target), np.array(camera.position)
    unit = np.linalg.norm(target - position) / camera.focal  # metres a picture's height
    right, up, _ = camera.axes
    target = target + unit * (across[0] * right * camera.width / camera.height + across[1] * up)
    return replace(camera, target=_point(target))


def _occluders(joints: np.ndarray, camera: Camera, rng: Rng) -> list[Prop]:
    """Now and then a box or a column between the camera and the person."""
    if rng.random() >= _OCCLUDER:
        return []
    place = _before(joints, camera, rng.uniform(0, 0.4))
    if place is None:
        return []
    middle, across = place
    x, _, z = (middle + across * rng.uniform(-0.35, 0.35)).tolist()
    if rng.random() < 0.25:
        return [Pillar(x, z, float(rng.uniform(0.05, 0.16)))]
    size = _point(rng.uniform((0.25, 0.25, 0.2), (0.7, 0.9, 0.5)))
    return [Block(x, z, size, _point(rng.uniform(0.2, 0.8, 3)), float(rng.uniform(0, 90)))]


def _passer(joints: np.ndarray, camera: Camera, seconds: float, rng: Rng) -> Actor | None:
    """Somebody who walks past between the camera and the person; None where there is no room."""
    place = _before(joints, camera, rng.uniform(0, 0.4))
    if place is None:
        return None
    middle, across = place
    way = across * rng.choice([-1, 1]) * rng.uniform(0.9, 1.5)  # metres a second
    here, heading = seconds * rng.uniform(0.25, 0.75), float(np.rad2deg(np.arctan2(way[0], way[2])))
    low, high = (0.4 - WIDTH / 2, 0, BACK + 0.4), (WIDTH / 2 - 0.4, 0, FRONT - 0.4)
    path = []
    for time in (0.0, here, seconds):
        x, _, z = np.clip(middle + way * (time - here), low, high).tolist()
        path.append(Waypoint(time, x, z, heading))
    return Actor((), path, random_look(rng), int(rng.integers(1 << 30)))


def _before(joints: np.ndarray, camera: Camera, further: float) -> tuple[np.ndarray, np.ndarray] | None:
    """A place (3,) in front of somebody, `_AHEAD` and ``further`` metres beyond how far they reach towards the camera,
    and the direction (3,) across the view there; None where the camera is too near."""
    middle, eye = joints.mean((0, 1)), np.array(camera.position)
    toward = (eye - middle) * (1, 0, 1)
    reach = float(np.linalg.norm(toward))
    extent = np.abs((joints - middle) @ (toward / reach)).max()
    gap = extent + _AHEAD + further
    if gap > reach - 0.7:
        return None
    return middle + toward / reach * gap, np.cross(toward / reach, (0, 1, 0))
