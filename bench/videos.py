"""Accuracy on real videos, end to end: label of the main segment, repetitions, and how many people were followed.

    python bench/videos.py --data FOLDER
    python bench/videos.py --data FOLDER --model therapy --json mine.json     # another classifier

FOLDER/videos holds clips named <exercise>_<number>.mp4 with one exercise each, <name>.reps.csv with marked repetitions
(column label: 1 during a mark), and clips of several people. These clips only measure: nothing was tuned on them.
"""

import argparse
import csv
import re
from collections.abc import Sequence
from pathlib import Path

from common import data_folder, save, show

import kinetag
from kinetag.timeline import Person, Timeline

EXERCISES = ("push_up", "squat", "pull_up", "dip")
# Clips whose marks are trustworthy; those of the short ones are rough.
MARKED = ("push_up_01", "pull_up_02", "dip_01")
PEOPLE = {"three_people_aerobics.avi": 3, "two_people_hug.mp4": 2}


def main_person(timeline: Timeline) -> Person | None:
    """The person whose body fills most of the picture for most of the time."""

    def presence(person: Person) -> float:
        poses = person.poses
        assert poses is not None
        height = poses.keypoints[..., 1].max(axis=1) - poses.keypoints[..., 1].min(axis=1)  # (T,)
        return float(height.sum())

    return max(timeline.people, key=presence, default=None)


def marked_repetitions(path: Path) -> int | None:
    """The number of marks in a .reps.csv, or None where there is no such file."""
    if not path.exists():
        return None
    with path.open() as file:
        labels = [float(row["label"]) >= 0.5 for row in csv.DictReader(file)]
    return sum(now and not before for before, now in zip([False, *labels], labels, strict=False))


def repetitions(people: Sequence[Person], label: str) -> int:
    return sum(s.repetition_count for person in people for s in person.segments if s.label == label)


def exercise_rows(folder: Path, model: str | None) -> list[dict]:
    rows = []
    for path in sorted(folder.glob("*.mp4")):
        truth = re.sub(r"_\d+$", "", path.stem)
        if truth not in EXERCISES:
            continue
        timeline = kinetag.analyze(path, model=model)
        person = main_person(timeline)
        segment = person.main_segment if person else None
        rows.append(
            {
                "clip": path.stem,
                "truth": truth,
                "label": segment.label if segment else "-",
                "right": bool(segment and segment.label == truth),
                "confidence": round(segment.confidence, 2) if segment else 0.0,
                "counted": repetitions(timeline.people, truth),  # of everybody: so are the marks
                "the main person's": repetitions([person] if person else [], truth),
                "marked": marked_repetitions(path.with_suffix(".reps.csv")),
                "trusted marks": path.stem in MARKED,
                "people": len(timeline.people),
                "duration": round(timeline.duration, 1),
            }
        )
        print(*rows[-1].values(), flush=True)  # one by one, as the whole takes some minutes
    return rows


def people_rows(folder: Path, model: str | None) -> list[dict]:
    rows = []
    for name, truth in PEOPLE.items():
        timeline = kinetag.analyze(folder / name, model=model)
        shares = [p.poses.duration / timeline.duration for p in timeline.people if p.poses is not None]
        rows.append(
            {
                "clip": name,
                "people": truth,
                "ids": len(timeline.people),
                "share of the clip with each id": ", ".join(f"{share:.0%}" for share in sorted(shares, reverse=True)),
                "labels": ", ".join(p.main_segment.label if p.main_segment else "-" for p in timeline.people),
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder of real data (default: KINETAG_DATA)")
    parser.add_argument("--model", help="a classifier in place of the default one")
    parser.add_argument("--json", type=Path, help="where to write the numbers (default: bench/results)")
    args = parser.parse_args()
    folder = data_folder(args.data) / "videos"
    rows, people = exercise_rows(folder, args.model), people_rows(folder, args.model)
    show("One exercise a clip", rows)
    show("Several people", people)
    right = sum(row["right"] for row in rows)
    print(f"main segment right: {right} of {len(rows)}")
    save("videos", args.json, right=right, clips=len(rows), rows=rows, people=people)


if __name__ == "__main__":
    main()
