"""How well repetitions are counted.

    python bench/repetitions.py                                  library motions seen by random cameras
    python bench/repetitions.py --data FOLDER                    and UI-PRMD's sets of ten
    python bench/repetitions.py --data FOLDER --videos           and the clips with trustworthy marks, through the
                                                                 whole pipeline, the label given
    python -m kinetag.exercises.recording --sets --out sets.npz --per-class 8 --seed 500
    python bench/repetitions.py --rendered sets.npz              rendered people through BlazePose itself, instead
    python bench/repetitions.py ... --by-rule                    without the network's word, by the signal alone

The synthetic part knows the truth exactly: every counted exercise of the library moves a random number of times, with
a random body, tempo and style, and an estimator's errors are added (see sensor.py).
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from common import data_folder, save, show
from sensor import observe
from views import SHOWN

from kinetag.classifier import Classifier
from kinetag.exercises.library import Counting, Exercise, load_library
from kinetag.exercises.recordings import read_recordings
from kinetag.reps import count_periodic, count_repetitions
from kinetag.sequence import PoseSequence
from kinetag.skeletons import KINETAG13
from kinetag.smoothing import smooth

RATE = 15.0
FAR = 2.0  # metres: a camera goes with who gets further than that
VIEWS: dict[str, dict[str, Any]] = {
    "clean": {"noise": 0.003, "dropout": 0.0},
    "noisy": {"noise": 0.02, "dropout": 0.04},
    "clean 2D": {"noise": 0.003, "dropout": 0.0, "world": False},
    "noisy 2D": {"noise": 0.02, "dropout": 0.04, "world": False},
}

CUT = "noisy, cut"  # sets that are under way when the clip starts and ends, of any depth and with pauses
UNKNOWN = "rule ignored"  # noisy, with and without world points in turn, counted by what repeats

# UI-PRMD's movements that a joint counts, and its joints in the order of the 'kinetag' layout.
PRMD: dict[int, dict[str, Any]] = {
    1: {"signal": "knee", "rest": 170, "peak": 80},
    2: {"signal": "hip", "rest": 170, "peak": 100, "sides": "either"},
    3: {"signal": "knee", "rest": 170, "peak": 90},
    4: {"signal": "knee", "rest": 170, "peak": 100, "sides": "either"},
    5: {"signal": "knee", "rest": 170, "peak": 90},
    6: {"signal": "hip", "rest": 170, "peak": 120, "sides": "either"},
    7: {"signal": "shoulder", "rest": 15, "peak": 120, "sides": "either"},
    8: {"signal": "shoulder", "rest": 10, "peak": 50, "sides": "either"},
    10: {"signal": "shoulder", "rest": 15, "peak": 90, "sides": "either"},
}
PRMD_JOINTS = ("upper_arm", "forearm", "hand", "upper_leg", "lower_leg", "foot")


def count(sequence: PoseSequence, exercise: Exercise | None, network: Classifier | None) -> tuple[int, int]:
    """Full repetitions, and partial ones; without an exercise by what repeats, without ``network`` by the rule."""
    poses, start, end = smooth(sequence), sequence.times[0], sequence.times[-1]
    if exercise is None:
        found = count_periodic(poses, start, end)
    else:
        found = count_repetitions(poses, exercise, start, end, network.progress(poses) if network else None)
    partial = sum(repetition.partial for repetition in found)
    return len(found) - partial, partial


def row(name: str, errors: list[tuple[int, int]], **more: Any) -> dict[str, Any]:
    """``errors``: counted less true, and true repetitions, of each set; MAE as in RepNet (Dwibedi, CVPR 2020)."""
    error, truth = np.array(errors).T
    return {
        "exercise": name,
        **more,
        "sets": len(errors),
        "exact": round(float((error == 0).mean()), 3),
        "within 1": round(float((np.abs(error) <= 1).mean()), 3),
        "MAE": round(float((np.abs(error) / np.maximum(truth, 1)).mean()), 3),
        "mean error": round(float(error.mean()), 2),
    }


def synthetic(sets: int, seed: int, only: list[str], network: Classifier | None) -> list[dict[str, Any]]:
    """One row for each counted exercise and kind of view."""
    from kinetag.exercises.kinematics import BODY
    from kinetag.exercises.motion import generate

    joints = [BODY.index(joint) for joint in KINETAG13.joints]
    rows = []
    for name, exercise in load_library().items():
        if exercise.counting is None or (only and name not in only):
            continue
        errors: dict[str, list[tuple[int, int]]] = {view: [] for view in (*VIEWS, CUT, UNKNOWN)}
        uncounted = {variant.name for variant in exercise.variants if not variant.counted}  # there is no truth
        for i in range(sets):
            rng = np.random.default_rng([seed, i])
            whole = generate(exercise, rng, rate=RATE, repetitions=int(rng.integers(1, 13)))
            part = generate(exercise, rng, rate=RATE, duration=float(rng.uniform(6, 25)))
            for view in errors:
                motion = part if view == CUT else whole
                if motion.variant in uncounted:
                    continue
                options = VIEWS.get(view, VIEWS["noisy" if view == CUT or i % 2 else "noisy 2D"])
                seen = observe(
                    motion.times, filmed(motion.joints)[:, joints], np.random.default_rng([seed, i, 1]), **options
                )
                full, partial = count(seen, None if view == UNKNOWN else exercise, network)
                # Cut sets are of any depth, so what falls short of the usual was nevertheless done.
                counted = full + partial if view == CUT else full
                errors[view].append((_error(counted, motion.repetitions, motion.times), len(motion.repetitions)))
        rows += [row(name, wrong, view=view) for view, wrong in errors.items()]
    return rows


def filmed(joints: np.ndarray) -> np.ndarray:
    """Joints (T, 25, 3) as a camera sees them that goes along where somebody would walk past it."""
    from kinetag.exercises.kinematics import JOINT

    way = joints[:, [JOINT["pelvis"]]] * np.array([1.0, 0.0, 1.0])
    far = np.linalg.norm(way - way[:1], axis=-1).max() > FAR
    return joints - way if far else joints


def _error(counted: int, repetitions: list[tuple[float, float, float]], times: np.ndarray) -> int:
    """Counted less true repetitions, where one that turns within 0.3 s of an end may count or not."""
    peaks = np.array([peak for _, peak, _ in repetitions])
    most = int(((peaks >= times[0]) & (peaks <= times[-1])).sum())
    least = int(((peaks >= times[0] + 0.3) & (peaks <= times[-1] - 0.3)).sum())
    return counted - most if counted > most else min(counted - least, 0)


def prmd_sets(path: Path) -> Iterator[tuple[int, bool, int, np.ndarray, np.ndarray]]:
    """UI-PRMD's repetitions joined to sets: movement, done right, repetitions, times (T,), joints (T, 13, 3) metres."""
    data = np.load(path)
    names = data["joints"].tolist()
    index = [names.index("head")] + [names.index(f"{s}_{joint}") for joint in PRMD_JOINTS for s in ("left", "right")]
    offsets, joints = data["offsets"], data["joints_cm"]
    for movement in PRMD:
        for subject in range(1, 11):
            for correct in (True, False):
                here = (data["movement"] == movement) & (data["subject"] == subject) & (data["correct"] == correct)
                clips = sorted(np.flatnonzero(here), key=lambda i: data["repetition"][i])
                points = np.concatenate([joints[offsets[i] : offsets[i + 1]][:, index] for i in clips]) / 100
                yield movement, correct, len(clips), (np.arange(len(points)) / 30)[::2], points[::2].astype(float)


def prmd(folder: Path, seed: int, network: Classifier | None) -> list[dict[str, Any]]:
    """One row for each movement; the sets done wrong have repetitions that were meant to fall short."""
    names = np.load(folder / "ui_prmd.npz")["movement_names"]
    squat = load_library()["squat"]
    errors: dict[tuple[int, bool, str], list[tuple[int, int]]] = {}
    for number, (movement, correct, truth, times, joints) in enumerate(prmd_sets(folder / "ui_prmd.npz")):
        counting = Counting(min_period=0.8, max_period=6.0, **PRMD[movement])
        exercise = squat.model_copy(update={"name": "movement", "counting": counting})
        for view in ("noisy", "noisy 2D"):
            seen = observe(times, joints, np.random.default_rng([seed, number]), **VIEWS[view])
            full, partial = count(seen, exercise, network)
            error = full + (0 if correct else partial) - truth
            errors.setdefault((movement, correct, view), []).append((error, truth))
    return [
        row(str(names[movement - 1]), wrong, done="right" if correct else "wrong", view=view)
        for (movement, correct, view), wrong in errors.items()
    ]


def rendered(path: Path, only: list[str], network: Classifier | None) -> list[dict[str, Any]]:
    """One row for each exercise whose sets were filmed; ways of doing it that nobody counts are left out."""
    library = load_library()
    errors: dict[str, list[tuple[int, int]]] = {}
    for clip in read_recordings(path):
        exercise = library.get(clip.label)
        uncounted = {variant.name for variant in exercise.variants if not variant.counted} if exercise else set()
        if exercise is None or not clip.repetitions or clip.variant in uncounted or (only and clip.label not in only):
            continue
        full = count(clip.sequence(), exercise, network)[0] if clip.found.sum() >= 2 else 0
        whole = float(clip.shown.mean()) > SHOWN
        for group in (clip.label, "wholly seen" if whole else "cut off or partly hidden"):
            errors.setdefault(group, []).append((full - clip.repetitions, clip.repetitions))
    if not errors:
        raise SystemExit(f"{path}: no sets; record them with --sets")
    groups = {name: errors.pop(name, []) for name in ("wholly seen", "cut off or partly hidden")}
    groups["all"] = [pair for wrong in errors.values() for pair in wrong]
    return [row(name, wrong) for name, wrong in (errors | groups).items() if wrong]


def marked_clips(folder: Path, network: Classifier | None) -> list[dict[str, Any]]:
    """The clips with trustworthy marks: the main person's repetitions of the given exercise over the whole clip."""
    from videos import MARKED, main_person, marked_repetitions

    import kinetag

    rows = []
    for stem in MARKED:
        timeline = kinetag.analyze(folder / f"{stem}.mp4")
        person = main_person(timeline)
        label = stem.rsplit("_", 1)[0]
        found = []
        if person is not None and person.poses is not None:
            poses = person.poses
            progress = network.progress(poses) if network else None
            found = count_repetitions(poses, load_library()[label], poses.times[0], poses.times[-1], progress)
        full = sum(not repetition.partial for repetition in found)
        marked = marked_repetitions(folder / f"{stem}.reps.csv")
        rows.append({"clip": stem, "counted": full, "partial": len(found) - full, "marked": marked})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder of real data (default: KINETAG_DATA); without it only library motions")
    parser.add_argument("--videos", action="store_true", help="also the marked clips (slow)")
    parser.add_argument("--rendered", type=Path, help="filmed sets; only these are measured then")
    parser.add_argument("--sets", type=int, default=20, help="sets of each exercise")
    parser.add_argument("--only", nargs="*", default=[], help="these exercises only")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", help="a classifier in place of the default one")
    parser.add_argument("--by-rule", action="store_true", help="by the exercise's own signal alone; nothing is written")
    args = parser.parse_args()
    network = None if args.by_rule else Classifier.load(args.model)
    if args.rendered:
        rows = rendered(args.rendered, args.only, network)
        show("Rendered people through BlazePose", rows)
        if not args.by_rule:
            print(f"written: {save('repetitions_rendered', rendered=rows)}")
        return
    results: dict[str, Any] = {"library": synthetic(args.sets, args.seed, args.only, network)}
    show("Motions of the library", results["library"])
    for view in (*VIEWS, CUT, UNKNOWN):
        rows = [r for r in results["library"] if r["view"] == view]
        exact, near, error = (float(np.mean([r[key] for r in rows])) for key in ("exact", "within 1", "MAE"))
        sets = sum(r["sets"] for r in rows)
        print(f"{view}, {sets} sets: exact {exact:.1%}, within 1 {near:.1%}, MAE {error:.3f}")
    if args.data:
        results["ui_prmd"] = prmd(data_folder(args.data), args.seed, network)
        show("UI-PRMD, sets of ten", results["ui_prmd"])
    if args.videos:
        results["marked"] = marked_clips(data_folder(args.data) / "videos", network)
        show("Marked clips, label given", results["marked"])
    if not args.only and not args.by_rule:
        print(f"written: {save('repetitions', **json.loads(json.dumps(results)))}")


if __name__ == "__main__":
    main()
