"""Clips without a camera: people made from an exercise's YAML file, to teach it before anybody was filmed."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from kinetag.errors import KinetagError
from kinetag.exercises.library import Exercise, read_written
from kinetag.few_shot.clips import TaughtClip
from kinetag.sequence import PoseSequence

PEOPLE = 40  # of real clips 20 recognise 3 to 4 points less, 10 another 4 to 7 (bench/few_shot.py --people)

_SPARE = 1.5  # times as many are made: of some an estimator sees too little
_LEAST = 20  # poses of a clip
_SECONDS = (6.0, 20.0)  # of a clip: at least, and at most, however slow the exercise
_SIZE = (800, 800)
_PIXELS = 150.0  # that a body scale becomes


def is_written(path: str | Path) -> bool:
    """Whether this is a file in which an exercise is written, rather than a clip."""
    return str(path).lower().endswith((".yaml", ".yml"))


def written_exercise(path: Path, name: str) -> Exercise:
    """The exercise of a YAML file: its only one, or of several the one that is called ``name``.

    Raises a KinetagError where the people made of it would not do what it counts."""
    from kinetag.exercises.travel import must_move

    found = read_written(path)
    own = [written for written in found if written.exercise.name == name]
    if len(found) > 1 and not own:
        names = ", ".join(written.exercise.name for written in found)
        raise KinetagError(f"{path} holds {names}, but no '{name}': teach one by its name")
    chosen = own[0] if own else found[0]
    must_move(chosen)
    return chosen.exercise


def made_clips(exercise: Exercise, count: int = PEOPLE, *, seed: int = 0, name: str = "") -> list[TaughtClip]:
    """``count`` random people who do an exercise, each with a body, variant, side and tempo of their own, before a
    camera of their own, and with what a pose estimator gets wrong; all of a clip is the exercise. The same seed makes
    the same people.
    """
    rng = np.random.default_rng([seed, 7])
    slowest = exercise.tempo.period[1] if exercise.tempo else 0.0
    seconds = float(np.clip(2 * slowest, *_SECONDS))
    clips = []
    for poses in estimated(exercise, rng, round(_SPARE * count) + 1, seconds):
        if len(poses) < _LEAST or len(clips) == count:
            continue
        who = replace(poses, person=len(clips) + 1)
        start, end = float(poses.times[0]), float(poses.times[-1])
        clips.append(TaughtClip(name or f"{exercise.name}.yaml", who, start, end, made=True))
    return clips


def estimated(exercise: Exercise | str, rng: np.random.Generator, count: int, seconds: float) -> Iterator[PoseSequence]:
    """Smoothed poses of ``count`` random people who do an exercise (or class of the library, by its name), each seen by
    a camera and an imitated pose estimator of its own; of some it may see little or nothing."""
    from kinetag.exercises.bank import select_joints
    from kinetag.exercises.motion import generate_batch
    from kinetag.exercises.synthesis import observe
    from kinetag.features import LAYOUT, RATE
    from kinetag.skeletons import get_layout
    from kinetag.smoothing import smooth

    motions = generate_batch(exercise, rng, count, duration=seconds, rate=RATE)
    joints = np.stack([select_joints(motion.joints, get_layout(LAYOUT).joints) for motion in motions])
    seen = observe(joints.astype(np.float32), rng)
    for i, motion in enumerate(motions):
        rows = (seen.confidence[i] > 0).any(axis=1)
        points, world = _PIXELS * seen.keypoints[i, rows], seen.world[i, rows]
        deep = None if np.isnan(world).all() else world  # some estimators have no notion of depth
        yield smooth(PoseSequence(motion.times[rows], points, seen.confidence[i, rows], LAYOUT, _SIZE, world=deep))


def filmed(clips: Sequence[TaughtClip]) -> tuple[TaughtClip, ...]:
    """The clips of real people."""
    return tuple(clip for clip in clips if not clip.made)
