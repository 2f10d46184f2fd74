"""Accuracy of the classifier on poses of real people; nothing here is used for training.

    python bench/classifier.py --data FOLDER              # development halves: look at these while working
    python bench/classifier.py --data FOLDER --final      # also the halves that are quoted
    python bench/classifier.py --data FOLDER --model mine.onnx --json mine.json

`clip_sets.py` says what FOLDER holds. A clip's answer is the mean of its windows' probabilities; a clip without any
window is answered 'other'. Clips of a class that the model does not have are left out, and counted. 'Seen' are
the gym clips in which the named movement happens, by the written rule of `clip_movement.py`. The occlusion protocol of
`clip_occlusion.py` runs on those. `--temperature`, `--other-bias` and `--prior` (how much the frequency of exercises
counts beside what training says of it) try out another calibration; `--write` puts it into the model.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from clip_movement import movement_seen
from clip_occlusion import HIDDEN, WAIST_UP, shows_waist_up
from clip_scores import Answers, by_class, doubt, score
from clip_sets import Clip, gym_clips, hdm05_clips, penn_clips, prmd_clips
from common import data_folder, save, show

from kinetag.classifier import DEFAULT_MODEL, Classifier
from kinetag.exercises.captured import HELD_OUT
from kinetag.exercises.labels import exercises_by_label
from kinetag.exercises.library import Exercise, load_library
from kinetag.finishing import prior
from kinetag.models.onnx_file import write_card
from kinetag.timeline import OTHER

CAMERAS = 4  # that look at each movement of motion capture
OCCLUDED_HOP = 0.5  # seconds between windows where parts are hidden: half the work


def load_sets(folder: Path, *, final: bool, quick: bool, everybody: bool) -> dict[str, list[Clip]]:
    """The clips of every set, by its name; UI-PRMD's people whom no training has seen, or also ``everybody``."""
    cameras = 1 if quick else CAMERAS
    sets = {
        "gym dev": gym_clips(folder, test=False),
        "Penn train": penn_clips(folder, train=True, every=6 if quick else 1),
        "UI-PRMD, held out": prmd_clips(folder, 2 * cameras, HELD_OUT),
        "UI-PRMD, held out, no noise": prmd_clips(folder, cameras, HELD_OUT, noise=False),
        "HDM05": hdm05_clips(folder, cameras),
    }
    if everybody:
        sets["UI-PRMD, everybody"] = prmd_clips(folder, cameras, range(1, 11))
        sets["UI-PRMD, everybody, no noise"] = prmd_clips(folder, cameras, range(1, 11), noise=False)
    if final:
        sets["gym test"] = gym_clips(folder, test=True)
        sets["Penn test"] = penn_clips(folder, train=False)
    return sets


def answer(classifier: Classifier, clips: Sequence[Clip], library: dict[str, Exercise], hop: float = 0.25) -> Answers:
    """What the classifier says of the clips whose class it has."""
    labels = classifier.labels
    known = [clip for clip in clips if clip.truth in labels]
    nothing = np.eye(len(labels))[labels.index(OTHER)] if OTHER in labels else np.full(len(labels), 1 / len(labels))
    means = [classifier.predict(clip.poses, hop=hop)[1] for clip in known]
    meant = exercises_by_label(labels, library)
    return Answers(
        labels,
        np.array([labels.index(clip.truth) for clip in known], int),
        np.array([m.mean(axis=0) if len(m) else nothing for m in means]).reshape(len(known), len(labels)),
        np.array([clip.group for clip in known]),
        np.array([name != OTHER and (name not in meant or meant[name].family != "everyday") for name in labels]),
        Counter(clip.truth for clip in clips if clip.truth not in labels),
        tuple(meant[name].family if name in meant else name for name in labels),
    )


def occluded(classifier: Classifier, clips: Sequence[Clip], library: dict[str, Exercise]) -> list[dict]:
    """For each way of hiding: accuracy on exercises, and how much that is of the accuracy with everything seen."""
    clips = [clip for clip in clips if clip.truth != OTHER and clip.truth in classifier.labels]
    rows = []
    for among, ways in ((clips, HIDDEN), ([c for c in clips if shows_waist_up(c, library)], WAIST_UP)):
        if not among:
            continue
        whole = accuracy(answer(classifier, among, library, OCCLUDED_HOP))
        for name, hides in ways.items():
            hidden = [
                [replace(clip, poses=hide(clip.poses, np.random.default_rng(i))) for i, clip in enumerate(among)]
                for hide in hides
            ]
            right = min(accuracy(answer(classifier, part, library, OCCLUDED_HOP)) for part in hidden)
            kept = round(right / whole, 3) if whole else None
            rows.append({"hidden": name, "clips": len(among), "top-1, all seen": whole, "top-1": right, "kept": kept})
    return rows


def main() -> None:
    options = arguments()
    folder, classifier, library = data_folder(options.data), Classifier.load(options.model), load_library()
    calibrate(classifier, options)
    # Who was trained on cannot be measured on.
    everybody = "UI-PRMD" not in classifier.card.data
    sets = load_sets(folder, final=options.final, quick=options.quick, everybody=everybody)
    answers: dict[str, Answers] = {}
    hidden: dict[str, list[dict]] = {}
    for name, clips in sets.items():
        answers[name] = answer(classifier, clips, library)
        if name.startswith("gym"):
            seen = [clip for clip in clips if movement_seen(clip, library)]
            answers[f"{name}, seen"] = answer(classifier, seen, library)
            if not options.quick:
                hidden[name] = occluded(classifier, seen, library)
    content = {
        "rows": [score(name, found) for name, found in answers.items()],
        "other": [doubt(name, found) for name, found in answers.items()],
        "left_out": {name: dict(found.left_out) for name, found in answers.items() if found.left_out},
        "occlusion": hidden,
        "classes": {name: by_class(found) for name, found in answers.items()},
    }
    report(content)
    if options.wrong:
        list_wrong(answers["gym dev, seen"])
    if options.json or not options.quick:
        card = classifier.card
        name = "classifier" if options.final else "classifier_development"
        model = {"version": card.version, "temperature": card.temperature, "other_bias": card.other_bias}
        print(f"written: {save(name, options.json, model={**model, 'classes': len(card.labels)}, **content)}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder of real data (default: KINETAG_DATA)")
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL)
    parser.add_argument("--final", action="store_true", help="also the test halves that are quoted")
    parser.add_argument("--quick", action="store_true", help="a sixth of the Penn clips, one camera, nothing hidden")
    parser.add_argument("--json", type=Path, help="where to write the numbers (default: bench/results)")
    parser.add_argument("--wrong", action="store_true", help="list each development clip of the gym that is wrong")
    parser.add_argument("--temperature", type=float)
    parser.add_argument("--other-bias", type=float)
    parser.add_argument("--prior", type=float)
    parser.add_argument("--write", action="store_true", help="put this calibration into the model file")
    return parser.parse_args()


def calibrate(classifier: Classifier, options: argparse.Namespace) -> None:
    card = classifier.card
    classifier.card = replace(
        card,
        temperature=options.temperature or card.temperature,
        other_bias=card.other_bias if options.other_bias is None else options.other_bias,
        prior=card.prior if options.prior is None else prior(card.labels, load_library(), options.prior),
    )
    if options.write:
        write_card(options.model, classifier.card)


def report(content: dict) -> None:
    for name, table in content["classes"].items():
        show(name, table)
    for name, table in content["occlusion"].items():
        show(f"{name}, seen: what stays with parts hidden", table)
    for name, counts in content["left_out"].items():
        lacking = ", ".join(f"{label} {count}" for label, count in sorted(counts.items()))
        print(f"{name}: {sum(counts.values())} clips left out, whose class the model lacks: {lacking}")
    show("Clips of real people: exercises", content["rows"])
    show("Clips of real people: 'other' and confidence", content["other"])


def accuracy(answers: Answers) -> float:
    return round(float((answers.probabilities.argmax(axis=1) == answers.truth).mean()), 3)


def list_wrong(answers: Answers) -> None:
    for name, truth, probabilities in zip(answers.groups, answers.truth, answers.probabilities, strict=True):
        order = np.argsort(-probabilities)[:3]
        if order[0] != truth:
            guesses = ", ".join(f"{answers.labels[i]} {probabilities[i]:.2f}" for i in order)
            print(f"{answers.labels[truth]:26} {name[:48]:48} {guesses}")


if __name__ == "__main__":
    main()
