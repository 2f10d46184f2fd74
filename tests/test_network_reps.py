"""Repetitions by the network's word: found in it, put where the exercise's signal has them, and not made up."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_reps import SQUAT, SQUAT_BY_HEIGHT, Counting, Exercise, cut, humps, squats

from kinetag.classifier import Classifier
from kinetag.cycles import Cycle
from kinetag.network_reps import Progress, placed, progress_cycles
from kinetag.reps import count_any, count_repetitions

RATE = 12.0


def told(count: int, *, period: float = 2.0, length: float = 20.0, noise: float = 0.0) -> Progress:
    times = np.arange(0, length, 1 / RATE)
    values = humps(times, count, period=period, depth=1.0) + noise * np.random.default_rng(0).standard_normal(
        len(times)
    )
    return Progress(times, values)


def cycle(start: float, end: float, *, partial: bool = False) -> Cycle:
    middle = (start + end) / 2
    return Cycle(start, middle, end, 1.0, partial, middle, middle, middle)


@given(st.integers(0, 8), st.floats(1.0, 2.3), st.floats(0, 0.04))
def test_as_many_as_there_are(count: int, period: float, noise: float) -> None:
    found, clear = progress_cycles(told(count, period=period, noise=noise), 0, 20, 0.6, 8)
    assert sum(not one.partial for one in found) == count
    assert [one.turn for one in found] == pytest.approx([1 + (i + 0.5) * period for i in range(count)], abs=0.15)
    assert (clear > 0.6) if count else (clear < 0.4)


def test_only_what_lies_in_the_time_asked_for() -> None:
    found, _ = progress_cycles(told(8), 4.9, 11.1, 0.6, 8)
    assert [one.turn for one in found] == pytest.approx([6, 8, 10], abs=0.1)


def test_nothing_is_made_up_in_a_hole() -> None:
    """Two of five repetitions were not seen: nobody knows them."""
    whole = told(5)
    values = np.where((whole.times > 4.9) & (whole.times < 9.1), np.nan, whole.values)
    found, _ = progress_cycles(Progress(whole.times, values), 0, 20, 0.6, 8)
    assert [one.turn for one in found] == pytest.approx([2, 4, 10], abs=0.3)
    nothing = Progress(whole.times, np.full_like(values, np.nan))
    found, clear = progress_cycles(nothing, 0, 20, 0.6, 8)
    assert found == []
    assert np.isnan(clear)


def test_the_signal_says_when_and_the_network_how_many() -> None:
    ruled = [cycle(1.1, 2.9), cycle(5.2, 7.1), cycle(20, 22)]
    out = placed([cycle(1, 3), cycle(3, 5), cycle(5, 7)], ruled, trusted=True)
    assert out == [ruled[0], cycle(3, 5), ruled[1]]


def test_a_repetition_of_the_signal_stands_for_one_alone() -> None:
    """What the signal takes for one long repetition, the network for two, are two."""
    out = placed([cycle(1, 3), cycle(3, 5)], [cycle(1.2, 4.4)], trusted=True)
    assert len(out) == 2
    assert out.count(cycle(1.2, 4.4)) == 1


def test_a_network_that_counts_from_the_other_end_is_not_followed_against_a_good_signal() -> None:
    ruled, told = [cycle(1, 3), cycle(3, 5), cycle(5, 7)], [cycle(2.2, 3.8), cycle(4.2, 5.8)]
    assert placed(told, ruled, trusted=True) == ruled
    assert placed(told, ruled, trusted=False) == told


@pytest.mark.parametrize("trusted", [True, False])
@pytest.mark.parametrize("said", [True, False])
def test_who_tells_what_is_partial(trusted: bool, said: bool) -> None:
    (out,) = placed([cycle(1, 3, partial=said)], [cycle(1, 3, partial=True)], trusted=trusted)
    assert out.partial is (trusted or said)


def test_the_network_counts_what_the_signal_does_not_show() -> None:
    """Arms that nobody sees, of somebody who moves nothing else, but a network that knows."""
    poses = squats(0, tail=11, azimuth=45, noise=0.01)
    arms = [poses.skeleton.index(f"{side}_{joint}") for side in ("left", "right") for joint in ("elbow", "wrist")]
    confidence = poses.confidence.copy()
    confidence[:, arms] = 0
    hidden = replace(poses, confidence=confidence)
    curl, still = Exercise(Counting("elbow", 165, 50)), Progress(told(0).times, 0 * told(0).times)
    assert not _full(count_repetitions(hidden, curl, 0, 12, still))  # type: ignore[arg-type]
    assert len(_full(count_repetitions(hidden, curl, 0, 12, told(5)))) == 5  # type: ignore[arg-type]


def test_a_clear_signal_is_believed_against_a_vague_network() -> None:
    poses, many = squats(4, azimuth=45), told(9, period=1.0)
    for progress in (None, told(0), Progress(many.times, many.values / 2)):
        assert len(_full(count_repetitions(poses, SQUAT, 0, 10, progress))) == 4  # type: ignore[arg-type]


def test_what_trembles_is_no_repetition_of_somebody_who_keeps_still() -> None:
    """A signal as poor as that of joints which tremble counts three; the network, where it can tell, says none."""
    poses = squats(3, depth=26, azimuth=45, noise=0.02)
    still, unseen = (Progress(told(0).times, np.full_like(told(0).times, value)) for value in (0.05, np.nan))
    assert [len(count_repetitions(poses, SQUAT, 0, 9, one)) for one in (None, unseen, still)] == [3, 3, 0]  # type: ignore[arg-type]


def test_quick_exercises_are_counted_by_their_signal() -> None:
    quick = Exercise(replace(SQUAT.counting, min_period=0.3))  # type: ignore[type-var]
    poses = squats(0, tail=10, noise=0.01)
    assert count_repetitions(poses, quick, 0, 11, told(5)) == []  # type: ignore[arg-type]


def test_the_shipped_network_counts_squats() -> None:
    poses = squats(5, azimuth=30, noise=0.01)
    progress = Classifier.load().progress(poses)
    assert progress is not None
    found, clear = progress_cycles(progress, 0, poses.times[-1], 0.6, 8)
    assert [one.turn for one in found if not one.partial] == pytest.approx([2, 4, 6, 8, 10], abs=0.3)
    assert clear > 0.5
    assert len(_full(count_any(poses, SQUAT_BY_HEIGHT, 0, poses.times[-1], progress))) == 5  # type: ignore[arg-type]


def test_progress_is_nan_where_nobody_is() -> None:
    poses = squats(5, azimuth=30)
    gone = (poses.times > 3) & (poses.times < 9)
    progress = Classifier.load().progress(cut(poses, ~gone))
    assert progress is not None
    assert np.isnan(progress.values[(progress.times > 4) & (progress.times < 8)]).all()
    assert np.isfinite(progress.values[progress.times < 2.9]).all()
    assert (np.diff(progress.times) > 0).all()


def test_shots_are_told_apart() -> None:
    poses = squats(5, azimuth=30)
    progress = Classifier.load().progress(replace(poses, cuts=(6.0,)))
    alone = Classifier.load().progress(poses.between(0, 5.999))
    assert progress is not None
    assert alone is not None
    np.testing.assert_allclose(progress.values[: len(alone.values)], alone.values, atol=1e-5)


def test_a_file_that_does_not_tell_gives_none() -> None:
    assert Classifier.load("therapy").progress(squats(2)) is None


def _full(found: list) -> list:
    return [repetition for repetition in found if not repetition.partial]


@pytest.mark.parametrize(("quality", "clear", "count"), [(0.65, 0.7, 3), (0.65, 0.8, 4), (0.5, 0.55, 4)])
def test_a_signal_that_is_trusted_yields_to_a_network_that_is_clearly_clearer(
    monkeypatch: pytest.MonkeyPatch, quality: float, clear: float, count: int
) -> None:
    ruled, seen = ([cycle(2.0 * i, 2.0 * i + 1.8) for i in range(n)] for n in (3, 4))
    monkeypatch.setattr("kinetag.reps._ruled", lambda *_: (ruled, quality))
    monkeypatch.setattr("kinetag.reps.progress_cycles", lambda *_: (seen, clear))
    assert len(count_repetitions(squats(4), SQUAT, 0, 9, told(4))) == count  # type: ignore[arg-type]
