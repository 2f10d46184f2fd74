"""What the library makes of a clip that something else is learned from: a hint at how it is counted."""

from collections.abc import Sequence
from dataclasses import dataclass

from kinetag.classifier import Classifier
from kinetag.exercises.library import Counting
from kinetag.naming import readable
from kinetag.network_reps import Progress
from kinetag.sequence import PoseSequence
from kinetag.timeline import OTHER

_SURE = 0.8  # mean probability from which on a clip surely shows an exercise of the library


@dataclass(frozen=True, eq=False)
class Known:
    """The most probable ``label`` of a clip and its mean probability ``share``; what that exercise is counted by; and
    how far each moment is from rest to a turning point, which the network tells of any exercise."""

    label: str = OTHER
    share: float = 0.0
    counting: Counting | None = None
    progress: Progress | None = None


NOTHING = Known()


def know(poses: PoseSequence, classifier: Classifier) -> Known:
    """What a classifier makes of a clip."""
    from kinetag.exercises.motion import shipped_library  # slow to load

    _, probabilities = classifier.predict(poses)
    if not len(probabilities):
        return NOTHING
    mean = probabilities.mean(axis=0)
    label = classifier.labels[int(mean.argmax())]
    exercise = shipped_library().get(label)
    counting = exercise.counting if exercise is not None else None
    return Known(label, float(mean.max()), counting, classifier.progress(poses))


def disagreement(name: str, clips: Sequence[tuple[str, Known]]) -> str:
    """A line where the library surely takes clips (by their file's name) of one exercise for several; else ''."""
    taken: dict[str, list[str]] = {}
    for file, known in clips:
        if known.share >= _SURE and known.label != OTHER:
            taken.setdefault(known.label, []).append(file)
    if len(taken) < 2:
        return ""
    told = ", ".join(f"{', '.join(files)} for {readable(label)}" for label, files in taken.items())
    return f"the library takes {told}: are all of them {readable(name)}?"
