"""What the bench of the classifier reckons with, against plain definitions."""

from collections import Counter

import numpy as np
import pytest
from clip_occlusion import HIDDEN, without
from clip_scores import Answers, accepted, auroc, by_class, doubt, score
from hypothesis import given
from hypothesis import strategies as st

from kinetag.metrics import confusion, macro_f1
from kinetag.sequence import PoseSequence
from kinetag.skeletons import get_layout

LABELS = ("lunge", "other", "squat", "standing")
SCORES = st.lists(st.integers(0, 5), min_size=1, max_size=12).map(np.array)


def answers(truth: np.ndarray, probabilities: np.ndarray, groups: np.ndarray | None = None) -> Answers:
    groups = np.arange(len(truth)).astype(str) if groups is None else groups
    return Answers(LABELS, truth, probabilities, groups, np.array([True, False, True, False]), Counter())


def random_answers(count: int = 60, **options: np.ndarray) -> Answers:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, count)
    probabilities = rng.dirichlet(np.ones(4), count) + 0.25 * np.eye(4)[truth]
    return answers(truth, probabilities / probabilities.sum(axis=1, keepdims=True), **options)


@given(SCORES, SCORES)
def test_auroc_is_the_chance_that_a_positive_scores_higher(positive: np.ndarray, negative: np.ndarray) -> None:
    pairs = [(p > n) + 0.5 * (p == n) for p in positive for n in negative]
    assert auroc(positive, negative) == pytest.approx(np.mean(pairs), abs=6e-4)


@given(SCORES, SCORES)
def test_accepted_is_at_a_threshold_that_enough_positives_pass(positive: np.ndarray, negative: np.ndarray) -> None:
    passing = [t for t in positive if (positive >= t).mean() >= 0.95]
    assert accepted(positive, negative) == pytest.approx((negative >= max(passing)).mean(), abs=6e-4)


def test_scores_are_those_of_their_definitions() -> None:
    found = random_answers()
    row, guess, known = score("a set", found), found.probabilities.argmax(axis=1), found.truth != 1
    assert row["clips"] == known.sum()
    assert row["top-1"] == pytest.approx((guess == found.truth)[known].mean(), abs=6e-4)
    assert row["top-2"] > row["top-1"]
    assert row["macro F1"] == pytest.approx(macro_f1(confusion(found.truth, guess, 4)), abs=6e-4)
    for name in ("top-1", "top-2", "macro F1"):
        low, high = row[f"{name} 95 %"]
        assert low < row[name] < high
    assert [line["class"] for line in by_class(found)] == list(LABELS)


def test_clips_of_one_group_are_drawn_together() -> None:
    alone, together = random_answers(), random_answers(groups=np.repeat(np.arange(6), 10).astype(str))
    doubled = answers(*(np.repeat(a, 2, axis=0) for a in (alone.truth, alone.probabilities, alone.groups)))
    assert score("", doubled)["top-1 95 %"] == score("", alone)["top-1 95 %"]
    assert score("", together)["top-1"] == score("", alone)["top-1"]


def test_everyday_classes_are_no_exercises() -> None:
    still = np.array([[0.05, 0.1, 0.05, 0.8], [0.05, 0.2, 0.7, 0.05]])
    row = doubt("", answers(np.array([1, 2]), still))
    assert row["AUROC"] == 1
    assert row["accepted"] == 0
    assert row["confident"] == 0.5


def test_a_set_without_clips_has_no_scores() -> None:
    nothing = answers(np.zeros(0, int), np.zeros((0, 4)))
    assert score("", nothing)["top-1"] is None
    assert doubt("", nothing)["AUROC"] is None


@pytest.mark.parametrize("layout", ["blazepose", "kinetag", "coco"])
def test_hidden_joints_are_never_seen_and_the_others_stay(layout: str) -> None:
    joints = len(get_layout(layout))
    poses = PoseSequence(np.arange(20) / 10, np.ones((20, joints, 2)), np.ones((20, joints)), layout, (9, 9),
                         world=np.ones((20, joints, 3)))  # fmt: skip
    hidden = without(poses, ("left_wrist", "nose"))
    left_hand = ("left_wrist", "left_pinky", "left_index", "left_thumb")
    face = ("nose", "eye", "ear", "mouth")
    gone = np.array([n in left_hand or any(part in n for part in face) for n in poses.skeleton.joints])
    assert (hidden.confidence[:, gone] == 0).all()
    assert np.isnan(hidden.keypoints[:, gone]).all()
    assert np.isnan(hidden.world[:, gone]).all()
    assert (hidden.keypoints[:, ~gone] == 1).all()
    assert np.isfinite(poses.keypoints).all()


def test_hiding_is_the_same_every_time() -> None:
    poses = PoseSequence(np.arange(40) / 10, np.ones((40, 13, 2)), np.ones((40, 13)), "kinetag", (9, 9))
    for hides in HIDDEN.values():
        for hide in hides:
            first, again = (hide(poses, np.random.default_rng(3)) for _ in range(2))
            np.testing.assert_array_equal(first.confidence, again.confidence)
    assert 20 < len(HIDDEN["30 % of the frames"][0](poses, np.random.default_rng(0))) < 36
