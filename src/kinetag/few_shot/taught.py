"""A classifier that also knows what was taught: it takes the place of a `Classifier` wherever one is used."""

from pathlib import Path

import numpy as np

from kinetag.classifier import Classifier
from kinetag.errors import KinetagError
from kinetag.exercises.library import Exercise
from kinetag.features import HOP
from kinetag.few_shot.profile import Profile, load_profile
from kinetag.few_shot.prototypes import library_similarities, taught_probabilities
from kinetag.sequence import PoseSequence


class TaughtClassifier(Classifier):
    """`classifier` and the exercises of a profile that was made with it.

    Its labels are the classifier's, then those taught. Where something taught has the name of a class, both are that
    class. Raises KinetagError for a profile that was made with another classifier.
    """

    def __init__(self, classifier: Classifier, profile: Profile, name: str = "the profile") -> None:
        super().__init__(classifier.session, classifier.card, classifier.fingerprint)
        if profile.fingerprint != classifier.fingerprint:
            raise KinetagError(
                f"{name} was made with another classifier than the one in use: bring it up to date from the poses it "
                f"keeps, with kinetag teach --update --profile {name} (and the same --model)"
            )
        assert profile.space is not None
        self.base, self.profile, self.space = classifier, profile, profile.space.without(profile.exercises)

    @property
    def labels(self) -> tuple[str, ...]:
        return (*self.card.labels, *(name for name in self.profile.exercises if name not in self.card.labels))

    def predict(
        self, sequence: PoseSequence, *, hop: float = HOP, average_mirror: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        times, known = self.base.predict(sequence, hop=hop, average_mirror=average_mirror)
        _, embeddings = self.embed(sequence, hop=hop)
        return times, with_taught(known, self.taught(embeddings), self.card.labels, self.profile)

    def taught(self, embeddings: np.ndarray) -> np.ndarray:
        """Probabilities (W, exercises) of what was taught."""
        profile, placed = self.profile, self.space.place(embeddings)
        rivals = library_similarities(placed, self.space)
        return taught_probabilities(placed @ profile.prototypes.T, rivals, profile.biases, profile.temperature)


def with_taught(known: np.ndarray, taught: np.ndarray, labels: tuple[str, ...], profile: Profile) -> np.ndarray:
    """Probabilities (W, K) of a classifier's labels and (W, J) of what was taught as one table; rows still sum to 1."""
    both = known * (1 - taught.sum(axis=1, keepdims=True))
    added = []
    for column, name in enumerate(profile.exercises):
        if name in labels:
            both[:, labels.index(name)] += taught[:, column]
        else:
            added.append(taught[:, column])
    return np.column_stack([both, *added]).astype(np.float32)


def with_profile(
    classifier: Classifier, library: dict[str, Exercise], path: str | Path
) -> tuple[Classifier, dict[str, Exercise]]:
    """The classifier and the library with what a profile adds to both."""
    profile = load_profile(path)
    added = {name: taught.exercise for name, taught in profile.exercises.items()}
    return TaughtClassifier(classifier, profile, str(path)), {**library, **added}
