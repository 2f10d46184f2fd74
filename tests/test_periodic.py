"""Counting a movement that no rule describes."""

import numpy as np
import pytest
from made_poses import bend_elbow, body, seen, squat
from test_reps import curls, cut, humps, squats

from kinetag.exercises.library import load_library
from kinetag.reps import count_any, count_periodic
from kinetag.smoothing import smooth

LIBRARY = load_library()


def count(sequence) -> int:
    return len(count_periodic(sequence, sequence.times[0], sequence.times[-1]))


@pytest.mark.parametrize("number", [2, 5, 9])
@pytest.mark.parametrize("view", [{"azimuth": 0}, {"azimuth": 90}, {"azimuth": 60, "world": False}])
def test_squats(number, view):
    assert count(squats(number, noise=0.02, **view)) == number


@pytest.mark.parametrize("azimuth", [0, 90])
def test_sides_that_take_turns_are_two_repetitions(azimuth):
    times = np.arange(0, 18, 1 / 15)
    left = np.sum([humps(times, 1, start=start, period=1.9) for start in (1, 5, 9, 13)], axis=0)
    right = np.sum([humps(times, 1, start=start, period=1.9) for start in (3, 7, 11, 15)], axis=0)
    assert count(curls(left, right, times, azimuth=azimuth, noise=0.01)) == 8
    assert count(curls(left + right, np.zeros_like(left), times, azimuth=azimuth, noise=0.01)) == 8


def test_turning_points_are_found():
    found = count_periodic(squats(5), 0, 12)
    np.testing.assert_allclose([repetition.time for repetition in found], [2, 4, 6, 8, 10], atol=0.15)
    assert all(r.start < r.time < r.end and "left_knee" in r.range_of_motion for r in found)


@pytest.mark.parametrize("seed", range(4))
def test_who_stands_still_repeats_nothing(seed):
    times = np.arange(0, 15, 1 / 15)
    assert count(smooth(seen(body(len(times)), times, azimuth=90 * seed, noise=0.03, seed=seed))) == 0


def test_a_ramp_is_not_periodic():
    times = np.arange(0, 12, 1 / 15)
    joints = body(len(times))
    squat(joints, np.linspace(0, 90, len(times)))
    assert count(smooth(seen(joints, times, noise=0.01))) == 0


def test_a_long_set_is_counted_in_pieces():
    times = np.arange(0, 700, 1 / 10)
    joints = body(len(times))
    for side in ("left", "right"):
        bend_elbow(joints, side, humps(times, 232, period=3.0))
    assert abs(count(smooth(seen(joints, times, noise=0.01))) - 232) <= 1


def test_little_or_nothing_to_look_at():
    sequence = squats(3)
    assert count_periodic(sequence, 50, 60) == []
    assert count_periodic(sequence.between(0, 0.2), 0, 0.2) == []
    blind = cut(sequence, np.ones(len(sequence), bool))
    blind.confidence[:] = 0
    assert count_periodic(blind, 0, 8) == []


def test_the_rule_is_asked_first():
    sequence = squats(4)
    assert len(count_any(sequence, LIBRARY["squat"], 0, 10)) == 4
    assert len(count_any(sequence, None, 0, 10)) == 4
    assert count_any(sequence, LIBRARY["plank"], 0, 10) == []  # held
    nobodys = LIBRARY["squat"].model_copy(update={"counting": None, "counted": False})
    assert count_any(sequence, nobodys, 0, 10) == []
    unruly = LIBRARY["squat"].model_copy(update={"counting": None})
    assert len(count_any(sequence, unruly, 0, 10)) == 4
