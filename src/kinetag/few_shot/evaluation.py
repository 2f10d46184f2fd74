"""`kinetag teach --evaluate`: how well each taught exercise is told from the others and from the library.

Each clip is recognised by what the other clips of its exercise taught (leave one clip out), beside everything else that
is in the profile and all that the classifier knows. Where the last layer was trained, it is trained again for that, as
`--finetune` does it, without a fifth of the clips at a time. An exercise with one clip is judged by halves of it, which
says less, and not at all where that clip is one window long. Of one that was taught by a YAML file, people made from it
are tested only where nobody was filmed. The other way round, windows of the library's own synthetic people should not
be taken for it.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from kinetag.classifier import Classifier
from kinetag.errors import KinetagError
from kinetag.few_shot.clips import TaughtClip
from kinetag.few_shot.profile import Profile
from kinetag.few_shot.prototypes import Seen, library_similarities, prototype, see, taught_probabilities
from kinetag.few_shot.space import Space, build_space, library_embeddings
from kinetag.few_shot.taught import TaughtClassifier, with_taught
from kinetag.few_shot.teach import learned
from kinetag.progress import Progress, silent

GOOD = 0.8  # share of windows that are right, from which on an exercise is told apart well
FEW_FALSE = 0.05  # share of the library's windows that may be taken for it

_FOLDS = 5  # parts of the clips that are left out in turn, at most
_OTHER_PEOPLE = 1  # seed of library windows that no training has seen


@dataclass(frozen=True)
class Score:
    """``right``: share of the ``windows`` that were left out which are recognised, None where none could be;
    ``taken_for``: labels that they were taken for instead, with shares; ``false``: share of the library's windows that
    are taken for this exercise, and ``false_of`` which class most."""

    name: str
    clips: int
    windows: int
    right: float | None
    taken_for: dict[str, float]
    false: float
    false_of: str

    @property
    def weak(self) -> str:
        """What it is weak at; '' where it is told apart well."""
        said = []
        if self.right is not None and self.right < GOOD:
            said.append(f"recognised in {self.right:.0%}, less than {GOOD:.0%}")
        if self.false > FEW_FALSE:
            said.append(f"{self.false:.1%} of the library's windows are taken for it, more than {FEW_FALSE:.0%}")
        return " and ".join(said)


@dataclass(frozen=True)
class Evaluation:
    """A score for each taught exercise; ``folds``: times that the last layer was trained without a part of the clips,
    0 where it is not trained and each clip was left out by itself."""

    scores: tuple[Score, ...]
    folds: int = 0


@dataclass(frozen=True)
class _Part:
    """What is left out at once, a clip or half of one, and the classifier's answer (W, K); None: never left out."""

    seen: Seen
    known: np.ndarray | None


def evaluate(
    profile: Profile, classifier: Classifier, name: str = "the profile", progress: Progress = silent
) -> Evaluation:
    """A score for everything taught; a profile with a trained last layer is trained anew for it (needs 'train').

    Raises KinetagError for a profile of another classifier, or an empty one."""
    taught = TaughtClassifier(classifier, profile, name)
    if not profile.exercises:
        raise KinetagError(f"{name}: nothing is taught yet: kinetag teach NAME CLIP... --profile {name}")
    if profile.finetuned:
        from kinetag.few_shot.finetune import import_torch

        import_torch()  # that it is missing is told before any work
    progress("Looking at the clips", 0, None)
    # That of a finetuned profile was trained with all clips: one that was not is measured, and the clips seen in it.
    space = build_space(taught.base) if profile.finetuned else taught.space
    parts = [_parts(each.clips, taught.base, space) for each in profile.exercises.values()]
    if profile.finetuned:
        folds = min(_FOLDS, max(sum(part.known is not None for part in each) for each in parts))
        answers = _trained_answers(taught, space, parts, folds, progress)
        progress("Looking at other people of the library", 0, None)
        library = _other_people(taught)
    else:
        folds, library = 0, taught.space
        answers = [list(_answers(taught, each, place)) for place, each in enumerate(parts)]
    false = _probabilities(library.negatives, profile, taught.space) > 0.5  # (M, J)
    scores = [_score(place, taught, answers[place], library, false[:, place]) for place in range(len(parts))]
    return Evaluation(tuple(scores), folds)


def _parts(clips: Sequence[TaughtClip], classifier: Classifier, space: Space) -> list[_Part]:
    """The clips of an exercise, or halves of the only one; of those that were made, only where no other is.

    One window has no halves: it is never left out, as nothing else would be there to know it by."""
    tested = [not clip.made for clip in clips]
    tested = tested if any(tested) else [True] * len(clips)
    parts = []
    for clip, test in zip(clips, tested, strict=True):
        known = classifier.predict(clip.part)[1] if test else None
        parts.append(_Part(see(clip, classifier, space), known))
    if len(parts) > 1:
        return parts
    [(seen, known)] = [(part.seen, part.known) for part in parts]
    assert known is not None
    middle = len(known) // 2
    if not middle:
        return [_Part(seen, None)]
    halves = (slice(middle, None), slice(0, middle))
    return [_Part(Seen(seen.filmed[half], seen.mirrored[half]), known[half]) for half in halves]


def _answers(taught: TaughtClassifier, parts: Sequence[_Part], place: int) -> Iterator[str]:
    """The label of each window, with the mean of the exercise's other clips as its prototype."""
    for part in parts:
        if part.known is not None:
            points = taught.profile.prototypes.copy()
            points[place] = prototype([other.seen for other in parts if other is not part])
            yield from _labels(taught, part, replace(taught.profile, prototypes=points), taught.space)


def _trained_answers(
    taught: TaughtClassifier, space: Space, parts: Sequence[Sequence[_Part]], folds: int, progress: Progress
) -> list[list[str]]:
    """The same for every exercise, the last layer being trained without the clips of one fold after the other."""
    dealt = [_dealt(each, folds) for each in parts]
    answers: list[list[str]] = [[] for _ in parts]
    for fold in range(folds):
        progress(f"Training without part {fold + 1} of {folds} of the clips", fold, folds)
        rest = [
            [part.seen for part, at in zip(each, to, strict=True) if at != fold]
            for each, to in zip(parts, dealt, strict=True)
        ]
        profile = learned(taught.profile.exercises, rest, taught.fingerprint, space, finetune=True)
        assert profile.space is not None
        for place, (each, to) in enumerate(zip(parts, dealt, strict=True)):
            for part in (part for part, at in zip(each, to, strict=True) if at == fold):
                answers[place] += _labels(taught, part, profile, profile.space)
    return answers


def _dealt(parts: Sequence[_Part], folds: int) -> list[int]:
    """The fold of each part, in turn; -1 for what is never left out."""
    dealt, count = [], 0
    for part in parts:
        dealt.append(-1 if part.known is None else count % folds)
        count += part.known is not None
    return dealt


def _other_people(taught: TaughtClassifier) -> Space:
    """The profile's own space, as the profile itself is judged, with people that its last layer was not trained on."""
    embeddings, labels = library_embeddings(taught.base, _OTHER_PEOPLE)
    placed = taught.space.place(embeddings)
    return replace(taught.space, negatives=placed, negative_labels=labels).without(taught.profile.exercises)


def _labels(taught: TaughtClassifier, part: _Part, profile: Profile, space: Space) -> list[str]:
    assert part.known is not None
    both = with_taught(part.known, _probabilities(part.seen.filmed, profile, space), taught.card.labels, profile)
    return np.array(taught.labels)[both.argmax(axis=1)].tolist()


def _score(place: int, taught: TaughtClassifier, answers: list[str], library: Space, false: np.ndarray) -> Score:
    name, exercise = list(taught.profile.exercises.items())[place]
    counts = Counter(answers)
    wrong = {label: count / len(answers) for label, count in counts.most_common() if label != name}
    owners = library.negative_labels[false]
    most = int(np.bincount(owners[owners >= 0]).argmax()) if (owners >= 0).any() else -1
    false_of = library.labels[most] if most >= 0 else ""
    right = counts[name] / len(answers) if answers else None
    return Score(name, len(exercise.clips), len(answers), right, wrong, float(false.mean()), false_of)


def _probabilities(placed: np.ndarray, profile: Profile, space: Space) -> np.ndarray:
    """Probabilities (W, J) of what a profile taught, beside the library of ``space``."""
    rivals = library_similarities(placed, space)
    return taught_probabilities(placed @ profile.prototypes.T, rivals, profile.biases, profile.temperature)
