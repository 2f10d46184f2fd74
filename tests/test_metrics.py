import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kinetag import metrics

LABELS = np.array([0, 0, 0, 1, 1, 2])
PREDICTIONS = np.array([0, 0, 1, 1, 1, 0])
MATRIX = np.array([[2, 1, 0, 0], [0, 2, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]])


def test_by_hand():
    matrix = metrics.confusion(LABELS, PREDICTIONS, 4)
    assert (matrix == MATRIX).all()
    assert metrics.accuracy(LABELS, PREDICTIONS) == pytest.approx(4 / 6)
    assert metrics.per_class_accuracy(matrix) == pytest.approx([2 / 3, 1, 0, np.nan], nan_ok=True)
    assert metrics.per_class_precision(matrix) == pytest.approx([2 / 3, 2 / 3, np.nan, np.nan], nan_ok=True)
    assert metrics.mean_class_accuracy(matrix) == pytest.approx((2 / 3 + 1 + 0) / 3)
    # F1: 2*2/(3+3), 2*2/(3+2), 0; the fourth class does not occur.
    assert metrics.macro_f1(matrix) == pytest.approx((4 / 6 + 4 / 5 + 0) / 3)


def test_top_k_by_hand():
    scores = np.array([[0.5, 0.3, 0.2], [0.1, 0.5, 0.4], [0.3, 0.3, 0.4]])
    labels = np.array([1, 2, 1])
    assert [metrics.top_k(labels, scores, k) for k in (1, 2, 3)] == pytest.approx([0, 2 / 3, 1])
    assert metrics.top_k(labels, scores, 9) == 1


def test_equal_scores_are_ranked_as_argmax_does():
    scores = np.zeros((3, 4))
    labels = np.array([0, 1, 3])
    assert metrics.top_k(labels, scores, 1) == metrics.accuracy(labels, scores.argmax(1))


def test_calibration_error_by_hand():
    probabilities = np.array([[0.95, 0.05], [0.95, 0.05], [0.35, 0.65], [0.4, 0.6]])
    labels = np.array([0, 1, 1, 0])
    # Bins of a tenth: (0.9, 1]: 2 clips, confidence 0.95, accuracy 0.5; (0.6, 0.7]: 0.65, 1; (0.5, 0.6]: 0.6, 0.
    assert metrics.calibration_error(labels, probabilities, 10) == pytest.approx((2 * 0.45 + 0.35 + 0.6) / 4)
    sure = np.eye(3)[[0, 1, 2]]
    assert metrics.calibration_error(np.array([0, 1, 2]), sure) == 0
    assert metrics.calibration_error(np.array([1, 2, 0]), sure) == 1


def test_nothing_gives_nan():
    empty = np.zeros(0, int)
    assert np.isnan(metrics.accuracy(empty, empty))
    assert np.isnan(metrics.macro_f1(metrics.confusion(empty, empty, 3)))
    assert np.isnan(metrics.top_k(empty, np.zeros((0, 3)), 1))
    assert np.isnan(metrics.calibration_error(empty, np.zeros((0, 3))))


def test_softmax_of_extreme_logits():
    rows = metrics.softmax(np.array([[1e4, -1e4, 0.0], [0.0, 0.0, 0.0]], np.float32))
    assert rows == pytest.approx(np.array([[1, 0, 0], [1 / 3, 1 / 3, 1 / 3]]))


@given(arrays(np.int64, 30, elements=st.integers(0, 4)), arrays(np.int64, 30, elements=st.integers(0, 4)))
def test_the_order_of_clips_does_not_matter_and_totals_agree(labels, predictions):
    matrix = metrics.confusion(labels, predictions, 5)
    order = np.random.default_rng(0).permutation(30)
    assert (metrics.confusion(labels[order], predictions[order], 5) == matrix).all()
    assert np.trace(matrix) / matrix.sum() == pytest.approx(metrics.accuracy(labels, predictions))
    assert (matrix.sum(axis=1) == np.bincount(labels, minlength=5)).all()


@pytest.mark.slow
def test_equal_to_torchmetrics():
    torch = pytest.importorskip("torch")
    reference = pytest.importorskip("torchmetrics.functional.classification")
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 6, 400)
    probabilities = metrics.softmax(2 * rng.normal(size=(400, 6)) + 1.5 * np.eye(6)[labels])
    predictions = probabilities.argmax(1)
    matrix = metrics.confusion(labels, predictions, 6)
    truth, scores = torch.from_numpy(labels), torch.from_numpy(probabilities)
    assert (matrix == reference.multiclass_confusion_matrix(scores, truth, 6).numpy()).all()

    def accuracy(average, k=1):
        return float(reference.multiclass_accuracy(scores, truth, 6, average=average, top_k=k))

    assert metrics.accuracy(labels, predictions) == pytest.approx(accuracy("micro"))
    assert metrics.mean_class_accuracy(matrix) == pytest.approx(accuracy("macro"))
    assert metrics.top_k(labels, probabilities, 3) == pytest.approx(accuracy("micro", 3))
    f1 = reference.multiclass_f1_score(scores, truth, 6, average="macro")
    assert metrics.macro_f1(matrix) == pytest.approx(float(f1))
    error = reference.multiclass_calibration_error(scores, truth, 6, n_bins=15, norm="l1")
    assert metrics.calibration_error(labels, probabilities) == pytest.approx(float(error), abs=1e-6)
