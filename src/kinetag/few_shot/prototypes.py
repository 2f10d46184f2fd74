"""Prototypes of what was taught, and how probable it is beside what the library knows.

A clip is placed in the `Space` window by window, as it was filmed and in a mirror; the mean direction of all clips is
the exercise's prototype. A window's similarities (cosines) to the prototypes of everything, taught or of the library,
become probabilities by a softmax; the library's share of them is spread over its classes as the classifier itself says,
so that what was not taught is recognised as before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from kinetag.classifier import Classifier
from kinetag.features import HOP, mirror, windows
from kinetag.few_shot.clips import TaughtClip
from kinetag.few_shot.space import Space, unit
from kinetag.metrics import softmax

TEMPERATURES = np.geomspace(0.04, 0.2, 7)
_BIASES = np.linspace(-0.1, 0.5, 21)
_SHIFTS = np.linspace(-0.4, 0.0, 9)
_LEAST = 1e-4  # a probability below this is not held against a choice any more: windows can be senseless


@dataclass(frozen=True)
class Seen:
    """A clip through a classifier's eyes, unit vectors of a space: its windows as filmed and mirrored, (W, D) each."""

    filmed: np.ndarray
    mirrored: np.ndarray

    @cached_property
    def vector(self) -> np.ndarray:
        """What the clip says of its exercise, (D,)."""
        return unit(np.concatenate([self.filmed, self.mirrored]).mean(axis=0))


def see(clip: TaughtClip, classifier: Classifier, space: Space) -> Seen:
    """Place the windows of a clip's taught part in the space."""
    assert classifier.card.rate is not None
    assert classifier.card.window is not None
    cut = windows(clip.part, hop=HOP, rate=classifier.card.rate, length=classifier.card.window)
    filmed = space.place(classifier.embeddings(cut.features, cut.mask))
    return Seen(filmed, space.place(classifier.embeddings(mirror(cut.features), cut.mask)))


def prototype(clips: Sequence[Seen]) -> np.ndarray:
    """Where an exercise lies by all its clips, (D,)."""
    return unit(np.mean([clip.vector for clip in clips], axis=0))


def library_similarities(placed: np.ndarray, space: Space) -> np.ndarray:
    """The similarity of windows (W, D) to each class of the library, (W, classes)."""
    found = placed @ space.prototypes.T
    labels = np.unique(space.prototype_labels)
    return np.stack([found[:, space.prototype_labels == label].max(axis=1) for label in labels], axis=1)


def taught_probabilities(taught: np.ndarray, library: np.ndarray, biases: np.ndarray, temperature: float) -> np.ndarray:
    """How probable each taught exercise is, (W, J), by similarities to what was taught (W, J) and the library (W, L).

    ``biases`` (J,) are added to the taught ones'. What is missing to 1 in a row is the library's.
    """
    return softmax(np.concatenate([taught + biases, library], axis=1) / temperature)[:, : taught.shape[1]]


def calibrate(exercises: Sequence[Sequence[Seen]], space: Space) -> tuple[np.ndarray, float]:
    """Biases (J,) of taught exercises and the temperature of all similarities: those that make probabilities true.

    True for what should be recognised, that is each clip by the prototype of the others, and for the library's windows,
    which should not. As few clips say little of that, classes of the library are taught in their place too: as many of
    their windows as there are clips make a prototype, and others should be recognised by it, while the library knows
    nothing of that class. Both kinds of windows count alike.
    """
    counts = [min(len(clips), most_windows(space) - 2) for clips in exercises]
    simulated = {count: _taught_library(space, count) for count in set(counts)}
    rivals = library_similarities(space.negatives, space)
    wrong = np.stack([space.negatives @ prototype(clips) for clips in exercises], axis=1)  # (M, J)
    right = []
    for clips, count in zip(exercises, counts, strict=True):
        left = [_left_out(clips, i, space) for i in range(len(clips))] if len(clips) > 1 else []
        pairs = [simulated[count], *left]
        right.append((np.concatenate([own for own, _ in pairs]), _stacked([others for _, others in pairs])))

    choices = []
    for temperature in TEMPERATURES:
        yes = [(own, _one_rival(others, temperature)) for own, others in right]
        no = _one_rival(rivals, temperature)
        losses = [[_yes(case, b, temperature) for b in _BIASES] for case in yes]
        losses += np.array([[_no(wrong[:, [j]], no, b, temperature) for b in _BIASES] for j in range(len(right))])
        biases = _BIASES[np.argmin(losses, axis=1)]
        # Many exercises together take more from the library than each alone: all of them step back alike.
        for moved in biases + _SHIFTS[:, None]:
            loss = np.mean([_yes(case, b, temperature) for b, case in zip(moved, yes, strict=True)])
            choices.append((loss + _no(wrong, no, moved, temperature), moved, float(temperature)))
    _, biases, temperature = min(choices, key=lambda choice: choice[0])
    return biases, temperature


def most_windows(space: Space) -> int:
    """Windows that every class of the library has among the negatives."""
    return int(np.unique(space.negative_labels, return_counts=True)[1].min())


def _left_out(clips: Sequence[Seen], i: int, space: Space) -> tuple[np.ndarray, np.ndarray]:
    """Similarities of one clip's windows to the prototype of the other clips (W,), and to the library's (W, L)."""
    own = clips[i].filmed @ prototype([clip for j, clip in enumerate(clips) if j != i])
    return own, library_similarities(clips[i].filmed, space)


def _taught_library(space: Space, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The same for every class of the library, taught by ``count`` of its windows and unknown otherwise."""
    labels = np.unique(space.negative_labels)
    found = space.negatives @ space.prototypes.T
    best = np.stack([found[:, space.prototype_labels == label].max(axis=1) for label in labels], axis=1)
    own, others = [], []
    for place, label in enumerate(labels):
        rows = np.flatnonzero(space.negative_labels == label)[: most_windows(space)]
        rivals = np.delete(best[rows[count:]], place, axis=1)
        own.append(space.negatives[rows[count:]] @ unit(space.negatives[rows[:count]].mean(axis=0)))
        others.append(rivals)
    return np.concatenate(own), np.concatenate(others)


def _stacked(tables: Sequence[np.ndarray]) -> np.ndarray:
    """Tables (W, L) one below the other; narrower ones get columns that never win."""
    widest = max(table.shape[1] for table in tables)
    return np.concatenate(
        [np.pad(table, ((0, 0), (0, widest - table.shape[1])), constant_values=-2) for table in tables]
    )


def _one_rival(library: np.ndarray, temperature: float) -> np.ndarray:
    """One column (W, 1) that weighs in a softmax as much as all of the library's similarities (W, L) together."""
    highest = library.max(axis=1, keepdims=True)
    return highest + temperature * np.log(np.exp((library - highest) / temperature).sum(axis=1, keepdims=True))


def _yes(case: tuple[np.ndarray, np.ndarray], bias: float, temperature: float) -> float:
    """The loss of windows that should be recognised, by their similarities (W,) and their rival (W, 1)."""
    own, rival = case
    return _loss(taught_probabilities(own[:, None], rival, np.array([bias]), temperature)[:, 0])


def _no(wrong: np.ndarray, rival: np.ndarray, biases: np.ndarray, temperature: float) -> float:
    """The loss of the library's windows, which should not, by similarities (W, J) to what was taught."""
    return _loss(1 - taught_probabilities(wrong, rival, np.atleast_1d(biases), temperature).sum(axis=1))


def _loss(probabilities: np.ndarray) -> float:
    """Mean negative log-likelihood."""
    return float(-np.log(np.maximum(probabilities, _LEAST)).mean())
