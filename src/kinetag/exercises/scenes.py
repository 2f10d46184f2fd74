"""Ready-made scenes by name: the demo, the hard cases of tracking, and one for every exercise."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from kinetag.errors import KinetagError
from kinetag.exercises.acting import Activity, Actor, Waypoint
from kinetag.exercises.library import Exercise
from kinetag.exercises.mannequin import Look, random_look
from kinetag.exercises.raster import Camera
from kinetag.exercises.room import Block, Pillar
from kinetag.exercises.scene import Scene

VIEWS = {"front": 0.0, "three_quarter": 40.0, "side": 90.0, "back_quarter": 140.0, "back": 180.0}
_FULL_VIEW = Camera((0.0, 1.35, 5.2), (0.0, 0.85, 0.0), 1.15)


def make_scene(name: str, *, seed: int = 0, width: int = 640, height: int = 360, frame_rate: float = 25.0) -> Scene:
    """The scene of that name (see SCENES), or 'single:EXERCISE' or 'single:EXERCISE:VIEW' for any exercise.

    Another seed gives other bodies, clothes, tempo and style. An unknown name raises a KinetagError that lists the
    known ones.
    """
    if name.startswith("single:"):
        scene = _single(name, seed)
    elif name in SCENES:
        scene = SCENES[name](seed)
    else:
        raise KinetagError(f"unknown scene '{name}'; known: {', '.join(SCENES)}, single:EXERCISE")
    return replace(scene, name=name, seed=seed, width=width, height=height, frame_rate=frame_rate)


def _look(seed: int, person: int, **options: object) -> Look:
    """Clothes that differ between the people of a scene."""
    return replace(random_look(np.random.default_rng([seed, person]), seed + person), **options)


def _actor(seed: int, person: int, activities: list[Activity], path: list[Waypoint], **look: object) -> Actor:
    return Actor(tuple(activities), tuple(path), _look(seed, person, **look), seed * 100 + person)


def _single(name: str, seed: int) -> Scene:
    from kinetag.exercises.motion import shipped_library

    _, exercise, *view = name.split(":")
    library = shipped_library()
    if exercise not in library:
        raise KinetagError(f"unknown exercise '{exercise}' in scene '{name}'; known: {', '.join(library)}")
    if len(view) > 1 or (view and view[0] not in VIEWS):
        raise KinetagError(f"unknown view in scene '{name}'; known: {', '.join(VIEWS)}")
    return single(library[exercise], VIEWS[view[0]] if view else 35.0, seed)


def single(exercise: Exercise, heading: float, seed: int = 0, variant: str | None = None) -> Scene:
    """One person who does an exercise three times, or for six seconds where it is held or goes step by step."""
    counting = exercise.counting
    repetitions, duration = (3, None) if counting is not None and counting.signal != "step" else (None, 6.0)
    activity = Activity(exercise, 0.0, repetitions, duration, variant)
    actor = _actor(seed, 0, [activity], [Waypoint(0, 0.0, 0.0, heading)])
    return until_done(Scene([actor], _FULL_VIEW, duration=60.0), after=0.2)


def _demo(seed: int) -> Scene:
    """Two people, two exercises each; a box hides a part of the second."""
    first = _actor(
        seed, 0,
        [Activity("squat", 0.8, 3, 6.2, "plain"), Activity("jumping_jack", None, 5, 5.8, "plain")],
        [Waypoint(0, -0.95, 0.1, 32.0)],
        shirt=(0.80, 0.22, 0.18), trousers=(0.16, 0.17, 0.21), hair_style="bun", sleeves="short", shorts=False,
        stripe=None, skin=(0.87, 0.67, 0.54), hair=(0.30, 0.18, 0.10), shoes=(0.92, 0.92, 0.93),
    )  # fmt: skip
    second = _actor(
        seed, 1,
        [Activity("biceps_curl", 0.6, 3, 6.0, "plain"), Activity("lunge", None, 3, 6.4, "plain")],
        [Waypoint(0, 0.85, -0.3, -32.0)],
        shirt=(0.14, 0.38, 0.66), trousers=(0.36, 0.37, 0.39), hair_style="short", sleeves="short", shorts=True,
        stripe=None, skin=(0.55, 0.37, 0.27), hair=(0.10, 0.08, 0.07), shoes=(0.75, 0.85, 0.25),
    )  # fmt: skip
    box = Block(0.98, 0.72, (0.58, 0.46, 0.42), turn=14.0)
    scene = Scene([first, second], Camera((0.1, 1.3, 4.1), (0.0, 0.95, 0.0), 1.2), duration=40.0, occluders=[box])
    return until_done(scene)


def until_done(scene: Scene, after: float = 1.0) -> Scene:
    """The scene, ending ``after`` seconds after its last repetition; after six seconds when nothing is counted."""
    done = [r.end for performance in scene.performances for s in performance.segments for r in s.repetitions]
    return replace(scene, duration=round(max(done) + after, 2) if done else 6.0)


def _crossing(seed: int) -> Scene:
    paths = [
        [Waypoint(0, -2.2, -0.2, 90), Waypoint(1, -2.1, -0.2, 90), Waypoint(6, 2.2, -0.2, 90)],
        [Waypoint(0, 2.2, 0.5, -90), Waypoint(1, 2.1, 0.5, -90), Waypoint(6, -2.2, 0.5, -90)],
        [Waypoint(0, 1.6, -1.6, -90), Waypoint(2, 1.6, -1.6, -90), Waypoint(7, -1.6, -1.4, -90)],
    ]
    return Scene([_actor(seed, i, [], path) for i, path in enumerate(paths)], _FULL_VIEW, duration=8.0)


def _behind(seed: int) -> Scene:
    front = _actor(seed, 0, [Activity("squat", 0.0, 4, 8.5)], [Waypoint(0, 0.0, 0.6, 20)])
    back = _actor(seed, 1, [], [Waypoint(0, -2.0, -0.7, 90), Waypoint(1, -2.0, -0.7, 90), Waypoint(7, 2.0, -0.7, 90)])
    return Scene([front, back], _FULL_VIEW, duration=9.0)


def _pillar(seed: int) -> Scene:
    path = [Waypoint(0, -1.9, -0.6, 90), Waypoint(1, -1.9, -0.6, 90), Waypoint(6.5, 1.9, -0.6, 90)]
    path.append(Waypoint(8, 1.9, -0.6, 0))
    return Scene([_actor(seed, 0, [], path)], _FULL_VIEW, duration=9.0, occluders=[Pillar(0.0, 0.4, 0.24)])


def _return(seed: int) -> Scene:
    away = [Waypoint(0, 0.9, 0.0, -20), Waypoint(4.0, 0.9, 0.0, 90), Waypoint(7.0, 5.1, 0.0, 90)]
    away += [Waypoint(10.0, 5.1, 0.0, -90), Waypoint(13.0, 0.9, 0.0, -20), Waypoint(16, 0.9, 0.0, -20)]
    leaver = _actor(seed, 0, [Activity("lateral_raise", 0.0, duration=3.2, variant="plain")], away)
    stayer = _actor(seed, 1, [Activity("squat", 0.5, 5, 12.0)], [Waypoint(0, -1.0, -0.2, 25)])
    return Scene([leaver, stayer], _FULL_VIEW, duration=16.0)


def _class(seed: int) -> Scene:
    parts = [
        ("squat", 4, -2.0, 0.2, 30), ("jumping_jack", 7, -0.75, -0.8, 0), ("lunge", 4, 0.55, 0.3, 65),
        ("overhead_press", 4, 1.75, -0.7, -15), ("push_up", 5, 2.3, 0.9, -75),
    ]  # fmt: skip
    actors = [
        _actor(seed, i, [Activity(name, 0.4 + 0.3 * i, count, 9.0, "plain")], [Waypoint(0, x, z, heading)])
        for i, (name, count, x, z, heading) in enumerate(parts)
    ]
    return Scene(actors, Camera((0.2, 1.9, 6.4), (0.2, 0.75, 0.0), 1.15), duration=11.0)


def _trio(seed: int) -> Scene:
    parts = [("squat", 8, -1.5, 0.0, 30), ("jumping_jack", 14, 0.0, -0.6, 0), ("biceps_curl", 8, 1.5, 0.0, -30)]
    actors = [
        _actor(seed, i, [Activity(name, 0.5, count, 19.0, "plain")], [Waypoint(0, x, z, heading)])
        for i, (name, count, x, z, heading) in enumerate(parts)
    ]
    return Scene(actors, _FULL_VIEW, duration=20.0)


SCENES: dict[str, Callable[[int], Scene]] = {
    "demo": _demo,
    "crossing": _crossing,
    "behind": _behind,
    "pillar": _pillar,
    "return": _return,
    "class": _class,
    "trio": _trio,
}
