"""How well faults of form are told.

    python bench/form.py                  library motions done right, and done wrong on purpose
    python bench/form.py --data FOLDER    and UI-PRMD's deep squats and lunges, which were done right and wrong

Right: every exercise that has faults, in all its variants, from random cameras and from those that see its faults; a
set with any fault reported is a false alarm. Wrong: the plain form with the poses below, from where the fault can be
seen. Both through an estimator's errors (see sensor.py).
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from common import data_folder, save, show
from repetitions import RATE, VIEWS, prmd_sets
from sensor import observe

from kinetag.exercises.kinematics import BODY
from kinetag.exercises.library import Exercise, Variant, load_library
from kinetag.exercises.motion import generate
from kinetag.form import assess
from kinetag.reps import count_repetitions
from kinetag.sequence import PoseSequence
from kinetag.skeletons import KINETAG13
from kinetag.smoothing import smooth
from kinetag.timeline import FormFault, Segment

JOINTS = [BODY.index(joint) for joint in KINETAG13.joints]
AZIMUTHS = {"front": (0, 180), "side": (90, 270)}  # degrees from which a fault is seen
ACROSS = (
    "pull_up",
    "overhead_press",
    "lateral_raise",
    "jumping_jack",
    "lat_pulldown",
)  # movements in the frontal plane

SHORT = ("quarter", "half", "half_squat")  # variants that are short of the full range on purpose

LEANING = {"trunk": [68, 85]}
SWING = {"trunk": [-38, -30]}
# What is done differently where a fault is done on purpose, as a variant in an exercise's file says it.
WRONG: dict[str, dict[str, dict[str, Any]]] = {
    "squat": {
        "too_shallow": {"poses": {"bottom": {"thigh": [25, 38], "shin": [4, 14], "trunk": [8, 25]}}},
        "leaning": {"poses": {"bottom": {**LEANING, "thigh": [60, 90]}}},
        "knees_inward": {
            "base": {"abduction": [10, 14]},
            "poses": {"bottom": {"abduction": [-18, -12], "hip_rotation": [-25, -15]}},
        },
        "not_straight": {"poses": {"top": {"thigh": [26, 36], "shin": [22, 30], "trunk": [10, 25]}}},
    },
    "jump_squat": {"too_shallow": {"poses": {"bottom": {"thigh": [12, 22], "shin": [2, 10]}}}},
    "push_up": {
        "too_shallow": {"poses": {"down": {"elbow": [35, 50]}}},
        "not_straight": {"poses": {"up": {"elbow": [60, 72]}}},
        "sagging": {"base": {"hip": [-40, -30]}},
        "piking": {"base": {"hip": [42, 60]}},
    },
    "knee_push_up": {
        "too_shallow": {"poses": {"down": {"elbow": [30, 45]}}},
        "not_straight": {"poses": {"up": {"elbow": [60, 72]}}},
    },
    "plank": {"sagging": {"base": {"hip": [-42, -32]}}, "piking": {"base": {"hip": [42, 60]}}},
    "pull_up": {
        "chin_below_bar": {"poses": {"up": {"elbow": [60, 80], "shoulder": [95, 115]}}},
        "not_hanging": {"poses": {"hang": {"elbow": [62, 75], "shoulder": [110, 130]}}},
    },
    "dip": {
        "too_shallow": {"poses": {"down": {"elbow": [30, 45], "shoulder": [-30, -15]}}},
        "not_straight": {"poses": {"up": {"elbow": [60, 72], "shoulder": [-35, -20]}}},
    },
    "bench_press": {
        "too_shallow": {"poses": {"down": {"elbow": [30, 45], "shoulder": [70, 90]}}},
        "not_straight": {"poses": {"up": {"elbow": [62, 74]}}},
    },
    "overhead_press": {
        "not_straight": {"poses": {"up": {"elbow": [62, 74], "shoulder": [125, 145]}}},
        "not_overhead": {"poses": {"up": {"shoulder": [95, 115]}}},
    },
    "biceps_curl": {
        "swinging": {"poses": {"up": SWING}},
        "not_straight": {"poses": {"down": {"elbow": [72, 85]}}},
        "too_small": {"poses": {"up": {"elbow": [42, 58]}}},
    },
    "front_raise": {
        "swinging": {"poses": {"up": SWING}},
        "too_low": {"poses": {"up": {"shoulder": [26, 36]}}},
    },
    "lateral_raise": {
        "swinging": {"poses": {"up": SWING}},
        "too_low": {"poses": {"up": {"shoulder": [26, 36]}}},
    },
    "bent_over_row": {
        "rising": {"base": {"trunk": [55, 80]}, "poses": {"up": {"trunk": [5, 15]}}},
        "too_small": {"poses": {"up": {"elbow": [18, 28], "shoulder": [5, 20]}}},
    },
    "deadlift": {"not_upright": {"poses": {"top": {"trunk": [28, 36], "thigh": [22, 30], "shin": [2, 8]}}}},
    "good_morning": {
        "squatting": {"poses": {"low": {"thigh": [75, 95], "shin": [18, 30], "trunk": [40, 60]}}},
        "too_shallow": {"poses": {"low": {"trunk": [10, 18], "thigh": [0, 4]}}},
    },
    "kettlebell_swing": {
        "not_upright": {"poses": {"up": {"trunk": [25, 35], "thigh": [15, 22]}}},
        "squatting": {"poses": {"back": {"thigh": [75, 95], "shin": [22, 35], "trunk": [25, 40]}}},
    },
    "lunge": {
        "too_shallow": {
            "poses": {"low": {"left": {"thigh": [30, 36], "shin": [0, 4]}, "right": {"thigh": -15, "knee": 34}}}
        },
        "leaning": {"poses": {"low": {"trunk": [55, 75]}}},
    },
    "split_squat": {
        "too_shallow": {
            "poses": {"bottom": {"left": {"thigh": [30, 38], "shin": [0, 6]}, "right": {"thigh": -20, "knee": 36}}}
        },
        "leaning": {"poses": {"bottom": {"trunk": [60, 75]}}},
    },
    "sit_up": {"too_small": {"poses": {"up": {"trunk": [-84, -78]}}}},
    "glute_bridge": {"too_low": {"poses": {"up": {"trunk": [-99, -96], "thigh": [136, 144]}}}},
    "hip_thrust": {"too_low": {"poses": {"up": {"trunk": [-72, -64], "thigh": [104, 112]}}}},
    "leg_raise": {
        "too_low": {"poses": {"up": {"thigh": [112, 122]}}},
        "bent_knees": {"poses": {"up": {"knee": [65, 95]}}},
    },
    "lat_pulldown": {
        "swinging": {"poses": {"down": {"trunk": [-66, -54]}, "up": {"trunk": [-8, 4]}}},
        "too_small": {"poses": {"down": {"elbow": [40, 55], "shoulder": [100, 120]}}},
    },
    "triceps_pushdown": {
        "not_straight": {"poses": {"straight": {"elbow": [60, 72]}, "bent": {"elbow": [120, 135]}}},
        "elbows_swing": {"poses": {"bent": {"shoulder": [70, 85]}, "straight": {"shoulder": [0, 10]}}},
    },
    "overhead_triceps_extension": {
        "not_straight": {"poses": {"straight": {"elbow": [60, 72]}, "bent": {"elbow": [120, 140]}}},
    },
    "jumping_jack": {"arms_low": {"poses": {"open": {"shoulder": [62, 78]}, "hop": {"shoulder": [35, 50]}}}},
    "wall_sit": {"too_high": {"poses": {"held": {"thigh": [20, 32], "knee": [20, 32]}}}},
}  # fmt: skip


def faults_of(sequence: PoseSequence, exercise: Exercise) -> tuple[list[FormFault], int]:
    """The faults that are reported, and how many repetitions were found."""
    poses = smooth(sequence)
    start, end = float(poses.times[0]), float(poses.times[-1])
    segment = Segment(exercise.name, start, end, 1.0, count_repetitions(poses, exercise, start, end))
    assess(poses, exercise, segment)
    return segment.faults, len(segment.repetitions)


def seen(exercise: Exercise, rng: np.random.Generator, variant: str | None, azimuth: float | None) -> PoseSequence:
    """One set as an estimator sees it, half of them without world points."""
    if variant is None:  # a quarter squat is a shallow one
        exercise = exercise.model_copy(update={"variants": [v for v in exercise.variants if v.name not in SHORT]})
    repetitions = None if exercise.static else int(rng.integers(3, 8))
    motion = generate(exercise, rng, rate=RATE, duration=8.0, repetitions=repetitions, variant=variant)
    view = VIEWS["noisy" if rng.random() < 0.5 else "noisy 2D"]
    return observe(motion.times, motion.joints[:, JOINTS].astype(float), rng, azimuth=azimuth, **view)


def done_right(exercise: Exercise, sets: int, seed: int) -> dict[str, int]:
    """How often each fault is reported of sets that were done right; '' counts the sets with any."""
    alarms: dict[str, int] = {"": 0}
    views = [None, *AZIMUTHS["front"], *AZIMUTHS["side"]]
    for i in range(sets):
        rng = np.random.default_rng([seed, i, 1])
        azimuth = views[i % len(views)]
        azimuth = None if azimuth is None else azimuth + float(rng.uniform(-20, 20))
        found, _ = faults_of(seen(exercise, rng, None, azimuth), exercise)
        for name in ("", *(fault.name for fault in found)) if found else ():
            alarms[name] = alarms.get(name, 0) + 1
    return alarms


def done_wrong(exercise: Exercise, fault: str, sets: int, seed: int) -> float:
    """Share of sets with the fault done on purpose in which it is reported."""
    wrong = exercise.model_copy(
        update={"variants": [Variant.model_validate({"name": "wrong", **WRONG[exercise.name][fault]})]}
    )
    hits = 0
    for i in range(sets):
        rng = np.random.default_rng([seed, i, 2])
        across = exercise.name in ACROSS and exercise.faults[fault].angle != "trunk"
        angles = AZIMUTHS["front" if across else exercise.faults[fault].view]
        azimuth = angles[i % len(angles)] + float(rng.uniform(-20, 20))
        found, _ = faults_of(seen(wrong, rng, "wrong", azimuth), exercise)
        hits += any(f.name == fault for f in found)
    return hits / sets


def library_rows(sets: int, seed: int, only: list[str]) -> list[dict[str, Any]]:
    """One row for each exercise with faults: false alarms, and each fault's share of detections."""
    rows = []
    for name, exercise in load_library().items():
        if not exercise.faults or (only and name not in only):
            continue
        alarms = done_right(exercise, sets, seed)
        found = {fault: round(done_wrong(exercise, fault, sets, seed), 2) for fault in WRONG.get(name, {})}
        any_alarm = alarms.pop("")
        rows.append({"exercise": name, "sets": sets, "false": any_alarm, "which": alarms, "found": found})
    return rows


def prmd_rows(folder: Path, seed: int) -> list[dict[str, Any]]:
    """UI-PRMD's sets of ten: how often each fault is reported of those done right and of those done wrong."""
    library = load_library()
    named = {1: "squat", 3: "lunge", 4: "side_lunge", 5: "sit_to_stand"}
    names = np.load(folder / "ui_prmd.npz")["movement_names"]
    counts: dict[tuple[int, bool], list[list[str]]] = {}
    for number, (movement, correct, _, times, joints) in enumerate(prmd_sets(folder / "ui_prmd.npz")):
        if movement in named:
            rng = np.random.default_rng([seed, number])
            found, _ = faults_of(observe(times, joints, rng, noise=0.01, dropout=0.0), library[named[movement]])
            counts.setdefault((movement, correct), []).append([fault.name for fault in found])
    return [
        {
            "movement": str(names[movement - 1]),
            "judged as": named[movement],
            "done": "right" if correct else "wrong",
            "sets": len(sets),
            "with a fault": sum(map(bool, sets)),
            "faults": str({f: sum(f in s for s in sets) for f in sorted({f for s in sets for f in s})}),
        }
        for (movement, correct), sets in counts.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder of real data (default: KINETAG_DATA); without it only library motions")
    parser.add_argument("--sets", type=int, default=20, help="sets of each exercise, and of each fault")
    parser.add_argument("--only", nargs="*", default=[], help="these exercises only")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rows = library_rows(args.sets, args.seed, args.only)
    show("Done right: sets with a fault reported. Done wrong: share of sets in which it is found", rows)
    false, sets = sum(r["false"] for r in rows), sum(r["sets"] for r in rows)
    print(f"false alarms: {false} of {sets} sets ({false / sets:.1%})")
    found = [share for r in rows for share in r["found"].values()]
    print(f"found: {np.mean(found or [0]):.1%} of sets with one of {len(found)} faults done on purpose")
    results: dict[str, Any] = {"library": rows}
    if args.data:
        results["ui_prmd"] = prmd_rows(data_folder(args.data), args.seed)
        show("UI-PRMD, sets of ten", results["ui_prmd"])
    if not args.only:
        print(f"written: {save('form', **results)}")


if __name__ == "__main__":
    main()
