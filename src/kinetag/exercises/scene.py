"""Scenes: actors before a camera, as frames that look like footage and as the truth about them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from kinetag.errors import KinetagError
from kinetag.exercises.acting import Actor, Performance, perform
from kinetag.exercises.equipment import fixtures, held, hold
from kinetag.exercises.kinematics import JOINT
from kinetag.exercises.mannequin import body, paint
from kinetag.exercises.raster import Camera, Layer, Solids, bounds, draw
from kinetag.exercises.room import Backdrop, Block, Pipe, Prop, build, cast_shadows
from kinetag.exercises.truth import PersonTruth, Truth
from kinetag.sequence import Frame
from kinetag.skeletons import KINETAG13

_TRUTH_JOINTS = [JOINT[name] for name in KINETAG13.joints]
# How deep a joint lies under its own skin, metres; more body than this before it means that the body hides it.
_DEPTHS = {"nose": 0.05, "shoulder": 0.12, "elbow": 0.09, "wrist": 0.08, "hip": 0.17, "knee": 0.11, "ankle": 0.09}
_SKIN_DEPTH = np.array([next(d for part, d in _DEPTHS.items() if part in name) for name in KINETAG13.joints])
_PROP = 255  # in the owner map: a thing that can hide people


@dataclass
class Scene:
    """People doing things before a fixed camera.

    ``occluders`` are things in the room; bars, benches and mats that an exercise needs are added where it is done.
    ``noise`` is the sensor's, in grey levels; ``samples`` 2 gives smoother outlines at three times the cost. The
    same scene with the same seed gives the same frames.
    """

    actors: Sequence[Actor]
    camera: Camera = field(default_factory=Camera)
    width: int = 640
    height: int = 360
    frame_rate: float = 25.0
    duration: float = 10.0
    occluders: Sequence[Prop] = ()
    name: str = "scene"
    seed: int = 0
    noise: float = 2.5
    samples: int = 1

    def __post_init__(self) -> None:
        if not (self.width >= 16 and self.height >= 16 and self.frame_rate > 0 and self.duration > 0):
            raise KinetagError(
                f"scene '{self.name}' of {self.width}x{self.height}, {self.frame_rate:g} frames/s and "
                f"{self.duration:g} s cannot be rendered: all must be positive, and the picture at least 16x16"
            )
        self._truth: Truth | None = None

    @cached_property
    def times(self) -> np.ndarray:
        """Time of every frame, (T,) seconds."""
        return np.arange(max(1, round(self.duration * self.frame_rate))) / self.frame_rate

    @cached_property
    def performances(self) -> list[Performance]:
        """What each actor does at every frame."""
        return [perform(actor, self.times) for actor in self.actors]

    @cached_property
    def _eye(self) -> Camera:
        return self.camera.resized(self.width, self.height)

    @cached_property
    def _backdrop(self) -> Backdrop:
        props = list(self.occluders)
        for performance in self.performances:
            for i, equipment in enumerate(performance.equipment):
                during = performance.joints[performance.activity == i]
                if len(during):
                    props += [prop for prop in fixtures(equipment, during) if not _hides(self._eye, prop, during)]
        backdrop = build(self._eye, props, self.seed)
        # A bar is thinner than a limb: it hides nobody.
        thin = [i + 1 for i, prop in enumerate(props) if isinstance(prop, Pipe)]
        backdrop.prop[np.isin(backdrop.prop, thin)] = 0
        return backdrop

    def frames(self) -> Iterator[Frame]:
        """The scene as RGB frames; when all were taken, the truth is known at no further cost."""
        shoot = _Camcorder(self)
        notes = []
        for index, time in enumerate(self.times):
            image, seen = shoot.frame(index)
            notes.append(seen)
            yield Frame(image, float(time), index)
        self._truth = self._tell(notes)

    def picture(self, time: float) -> np.ndarray:
        """The frame nearest to a moment (s), RGB uint8 (H, W, 3)."""
        return _Camcorder(self).frame(int(np.abs(self.times - time).argmin()))[0]

    def truth(self) -> Truth:
        """Who was where, doing what, and how much of them showed."""
        if self._truth is None:
            shoot = _Camcorder(self)
            self._truth = self._tell([shoot.look(index) for index in range(len(self.times))])
        return self._truth

    def write(self, path: str | Path) -> Truth:
        """Render to a video file (H.264) and return the truth."""
        from kinetag.video import VideoWriter

        with VideoWriter(path, self.width, self.height, self.frame_rate) as writer:
            for frame in self.frames():
                writer.write(frame.image, frame.time)
        return self.truth()

    def _tell(self, notes: list[list["_Seen"]]) -> Truth:
        people = []
        for i, performance in enumerate(self.performances):
            pixels, depth = self._eye.project(performance.joints[:, _TRUTH_JOINTS])
            own = [note[i] for note in notes]
            people.append(
                PersonTruth(
                    i + 1,
                    np.where((depth > 0)[..., None], pixels, np.nan),
                    np.array([seen.visible for seen in own]),
                    np.array([seen.self_occluded for seen in own]),
                    np.array([seen.box for seen in own]),
                    np.array([seen.fraction for seen in own]),
                    performance.segments,
                )
            )
        return Truth(self.name, self.times, (self.width, self.height), people)


@dataclass
class _Seen:
    """What one frame shows of one person."""

    visible: np.ndarray  # (13,) bool
    self_occluded: np.ndarray  # (13,) bool
    box: np.ndarray  # (4,)
    fraction: float


class _Camcorder:
    """Takes the pictures of one scene, in any order."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.eye, self.backdrop = scene, scene._eye, scene._backdrop
        self.held = [
            [
                held(equipment, p.joints[p.activity == i]) if (p.activity == i).any() else ""
                for i, equipment in enumerate(p.equipment)
            ]
            for p in scene.performances
        ]
        rng = np.random.default_rng([scene.seed, 7])
        size = (scene.height + 64, scene.width + 64)
        # Luma noise with a little colour, cut at a new place for every frame: a fresh field each time costs too much.
        noise = rng.normal(0, 1, (*size, 1)) * 0.85 + rng.normal(0, 1, (*size, 3)) * 0.5
        self.noise = (noise * scene.noise).round().clip(-127, 127).astype(np.int8)
        self.blur = 0.30 + 0.42 * scene.height / 720

    def frame(self, index: int) -> tuple[np.ndarray, list[_Seen]]:
        """The picture, RGB uint8 (H, W, 3), and what it shows of everyone."""
        import cv2

        scene, image = self.scene, self.backdrop.image.copy()
        bodies = [self._solids(i, index) for i in range(len(scene.actors))]
        painted = [
            paint(self.eye, solids, head, actor.look, samples=scene.samples)
            for (solids, head), actor in zip(bodies, scene.actors, strict=True)
        ]
        cast_shadows(image, self.backdrop, [solids for solids, _ in bodies])
        depth, owner = self._stage()
        # Far ones first, so that soft outlines mix with what is behind them.
        drawn = [(i, *p) for i, p in enumerate(painted) if p is not None]
        for i, layer, color in sorted(drawn, key=lambda d: -_distance(d[1])):
            nearer = _place(layer, depth, owner, i + 1)
            _mix(image[layer.window], color, nearer)
        image = cv2.GaussianBlur(image, (0, 0), self.blur)
        seen = self._notes(index, [p and p[0] for p in painted], [solids for solids, _ in bodies], depth, owner)
        return self._grain(image, index), seen

    def look(self, index: int) -> list[_Seen]:
        """Only what the picture would show of everyone."""
        solids = [self._solids(i, index)[0] for i in range(len(self.scene.actors))]
        layers = [draw(self.eye, s) for s in solids]
        depth, owner = self._stage()
        for i, layer in enumerate(layers):
            if layer is not None:
                _place(layer, depth, owner, i + 1)
        return self._notes(index, layers, solids, depth, owner)

    def _solids(self, person: int, index: int) -> tuple[Solids, np.ndarray]:
        performance, actor = self.scene.performances[person], self.scene.actors[person]
        activity = int(performance.activity[index])
        kind = self.held[person][activity] if activity >= 0 else ""
        joints = performance.joints[index]
        solids, head = body(joints, actor.look, gripping=bool(kind))
        if kind:
            hold(solids, kind, joints, _phase(performance, self.scene.times[index]))
        return solids, head

    def _stage(self) -> tuple[np.ndarray, np.ndarray]:
        return self.backdrop.depth.copy(), np.where(self.backdrop.prop > 0, _PROP, 0).astype(np.uint8)

    def _grain(self, image: np.ndarray, index: int) -> np.ndarray:
        import cv2

        row, column = np.random.default_rng([self.scene.seed, index]).integers(0, 64, 2)
        height, width = image.shape[:2]
        noise = self.noise[row : row + height, column : column + width]
        return cv2.add(image, noise, dtype=cv2.CV_8U)

    def _notes(
        self, index: int, layers: list[Layer | None], solids: list[Solids], depth: np.ndarray, owner: np.ndarray
    ) -> list[_Seen]:
        counts = np.bincount(owner.ravel(), minlength=256)
        return [
            self._note(index, i, layer, solids[i], depth, owner, int(counts[i + 1])) for i, layer in enumerate(layers)
        ]

    def _note(
        self,
        index: int,
        person: int,
        layer: Layer | None,
        solids: Solids,
        depth: np.ndarray,
        owner: np.ndarray,
        shown: int,
    ) -> _Seen:
        joints = self.scene.performances[person].joints[index, _TRUTH_JOINTS]
        pixels, distance = self.eye.project(joints)
        inside = (distance > 0) & (pixels >= 0).all(1) & (pixels < (self.scene.width, self.scene.height)).all(1)
        column, row = np.where(inside[:, None], pixels, 0).astype(int).T
        there = owner[row, column]
        hidden = (there != 0) & (there != person + 1) & (depth[row, column] < distance)
        own = np.full(len(joints), np.inf)
        if layer is not None:
            r, c = row - layer.top, column - layer.left
            on = (r >= 0) & (c >= 0) & (r < layer.depth.shape[0]) & (c < layer.depth.shape[1])
            own[on] = layer.depth[r[on], c[on]]
        box, within = _extent(self.eye, solids)
        outline = int(np.isfinite(layer.depth).sum()) if layer is not None else 0
        fraction = within * shown / outline if outline else 0.0
        return _Seen(inside & ~hidden, inside & (distance - own > _SKIN_DEPTH), box, fraction)


def _phase(performance: Performance, time: float) -> float:
    """Turns of a skipping rope: a whole number in the middle of each repetition, when the feet are in the air."""
    peaks = [r.time for s in performance.segments for r in s.repetitions]
    if len(peaks) < 2:
        return 2.0 * time
    rate = 1 / float(np.median(np.diff(peaks)))
    if time <= peaks[0] or time >= peaks[-1]:
        end = 0 if time <= peaks[0] else len(peaks) - 1
        return end + (time - peaks[end]) * rate
    return float(np.interp(time, peaks, np.arange(len(peaks))))


def _hides(camera: Camera, prop: Prop, joints: np.ndarray) -> bool:
    """Whether a wall stands between the camera and the person with these joints (T, 25, 3)."""
    if not (isinstance(prop, Block) and prop.size[1] > 1.5):
        return False
    eye = np.array(camera.position)[[0, 2]]
    person = joints[:, JOINT["pelvis"]].mean(axis=0)[[0, 2]]
    return bool(np.linalg.norm(np.array([prop.x, prop.z]) - eye) < np.linalg.norm(person - eye))


def _distance(layer: Layer) -> float:
    return float(np.median(layer.depth[np.isfinite(layer.depth)]))


def _place(layer: Layer, depth: np.ndarray, owner: np.ndarray, label: int) -> np.ndarray:
    """Put a layer where nothing nearer is; returns where, bool (h, w)."""
    window = layer.window
    nearer = layer.depth < depth[window]
    depth[window][nearer] = layer.depth[nearer]
    owner[window][nearer] = label
    return nearer


def _mix(image: np.ndarray, color: np.ndarray, where: np.ndarray) -> None:
    """Lay RGBA colours (0 to 255, coverage 0 to 1) over a part of the picture, in place."""
    cover = color[where][:, 3:]
    image[where] = np.clip(image[where] * (1 - cover) + color[where][:, :3] * cover, 0, 255)


def _extent(camera: Camera, solids: Solids) -> tuple[np.ndarray, float]:
    """The box around a person clipped to the picture (NaN when outside), and the share of the body within it."""
    boxes = bounds(camera, solids)
    boxes = boxes[np.isfinite(boxes).all(1)]
    size = np.array([camera.width, camera.height])
    if not len(boxes):
        return np.full(4, np.nan), 0.0
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    low, high = np.clip(boxes[:, :2], 0, size), np.clip(boxes[:, 2:], 0, size)
    within = float(np.prod(high - low, axis=1).sum() / area.sum())
    box = np.concatenate([low.min(0), high.max(0)])
    if not within:
        return np.full(4, np.nan), 0.0
    return box, within
