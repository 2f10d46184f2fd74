"""How well faults of form are told.

    python bench/form.py                  library motions done right, and done wrong on purpose
    python bench/form.py --data FOLDER    and UI-PRMD's deep squats and lunges, which were done right and wrong

Right: every exercise that has faults, in all its variants, from random cameras and from those that see its faults; a
set with any fault reported is a false alarm. Wrong: the plain form with the poses of form_wrong.py, from
where the fault can be seen. Both through an estimator's errors (see sensor.py).
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from common import data_folder, save, show
from form_wrong import WRONG
from repetitions import RATE, VIEWS, prmd_sets
from sensor import observe

from kinetag.classifier import Classifier
from kinetag.exercises.kinematics import BODY
from kinetag.exercises.library import Exercise, Variant, load_library
from kinetag.exercises.motion import generate
from kinetag.form import assess
from kinetag.reps import count_repetitions
from kinetag.sequence import PoseSequence
from kinetag.skeletons import KINETAG13
from kinetag.smoothing import smooth
from kinetag.timeline import FormFault, Segment

NETWORK = Classifier.load()
JOINTS = [BODY.index(joint) for joint in KINETAG13.joints]
AZIMUTHS = {"front": (0, 180), "side": (90, 270)}  # degrees from which a fault is seen
ACROSS = (
    "pull_up", "overhead_press", "lateral_raise", "jumping_jack", "lat_pulldown", "arm_circles", "goddess", "jump_rope",
    "shoulder_abduction", "shoulder_rotation", "side_bend", "torso_twist", "triangle", "russian_twist", "upright_row",
    "warrior_2", "chest_fly",
)  # fmt: skip # movements in the frontal plane, and turns

SHORT = ("quarter", "half", "half_squat", "hips_high")  # variants that are short of the full range on purpose


def faults_of(sequence: PoseSequence, exercise: Exercise) -> tuple[list[FormFault], int]:
    """The faults that are reported, and how many repetitions were found."""
    poses = smooth(sequence)
    start, end = float(poses.times[0]), float(poses.times[-1])
    progress = NETWORK.progress(poses)
    segment = Segment(exercise.name, start, end, 1.0, count_repetitions(poses, exercise, start, end, progress))
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
