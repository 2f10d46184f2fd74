"""Accuracy of the classifier by view: rendered people through BlazePose itself, from all around and three heights.

    python -m kinetag.exercises.recording --out views.npz --per-class 6 --seed 100
    python -m kinetag.exercises.recording --out passed.npz --per-class 2 --seed 300 --passers 1
    python -m kinetag.exercises.recording --out alone.npz --per-class 2 --seed 300
    python bench/views.py views.npz [--passed passed.npz alone.npz] [--model FILE]

Every class of the library (and 'other'), random people, cameras and rooms; a fifth of the clips is cut off by the
picture's edge, some are partly hidden. Record with a seed that no training used. A clip's label is the class with the
highest mean probability over its windows. One table is of 24 azimuths, 15 degrees each, one of cells, 45 degrees by
three heights of the camera; 'as a kind' counts another exercise of the same family as right. `--passed` compares the
same people with somebody walking past in front of them and alone: those of whom that hides something for a moment.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from common import save, show

from kinetag.classifier import DEFAULT_MODEL, Classifier
from kinetag.exercises.recordings import Recording, read_recordings
from kinetag.smoothing import smooth

DIRECTIONS = ("front", "front left", "left", "back left", "back", "back right", "right", "front right")
HEIGHTS = (("low", -90.0, 5.0), ("middle", 5.0, 20.0), ("high", 20.0, 90.0))  # degrees above the person's middle
AZIMUTHS = 24
_TURN = 360 // AZIMUTHS  # degrees; 0 is the front, 90 the person's left
SHOWN = 0.85  # share of the 13 main joints in the picture and free: above it a person counts as wholly seen


def judge(classifier: Classifier, clips: list[Recording]) -> list[dict[str, Any]]:
    """One row a clip: where the camera was, and whether the answer was right."""
    rows, families = [], classifier.card.families
    for clip in clips:
        if clip.label not in classifier.labels or clip.found.sum() < 2:
            continue
        _, probabilities = classifier.predict(smooth(clip.sequence()))
        if not len(probabilities):
            continue
        order = np.argsort(-probabilities.mean(axis=0))
        said = [classifier.labels[i] for i in order[:2]]
        rows.append(
            {
                "clip": (clip.label, clip.number),
                "label": clip.label,
                "azimuth": round(clip.azimuth / _TURN) % AZIMUTHS * _TURN,
                "direction": DIRECTIONS[round(clip.azimuth / 45) % 8],
                "height": next(name for name, low, high in HEIGHTS if low <= clip.elevation < high),
                "whole": float(clip.shown.mean()) > SHOWN,
                "right": said[0] == clip.label,
                "two": clip.label in said,
                "kind": families.get(said[0], said[0]) == families.get(clip.label, clip.label),
            }
        )
    return rows


def summary(rows: list[dict[str, Any]], **facts: Any) -> dict[str, Any]:
    share = {name: round(float(np.mean([row[name] for row in rows])), 3) for name in ("right", "two", "kind")}
    names = {"right": "top-1", "two": "top-2", "kind": "as a kind"}
    return {**facts, "clips": len(rows), **{names[name]: value for name, value in share.items()}}


def beside_passers(classifier: Classifier, passed: Path, alone: Path) -> list[dict[str, Any]]:
    """The same clips with somebody who walks past and without, of those in which the passer hides something."""
    both = [{(clip.label, clip.number): clip for clip in read_recordings(path)} for path in (passed, alone)]
    hidden = {key: float((both[1][key].shown & ~clip.shown).mean()) for key, clip in both[0].items() if key in both[1]}
    rows = []
    for name, clips in zip(("somebody walks past", "the same, alone"), both, strict=True):
        judged = [row for row in judge(classifier, list(clips.values())) if hidden.get(row["clip"], 0.0) > 0]
        rows.append(summary(judged, people=name))
    print(f"hidden by the passer, of a clip's joints: {np.mean([share for share in hidden.values() if share]):.1%}")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", nargs="+", type=Path)
    parser.add_argument("--passed", nargs=2, type=Path, metavar=("PASSED", "ALONE"), help="recordings to compare")
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL)
    args = parser.parse_args()
    clips = [clip for path in args.recordings for clip in read_recordings(path)]
    classifier = Classifier.load(args.model)
    rows = judge(classifier, clips)
    cells = [
        summary(found, direction=direction, height=height)
        for direction in DIRECTIONS
        for height, *_ in HEIGHTS
        if (found := [row for row in rows if (row["direction"], row["height"]) == (direction, height)])
    ]
    azimuths = [
        summary(found, azimuth=azimuth)
        for azimuth in range(0, 360, _TURN)
        if (found := [row for row in rows if row["azimuth"] == azimuth])
    ]
    passers = beside_passers(classifier, *args.passed) if args.passed else []
    groups = [summary(rows, people="all")]
    groups += [
        summary(found, people=name)
        for name, whole in (("wholly seen", True), ("cut off or partly hidden", False))
        if (found := [row for row in rows if row["whole"] == whole])
    ]
    classes = [
        {"class": name, "clips": len(found), "right": round(float(np.mean([row["right"] for row in found])), 3)}
        for name in sorted({row["label"] for row in rows})
        if (found := [row for row in rows if row["label"] == name])
    ]
    show("By azimuth", azimuths)
    show("By direction and height of the camera", cells)
    show("Rendered people through BlazePose", groups)
    if passers:
        show("With somebody in front for a moment", passers)
    seeds = sorted({clip.seed for clip in clips})
    facts = {"groups": groups, "passers": passers, "azimuths": azimuths, "cells": cells, "classes": classes}
    print(f"written: {save('views', seeds=seeds, **facts)}")


if __name__ == "__main__":
    main()
