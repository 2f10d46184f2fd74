"""Accuracy of the classifier on poses of real people; nothing here is used for training.

    python bench/classifier.py --data FOLDER              # development halves: look at these while working
    python bench/classifier.py --data FOLDER --final      # also the halves that are quoted

FOLDER holds gym_keypoints.npz (gym clips through BlazePose), penn_action.npz (joints marked by hand) and ui_prmd.npz
(Kinect skeletons, here seen by random cameras through synthetic noise). A clip's label is the class with the highest
mean probability over its windows. Of the gym clips many are cut so that the named exercise never happens in them, or
follow a bystander; 'movement seen' counts those in which the joint that the exercise is counted by covers at least 0.4
of its usual range. `--temperature` and `--other-bias` try out another calibration; `--write` puts it into the model.
"""

import argparse
from collections import Counter
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
from clip_names import class_of
from common import data_folder, save, show

from kinetag.angles import signals
from kinetag.classifier import DEFAULT_MODEL, Classifier
from kinetag.exercises.library import Exercise, load_library
from kinetag.exercises.synthesis import observe
from kinetag.models.onnx_file import write_card
from kinetag.sequence import PoseSequence
from kinetag.smoothing import smooth
from kinetag.timeline import OTHER

PENN = {
    "squat": "squat", "pushup": "push_up", "pullup": "pull_up", "bench_press": "bench_press", "situp": "sit_up",
    "jumping_jacks": "jumping_jack", "jump_rope": "jump_rope", "clean_and_jerk": None,
}  # fmt: skip
PRMD = {
    "deep squat": "squat", "inline lunge": "lunge", "hurdle step": OTHER, "standing active straight leg raise": OTHER,
    "standing shoulder extension": OTHER, "standing shoulder internal-external rotation": OTHER,
}  # fmt: skip
# In the order of the 'kinetag' layout; a Kinect has no nose.
PRMD_JOINTS = ("head", *(f"{side}_{part}" for part in ("upper_arm", "forearm", "hand", "upper_leg", "lower_leg", "foot")
                         for side in ("left", "right")))  # fmt: skip
PENN_RATE = 30.0  # frames a second; the annotations do not say


@dataclass
class Clip:
    name: str
    truth: str
    poses: PoseSequence


@dataclass
class Answer:
    """``mean`` (K,) probabilities over the clip; ``windows`` (W, K)."""

    clip: Clip
    mean: np.ndarray
    windows: np.ndarray


def gym_clips(path: Path, test: bool) -> list[Clip]:
    data = np.load(path)
    clips = []
    for i in np.flatnonzero(data["test"] == test):
        name = str(data["name"][i])
        truth = class_of(name)
        rows = np.arange(data["offsets"][i], data["offsets"][i + 1])
        rows = rows[np.isfinite(data["xy"][rows, 0, 0].astype(float))] if truth else rows
        if truth and len(rows) > 5:
            height, width = data["height_width"][i]
            points = data["xy"][rows].astype(np.float32)
            inside = ((points >= 0) & (points < [width, height])).all(axis=-1)
            confidence = data["visibility"][rows] / 255 * (data["presence"][rows] / 255) * np.where(inside, 1, 0.2)
            size, world = (int(width), int(height)), data["world"][rows].astype(np.float32)
            poses = PoseSequence(data["time"][rows], points, confidence, "blazepose", size, world=world)
            clips.append(Clip(name, truth, smooth(to_and_fro(poses))))
    return clips


def to_and_fro(poses: PoseSequence, still: float = 3.0, enough: float = 3.0, length: float = 6.0) -> PoseSequence:
    """Without the frozen end, and played forwards and backwards for ``length`` s if less than ``enough`` s are left.

    Most gym clips show the way from rest to the turning point, about a second of it, and then stand still: played once
    they are no repetition of anything. ``still`` pixels and less is no movement.
    """
    moved = np.nanmax(abs(poses.keypoints - poses.keypoints[-1]), axis=(1, 2)) > still
    last = int(np.flatnonzero(moved)[-1]) + 1 if moved.any() else 0
    start, end = poses.times[0], poses.times[last]
    if not 0.4 < end - start < enough:
        return poses.between(start, end) if end - start >= enough else poses
    step = float(np.median(np.diff(poses.times)))
    there_and_back = np.r_[np.arange(last + 1), np.arange(last - 1, 0, -1)]
    index = np.resize(there_and_back, max(len(poses), round(length / step)))
    return replace(
        poses,
        times=np.arange(len(index)) * step,
        keypoints=poses.keypoints[index],
        confidence=poses.confidence[index],
        world=None if poses.world is None else poses.world[index],
    )


def movement_seen(clip: Clip, library: dict[str, Exercise]) -> bool:
    """Whether the poses show the movement that the clip is named after; True where there is none to measure."""
    exercise = library.get(clip.truth)
    if exercise is None or exercise.counting is None:
        return True
    counting = exercise.counting
    found = signals(clip.poses)
    curves = [curve for name, curve in found.items() if name.split("_", 1)[-1] == counting.signal]
    curves += [found[counting.signal]] if counting.signal in found else []
    reach = [np.ptp(np.nanpercentile(curve, [5, 95])) for curve in curves if np.isfinite(curve).any()]
    return max(reach, default=0.0) >= 0.4 * abs(counting.peak - counting.rest)


def rehabilitation_clips(path: Path) -> list[Clip]:
    """Every subject's ten repetitions of a movement, done right, as a random camera and estimator see them."""
    data = np.load(path)
    names = [str(name) for name in data["movement_names"]]
    joints = [str(name) for name in data["joints"]]
    columns = [joints.index(name) for name in PRMD_JOINTS]
    clips = []
    for number, (movement, subject) in enumerate(product(range(len(names)), np.unique(data["subject"]))):
        truth = PRMD.get(names[movement])
        chosen = (
            (data["movement"] == data["movement"].min() + movement) & (data["subject"] == subject) & data["correct"]
        )
        if truth is None or not chosen.any():
            continue
        parts = [data["joints_cm"][data["offsets"][i] : data["offsets"][i + 1]] for i in np.flatnonzero(chosen)[:6]]
        body = np.concatenate(parts)[::2, columns].astype(np.float32) / 100
        seen = observe(body[None], np.random.default_rng(number))
        times = np.arange(len(body)) / 15
        poses = PoseSequence(times, seen.keypoints[0], seen.confidence[0], "kinetag", (2, 2))
        clips.append(Clip(f"{names[movement]} {subject}", truth, poses))
    return clips


def penn_clips(path: Path, train: bool, every: int = 1) -> list[Clip]:
    data = np.load(path)
    keypoints = data["keypoints"]
    clips = []
    for i in np.flatnonzero(data["train"] == train)[::every]:
        action = str(data["action"][i])
        truth = PENN.get(action, OTHER)
        points = keypoints[data["offsets"][i] : data["offsets"][i + 1]]
        if truth is None or len(points) < 6:
            continue
        height, width, _ = (int(v) for v in data["height_width_frames"][i])
        times = np.arange(len(points)) / PENN_RATE
        # The joint at the crown stands in for the nose; everything else has the same name and order.
        poses = PoseSequence(times, points[..., :2], points[..., 2], "kinetag", (width, height))
        clips.append(Clip(f"{action} {data['clip'][i]}", truth, poses))
    return clips


def answer(classifier: Classifier, clips: list[Clip]) -> list[Answer]:
    answers = []
    for clip in clips:
        _, probabilities = classifier.predict(clip.poses)
        if len(probabilities) and clip.truth in classifier.labels:
            answers.append(Answer(clip, probabilities.mean(axis=0), probabilities))
    return answers


def score(name: str, answers: list[Answer], labels: tuple[str, ...], confident: float = 0.6) -> dict:
    """One row: exercises right at the first and second guess, 'other' recalled, and how far confidence is true."""
    order = [np.argsort(-a.mean) for a in answers]
    truth = [labels.index(a.clip.truth) for a in answers]
    is_other = np.array([a.clip.truth == OTHER for a in answers])
    first = np.array([o[0] == t for o, t in zip(order, truth, strict=True)])
    two = np.array([t in o[:2] for o, t in zip(order, truth, strict=True)])
    sure = np.array([labels[o[0]] != OTHER and a.mean[o[0]] >= confident for o, a in zip(order, answers, strict=True)])
    return {
        "set": name,
        "exercise clips": int((~is_other).sum()),
        "top-1": share(first[~is_other]),
        "top-2": share(two[~is_other]),
        "other clips": int(is_other.sum()),
        "other recalled": share(first[is_other]),
        "confident": share(sure),
        "confident right": share(first[sure]),
        "of exercises": share(first[sure & ~is_other]),
    }


def share(hits: np.ndarray) -> float:
    return round(float(np.mean(hits)), 3) if len(hits) else float("nan")


def by_class(answers: list[Answer], labels: tuple[str, ...]) -> list[dict]:
    rows = []
    for label in sorted({a.clip.truth for a in answers}):
        guesses = Counter(labels[a.mean.argmax()] for a in answers if a.clip.truth == label)
        total = sum(guesses.values())
        wrong = ", ".join(f"{name} {n}" for name, n in guesses.most_common() if name != label)
        rows.append({"class": label, "clips": total, "right": round(guesses[label] / total, 3), "taken for": wrong})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder of real data (default: KINETAG_DATA)")
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL)
    parser.add_argument("--final", action="store_true", help="also the test halves that are quoted")
    parser.add_argument("--quick", action="store_true", help="a sixth of the Penn clips")
    parser.add_argument("--wrong", action="store_true", help="list each clip of the gym set that is wrong")
    parser.add_argument("--temperature", type=float)
    parser.add_argument("--other-bias", type=float)
    parser.add_argument("--write", action="store_true", help="put this calibration into the model file")
    options = parser.parse_args()
    folder, classifier = data_folder(options.data), Classifier.load(options.model)
    card = classifier.card
    card = replace(
        card,
        temperature=options.temperature or card.temperature,
        other_bias=card.other_bias if options.other_bias is None else options.other_bias,
    )
    classifier.card = card
    if options.write:
        write_card(options.model, card)
    sets = {
        "gym, development": gym_clips(folder / "gym_keypoints.npz", test=False),
        "UI-PRMD, random cameras": rehabilitation_clips(folder / "ui_prmd.npz"),
        "Penn, train split": penn_clips(folder / "penn_action.npz", train=True, every=6 if options.quick else 1),
    }
    if options.final:
        sets["gym, test"] = gym_clips(folder / "gym_keypoints.npz", test=True)
        sets["Penn, test split"] = penn_clips(folder / "penn_action.npz", train=False)
    library = load_library()
    for name in [name for name in sets if name.startswith("gym")]:
        sets[f"{name}, movement seen"] = [clip for clip in sets[name] if movement_seen(clip, library)]
    answers = {name: answer(classifier, clips) for name, clips in sets.items()}
    rows = [score(name, found, card.labels) for name, found in answers.items()]
    details = {name: by_class(found, card.labels) for name, found in answers.items()}
    for name, table in details.items():
        show(name, table)
    show("Clips of real people", rows)
    if options.wrong:
        list_wrong(answers["gym, development, movement seen"], card.labels)
    if options.quick:
        return
    save(
        "classifier" if options.final else "classifier_development",
        model={"version": card.version, "temperature": card.temperature, "other_bias": card.other_bias},
        rows=rows,
        classes=details,
    )


def list_wrong(answers: list[Answer], labels: tuple[str, ...]) -> None:
    for a in answers:
        order = np.argsort(-a.mean)[:3]
        if labels[order[0]] != a.clip.truth:
            guesses = ", ".join(f"{labels[i]} {a.mean[i]:.2f}" for i in order)
            print(f"{a.clip.truth:17} {a.clip.name[:48]:48} {a.clip.poses.duration:4.1f} s  {guesses}")


if __name__ == "__main__":
    main()
