"""`kinetag teach --evaluate`: how well each taught exercise is told from the others and from the library.

Each clip is recognised by what the other clips of its exercise taught (leave one clip out), beside everything else that
is in the profile and all that the classifier knows. An exercise with one clip is judged by halves of it, which says
less. Of one that was taught by a YAML file, people made from it are tested only where nobody was filmed. The other way
round, windows of the library's own synthetic people should not be taken for it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kinetag.classifier import Classifier
from kinetag.errors import KinetagError
from kinetag.few_shot.profile import Profile
from kinetag.few_shot.prototypes import Seen, library_similarities, prototype, see, taught_probabilities
from kinetag.few_shot.taught import TaughtClassifier, with_taught

GOOD = 0.8  # share of windows that are right, from which on an exercise is told apart well
FEW_FALSE = 0.05  # share of the library's windows that may be taken for it


@dataclass(frozen=True)
class Score:
    """``right``: share of the windows recognised; ``taken_for``: labels that they were taken for instead, with shares;
    ``false``: share of the library's windows that are taken for this exercise, and ``false_of`` which class most."""

    name: str
    clips: int
    windows: int
    right: float
    taken_for: dict[str, float]
    false: float
    false_of: str

    @property
    def weak(self) -> str:
        """What it is weak at; '' where it is told apart well."""
        said = []
        if self.right < GOOD:
            said.append(f"recognised in {self.right:.0%}, less than {GOOD:.0%}")
        if self.false > FEW_FALSE:
            said.append(f"{self.false:.1%} of the library's windows are taken for it, more than {FEW_FALSE:.0%}")
        return " and ".join(said)


def evaluate(profile: Profile, classifier: Classifier, name: str = "the profile") -> list[Score]:
    """A score for everything taught. Raises KinetagError for a profile of another classifier, or an empty one."""
    taught = TaughtClassifier(classifier, profile, name)
    if not profile.exercises:
        raise KinetagError(f"{name}: nothing is taught yet: kinetag teach NAME CLIP... --profile {name}")
    seen = [[see(c, classifier, taught.space) for c in each.clips] for each in profile.exercises.values()]
    false = _probabilities(taught, taught.space.negatives, profile.prototypes) > 0.5  # (M, J)
    return [_score(place, taught, seen, false[:, place]) for place in range(len(seen))]


def _score(place: int, taught: TaughtClassifier, seen: Sequence[Sequence[Seen]], false: np.ndarray) -> Score:
    profile, name = taught.profile, list(taught.profile.exercises)[place]
    clips, poses = seen[place], profile.exercises[name].clips
    tested = [i for i, clip in enumerate(poses) if not clip.made] or list(range(len(poses)))
    labels = np.array(taught.labels)
    answers: list[str] = []
    for test, (_, known), rest in _held_out(clips, {i: taught.base.predict(poses[i].part) for i in tested}):
        points = profile.prototypes.copy()
        points[place] = prototype(rest)
        both = with_taught(known, _probabilities(taught, test, points), taught.card.labels, profile)
        answers += labels[both.argmax(axis=1)].tolist()
    counts = Counter(answers)
    wrong = {label: count / len(answers) for label, count in counts.most_common() if label != name}
    owners = taught.space.negative_labels[false]
    most = int(np.bincount(owners[owners >= 0]).argmax()) if (owners >= 0).any() else -1
    false_of = taught.space.labels[most] if most >= 0 else ""
    return Score(name, len(clips), len(answers), counts[name] / len(answers), wrong, float(false.mean()), false_of)


def _held_out(clips: Sequence[Seen], known: Mapping[int, tuple[np.ndarray, np.ndarray]]):
    """What is tested, the classifier's answer, and what is learned from: each clip whose answer is ``known``, or half
    of the only one."""
    if len(clips) > 1:
        for i, answer in known.items():
            yield clips[i].filmed, answer, [other for j, other in enumerate(clips) if j != i]
        return
    clip, middle = clips[0], len(clips[0].filmed) // 2
    for test, rest in ((slice(middle, None), slice(0, max(middle, 1))), (slice(0, middle), slice(middle, None))):
        times, answers = known[0]
        yield clip.filmed[test], (times[test], answers[test]), [Seen(clip.filmed[rest], clip.mirrored[rest])]


def _probabilities(taught: TaughtClassifier, placed: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Probabilities (W, J) of what was taught, with other prototypes (J, D) than the profile's."""
    rivals = library_similarities(placed, taught.space)
    return taught_probabilities(placed @ points.T, rivals, taught.profile.biases, taught.profile.temperature)
