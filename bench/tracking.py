"""Do ids stay with people? Rendered scenes with exact truth, and real clips.

    python bench/tracking.py                                  # scenes, seeds 10 to 12
    python bench/tracking.py --scenes crossing --seeds 0 1
    python bench/tracking.py --data FOLDER                    # real clips: each id's share of the clip

Every scene goes through the real pose estimator and the tracker. CLEAR MOT and identity measures (Bernardin and
Stiefelhagen 2008; Ristani et al. 2016) come from py-motmetrics. A pose and a person match when the boxes of their 13
joints overlap with IoU >= 0.5. Between two poses up to half a second apart a person is where the annotated video shows
them; the row of ids as given live counts poses alone. People of whom less than 0.3 shows need not be found, and are
not false when they are.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import motmetrics
import numpy as np
from common import data_folder, save, show

from kinetag.appearance import clothing_colors
from kinetag.exercises.scenes import SCENES, make_scene
from kinetag.exercises.truth import Truth
from kinetag.pose import PoseEstimator, open_estimator
from kinetag.report.annotate import interpolate
from kinetag.sequence import Frame, Pose, PoseSequence
from kinetag.tracking import Tracker
from kinetag.video import open_source

RATE = 15.0
CLIPS = {"three_people_aerobics.avi": 3, "two_people_hug.mp4": 2}
_SHOWS = 0.3  # share of the outline from which a person must be found
_METRICS = ["idf1", "mota", "num_switches", "num_fragmentations", "num_misses", "num_false_positives", "num_objects"]
Hypotheses = list[list[tuple[int, np.ndarray]]]  # for each frame (id, box) of everyone found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", nargs="+", default=list(SCENES), help=f"of {', '.join(SCENES)}")
    parser.add_argument("--seeds", nargs="+", type=int, default=[10, 11, 12])
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--data", help="folder of real clips: measure these instead")
    arguments = parser.parse_args()
    if arguments.data:
        measure_clips(data_folder(arguments.data))
    else:
        measure_scenes(arguments.scenes, arguments.seeds, arguments.width)


def measure_scenes(scenes: list[str], seeds: list[int], width: int) -> None:
    estimator = open_estimator("blazepose")
    final, live = {}, {}
    for name in scenes:
        for seed in seeds:
            scene = make_scene(name, seed=seed, width=width, height=width * 9 // 16, frame_rate=RATE)
            found, tracker = follow(estimator, scene.frames())
            truth = scene.truth()
            final[f"{name}:{seed}"] = compare(truth, _by_frame(tracker.sequences(truth.frame_size), truth.times))
            live[f"{name}:{seed}"] = compare(truth, found)
            show(f"{name}, seed {seed}", _summary({f"{name}:{seed}": final[f"{name}:{seed}"]}))
    rows = [row for name in scenes for row in _summary(_of(final, name), label=name, overall=True)]
    rows += _summary(final, label="all scenes", overall=True)
    rows += _summary(live, label="all scenes, ids as given live", overall=True)
    show(f"Tracking on rendered scenes at {RATE:g} poses/s, {width} px, seeds {seeds}", rows)
    save("tracking", rate=RATE, width=width, seeds=seeds, rows=rows)


def measure_clips(folder: Path) -> None:
    estimator = open_estimator("blazepose")
    rows = []
    for name, expected in CLIPS.items():
        estimator.reset()
        with open_source(folder / name, rate=RATE) as video:
            found, tracker = follow(estimator, video)
            size = (video.width, video.height)
        for person in tracker.sequences(size):
            share = len(person) / len(found)
            rows.append({
                "clip": name, "people": expected, "id": person.person, "share": share,
                "from s": float(person.times[0]), "to s": float(person.times[-1]),
            })  # fmt: skip
    show(f"Tracking on real clips at {RATE:g} poses/s", rows)
    save("tracking_clips", rate=RATE, rows=rows)


def follow(estimator: PoseEstimator, frames: Any) -> tuple[Hypotheses, Tracker]:
    """Poses and ids of every frame as they are given live, and the tracker with what it knows in the end."""
    estimator.reset()
    tracker, found = Tracker(), []
    for frame in frames:
        poses = _with_colors(frame, estimator.estimate([frame])[0])
        ids = tracker.update(poses, frame.time)
        found.append([
            (person, _box(_main_joints(pose))) for person, pose in zip(ids, poses, strict=True) if person is not None
        ])  # fmt: skip
    return found, tracker


def compare(truth: Truth, found: Hypotheses) -> motmetrics.MOTAccumulator:
    """Match people and poses frame by frame."""
    accumulator = motmetrics.MOTAccumulator(auto_id=True)
    for index, hypotheses in enumerate(found):
        people = [(p.id, _box(p.keypoints[index]), p.visible_fraction[index]) for p in truth.people]
        distance = np.array([[1 - _overlap(box, b) for _, b in hypotheses] for _, box, _ in people])
        distance = distance.reshape(len(people), len(hypotheses))
        distance[~(distance <= 0.5)] = np.nan
        must = np.array([fraction >= _SHOWS for *_, fraction in people], bool)
        # A pose that fits only someone who mostly does not show is neither right nor wrong.
        excused = np.array([np.isnan(d[must]).all() and not np.isnan(d[~must]).all() for d in distance.T], bool)
        accumulator.update(
            [person for (person, *_), counted in zip(people, must, strict=True) if counted],
            [person for (person, _), skip in zip(hypotheses, excused, strict=True) if not skip],
            distance[must][:, ~excused],
        )
    return accumulator


def _summary(
    accumulators: dict[str, motmetrics.MOTAccumulator], label: str = "", overall: bool = False
) -> list[dict[str, Any]]:
    table = motmetrics.metrics.create().compute_many(
        list(accumulators.values()), metrics=_METRICS, names=list(accumulators), generate_overall=overall
    )
    chosen: Any = table[table.index == "OVERALL"] if overall else table
    return [
        {
            "scene": label or name,
            "IDF1 %": 100 * row["idf1"],
            "MOTA %": 100 * row["mota"],
            "switches": int(row["num_switches"]),
            "fragments": int(row["num_fragmentations"]),
            "missed %": 100 * row["num_misses"] / row["num_objects"],
            "false %": 100 * row["num_false_positives"] / row["num_objects"],
        }
        for name, row in chosen.to_dict("index").items()
    ]


def _of(results: dict[str, motmetrics.MOTAccumulator], scene: str) -> dict[str, motmetrics.MOTAccumulator]:
    return {name: result for name, result in results.items() if name.split(":")[0] == scene}


def _with_colors(frame: Frame, poses: list[Pose]) -> list[Pose]:
    return [replace(pose, appearance=clothing_colors(frame.image, pose)) for pose in poses]


def _by_frame(sequences: list[PoseSequence], times: np.ndarray) -> Hypotheses:
    """Everybody at each time, between two poses up to half a second apart as the annotated video shows them."""
    found: Hypotheses = [[] for _ in times]
    for sequence in sequences:
        poses = sequence.to_layout("kinetag")
        for place, time in enumerate(times):
            pose = interpolate(poses, time)
            if pose is not None:
                found[place].append((sequence.person, _box(pose[0])))
    return found


def _main_joints(pose: Pose) -> np.ndarray:
    from kinetag.skeletons import convert

    return convert(pose.keypoints, pose.confidence, pose.layout, "kinetag")[0]


def _box(points: np.ndarray) -> np.ndarray:
    """Left, top, right, bottom of joints (V, 2)."""
    return np.concatenate([np.nanmin(points, axis=0), np.nanmax(points, axis=0)])


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes."""
    shared = np.prod(np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0))
    return float(shared / max(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared, 1e-6))


if __name__ == "__main__":
    main()
