from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinetag.errors import KinetagError
from kinetag.segments import MAX_GAP, best_segmentation, decode, window_edges

LABELS = ("squat", "push_up", "other")


def brute_force(scores: np.ndarray, edges: np.ndarray, minimum: np.ndarray, cost: float) -> float:
    """The best score of all ways to label the windows one by one."""
    best = -np.inf
    widths = np.diff(edges)
    for labels in product(range(scores.shape[1]), repeat=len(scores)):
        cuts = [0, *(i for i in range(1, len(labels)) if labels[i] != labels[i - 1]), len(labels)]
        spans = list(pairwise(cuts))
        if any(edges[b] - edges[a] < minimum[labels[a]] - 1e-9 for a, b in spans):
            continue
        value = sum(scores[i, k] * widths[i] for i, k in enumerate(labels)) - cost * (len(spans) - 1)
        best = max(best, value)
    return best


def score_of(spans, scores: np.ndarray, edges: np.ndarray, cost: float) -> float:
    widths = np.diff(edges)
    total = sum(float((scores[a:b, k] * widths[a:b]).sum()) for k, a, b in spans)
    return total - cost * (len(spans) - 1)


@settings(max_examples=120, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    windows=st.integers(1, 7),
    labels=st.integers(1, 3),
    cost=st.sampled_from([0.0, 0.3, 1.5]),
)
def test_is_the_best_of_all_segmentations(seed: int, windows: int, labels: int, cost: float) -> None:
    rng = np.random.default_rng(seed)
    scores = np.log(rng.dirichlet(np.full(labels, 0.5), windows) + 1e-3)
    edges = np.cumsum(rng.uniform(0.2, 1.0, windows + 1))
    minimum = rng.uniform(0.1, 2.5, labels)
    best = brute_force(scores, edges, minimum, cost)
    spans = best_segmentation(scores, edges, minimum, cost)
    assert [spans[0][1], spans[-1][2]] == [0, windows]
    assert all(a[2] == b[1] and a[0] != b[0] for a, b in pairwise(spans))
    if np.isfinite(best):
        assert score_of(spans, scores, edges, cost) == pytest.approx(best)
        assert all(edges[b] - edges[a] >= minimum[k] - 1e-9 for k, a, b in spans)
    else:  # nothing is long enough: one segment
        assert len(spans) == 1


def windows_of(*parts: tuple[str, float], hop: float = 0.25, sure: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
    """Window times and probabilities of parts (label, seconds) one after the other."""
    names = [label for label, seconds in parts for _ in range(round(seconds / hop))]
    probabilities = np.full((len(names), len(LABELS)), (1 - sure) / (len(LABELS) - 1))
    probabilities[np.arange(len(names)), [LABELS.index(name) for name in names]] = sure
    return (np.arange(len(names)) + 0.5) * hop, probabilities


def test_parts_come_back_with_their_boundaries() -> None:
    times, probabilities = windows_of(("squat", 10), ("push_up", 8), ("other", 4))
    segments = decode(times, probabilities, LABELS, start=0, end=22)
    assert [s.label for s in segments] == ["squat", "push_up", "other"]
    np.testing.assert_allclose([s.start for s in segments], [0, 10, 18], atol=0.13)
    assert segments[-1].end == 22
    assert [s.confidence for s in segments] == pytest.approx([0.9] * 3)


def test_a_short_flicker_is_not_a_segment_and_a_long_one_is() -> None:
    minimum = {"squat": 2.0, "push_up": 2.0}
    times, probabilities = windows_of(("squat", 6), ("push_up", 1.5), ("squat", 6))
    segments = decode(times, probabilities, LABELS, start=0, end=13.5, minimum_durations=minimum)
    assert [s.label for s in segments] == ["squat"]
    assert segments[0].confidence < 0.85  # it says that not all of it looked like squats
    times, probabilities = windows_of(("squat", 6), ("push_up", 4), ("squat", 6))
    segments = decode(times, probabilities, LABELS, start=0, end=16, minimum_durations=minimum)
    assert [s.label for s in segments] == ["squat", "push_up", "squat"]


def test_boundary_lies_where_the_probabilities_cross() -> None:
    times = np.array([0.0, 1, 2, 3, 4, 5])
    share = np.array([1.0, 0.95, 0.9, 0.3, 0.05, 0])
    probabilities = np.stack([share, 1 - share], axis=1)
    first, second = decode(times, probabilities, ("squat", "push_up"))
    assert first.end == second.start
    assert 2.5 < first.end < 3.0  # window 2 is surer of the first than window 3 is of the second


def test_nothing_fits_is_other() -> None:
    times = np.arange(40) * 0.25
    torn = np.tile([0.3, 0.3, 0.3, 0.1], (40, 1))
    torn[::2, 0], torn[::2, 1] = 0.1, 0.5
    segments = decode(times, torn, ("squat", "push_up", "dip", "other"), reject=0.4)
    assert [s.label for s in segments] == ["other"]


def test_holes_without_poses_part_segments() -> None:
    times, probabilities = windows_of(("squat", 20))
    poses = np.concatenate([np.arange(0, 8, 0.1), np.arange(11, 20, 0.1)])
    keep = (times < 8) | (times > 11)
    segments = decode(times[keep], probabilities[keep], LABELS, pose_times=poses)
    assert [(s.label, round(s.start, 1), round(s.end, 1)) for s in segments] == [
        ("squat", 0.0, 7.9),
        ("squat", 11.0, 19.9),
    ]
    assert len(decode(times[keep], probabilities[keep], LABELS)) == 2  # seen from the windows alone


def test_poses_without_windows_are_other_and_unsure() -> None:
    nothing = np.zeros(0), np.zeros((0, 3))
    segments = decode(*nothing, LABELS, pose_times=np.arange(5) * 0.1)
    assert [(s.label, s.confidence) for s in segments] == [("other", 0.0)]
    assert decode(*nothing, LABELS, pose_times=np.array([1.0])) == []


def test_wrong_input_is_named() -> None:
    with pytest.raises(KinetagError, match=r"\(3, 2\), but 3 windows and 3 labels"):
        decode(np.arange(3.0), np.zeros((3, 2)), LABELS)
    with pytest.raises(KinetagError, match="do not increase"):
        decode(np.array([0.0, 0.0]), np.zeros((2, 3)), LABELS)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10_000), windows=st.integers(1, 60), hop=st.sampled_from([0.1, 0.25, 0.7]))
def test_minimum_durations_and_cover_hold_always(seed: int, windows: int, hop: float) -> None:
    rng = np.random.default_rng(seed)
    times = 3 + np.cumsum(rng.uniform(0.5, 1.5, windows)) * hop
    probabilities = rng.dirichlet([0.3, 0.3, 0.3], windows)
    minimum = dict(zip(LABELS, rng.uniform(0, 4, 3), strict=True))
    poses = np.arange(3, times[-1] + 2, 0.1)
    poses = poses[(poses < 5) | (poses > rng.uniform(5, 9))]
    segments = decode(times, probabilities, LABELS, minimum_durations=minimum, pose_times=poses)
    breaks = np.flatnonzero(np.diff(poses) > MAX_GAP)
    runs = [(r[0], r[-1]) for r in np.split(poses, breaks + 1) if r[-1] > r[0]]
    for first, last in runs:
        inside = [s for s in segments if first - 1e-9 <= s.start and s.end <= last + 1e-9]
        assert inside[0].start == first
        assert inside[-1].end == last
        assert all(a.end == b.start for a, b in pairwise(inside))
        if len(inside) > 1:
            assert all(s.duration >= minimum[s.label] - 1e-6 for s in inside)
        assert all(0 <= s.confidence <= 1 for s in inside)


def test_edges_are_half_way() -> None:
    np.testing.assert_allclose(window_edges(np.array([1.0, 2, 4]), 0, 5), [0, 1.5, 3, 5])


def test_a_run_shorter_than_a_label_needs_may_be_all_of_it() -> None:
    times = np.arange(0.1, 1.6, 0.2)
    probabilities = np.tile([0.92, 0.05, 0.03], (len(times), 1))
    minimum = {"dip": 1.7, "row": 0.5, "other": 1.5}
    segments = decode(times, probabilities, ["dip", "row", "other"], start=0, end=1.6, minimum_durations=minimum)
    assert [(s.label, s.start, s.end) for s in segments] == [("dip", 0, 1.6)]
    assert segments[0].confidence == pytest.approx(0.92)
