"""Pictures of an exercise: its key moments side by side, and a loop of one repetition."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kinetag.errors import KinetagError
from kinetag.exercises.acting import Performance
from kinetag.exercises.equipment import held
from kinetag.exercises.kinematics import JOINT
from kinetag.exercises.library import Exercise
from kinetag.exercises.raster import Camera
from kinetag.exercises.scene import Scene
from kinetag.exercises.scenes import VIEWS, single
from kinetag.exercises.usual import followed, key_frames, usual, working_side
from kinetag.timeline import Repetition
from kinetag.whole_file import whole_file

_ANIMATIONS = (".gif", ".mp4", ".m4v", ".mov", ".mkv")
_STATIC_VIEWS = ("three_quarter", "side")
_GIF_COLORS = 200


def exercise_picture(exercise: Exercise, *, view: str | None = None, height: int = 360, seed: int = 0) -> np.ndarray:
    """The mannequin at the exercise's key moments, left to right, RGB uint8 (height, W, 3).

    ``view`` None: three quarters from the front with the working side nearer, or from the side where a wall would hide
    the person. A moving exercise shows its start, the way, the turning point and what follows it, if that is more than
    the way back; a static one shows itself from two sides. Raises KinetagError for a view that is not known.
    """
    exercise = usual(exercise)
    if exercise.static:
        scenes = [_seen(exercise, v, height, seed=seed) for v in _STATIC_VIEWS]
        return np.hstack([scene.picture(scene.duration / 2) for scene in scenes])
    scene = _seen(exercise, view, height, seed=seed)
    turn = _repetitions(scene)[0]
    joints = scene.performances[0].joints
    frames = key_frames(exercise, scene.times, joints, (turn.start, turn.time, turn.end))
    return np.hstack([scene.picture(scene.times[frame]) for frame in frames])


def exercise_animation(
    exercise: Exercise,
    path: str | Path,
    *,
    view: str | None = None,
    height: int = 320,
    frame_rate: float = 12.5,
    seed: int = 0,
) -> None:
    """Write a loop as .gif, .mp4, .m4v, .mov or .mkv: one repetition, one of each side where they take turns, or a few
    seconds of a static exercise."""
    path, exercise = Path(path), usual(exercise)
    if path.suffix.lower() not in _ANIMATIONS:
        raise KinetagError(f"cannot write an animation as '{path.name}': its name must end in {', '.join(_ANIMATIONS)}")
    scene = _seen(exercise, view, height, seed=seed, frame_rate=frame_rate)
    turns = _repetitions(scene)[: 2 if "alternating" in (exercise.sides or ()) else 1]
    first, last = (turns[0].start, turns[-1].end) if turns else (0.5, min(3.0, scene.duration))
    frames = [f.image for f in scene.frames() if first <= f.time < last]
    if path.suffix.lower() == ".gif":
        _write_gif(path, frames, frame_rate)
        return
    from kinetag.video import VideoWriter

    with VideoWriter(path, scene.width, scene.height, frame_rate) as writer:
        for index, image in enumerate(frames * 3):
            writer.write(image, index / frame_rate)


@dataclass
class _Studio(Scene):
    """A scene of one person whose ``performance`` is given."""

    performance: Performance | None = None

    @cached_property
    def performances(self) -> list[Performance]:
        return [self.performance] if self.performance is not None else super().performances


def _seen(exercise: Exercise, view: str | None, height: int, *, seed: int, frame_rate: float = 25.0) -> Scene:
    def made(heading: float) -> Scene:
        return replace(single(exercise, heading, seed, "plain"), seed=seed, frame_rate=frame_rate)

    if view is not None and view not in VIEWS:
        raise KinetagError(f"unknown view '{view}'; known: {', '.join(VIEWS)}")
    heading = usually = VIEWS[view or "three_quarter"]
    scene = made(heading)
    if view is None:
        if "wall" in scene.performances[0].equipment[0]:
            heading = VIEWS["side"]
        # The right side is nearer when the person faces the right of the picture.
        if _working_side(scene) == "left":
            heading = -heading
        scene = scene if heading == usually else made(heading)
    return _studio(scene, height)


def _working_side(scene: Scene) -> str:
    turns = _repetitions(scene)
    if not turns:
        return ""
    there = (scene.times >= turns[0].start) & (scene.times <= turns[0].time)
    return working_side(scene.performances[0].joints[there])


def _repetitions(scene: Scene) -> list[Repetition]:
    """The scene's repetitions from the second on (people settle in by then), or all where they are few."""
    repetitions = [r for segment in scene.performances[0].segments for r in segment.repetitions]
    return repetitions[1:] if len(repetitions) > 2 else repetitions


def _studio(scene: Scene, height: int) -> Scene:
    """The same scene, close up: a clean picture just wide enough for the whole movement."""
    performance, turns = scene.performances[0], _repetitions(scene)
    ends = (turns[0].start, turns[0].end) if turns else (0.0, scene.duration)
    first, last = (int(np.abs(scene.times - end).argmin()) for end in ends)
    performance = replace(performance, joints=followed(performance.joints, first, last))
    joints = performance.joints[first : last + 1]  # (T, 25, 3)
    low, high = joints.min((0, 1)) - 0.16, joints.max((0, 1)) + 0.16
    if held(performance.equipment[0], joints) == "barbell":
        hands = joints[:, [JOINT["left_hand"], JOINT["right_hand"]]]
        bar = 0.9 * (hands[:, 0] - hands[:, 1]) / np.linalg.norm(hands[:, 0] - hands[:, 1], axis=-1, keepdims=True)
        ends = hands.mean(1) + np.array([bar, -bar])
        low, high = np.minimum(low, ends.min((0, 1))), np.maximum(high, ends.max((0, 1)))
    center, size = (low + high) / 2, high - low
    rise = max(size[1], 1.15)  # a lying person still gets some room above
    across = max(size[0], 0.62 * rise)
    focal, margin = 1.9, 1.10
    distance = focal * margin * max(rise, across / 1.6) + size[2] / 2
    center[1] = max(low[1], 0) + rise / 2 - 0.03
    eye = (float(center[0]), float(center[1] + 0.12 * distance), float(center[2] + distance))
    width = 2 * round(height * min(1.6, max(0.62, across / max(rise, across / 1.6))) / 2)
    camera = Camera(eye, (float(center[0]), float(center[1]), float(center[2])), focal)
    return _Studio(
        scene.actors, camera, width, height, scene.frame_rate, scene.duration,
        seed=scene.seed, noise=0.0, samples=2, performance=performance,
    )  # fmt: skip


def _write_gif(path: Path, frames: Sequence[np.ndarray], frame_rate: float) -> None:
    """An endless GIF with one palette for all frames, so that what stands still costs nothing."""
    import av

    palette, table = _palette(frames)
    height, width = frames[0].shape[:2]
    with whole_file(path) as draft, av.open(str(draft), "w", format="gif", options={"loop": "0"}) as container:
        stream = container.add_stream("gif", rate=Fraction(frame_rate).limit_denominator(1000))
        stream.width, stream.height, stream.pix_fmt = width, height, "pal8"
        for image in frames:
            index = table[tuple((image >> 2).transpose(2, 0, 1))]
            pair: Any = (index, palette)  # what PyAV takes for paletted frames, though its types do not say so
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pair, format="pal8")))
        container.mux(stream.encode())


def _palette(frames: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """ARGB palette uint8 (256, 4) by k-means over the frames' colours, and the nearest entry for each 6-bit colour
    (64, 64, 64)."""
    import cv2

    pixels = np.concatenate([frame[::4, ::4].reshape(-1, 3) for frame in frames[:: max(1, len(frames) // 8)]])
    colors, counts = np.unique(pixels >> 2, axis=0, return_counts=True)
    # Rare colours matter too (eyes, shoes), so each is repeated only by the root of its count.
    samples = np.repeat(colors, np.ceil(np.sqrt(counts)).astype(int), axis=0).astype(np.float32)
    cv2.setRNGSeed(1)
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 12, 0.2)
    count = min(_GIF_COLORS, len(colors))
    start = np.zeros((len(samples), 1), np.int32)
    _, _, centers = cv2.kmeans(samples, count, start, stop, 1, cv2.KMEANS_PP_CENTERS)
    levels = np.arange(64, dtype=np.float32)
    green_blue = np.stack(np.meshgrid(levels, levels, indexing="ij"), -1).reshape(-1, 1, 2)
    rest = ((green_blue - centers[:, 1:]) ** 2).sum(-1)  # (4096, K)
    table = np.stack([(rest + (red - centers[:, 0]) ** 2).argmin(1) for red in levels]).astype(np.uint8)
    palette = np.full((256, 4), 255, np.uint8)
    palette[:count, 1:] = np.clip(centers * 4 + 2, 0, 255)
    return palette, table.reshape(64, 64, 64)
