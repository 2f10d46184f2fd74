"""What tells how good a classifier is: plain numpy over labels (N,) and class scores or probabilities (N, K).

Labels are class indices in [0, K). A class without a single clip has no accuracy of its own (NaN) and is left out of
means over classes, as it says nothing. All functions give NaN for an empty set, where there is nothing to measure.
"""

import numpy as np

BINS = 15  # of the calibration error: the number that most papers report


def softmax(logits: np.ndarray) -> np.ndarray:
    """Logits (N, K) -> probabilities (N, K), each row summing to 1; computed in float64."""
    logits = np.asarray(logits, np.float64)
    odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return odds / odds.sum(axis=-1, keepdims=True)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Logits (..., K) -> logarithms of probabilities (..., K); computed in float64."""
    logits = np.asarray(logits, np.float64)
    logits = logits - logits.max(axis=-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def confusion(labels: np.ndarray, predictions: np.ndarray, classes: int) -> np.ndarray:
    """How often each class (rows) was taken for each class (columns), int64 (K, K)."""
    labels, predictions = np.asarray(labels, np.int64), np.asarray(predictions, np.int64)
    return np.bincount(labels * classes + predictions, minlength=classes * classes).reshape(classes, classes)


def accuracy(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Share of clips that are right."""
    labels = np.asarray(labels)
    return float(np.mean(labels == np.asarray(predictions))) if len(labels) else float("nan")


def per_class_accuracy(matrix: np.ndarray) -> np.ndarray:
    """Share of each class's clips that are right (its recall), (K,), from a confusion matrix."""
    return _share(np.diag(matrix), matrix.sum(axis=1))


def per_class_precision(matrix: np.ndarray) -> np.ndarray:
    """Share of the clips called by each class's name that are it, (K,); NaN for a name that was never given."""
    return _share(np.diag(matrix), matrix.sum(axis=0))


def mean_class_accuracy(matrix: np.ndarray) -> float:
    """Mean of the classes' accuracies (balanced accuracy): a rare class counts as much as a common one."""
    return _mean(per_class_accuracy(matrix))


def per_class_f1(matrix: np.ndarray) -> np.ndarray:
    """Harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN), (K,).

    NaN for a class that has no clips and was never predicted; 0 for one that has none but was predicted.
    """
    return _share(2 * np.diag(matrix), matrix.sum(axis=0) + matrix.sum(axis=1))


def macro_f1(matrix: np.ndarray) -> float:
    """Mean F1 over the classes that occur, among the labels or the predictions."""
    return _mean(per_class_f1(matrix))


def top_k(labels: np.ndarray, scores: np.ndarray, k: int) -> float:
    """Share of clips whose class is among the ``k`` with the highest scores (N, K).

    Of equal scores the class with the lower index comes first, as with argmax, so that ``k = 1`` is the accuracy.
    """
    labels, scores = np.asarray(labels), np.asarray(scores)
    if not len(labels):
        return float("nan")
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return float(np.mean((best == labels[:, None]).any(axis=1)))


def calibration_error(labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS) -> float:
    """Expected calibration error (Naeini et al., AAAI 2015; Guo et al., ICML 2017, eq. 3).

    Clips are put into ``bins`` equal intervals of (0, 1] by the probability of their predicted class; the error is
    the mean distance between confidence and accuracy of a bin, weighted by its clips. 0: a model that says 80 % is
    right in 80 % of these cases.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, np.float64)
    if not len(labels):
        return float("nan")
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)  # intervals closed at the upper end
    gaps = np.bincount(place, weights=right - confidence, minlength=bins)  # clips of a bin times its gap
    return float(np.abs(gaps).sum() / len(labels))


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")
