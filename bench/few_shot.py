"""How well exercises that a classifier never saw are taught from 1, 3 and 5 clips; nothing here is used for training.

    python bench/few_shot.py --model MODEL                      # synthetic people and cameras
    python bench/few_shot.py --model MODEL --data FOLDER        # also gym clips (development half)
    python bench/few_shot.py --model MODEL --rendered 8         # also videos of the mannequin through BlazePose
    python bench/few_shot.py --model MODEL --recordings FILE... # also such videos recorded before
    python bench/few_shot.py --model MODEL --people 10 20 40    # taught from the exercises' YAML, with so many made
    python bench/few_shot.py --model MODEL --finetune --shots 1 3 5 10 20  # also with the last layer trained on top

MODEL lacks exercises of the library: those are taught (`--classes` to choose among them), each from clips of different
people, and other people's clips are then told apart. Of an exercise with n clips to learn from, the rest is for the
test, at most ten. 'accuracy': a clip's label is the most probable of the 15 (`--ways`) taught; 'with library': of
those and of everything that the classifier knows, 'other' too. 'library kept': clips of exercises that the classifier
knows and gets right, which are not taken for a taught one. Draws are of classes, of clips to learn from, and of clips
to test with; the interval is from the 2.5th to the 97.5th percentile over draws.

With `--people` an exercise is taught from its YAML file as `kinetag teach` does it, by that many made people: alone,
and beside 1 and 3 clips. Others of the made people are drawn each time; the clips to test with are as above.

With `--finetune` the same draws are also taught as `kinetag teach --finetune` does it ('finetuned' beside
'prototype'); it needs the extra 'train'.

Synthetic: motions of the library seen by random cameras, with the errors of an imitated estimator: occlusion, swapped
sides, failing limbs, short clips. That is harsh: how much of what it was trained on the classifier gets right is
printed too. 'by exercise' is the accuracy of each. FILE: what `python -m kinetag.exercises.recording` wrote; the
model must not have been trained on its clips of the exercises that are taught.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import clip_sets
import numpy as np
from clip_movement import movement_seen
from common import data_folder, save, show

from kinetag.classifier import DEFAULT_MODEL, Classifier
from kinetag.exercises.library import load_library
from kinetag.exercises.recordings import read_recordings
from kinetag.features import HOP, LAYOUT, RATE, windows
from kinetag.few_shot.clips import TaughtClip
from kinetag.few_shot.finetune import finetuned
from kinetag.few_shot.made import estimated, made_clips
from kinetag.few_shot.profile import Profile
from kinetag.few_shot.prototypes import Seen, calibrate, library_similarities, prototype, see, taught_probabilities
from kinetag.few_shot.space import SHRINKAGE, Space, build_space
from kinetag.metrics import softmax
from kinetag.sequence import PoseSequence
from kinetag.skeletons import get_layout
from kinetag.smoothing import smooth

TESTED = 10  # clips of a class, at most
_JOINTS = get_layout(LAYOUT).joints
_PIXELS = 150.0


@dataclass(frozen=True)
class Placed:
    """``seen`` to learn from, and the classifier's own answer (W, K) to the clip's windows."""

    seen: Seen
    known: np.ndarray


@dataclass(frozen=True)
class Drawn:
    """Of one draw: how many clips were tested, shares of them, and of each exercise which were right among what was
    taught."""

    tested: int
    shares: dict[str, float]
    right: dict[str, list[bool]]


def synthetic_clips(label: str, count: int, rng: np.random.Generator, seconds: float = 8.0) -> list[PoseSequence]:
    """``count`` people, each seen by a camera and an estimator of its own."""
    return list(estimated(label, rng, count, seconds))


def gym_clips(folder: Path) -> dict[str, list[PoseSequence]]:
    """Gym clips of the development half in which the movement is seen, by class."""
    library = load_library()
    clips: dict[str, list[PoseSequence]] = {}
    for clip in clip_sets.gym_clips(folder, test=False):
        if movement_seen(clip, library):
            clips.setdefault(clip.truth, []).append(clip.poses)
    return clips


def rendered_clips(label: str, count: int) -> Iterator[PoseSequence]:
    """Videos of the mannequin, another body, clothes and view each, through BlazePose and the tracker."""
    from kinetag.analyzer import Analyzer
    from kinetag.exercises.scenes import VIEWS, make_scene

    views = list(VIEWS)
    for i in range(count):
        scene = make_scene(f"single:{label}:{views[(7 * i + len(label)) % len(views)]}", seed=1000 + i, frame_rate=15.0)
        analyzer = Analyzer(running_labels=False, every_frame=False)
        for frame in scene.frames():
            analyzer.feed(frame)
        found = analyzer.tracker.sequences(analyzer.frame_size)
        if found:
            yield smooth(max(found, key=len))


def recorded_clips(files: Sequence[Path], names: Sequence[str]) -> dict[str, list[PoseSequence]]:
    """What BlazePose made of rendered people, by class; without clips in which hardly anybody was found."""
    clips: dict[str, list[PoseSequence]] = {name: [] for name in names}
    for recording in (clip for path in files for clip in read_recordings(path)):
        if recording.label in clips and recording.found.sum() >= RATE:
            clips[recording.label].append(smooth(recording.sequence()))
    return clips


def place(poses: PoseSequence, classifier: Classifier, space: Space) -> Placed | None:
    """None for a clip without any window."""
    if not len(windows(poses, hop=HOP)):
        return None
    seen = see(TaughtClip("", poses, float(poses.times[0]), float(poses.times[-1])), classifier, space)
    return Placed(seen, classifier.predict(poses)[1])


def place_all(clips: dict[str, list[PoseSequence]], classifier: Classifier, space: Space) -> dict[str, list[Placed]]:
    found = {name: [place(poses, classifier, space) for poses in some] for name, some in clips.items()}
    return {name: [clip for clip in some if clip is not None] for name, some in found.items()}


def made_people(label: str, count: int, classifier: Classifier, space: Space, seed: int) -> list[Seen]:
    """``count`` people made from the YAML of an exercise, as `kinetag teach` makes them."""
    clips = made_clips(load_library()[label], count, seed=seed) if count else []
    return [see(clip, classifier, space) for clip in clips]


def draw(
    taught: dict[str, list[Placed]],
    library: list[tuple[int, Placed]],
    space: Space,
    shots: int,
    ways: int,
    rng: np.random.Generator,
    made: dict[str, list[Seen]],
    people: int,
    finetune: bool,
) -> dict[str, Drawn]:
    """Teach ``ways`` exercises (or all there are) from ``shots`` clips and ``people`` of the ``made`` ones each, and
    test with other clips: by the prototypes, and if asked for with these ``finetune``d too."""
    names = [name for name in taught if len(taught[name]) > shots]
    names = rng.permutation(names)[:ways].tolist()
    order = {name: rng.permutation(len(taught[name])) for name in names}
    learned = [[taught[name][i].seen for i in order[name][:shots]] for name in names]
    if people:
        chosen = [rng.choice(len(made[name]), people, replace=False) for name in names]
        learned = [
            [*(made[name][i] for i in rows), *own] for name, rows, own in zip(names, chosen, learned, strict=True)
        ]
    biases, temperature = calibrate(learned, space)
    points = np.stack([prototype(clips) for clips in learned]).astype(np.float32)
    profiles = {"prototype": Profile({}, "", space, points, biases.astype(np.float32), temperature)}
    if finetune:
        profiles["finetuned"] = finetuned(profiles["prototype"], learned)
    tests = [(at, taught[name][i]) for at, name in enumerate(names) for i in order[name][shots : shots + TESTED]]
    return {method: tell_apart(profile, names, tests, library) for method, profile in profiles.items()}


def tell_apart(
    profile: Profile, names: Sequence[str], tests: Sequence[tuple[int, Placed]], library: Sequence[tuple[int, Placed]]
) -> Drawn:
    """How well a profile that knows ``names`` tells clips apart: of these, with their place among them, and the
    library's."""
    space, points = profile.space, profile.prototypes
    assert space is not None

    def answer(clip: Placed) -> np.ndarray:
        """Mean probabilities (K + J,) of the classifier's labels and of what was taught."""
        placed = clip.seen.filmed
        rivals = library_similarities(placed, space)
        own = taught_probabilities(placed @ points.T, rivals, profile.biases, profile.temperature)
        return np.concatenate([clip.known * (1 - own.sum(axis=1, keepdims=True)), own], axis=1).mean(axis=0)

    first = len(space.labels)
    right: dict[str, list[bool]] = {name: [] for name in names}
    for at, clip in tests:
        mean = softmax(clip.seen.filmed @ points.T / profile.temperature).mean(axis=0)
        right[names[at]].append(bool(mean.argmax() == at))
    among = [answer(clip).argmax() == first + at for at, clip in tests]
    known = [answer(clip).argmax() < first for label, clip in library if clip.known.mean(axis=0).argmax() == label]
    shares = {
        "accuracy": float(np.mean(np.concatenate(list(right.values())))),
        "with library": float(np.mean(among)),
        "library kept": float(np.mean(known)),
    }
    return Drawn(len(tests), shares, right)


def measure(
    name: str,
    taught: dict[str, list[Placed]],
    library: list[tuple[int, Placed]],
    space: Space,
    options: argparse.Namespace,
    made: dict[str, list[Seen]],
) -> list[dict]:
    rows = []
    for people, shots in [(n, s) for n in options.people for s in (0, 1, 3)] or [(0, s) for s in options.shots]:
        enough = [label for label, clips in taught.items() if len(clips) > shots]
        if len(enough) < 2:
            continue
        rng = np.random.default_rng([shots, 5])
        draws = [
            draw(taught, library, space, shots, options.ways, rng, made, people, options.finetune)
            for _ in range(options.draws)
        ]
        for method in draws[0]:
            drawn = [each[method] for each in draws]
            row: dict = {
                "clips": name,
                "classes": min(options.ways, len(enough)),
                "taught from": shots,
                "made": people,
                "method": method,
                "tested": round(np.mean([each.tested for each in drawn])),
            }
            for key in drawn[0].shares:
                values = [100 * each.shares[key] for each in drawn]
                low, high = np.percentile(values, [2.5, 97.5])
                row[key] = f"{np.mean(values):.1f} ({low:.0f}-{high:.0f})"
            row["by exercise"] = _by_exercise([each.right for each in drawn])
            rows.append(row)
            print(row, flush=True)
    return rows


def _by_exercise(right: Sequence[dict[str, list[bool]]]) -> dict[str, int]:
    """Percent of the clips of each exercise that are right among what was taught, over all draws; the worst first."""
    names = {name for draws in right for name in draws}
    share = {name: float(np.mean([one for draws in right for one in draws.get(name, [])])) for name in names}
    return {name: round(100 * share[name]) for name in sorted(share, key=lambda name: (share[name], name))}


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line; clips and people that would teach nothing, or not be looked at, are refused."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL, help="a classifier that lacks exercises")
    parser.add_argument("--data", help="folder of real data, for gym clips")
    parser.add_argument("--classes", help="exercises to teach, by comma (default: all that the model lacks)")
    parser.add_argument("--ways", type=int, default=15, help="exercises taught at once (15)")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--per-class", type=int, default=20, help="synthetic clips a class")
    parser.add_argument("--people", type=int, nargs="+", default=[], metavar="N", help="teach from YAML, N made people")
    parser.add_argument("--shots", type=int, nargs="+", metavar="N", help="clips each (1 3 5)")
    parser.add_argument("--finetune", action="store_true", help="also with the last layer trained on top")
    parser.add_argument("--rendered", type=int, default=0, metavar="N", help="also N rendered videos a class")
    parser.add_argument("--recordings", type=Path, nargs="+", default=[], metavar="FILE", help="also recorded videos")
    parser.add_argument("--shrinkage", type=float, default=SHRINKAGE, help="of the whitening; 1: only centred")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(given)
    if options.people and options.shots:
        parser.error("--shots does not go with --people, which teaches beside 0, 1 and 3 clips")
    if min(options.people, default=1) < 1:
        parser.error(f"--people {min(options.people)}: at least 1 must be made to teach from")
    options.shots = options.shots or [1, 3, 5]
    if min(options.shots) < 1:
        parser.error(f"--shots {min(options.shots)}: at least 1 clip is needed to teach from")
    return options


def main() -> None:
    options = arguments()
    classifier = Classifier.load(options.model)
    lacking = sorted(set(load_library()) - set(classifier.labels))
    names = options.classes.split(",") if options.classes else lacking
    if not set(names) <= set(lacking):
        raise SystemExit(f"the model knows {', '.join(sorted(set(names) - set(lacking)))}: nothing new to teach")
    space = build_space(classifier, shrinkage=options.shrinkage)
    rng = np.random.default_rng(options.seed)
    synthetic = place_all({n: synthetic_clips(n, options.per_class, rng) for n in names}, classifier, space)
    known = {n: synthetic_clips(n, 2, rng) for n in classifier.labels}
    library = [(classifier.labels.index(n), c) for n, some in place_all(known, classifier, space).items() for c in some]
    right = float(np.mean([clip.known.mean(axis=0).argmax() == label for label, clip in library]))
    print(f"synthetic clips of the {len(classifier.labels)} classes that the model knows: {right:.1%} right")
    made = {n: made_people(n, 2 * max(options.people, default=0), classifier, space, options.seed) for n in names}
    rows = measure("synthetic", synthetic, library, space, options, made)
    if options.rendered:
        rendered = place_all({n: list(rendered_clips(n, options.rendered)) for n in names}, classifier, space)
        rows += measure("rendered", rendered, library, space, options, made)
    if options.recordings:
        recorded = place_all(recorded_clips(options.recordings, names), classifier, space)
        rows += measure("recorded", recorded, library, space, options, made)
    if options.data:
        gym = {n: clips for n, clips in gym_clips(data_folder(options.data)).items() if n in lacking}
        rows += measure("gym, development", place_all(gym, classifier, space), library, space, options, made)
    show("Exercises that the classifier never saw", [{k: v for k, v in r.items() if k != "by exercise"} for r in rows])
    save(
        "few_shot" + ("_written" if options.people else "") + ("_finetuned" if options.finetune else ""),
        model=options.model.name,
        training=classifier.card.training,
        taught=names,
        ways=options.ways,
        shrinkage=options.shrinkage,
        known=right,
        rows=rows,
    )


if __name__ == "__main__":
    main()
