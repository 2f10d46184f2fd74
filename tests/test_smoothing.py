import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinetag.sequence import PoseSequence
from kinetag.smoothing import OneEuroFilter, smooth


class PaperFilter:
    """Algorithm 1 and 2 of Casiez et al. 2012, one scalar at a time, written from the paper."""

    def __init__(self, min_cutoff: float, beta: float, derivative_cutoff: float) -> None:
        self.min_cutoff, self.beta, self.derivative_cutoff = min_cutoff, beta, derivative_cutoff
        self.x: float | None = None
        self.dx = 0.0

    def __call__(self, x: float, dt: float) -> float:
        def alpha(cutoff: float) -> float:
            return 1 / (1 + (1 / (2 * math.pi * cutoff)) / dt)

        if self.x is None:
            self.x = x
            return x
        a = alpha(self.derivative_cutoff)
        self.dx = a * (x - self.x) / dt + (1 - a) * self.dx
        a = alpha(self.min_cutoff + self.beta * abs(self.dx))
        self.x = a * x + (1 - a) * self.x
        return self.x


def irregular_times(count: int, rng: np.random.Generator) -> np.ndarray:
    return np.cumsum(rng.uniform(0.02, 0.12, count))


def sequence_of(points: np.ndarray, times: np.ndarray, confidence=None, world=None) -> PoseSequence:
    confidence = np.ones(points.shape[:2]) if confidence is None else confidence
    return PoseSequence(times, points, confidence, "kinetag", (640, 480), world=world)


def standing(count: int) -> np.ndarray:
    """A motionless body of 13 joints with a torso of 100 px, (T, 13, 2)."""
    body = [(0, -130), (-35, -100), (35, -100), (-40, -40), (40, -40), (-40, 10), (40, 10)]
    body += [(-25, 0), (25, 0), (-25, 85), (25, 85), (-25, 170), (25, 170)]
    return np.tile(np.array(body, float) + 300, (count, 1, 1))


def test_equals_the_paper_for_each_coordinate() -> None:
    rng = np.random.default_rng(0)
    times = irregular_times(80, rng)
    values = np.cumsum(rng.normal(size=(80, 5)), axis=0)
    ours = OneEuroFilter(0.8, 0.3, 1.2)
    theirs = [PaperFilter(0.8, 0.3, 1.2) for _ in range(5)]
    for i, time in enumerate(times):
        step = time - times[i - 1] if i else 1.0
        expected = [f(x, step) for f, x in zip(theirs, values[i], strict=True)]
        np.testing.assert_allclose(ours(values[i][:, None], time)[:, 0], expected, rtol=1e-12)


def test_the_unit_scales_speed_only() -> None:
    rng = np.random.default_rng(1)
    times, values = irregular_times(40, rng), rng.normal(size=(40, 3, 2))
    near, far = OneEuroFilter(1.0, 2.0), OneEuroFilter(1.0, 2.0)
    for time, value in zip(times, values, strict=True):
        np.testing.assert_allclose(near(value * 100, time, unit=50.0), far(value, time, unit=0.5) * 100)


def test_turning_the_picture_turns_the_answer() -> None:
    rng = np.random.default_rng(2)
    times, values = irregular_times(40, rng), rng.normal(size=(40, 4, 2))
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    straight, turned = OneEuroFilter(1.0, 5.0), OneEuroFilter(1.0, 5.0)
    for time, value in zip(times, values, strict=True):
        np.testing.assert_allclose(turned(value @ turn, time), straight(value, time) @ turn, atol=1e-12)


def test_step_converges_and_constant_stays() -> None:
    one_euro = OneEuroFilter(1.0, 0.0)
    assert one_euro(np.array([[3.0]]), 0.0) == 3.0
    assert one_euro(np.array([[3.0]]), 0.1) == 3.0
    values = [float(one_euro(np.array([[4.0]]), 0.1 + 0.05 * i)[0, 0]) for i in range(1, 100)]
    assert all(a < b for a, b in pairwise(values[:50]))
    assert values[0] < 3.5
    assert values[-1] == pytest.approx(4.0, abs=1e-6)


def test_gaps() -> None:
    one_euro = OneEuroFilter(1.0, 0.0, max_gap=0.5)
    one_euro(np.array([[0.0], [0.0]]), 0.0)
    first = one_euro(np.array([[np.nan], [1.0]]), 0.1)
    assert np.isnan(first[0, 0])
    assert 0 < first[1, 0] < 1
    assert 0 < one_euro(np.array([[1.0], [1.0]]), 0.2)[0, 0] < 1  # a short absence is remembered across
    assert one_euro(np.array([[9.0], [9.0]]), 0.8)[0, 0] == 9.0  # a long one is not
    one_euro.reset()
    assert one_euro(np.array([[5.0]]), 0.0)[0, 0] == 5.0


def test_distrust_moves_less() -> None:
    trusting, doubting = OneEuroFilter(), OneEuroFilter()
    for one_euro in (trusting, doubting):
        one_euro(np.array([[0.0]]), 0.0)
    sure = trusting(np.array([[1.0]]), 0.1)[0, 0]
    assert doubting(np.array([[1.0]]), 0.1, trust=0.5)[0, 0] == pytest.approx(sure / 2)


def test_smooth_removes_jitter_without_lag() -> None:
    rng = np.random.default_rng(3)
    times = np.arange(150) / 15
    truth = standing(150)
    truth[:, :, 1] += 40 * np.sin(2 * np.pi * 0.5 * times)[:, None]  # a squat's pace
    noisy = truth + rng.normal(scale=4, size=truth.shape)
    out = smooth(sequence_of(noisy, times)).keypoints
    assert np.abs(out - truth).std() < 0.75 * np.abs(noisy - truth).std()
    moved = truth[:, 0, 1] - truth[:, 0, 1].mean()
    path = out[:, 0, 1] - out[:, 0, 1].mean()
    lags = [np.dot(moved[5:-5], np.roll(path, -shift)[5:-5]) for shift in range(-3, 4)]
    assert int(np.argmax(lags)) == 3  # no shift fits better


def test_smooth_treats_near_and_far_alike() -> None:
    rng = np.random.default_rng(4)
    times = irregular_times(60, rng)
    points = standing(60) + rng.normal(scale=5, size=(60, 13, 2))
    near, far = smooth(sequence_of(points * 2, times)), smooth(sequence_of(points / 4, times))
    np.testing.assert_allclose(near.keypoints, far.keypoints * 8, rtol=1e-4)


def test_smooth_is_the_same_backward_in_time() -> None:
    rng = np.random.default_rng(5)
    times = irregular_times(50, rng)
    points = standing(50) + rng.normal(scale=5, size=(50, 13, 2))
    forward = smooth(sequence_of(points, times)).keypoints
    backward = smooth(sequence_of(points[::-1], times[-1] - times[::-1])).keypoints[::-1]
    np.testing.assert_allclose(forward, backward, atol=0.05)


def test_smooth_fills_short_absences_only() -> None:
    times = np.arange(60) / 15
    points, confidence = standing(60), np.ones((60, 13))
    points[10:13, 5], confidence[10:13, 5] = np.nan, 0
    points[30:45, 5], confidence[30:45, 5] = np.nan, 0
    world = np.zeros((60, 13, 3))
    out = smooth(sequence_of(points, times, confidence, world))
    assert np.isfinite(out.keypoints[10:13, 5]).all()
    assert (out.confidence[10:13, 5] == 0.5).all()
    assert out.world is not None
    assert np.isfinite(out.world[10:13, 5]).all()
    assert np.isnan(out.keypoints[30:45, 5]).all()
    assert (out.confidence[30:45, 5] == 0).all()
    np.testing.assert_array_equal(out.times, times)
    np.testing.assert_allclose(out.keypoints[:, 6], points[:, 6], rtol=1e-6)


@pytest.mark.parametrize("unknown", [slice(5, 6), slice(None)])
def test_smooth_leaves_world_points_that_are_known_nowhere(unknown: slice) -> None:
    points, world = standing(20), np.ones((20, 13, 3))
    points[10, 5], world[:, unknown] = np.nan, np.nan
    smoothed = smooth(sequence_of(points, np.arange(20) / 15, world=world))
    assert np.isfinite(smoothed.keypoints).all()  # the hole in the picture is filled
    assert smoothed.world is not None
    assert np.isnan(smoothed.world[:, 5]).all()
    np.testing.assert_array_equal(np.isnan(smoothed.world), np.isnan(world))


def test_smooth_drops_a_jump_of_one_frame() -> None:
    times = np.arange(30) / 15
    points = standing(30)
    points[15, 5] += 200
    out = smooth(sequence_of(points, times))
    np.testing.assert_allclose(out.keypoints[15, 5], standing(1)[0, 5], atol=1)
    assert out.confidence[15, 5] == 0.5


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(0, 12), missing=st.floats(0, 1))
def test_smooth_never_invents(seed: int, count: int, missing: float) -> None:
    """Shapes and times stay, nothing non-finite has confidence, and no joint appears that was never seen."""
    rng = np.random.default_rng(seed)
    gone = rng.random((count, 13)) < missing
    points = np.where(gone[..., None], np.nan, standing(count) + rng.normal(scale=20, size=(count, 13, 2)))
    before = sequence_of(points, irregular_times(count, rng), np.where(gone, 0, 0.8))
    after = smooth(before)
    np.testing.assert_array_equal(after.times, before.times)
    known = np.isfinite(after.keypoints).all(axis=-1)
    np.testing.assert_array_equal(known, after.confidence > 0)
    assert not known[:, gone.all(axis=0)].any()


def test_a_long_sequence_in_pieces_is_as_if_smoothed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    times = np.cumsum(rng.uniform(0.05, 0.09, 900))
    keypoints = (
        300 + 40 * np.sin(times)[:, None, None] + rng.normal(0, 3, (900, 17, 2)) + 30 * rng.normal(size=(1, 17, 2))
    )
    sequence = PoseSequence(times, keypoints, np.full((900, 17), 0.9), "coco", (640, 480))
    whole = smooth(sequence)
    monkeypatch.setattr("kinetag.smoothing._PIECE", 250)
    pieces = smooth(sequence)
    np.testing.assert_allclose(pieces.keypoints, whole.keypoints, atol=0.05)
    np.testing.assert_allclose(pieces.confidence, whole.confidence)
