"""How well segments are decoded from the classifier's windows, on sequences of several exercises made by the library.

    python bench/segments.py [--sequences 40] [--switch-cost 1 2.5 4]

Each sequence is one body that does two to five things in a row, 4 to 15 s each, seen with an estimator's errors.
"""

import argparse
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from common import save, show
from sensor import observe

from kinetag.classifier import DEFAULT_MODEL, Classifier
from kinetag.exercises.kinematics import BODY
from kinetag.exercises.library import load_library
from kinetag.exercises.motion import generate
from kinetag.segments import REJECT, SWITCH_COST, decode
from kinetag.skeletons import KINETAG13
from kinetag.smoothing import smooth
from kinetag.timeline import OTHER, Segment

RATE = 15.0
Parts = list[tuple[float, str]]  # start (s) and label

_JOINTS = [BODY.index(joint) for joint in KINETAG13.joints]


def make_sequence(names: list[str], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, Parts]:
    """Times (T,), joints (T, 13, 3) and what is done from when on; half a second of moving over in between."""
    joints: list[np.ndarray] = []
    parts: Parts = []
    count = 0
    for _ in range(int(rng.integers(2, 6))):
        name = str(rng.choice([n for n in names if not parts or n != parts[-1][1]]))
        points = generate(name, rng, duration=float(rng.uniform(4, 15)), rate=RATE).joints[:, _JOINTS]
        points = points - points[0, 7:9].mean(axis=0) * np.array([1, 0, 1])
        if joints:
            share = np.linspace(0, 1, 9)[1:-1, None, None]
            joints.append(joints[-1][-1] * (1 - share) + points[0] * share)
            count += len(share)
        parts.append((count / RATE, name))
        joints.append(points)
        count += len(points)
    return np.arange(count) / RATE, np.concatenate(joints), parts


def compare(segments: list[Segment], times: np.ndarray, parts: Parts) -> dict[str, Any]:
    """Share of right frames, segments too many, boundary errors (s), and each segment's confidence and rightness."""
    starts = [start for start, _ in parts]
    truth = np.array([parts[i][1] for i in np.searchsorted(starts, times, side="right") - 1])
    right = np.zeros(len(times), bool)
    judged = []
    for segment in segments:
        inside = (times >= segment.start) & (times <= segment.end)
        right |= inside & (truth == segment.label)
        judged.append((segment.confidence, float((truth[inside] == segment.label).mean())))
    found = [s.start for s in segments[1:]]
    errors = [min((abs(start - at) for at in found), default=np.inf) for start in starts[1:]]
    return {"right": right.mean(), "more": len(segments) - len(parts), "errors": errors, "judged": judged}


def calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error: |confidence - share right| over bins of confidence, weighted by their size."""
    group = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [abs((confidence - right)[group == b].sum()) for b in range(bins)]
    return float(sum(gaps) / len(confidence))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequences", type=int, default=40)
    parser.add_argument("--switch-cost", type=float, nargs="*", default=[SWITCH_COST])
    parser.add_argument("--reject", type=float, nargs="*", default=[REJECT])
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL)
    parser.add_argument("--frame-weight", type=float, nargs="*", help="of the classifier, in place of its own")
    args = parser.parse_args()
    classifier, library = Classifier.load(args.model), load_library()
    weights = args.frame_weight or [classifier.card.frame_weight]
    names = [name for name in (*library, OTHER) if name in classifier.labels]
    minimum = {name: exercise.min_duration for name, exercise in library.items()}
    made = []
    for seed in range(args.sequences):
        times, joints, parts = make_sequence(names, np.random.default_rng(seed))
        made.append((times, parts, smooth(observe(times, joints, np.random.default_rng(seed), noise=0.012))))
    rows = []
    for weight in weights:
        classifier.card = replace(classifier.card, frame_weight=weight)
        answers = [classifier.predict(poses) for _, _, poses in made]
        for cost, reject in product(args.switch_cost, args.reject):
            options: dict[str, Any] = {"minimum_durations": minimum, "switch_cost": cost, "reject": reject}
            results = [
                compare(decode(at, p, classifier.labels, pose_times=times, **options), times, parts)
                for (times, parts, _), (at, p) in zip(made, answers, strict=True)
            ]
            rows.append({"frame weight": weight, "switch cost": cost, "reject": reject, **summary(results)})
    show("Segments of made-up sequences", rows)
    print(f"written: {save('segments', sequences=args.sequences, rows=rows)}")


def summary(results: list[dict[str, Any]]) -> dict[str, float]:
    errors = np.concatenate([r["errors"] for r in results])
    confidence, right = np.array([pair for r in results for pair in r["judged"]]).T
    more = np.array([r["more"] for r in results])
    return {
        "frames right": round(float(np.mean([r["right"] for r in results])), 3),
        "segments too many": round(float(more.mean()), 2),
        "wrong number": round(float((more != 0).mean()), 2),
        "boundary error, median s": round(float(np.median(errors)), 2),
        "boundaries within 1 s": round(float((errors <= 1).mean()), 2),
        "calibration error": round(calibration_error(confidence, right), 3),
    }


if __name__ == "__main__":
    main()
