"""Where embeddings are compared: whitened by how windows of one exercise differ, and what of the library lies where.

SimpleShot (Wang et al. 2019, arXiv:1911.04623): nearest prototype after centring and L2-normalisation. In addition the
embedding is whitened by the covariance within the library's classes (as in linear discriminant analysis), so that what
views, bodies and tempo change counts less than what exercises change. All of it comes from the library's synthesis.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from kinetag.classifier import Classifier
from kinetag.timeline import OTHER

SHRINKAGE = 0.2  # of the covariance towards a ball; bench/few_shot.py --shrinkage tries others
_OTHER_PROTOTYPES = 24  # 'other' is many things
_PROTOTYPES = 3  # of every other class: its views and variants lie apart
_WINDOWS = 120  # synthetic windows a class that all this is measured on
_MOTIONS = 12  # people a class
_NEGATIVES = 8  # windows a class kept to calibrate with; of 'other' more
_PURE = 0.99  # share of a window from which on it shows one class


@dataclass(frozen=True)
class Space:
    """``mean`` (D,), ``whitening`` (D, D); prototypes of the library (P, D) with their labels' index (P,); and windows
    of the library to calibrate with (M, D) and their labels' index (M,). ``labels`` are the classifier's."""

    labels: tuple[str, ...]
    mean: np.ndarray
    whitening: np.ndarray
    prototypes: np.ndarray
    prototype_labels: np.ndarray
    negatives: np.ndarray
    negative_labels: np.ndarray

    def place(self, embeddings: np.ndarray) -> np.ndarray:
        """Embeddings (..., D) as unit vectors of this space."""
        return unit((embeddings - self.mean) @ self.whitening)

    def without(self, names: Iterable[str]) -> "Space":
        """The space as if the library did not know these classes: what was taught by their names replaces them."""
        gone = [self.labels.index(name) for name in names if name in self.labels]
        kept, windows = ~np.isin(self.prototype_labels, gone), ~np.isin(self.negative_labels, gone)
        return replace(
            self,
            prototypes=self.prototypes[kept],
            prototype_labels=self.prototype_labels[kept],
            negatives=self.negatives[windows],
            negative_labels=self.negative_labels[windows],
        )


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors (..., D) of length 1."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def build_space(classifier: Classifier, *, seed: int = 0, shrinkage: float = SHRINKAGE) -> Space:
    """Measure the library through a classifier's eyes; the same seed gives the same space. Takes some ten seconds.

    More ``shrinkage`` trusts less in how the library's windows vary; with 1 there is no whitening, only centring.
    """
    embeddings, labels = library_embeddings(classifier, seed)
    return space_of(embeddings, labels, classifier.labels, np.random.default_rng([seed, 1]), shrinkage)


def library_embeddings(classifier: Classifier, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings (N, D) of synthetic windows of every class that the library can make, and their labels' index (N,)."""
    from kinetag.exercises.bank import build_bank, sample
    from kinetag.exercises.motion import shipped_library

    known = [label for label in classifier.labels if label == OTHER or label in shipped_library()]
    if OTHER not in known:
        known.append(OTHER)
    bank, rng = build_bank(known, seed, _MOTIONS), np.random.default_rng(seed)
    weights = _even(bank.labels, known.index(OTHER))
    count = round(_WINDOWS * len(known) * 4 / 3)  # a quarter of them is 'other'
    found, labels = [], []
    for _ in range(0, count, 256):
        batch = sample(bank, rng, 256, weights=(weights, np.zeros(0)))
        first, second, share = bank.labels[batch.first], bank.labels[batch.second], batch.share()
        pure = (first == second) | (np.maximum(share, 1 - share) >= _PURE)
        found.append(classifier.embeddings(batch.features[pure], batch.mask[pure]))
        labels.append(np.where(share < 0.5, first, second)[pure])
    indices = np.array([classifier.labels.index(name) if name in classifier.labels else -1 for name in known])
    return np.concatenate(found), indices[np.concatenate(labels)]


def _even(labels: np.ndarray, other: int) -> np.ndarray:
    """Chance of each motion (M,) to be picked: a quarter for 'other', every other class alike, however common it is."""
    counts = np.bincount(labels)
    share = np.full(len(counts), 0.75 / max(len(counts) - 1, 1))
    share[other] = 0.25
    weights = (share / counts)[labels]
    return weights / weights.sum()


def space_of(
    embeddings: np.ndarray,
    labels: np.ndarray,
    names: tuple[str, ...],
    rng: np.random.Generator,
    shrinkage: float = SHRINKAGE,
) -> Space:
    """The space of labelled embeddings (N, D), (N,); the label -1 stands for 'other' where ``names`` has none."""
    embeddings = embeddings.astype(np.float64)
    other = names.index(OTHER) if OTHER in names else -1
    mean = embeddings.mean(axis=0)
    whitening = _whitening(embeddings[labels != other], labels[labels != other], shrinkage)
    placed = unit((embeddings - mean) @ whitening)
    prototypes, owners, kept = [], [], []
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        centres = cluster(placed[rows], _OTHER_PROTOTYPES if label == other else _PROTOTYPES, rng)
        prototypes.append(centres)
        owners += [label] * len(centres)
        kept.append(rng.permutation(rows)[: _NEGATIVES * (20 if label == other else 1)])
    chosen = np.concatenate(kept)
    return Space(
        tuple(names), mean.astype(np.float32), whitening.astype(np.float32),
        np.concatenate(prototypes).astype(np.float32), np.array(owners),
        placed[chosen].astype(np.float32), labels[chosen],
    )  # fmt: skip


def _whitening(embeddings: np.ndarray, labels: np.ndarray, shrinkage: float) -> np.ndarray:
    """The inverse square root of the covariance within classes, shrunk towards a ball, (D, D)."""
    residual = embeddings.copy()
    for label in np.unique(labels):
        residual[labels == label] -= embeddings[labels == label].mean(axis=0)
    values, vectors = np.linalg.eigh(residual.T @ residual / max(len(residual), 1))
    values = (1 - shrinkage) * values + shrinkage * values.mean()
    return vectors / np.sqrt(np.maximum(values, 1e-12)) @ vectors.T


def cluster(vectors: np.ndarray, count: int, rng: np.random.Generator, steps: int = 12) -> np.ndarray:
    """Centres (<= count, D) of unit vectors (N, D) by spherical k-means."""
    centres = vectors[rng.choice(len(vectors), min(count, len(vectors)), replace=False)]
    for _ in range(steps):
        nearest = (vectors @ centres.T).argmax(axis=1)
        centres = np.array([vectors[nearest == i].sum(axis=0) for i in np.unique(nearest)])
        centres = unit(centres)
    return centres
