"""`kinetag teach`: exercises of one's own from a few clips or a YAML file, kept in a profile."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kinetag.alignment import in_degrees
from kinetag.classifier import Classifier
from kinetag.datasets.extraction import Extractor
from kinetag.errors import KinetagError
from kinetag.exercises.library import Counting, Exercise
from kinetag.few_shot.clips import Candidate, TaughtClip, UnusableClipError, candidate, cut_clips
from kinetag.few_shot.counting import swings
from kinetag.few_shot.known import disagreement, know
from kinetag.few_shot.made import filmed, is_written, made_clips, written_exercise
from kinetag.few_shot.profile import MAX_CLIPS, MAX_CLIPS_TRAINED, Profile, Taught, load_profile, save_profile
from kinetag.few_shot.prototypes import Seen, calibrate, prototype, see
from kinetag.few_shot.space import Space, build_space
from kinetag.reps import count_any
from kinetag.sequence import PoseSequence
from kinetag.storage import exists, fetched, in_users_names, local_copy, local_source
from kinetag.urls import is_remote, name_of

Progress = Callable[[float, float | None], None]


@dataclass(frozen=True)
class Lesson:
    """What was learned: the exercise, its repetitions clip by clip, and how many people each new clip shows.

    ``left_out`` tells why clips could not be learned from, ``doubts`` why those that were may not belong together; a
    line each.
    """

    taught: Taught
    repetitions: tuple[int, ...]
    people: tuple[int, ...]
    profile: Profile
    left_out: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


def teach(
    name: str,
    clips: Sequence[str | Path],
    profile: str | Path,
    *,
    person: int | None = None,
    held: bool | None = None,
    finetune: bool = False,
    model: str | Path | None = None,
    pose: str | Path = "blazepose",
    detector: str | Path | None = None,
    frame_rate: float = 30.0,
    frame_size: tuple[int, int] | None = None,
    progress: Callable[[str], Progress] = lambda name: lambda time, duration: None,
) -> Lesson:
    """Add an exercise or pose of one's own, from 1 to 10 clips (``finetune``: to 200), to the file ``profile``, which
    is made if need be.

    ``clips`` are videos or files of poses; one may be the YAML file of the exercise (docs/exercises.md), from which
    people are made who do it, and whose counting, norms and faults then count. In a clip, somebody who moves regularly
    and fills the picture is learned from, or ``person`` by id. ``held`` True: it is a pose that is held still, which is
    not counted; None: as the clips show. To an exercise that the profile has, clips are added; a YAML file takes the
    place of the one before. ``finetune`` trains the last layer on top (needs 'train'). ``model``, ``pose`` and
    ``detector`` are those of `kinetag.analyze`. All files may be in an object store.

    A clip that shows nobody, or too little of the exercise, is left out (`Lesson.left_out`). Clips that the library
    surely takes for different exercises are learned from all the same, and told (`Lesson.doubts`). Raises
    KinetagError for a file that cannot be read, and when no clip is left.
    """
    name, title = _names(name)
    classifier = _classifier(model)
    _ = classifier.embedding_width  # one that cannot be taught is told before any work
    before = load_profile(profile) if exists(profile) else Profile()
    finetune = finetune or before.finetuned  # what was trained once stays so
    if finetune:
        from kinetag.few_shot.finetune import import_torch

        import_torch()  # that it is missing, too
    old = before.exercises.get(name)
    known_clips = filmed(old.clips) if old else ()
    files, videos = [c for c in clips if is_written(c)], [c for c in clips if not is_written(c)]
    _check_count(name, len(known_clips), len(videos), files, finetune)
    written = _written(files[0], name) if files else old.written if old else None
    if written is not None and held:  # whatever moves is not counted
        written = written.model_copy(update={"counting": None, "counted": False})
    made = tuple(clip for clip in old.clips if clip.made) if old else ()
    if files and written is not None:  # those made before were of the file as it was
        made = tuple(made_clips(written, name=_shown(files[0])))
    extract = Extractor(pose=fetched(pose), detector=fetched(detector), frame_rate=frame_rate)
    found, left_out = [], []
    for clip in videos:
        local, shown = str(local_source(clip)), _shown(clip)
        with in_users_names({local: str(clip)} if is_remote(clip) else {}):
            people = _people(local, extract, frame_rate, frame_size, progress(shown))
        try:
            found.append(_known(candidate(shown, people, person), classifier))
        except UnusableClipError as error:
            left_out.append(str(error))
    known = [Candidate(c.name, c.poses, swings(c.poses), (c.poses.person,)) for c in known_clips]
    known = [_known(each, classifier) for each in known]
    _check_new(known, found)
    held = True if written is not None and written.static else held
    said = None if written is None or held else written.counting
    cut, counting, unusable = cut_clips([*known, *found], held, kept=len(known), counting=said)
    left_out += unusable.values()
    if len(cut) == len(known) and not files:
        several = f"none of the {len(clips)} clips can be learned from: " if len(clips) > 1 else ""
        raise KinetagError(several + " / ".join(left_out))
    if written is not None:
        title = written.title if written.name == name else title
        counting = counting if written.counted else None
    taught = Taught(name, title, counting, (*made, *cut), written)
    space = _space_of(before, classifier)
    after = learn({**before.exercises, name: taught}, classifier, space, finetune=finetune)
    save_profile(after, profile)
    people = tuple(len(each.people) for each in found if each not in unusable)
    doubt = disagreement(name, [(each.name, each.known) for each in (*known, *found) if each not in unusable])
    return Lesson(taught, repetitions(taught), people, after, tuple(left_out), (doubt,) if doubt else ())


def _known(who: Candidate, classifier: Classifier) -> Candidate:
    return replace(who, known=know(who.poses, classifier))


def remove(name: str, profile: str | Path, *, model: str | Path | None = None) -> Profile:
    """Take an exercise out of a profile."""
    before = load_profile(profile)
    name = _known_name(name, before, profile)
    rest = {key: taught for key, taught in before.exercises.items() if key != name}
    classifier = _classifier(model)
    space = _space_of(before, classifier)
    after = learn(rest, classifier, space, finetune=before.finetuned)
    save_profile(after, profile)
    return after


def update(profile: str | Path, *, model: str | Path | None = None, finetune: bool = False) -> Profile:
    """Make a profile anew for another classifier, from the poses it keeps."""
    before = load_profile(profile)
    after = learn(before.exercises, _classifier(model), None, finetune=finetune or before.finetuned)
    save_profile(after, profile)
    return after


def learn(
    exercises: Mapping[str, Taught], classifier: Classifier, space: Space | None = None, *, finetune: bool = False
) -> Profile:
    """What a classifier makes of taught exercises; ``space`` is measured on the library where it is not given."""
    space = build_space(classifier) if space is None else space
    seen = [[_seen(clip, classifier, space) for clip in taught.clips] for taught in exercises.values()]
    return learned(exercises, seen, classifier.fingerprint, space, finetune=finetune)


def learned(
    exercises: Mapping[str, Taught],
    seen: Sequence[Sequence[Seen]],
    fingerprint: str,
    space: Space,
    *,
    finetune: bool = False,
) -> Profile:
    """The same, of clips that were ``seen`` by the classifier with this fingerprint: those of each exercise, in order.

    They need not be all that the exercises have."""
    if not seen:
        return Profile({}, fingerprint, space, np.zeros((0, len(space.mean)), np.float32))
    others = space.without(exercises)
    biases, temperature = calibrate(seen, others)
    points = np.stack([prototype(clips) for clips in seen]).astype(np.float32)
    profile = Profile(dict(exercises), fingerprint, space, points, biases.astype(np.float32), temperature)
    if finetune:
        from kinetag.few_shot.finetune import finetuned

        profile = finetuned(replace(profile, space=others), seen)
    return profile


def _classifier(model: str | Path | None) -> Classifier:
    return Classifier.load(None if model is None else local_copy(model))


def _space_of(profile: Profile, classifier: Classifier) -> Space | None:
    """The space that a profile has measured, unless it was for another classifier or its prototypes were trained."""
    return None if profile.finetuned or profile.fingerprint != classifier.fingerprint else profile.space


def _seen(clip: TaughtClip, classifier: Classifier, space: Space) -> Seen:
    seen = see(clip, classifier, space)
    if not len(seen.filmed):
        raise KinetagError(f"{clip.name}: too few poses in it to learn from; the whole body should be in the picture")
    return seen


def repetitions(taught: Taught) -> tuple[int, ...]:
    """Whole repetitions in each clip, by the exercise's rule or what repeats; `analyze` also asks the network."""
    counted = [count_any(c.poses, taught.exercise, c.start, c.end) for c in taught.clips]
    return tuple(sum(not repetition.partial for repetition in each) for each in counted)


def counted_by(counting: Counting | None) -> str:
    """A counting rule in words: 'knee, 168° to 75°, both sides as one'."""
    if counting is None:
        return "not counted"
    unit, digits = ("°", 0) if in_degrees(counting.signal) else (" torso lengths", 2)
    sides = {"both": "", "either": ", each side", "alternate": ", sides in turn"}[counting.sides]
    signal = counting.signal.replace("_", " ")
    return f"{signal}, {counting.rest:.{digits}f} to {counting.peak:.{digits}f}{unit}{sides}"


def how_counted(taught: Taught) -> str:
    """What a taught exercise is counted by, or why it is not."""
    exercise = taught.exercise
    if exercise.static:
        return "a pose that is held: not counted"
    if taught.counting is None:
        return "counted by: its strongest movement" if exercise.is_counted else "not counted"
    return f"counted by: {counted_by(taught.counting)}"


def _written(file: str | Path, name: str) -> Exercise:
    """What a YAML file says of an exercise."""
    local = local_copy(file)
    with in_users_names({str(local): str(file)}):
        return written_exercise(local, name)


def _shown(clip: str | Path) -> str:
    """A clip's name without its folder."""
    return name_of(str(clip)) if is_remote(clip) else Path(clip).name


def _people(
    path: str, extract: Extractor, frame_rate: float, frame_size: tuple[int, int] | None, progress: Progress
) -> list[PoseSequence]:
    """Everybody's poses in a video or a file of poses."""
    from kinetag.analyzer import RATE
    from kinetag.pose.files import is_pose_source, read_pose_file

    if is_pose_source(path):
        return read_pose_file(path, frame_rate=frame_rate, frame_size=frame_size)
    return extract(path, rate=RATE, progress=progress)


def _names(name: str) -> tuple[str, str]:
    """'Pistol squat' -> the label 'pistol_squat' and the title 'Pistol squat'."""
    label = re.sub(r"[\s\-]+", "_", name.strip().lower())
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,59}", label) or label == "other":
        raise KinetagError(
            f"'{name}' cannot be the name of an exercise: letters, digits and spaces, a letter first, at most 60"
            + ("; 'other' is what none of the exercises is" if label == "other" else "")
        )
    return label, label.replace("_", " ").capitalize()


def _known_name(name: str, profile: Profile, path: str | Path) -> str:
    label = _names(name)[0]
    if label not in profile.exercises:
        raise KinetagError(f"{path} has no '{label}'; it has: {', '.join(profile.exercises) or 'nothing'}")
    return label


def _check_count(name: str, old: int, new: int, files: Sequence[str | Path], finetune: bool) -> None:
    if len(files) > 1:
        raise KinetagError(f"{len(files)} YAML files for '{name}': give one; ways of doing it are its 'variants'")
    most = MAX_CLIPS_TRAINED if finetune else MAX_CLIPS
    if not (new or files) or old + new > most:
        has = f"; it has {old} already" if old else ""
        give = f"give 1 to {most - old}" if old < most else "no more can be added"
        more = "" if finetune else f"; --finetune takes up to {MAX_CLIPS_TRAINED}"
        raise KinetagError(f"{new} clips for '{name}': {give}{has}{more}")


def _check_new(known: Sequence[Candidate], found: Sequence[Candidate]) -> None:
    """The same clip twice would count for more than it says."""
    before = list(known)
    for each in found:
        if any(_same_poses(each.poses, other.poses) for other in before):
            raise KinetagError(f"{each.name} is given twice, or was taught before: leave it out")
        before.append(each)


def _same_poses(a: PoseSequence, b: PoseSequence) -> bool:
    """Whether one is, to within what a profile rounds away, the other or a part of it."""
    _, rows, others = np.intersect1d(a.times, b.times, return_indices=True)
    if len(rows) < 0.9 * min(len(a), len(b)) or a.layout != b.layout:
        return False
    return bool(np.nanmax(np.abs(a.keypoints[rows] - b.keypoints[others])) < 1.0)
