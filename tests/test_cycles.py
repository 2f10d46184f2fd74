from itertools import chain, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinetag.cycles import RATE, Cycle, find_cycles, low_pass, phases, turning_points, usual_swing


def grid(seconds: float) -> np.ndarray:
    return np.arange(0, seconds, 1 / RATE)


def wave(times: np.ndarray, count: int, start: float, period: float, depth: float = 1.0) -> np.ndarray:
    """``count`` humps from 0 to ``depth`` and back, one every ``period`` seconds."""
    phase = (times - start) / period
    return np.where((phase >= 0) & (phase < count), depth * (1 - np.cos(2 * np.pi * phase)) / 2, 0)


def find(values: np.ndarray, times: np.ndarray, threshold=0.2, min_period=0.8, max_period=6.0):
    return find_cycles(times, values, threshold=threshold, min_period=min_period, max_period=max_period)


def test_turning_points_of_a_made_up_line() -> None:
    values = np.array([0.0, 0.1, 0, 3, 2.9, 3.1, 1, 1.2, 1.1, 2.5, 0])
    index, is_high = turning_points(values, 1.0)
    assert index.tolist() == [0, 5, 6, 9, 10]
    assert is_high.tolist() == [False, True, False, True, False]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), threshold=st.floats(0.1, 4))
def test_turning_points_alternate_and_are_far_apart(seed: int, threshold: float) -> None:
    values = np.cumsum(np.random.default_rng(seed).normal(size=80))
    index, is_high = turning_points(values, threshold)
    assert (np.diff(index) > 0).all()
    assert (is_high[1:] != is_high[:-1]).all()
    steps = np.diff(values[index])
    assert ((steps > 0) == is_high[1:]).all()
    if len(steps) > 2:
        assert (np.abs(steps[1:-1]) >= threshold - 1e-9).all()
    if not len(index):  # then indeed it never moves that far
        assert max((values - np.minimum.accumulate(values)).max(), 0) < threshold
        assert max((np.maximum.accumulate(values) - values).max(), 0) < threshold


@pytest.mark.parametrize("count", [1, 2, 5, 12])
def test_counts_waves_with_their_times(count: int) -> None:
    times = grid(4 + 2 * count)
    cycles = find(wave(times, count, 2.0, 2.0), times)
    np.testing.assert_allclose([c.peak for c in cycles], 3 + 2 * np.arange(count), atol=0.05)
    assert not any(c.partial for c in cycles)
    assert all(c.start == pytest.approx(c.peak - 0.86, abs=0.1) for c in cycles)  # 5 % of the way up
    assert all(c.end == pytest.approx(c.peak + 0.86, abs=0.1) for c in cycles)


def test_partial_ones_are_flagged_and_fidgeting_is_not_even_that() -> None:
    times = grid(20)
    values = wave(times, 4, 0, 2.5) + wave(times, 1, 10, 2.5, 0.45) + wave(times, 2, 12.5, 2.5)
    values += wave(times, 1, 18, 1.5, 0.15)
    assert [c.partial for c in find(values, times, threshold=0.1)] == [False] * 4 + [True] + [False] * 2


def test_what_reaches_the_norm_is_not_partial() -> None:
    times = grid(12)
    values = wave(times, 2, 0, 2.5, 1.6) + wave(times, 1, 5, 2.5, 0.7) + wave(times, 1, 7.5, 2.5, 1.6)
    assert [c.partial for c in find(values, times)] == [False, False, True, False]
    cycles = find_cycles(times, values, threshold=0.2, min_period=0.8, max_period=6, norm=1.0)
    assert [c.partial for c in cycles] == [False] * 4


def test_a_peak_held_at_the_end_counts_where_asked() -> None:
    times = grid(8)
    values = np.where(times < 6, wave(times, 2, 0, 2.0) + wave(times, 1, 5, 2.0), 1.0)
    limits = {"threshold": 0.2, "min_period": 0.8, "max_period": 6.0}
    assert len(find_cycles(times, values, **limits)) == 2
    held = find_cycles(times, values, **limits, hold_counts=True)
    np.testing.assert_allclose([c.peak for c in held], [1, 3, 5.75], atol=0.1)
    rising = np.where(times < 7.5, values, values - (times - 7.5))
    assert len(find_cycles(times, -rising, **limits, hold_counts=True)) == 2


def test_a_bounce_at_the_turning_point_is_one_repetition() -> None:
    times = grid(12)
    values = wave(times, 3, 0, 4.0)
    values -= 0.3 * np.exp(-(((times % 4) - 2) ** 2) / 0.02)  # a dip in the middle of each hump
    cycles = find(values, times, threshold=0.1)
    assert len(cycles) == 3
    assert not any(c.partial for c in cycles)


def test_a_cut_repetition_counts_when_its_peak_is_seen() -> None:
    times = grid(8.1)
    values = wave(times, 6, -0.7, 2.0)  # the first peak lies at 0.3 s
    assert len(find(values, times)) == 4
    values = wave(times, 6, -1.2, 2.0)  # the first peak lies before the start
    assert len(find(values, times)) == 4  # 1.8 3.8 5.8 7.8
    assert find(values, times)[-1].end == pytest.approx(times[-1])


def test_drift_changes_nothing() -> None:
    times = grid(30)
    values = wave(times, 10, 2, 2.5) + 0.05 * times
    assert len(find(values, times)) == 10


def test_a_stray_large_movement_does_not_hide_the_rest() -> None:
    times = grid(30)
    values = wave(times, 8, 6, 2.5) + wave(times, 1, 1, 4.0, 3.0)
    assert sum(not c.partial for c in find(values, times)) == 9


def test_too_quick_and_too_slow_are_none() -> None:
    times = grid(20)
    assert len(find(wave(times, 30, 1, 0.5), times, min_period=2.0)) < 12
    assert find(wave(times, 1, 1, 18), times, max_period=4.0) == []


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 9), period=st.floats(1.0, 4.0), noise=st.floats(0, 0.08))
def test_noise_does_not_change_the_count(seed: int, count: int, period: float, noise: float) -> None:
    times = grid(count * period + 3)
    values = wave(times, count, 1.5, period) + noise * np.random.default_rng(seed).normal(size=len(times))
    cycles = find(low_pass(values, 1.0), times, min_period=1.0)
    assert sum(not c.partial for c in cycles) == count


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), seconds=st.floats(1, 60))
def test_noise_alone_is_nothing(seed: int, seconds: float) -> None:
    times = grid(seconds)
    values = low_pass(0.05 * np.random.default_rng(seed).normal(size=len(times)), 1.0)
    assert find(values, times) == []
    assert usual_swing(values, 0.2) == 0


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), hold=st.floats(0.5, 3.0))
def test_a_repetition_that_is_held_happened_in_the_middle_of_the_hold(seed: int, hold: float) -> None:
    times = grid(2 * (4 + hold))
    middles = np.array([2 + hold / 2, 6 + 3 * hold / 2])
    flat = np.clip((1 + hold / 2 - np.abs(times[:, None] - middles)).max(axis=1), 0, 1)  # one second each way
    noise = low_pass(np.random.default_rng(seed).normal(size=len(times)), 0.5)
    cycles = find(flat + 0.02 * noise / noise.std(), times)
    # Three frames: beyond two, one repetition in thousands is, by the noise that is added here.
    np.testing.assert_allclose([c.turn for c in cycles], middles, atol=0.1)
    assert all(c.start < c.arrives <= c.peak <= c.leaves < c.end for c in cycles)


@pytest.mark.parametrize(("there", "back"), [(1.0, 1.0), (2.0, 0.8)])
def test_a_swing_turns_without_a_pause(there: float, back: float) -> None:
    """A cosine is near its turning points for a while, but stops nowhere: not at the peak, nor at rest."""
    times = grid(4 * (there + back))
    phase = np.interp(times % (there + back), [0, there, there + back], [0, 0.5, 1])
    found = phases(find((1 - np.cos(2 * np.pi * phase)) / 2, times), 0.0, float(times[-1]))
    assert len(found) == 4
    for when, following in pairwise(found[1:]):  # rest before the first may be a stop
        parts = np.diff([*when, following.start])
        np.testing.assert_allclose(parts, [there, 0, back, 0], atol=0.08)


def test_where_somebody_stops_there_is_a_pause() -> None:
    times = grid(24)
    way = np.interp((times - 1) % 5, [0, 1, 2.2, 3.5, 5], [0, 1, 1, 0, 0]) * (times >= 1) * (times < 21)
    found = phases(find((1 - np.cos(np.pi * way)) / 2, times), 0.0, 24.0)
    assert len(found) == 4
    for number, when in enumerate(found):
        np.testing.assert_allclose(np.array(when) - 1 - 5 * number, [0, 1, 2.2, 3.5], atol=0.12)


def test_phases_stay_within_what_was_looked_at_and_seen() -> None:
    cycle = Cycle(1.0, 2.0, 3.0, 1.0, False, 1.9, 2.1, 2.0)
    assert phases([cycle], 0.0, 9.0)[0] == pytest.approx((0.91, 1.97, 2.03, 3.09), abs=0.05)
    (when,) = phases([cycle], 1.5, 2.5)
    assert (when.start, when.end) == (1.5, 2.5)
    seen = Cycle(1.0, 2.0, 3.0, 1.0, False, 1.9, 2.1, 2.0, seen=(1.0, 3.0))
    following = Cycle(4.0, 5.0, 6.0, 1.0, False, 4.9, 5.1, 5.0, seen=(4.0, 8.0))
    first, second = phases([seen, following], 0.0, 9.0)
    assert (first.start, first.end, second.start) == (1.0, 3.0, 4.0)
    times = grid(4)
    assert find(wave(times, 2, 0, 2.0), times)[0].seen == (times[0], times[-1])
    assert phases([], 0.0, 9.0) == []


@st.composite
def any_cycles(draw: st.DrawFn) -> list[Cycle]:
    """Cycles of several signals, in order of their turning points: apart, overlapping, or one within another."""
    seconds = st.floats(0, 3)
    cycles = []
    for turn in sorted(draw(st.lists(st.floats(0, 20), max_size=8))):
        to_arrive, pause_before, pause_after, to_end = (draw(seconds) for _ in range(4))
        arrives, leaves = turn - pause_before, turn + pause_after
        cycles.append(Cycle(arrives - to_arrive, turn, leaves + to_end, 1.0, False, arrives, leaves, turn))
    return cycles


@settings(max_examples=300, deadline=None)
@given(cycles=any_cycles())
def test_one_repetition_is_over_before_the_next_begins(cycles: list[Cycle]) -> None:
    found = phases(cycles, 0.0, 20.0)
    assert len(found) == len(cycles)
    moments = [0.0, *chain.from_iterable(found), 20.0]
    assert all(a <= b + 1e-9 for a, b in pairwise(moments))
    assert all(when.start <= cycle.turn <= when.end for when, cycle in zip(found, cycles, strict=True))
