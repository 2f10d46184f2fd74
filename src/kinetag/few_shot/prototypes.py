"""Prototypes of what was taught, and how probable it is beside what the library knows.

A clip is placed in the `Space` window by window: as it was filmed, in a mirror, and as other cameras would have seen
it. The mean direction of all that is the exercise's prototype. A window's similarities (cosines) to the prototypes of
everything, taught or of the library, become probabilities by a softmax; the library's share of them is spread over its
classes as the classifier itself says, so that what was not taught is recognised as before.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kinetag.classifier import Classifier
from kinetag.features import HOP, mirror, windows
from kinetag.few_shot.clips import TaughtClip
from kinetag.few_shot.profile import Calibration
from kinetag.few_shot.space import Space, unit
from kinetag.few_shot.views import views
from kinetag.metrics import softmax

VIEWS = 32  # made of each clip; more helps little
_VIEW_HOP = 1.0  # seconds between windows of a made view
_TEMPERATURES = np.geomspace(0.03, 0.4, 14)
_BIASES = np.linspace(-0.4, 0.4, 33)


@dataclass(frozen=True)
class Seen:
    """A clip through a classifier's eyes, unit vectors of a space: ``filmed`` (W, D), ``mirrored`` (W, D), and ``made``
    (A, D), which is empty for poses without depth."""

    filmed: np.ndarray
    mirrored: np.ndarray
    made: np.ndarray

    @property
    def vector(self) -> np.ndarray:
        """What the clip says of its exercise, (D,): views that were filmed and made count alike."""
        sides = unit(np.concatenate([self.filmed, self.mirrored]).mean(axis=0))
        return unit(sides + unit(self.made.mean(axis=0))) if len(self.made) else sides


def see(clip: TaughtClip, classifier: Classifier, space: Space) -> Seen:
    """Place a clip's windows, and those of its made views, in the space; the same clip gives the same answer."""
    assert classifier.card.rate is not None
    assert classifier.card.window is not None
    size = {"rate": classifier.card.rate, "length": classifier.card.window}
    cut = windows(clip.part, hop=HOP, **size)
    filmed = space.place(classifier.embeddings(cut.features, cut.mask))
    mirrored = space.place(classifier.embeddings(mirror(cut.features), cut.mask))
    made = [windows(view, hop=_VIEW_HOP, **size) for view in views(clip.part, VIEWS, np.random.default_rng(0))]
    placed = [space.place(classifier.embeddings(cut.features, cut.mask)) for cut in made if len(cut)]
    return Seen(filmed, mirrored, np.concatenate(placed) if placed else filmed[:0])


def prototype(clips: Sequence[Seen]) -> np.ndarray:
    """Where an exercise lies by all its clips, (D,)."""
    return unit(np.mean([clip.vector for clip in clips], axis=0))


def taught_probabilities(
    placed: np.ndarray,
    space: Space,
    prototypes: np.ndarray,
    owners: np.ndarray,
    calibration: Calibration,
    *,
    count: int,
    replaced: Sequence[int] = (),
) -> np.ndarray:
    """How probable each of ``count`` taught exercises is in each window ``placed`` (W, D), (W, count).

    What is missing to 1 in a row is the library's. ``replaced`` are the labels of the library, by index, that do not
    compete because something taught has their name.
    """
    best = np.full((len(placed), count), -np.inf)
    np.maximum.at(best.T, owners, (placed @ prototypes.T).T)
    rivals = space.prototypes[~np.isin(space.prototype_labels, replaced)]
    labels = space.prototype_labels[~np.isin(space.prototype_labels, replaced)]
    other = np.stack([(placed @ rivals[labels == label].T).max(axis=1) for label in np.unique(labels)], axis=1)
    logits = np.concatenate([best + calibration.bias, other], axis=1) / calibration.temperature
    return softmax(logits)[:, :count]


def calibrate(exercises: Sequence[Sequence[Seen]], space: Space) -> Calibration:
    return Calibration(0.1, 0.0)
