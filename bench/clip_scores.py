"""How good answers to labelled clips are, with 95 % bootstrap intervals; plain numpy over (N,) truths, (N, K) scores.

Intervals (percentiles of `DRAWS` resamples) draw whole groups of clips, so several cameras that look at the same person
count as one. Exercises are all classes but 'other' and the everyday ones (standing, walking, sitting, lying, kneeling).
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from kinetag.metrics import calibration_error
from kinetag.timeline import OTHER

DRAWS = 1000
CONFIDENT = 0.6  # probability of an exercise from which on an answer is called confident
RECALL = 0.95  # of exercises, at which it is told how much of 'other' is accepted


@dataclass(frozen=True)
class Answers:
    """``truth`` (N,) indices into ``labels`` (K,); mean ``probabilities`` (N, K); ``groups`` (N,) names of what belongs
    together; ``exercises`` (K,) which classes are exercises; ``left_out``: clips of classes that the model lacks."""

    labels: tuple[str, ...]
    truth: np.ndarray
    probabilities: np.ndarray
    groups: np.ndarray
    exercises: np.ndarray
    left_out: Counter[str]
    kinds: tuple[str, ...] = ()  # (K,) the family of each class

    @property
    def is_other(self) -> np.ndarray:
        return np.array([self.labels[t] == OTHER for t in self.truth], bool)


def score(name: str, answers: Answers) -> dict:
    """One set: exercises right at the first and second guess; macro F1 of the classes that have clips, 'other' too.

    'as a kind': the guess or what it was taken for are of one family. 'among its own': told from the exercises that the
    set has, as with `--only`, and from 'other'.
    """
    order = np.argsort(-answers.probabilities, axis=1, kind="stable")
    truth, known = answers.truth, ~answers.is_other
    weights = _draws(answers.groups)
    row: dict = {"set": name, "clips": int(known.sum()), "classes": len(np.unique(truth[known]))}
    row["left out"] = sum(answers.left_out.values())
    for guesses in (1, 2):
        right = (order[:, :guesses] == truth[:, None]).any(axis=1)
        row[f"top-{guesses}"] = _share(right[known])
        row[f"top-{guesses} 95 %"] = _interval(weights @ (right & known), weights @ known)
    kinds = np.array(answers.kinds or answers.labels)
    row["as a kind"] = _share((kinds[order[:, 0]] == kinds[truth])[known])
    own = np.where(np.isin(np.arange(len(answers.labels)), truth), answers.probabilities, -1)
    row["among its own"] = _share((own.argmax(axis=1) == truth)[known])
    f1 = _macro_f1(np.concatenate([np.ones((1, len(truth))), weights]), truth, order[:, 0])
    row["macro F1"], row["macro F1 95 %"] = _rounded(f1[0]), _interval(f1[1:], np.ones(len(weights)))
    return row


def doubt(name: str, answers: Answers) -> dict:
    """One set: how 'other' is told from exercises, and how far confidence is true.

    AUROC and how much of 'other' is accepted (at a threshold that `RECALL` of the exercises pass) go by the probability
    of the surest exercise; 'AUROC, 1-p' by that of not being 'other'. ECE is the expected calibration error.
    """
    truth, probabilities, other = answers.truth, answers.probabilities, answers.is_other
    guess, surest = probabilities.argmax(axis=1), probabilities[:, answers.exercises].max(axis=1, initial=0)
    right = guess == truth
    sure = (probabilities.max(axis=1) >= CONFIDENT) & answers.exercises[guess] if len(truth) else np.zeros(0, bool)
    known = 1 - probabilities[:, answers.labels.index(OTHER)] if OTHER in answers.labels else surest
    return {
        "set": name,
        "other clips": int(other.sum()),
        "recalled": _share(right[other]),
        "AUROC": auroc(surest[~other], surest[other]),
        "AUROC, 1-p": auroc(known[~other], known[other]),
        "accepted": accepted(surest[~other], surest[other]),
        "ECE": _rounded(calibration_error(truth, probabilities)),
        "confident": _share(sure),
        "confident right": _share(right[sure]),
        "of exercises": _share(right[sure & ~other]),
    }


def by_class(answers: Answers) -> list[dict]:
    """Of each class how many are right, and what the others are taken for."""
    guess = answers.probabilities.argmax(axis=1)
    rows = []
    for truth in sorted(np.unique(answers.truth), key=lambda index: answers.labels[index]):
        guesses = Counter(answers.labels[g] for g in guess[answers.truth == truth])
        label, total = answers.labels[truth], sum(guesses.values())
        wrong = ", ".join(f"{name} {n}" for name, n in guesses.most_common() if name != label)
        rows.append({"class": label, "clips": total, "right": round(guesses[label] / total, 3), "taken for": wrong})
    return rows


def auroc(positive: np.ndarray, negative: np.ndarray) -> float | None:
    """Probability that a positive scores higher than a negative, ties half (Mann and Whitney, 1947)."""
    if not len(positive) or not len(negative):
        return None
    below = np.searchsorted(np.sort(negative), positive, side="left")
    up_to = np.searchsorted(np.sort(negative), positive, side="right")
    return _rounded(float((below + up_to).sum() / 2 / len(positive) / len(negative)))


def accepted(positive: np.ndarray, negative: np.ndarray) -> float | None:
    """Share of negatives that pass the highest threshold which `RECALL` of the positives pass."""
    if not len(positive) or not len(negative):
        return None
    threshold = np.sort(positive)[len(positive) - int(np.ceil(RECALL * len(positive)))]
    return _share(negative >= threshold)


def _draws(groups: np.ndarray) -> np.ndarray:
    """How often each clip is in each bootstrap resample, (B, N)."""
    _, index = np.unique(groups, return_inverse=True)
    count = int(index.max()) + 1 if len(index) else 1
    drawn = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=DRAWS)
    return drawn[:, index].astype(float)


def _macro_f1(weights: np.ndarray, truth: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """Mean F1, (B,), of the classes that have clips in a resample, from how often each clip (B, N) is in it."""
    classes = np.unique(truth)
    is_class, is_guess = truth[:, None] == classes, guess[:, None] == classes  # (N, C)
    clips, guesses, both = (weights @ hits.astype(float) for hits in (is_class, is_guess, is_class & is_guess))
    f1 = np.where(clips > 0, 2 * both / np.maximum(clips + guesses, 1e-9), np.nan)
    return np.nanmean(f1, axis=1) if f1.size else np.full(len(weights), np.nan)


def _interval(hits: np.ndarray, of: np.ndarray) -> list[float] | None:
    """95 % interval of hits / of, both (B,)."""
    values = hits[of > 0] / of[of > 0]
    return [round(float(v), 3) for v in np.percentile(values, [2.5, 97.5])] if np.isfinite(values).any() else None


def _share(hits: np.ndarray) -> float | None:
    return _rounded(float(np.mean(hits))) if len(hits) else None


def _rounded(value: float) -> float | None:
    return round(float(value), 3) if np.isfinite(value) else None
