import itertools
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_poses import bend_elbow, body, seen, squat

from kinetag.cycles import Cycle
from kinetag.exercises.kinematics import BODY
from kinetag.exercises.library import load_library
from kinetag.exercises.motion import generate
from kinetag.reps import _same, count_repetitions, motion_amplitude
from kinetag.sequence import PoseSequence
from kinetag.skeletons import KINETAG13, get_layout
from kinetag.smoothing import smooth
from kinetag.timeline import Repetition


@dataclass
class Counting:
    """What the exercise library says about counting."""

    signal: str
    rest: float
    peak: float
    sides: str = "both"
    min_period: float = 0.8
    max_period: float = 6.0


@dataclass
class Exercise:
    counting: Counting | None


SQUAT = Exercise(Counting("knee", 170, 80))
SQUAT_BY_HEIGHT = Exercise(Counting("hip_height", 0, -0.8))
CURL = Exercise(Counting("elbow", 165, 50, "either"))
ALTERNATE_CURL = Exercise(Counting("elbow", 165, 50, "alternate"))


def humps(times: np.ndarray, count: int, *, start=1.0, period=2.0, depth=100.0) -> np.ndarray:
    phase = (times - start) / period
    return np.where((phase >= 0) & (phase < count), depth * (1 - np.cos(2 * np.pi * phase)) / 2, 0)


def squats(count: int, *, rate=15.0, period=2.0, depth=100.0, tail=1.0, **view) -> PoseSequence:
    times = np.arange(0, 1 + count * period + tail, 1 / rate)
    joints = body(len(times))
    squat(joints, humps(times, count, period=period, depth=depth))
    return smooth(seen(joints, times, **view))


def curls(left: np.ndarray, right: np.ndarray, times: np.ndarray, **view) -> PoseSequence:
    joints = body(len(times))
    bend_elbow(joints, "left", left)
    bend_elbow(joints, "right", right)
    return smooth(seen(joints, times, **view))


def cut(sequence: PoseSequence, keep: np.ndarray) -> PoseSequence:
    """The sequence without some of its poses."""
    world = None if sequence.world is None else sequence.world[keep]
    parts = (sequence.times[keep], sequence.keypoints[keep], sequence.confidence[keep])
    return PoseSequence(*parts, sequence.layout, sequence.frame_size, world=world)


def count(sequence: PoseSequence, exercise=SQUAT) -> int:
    found = count_repetitions(sequence, exercise, sequence.times[0], sequence.times[-1])  # type: ignore[arg-type]
    return sum(not repetition.partial for repetition in found)


@pytest.mark.parametrize("number", [0, 1, 2, 7])
@pytest.mark.parametrize("exercise", [SQUAT, SQUAT_BY_HEIGHT], ids=["angle", "height"])
@pytest.mark.parametrize("view", [{"azimuth": 0}, {"azimuth": 90}, {"azimuth": 60, "world": False}])
def test_squats(number: int, exercise: Exercise, view: dict) -> None:
    if number:
        assert count(squats(number, noise=0.02, **view), exercise) == number
    else:
        assert count(squats(0, noise=0.03, tail=10, **view), exercise) == 0


def test_the_trunk_counts_too() -> None:
    """A signal that has no sides: bow five times, seen from the side."""
    times = np.arange(0, 12, 1 / 15)
    joints = body(len(times))
    turn = np.radians(humps(times, 5, depth=70))
    hips = (joints["left_hip"] + joints["right_hip"]) / 2
    for joint in ("nose", *(f"{side}_{part}" for side in ("left", "right") for part in ("shoulder", "elbow", "wrist"))):
        x, y, z = (joints[joint] - hips).T
        bent = np.stack([x, y * np.cos(turn) - z * np.sin(turn), y * np.sin(turn) + z * np.cos(turn)], axis=1)
        joints[joint] = hips + bent
    sequence = smooth(seen(joints, times, azimuth=80, noise=0.01))
    assert count(sequence, Exercise(Counting("trunk", 5, 70))) == 5


def test_times_and_range_of_motion() -> None:
    sequence = squats(4, azimuth=45)
    found = count_repetitions(sequence, SQUAT, 0, 10)  # type: ignore[arg-type]
    np.testing.assert_allclose([r.time for r in found], [2, 4, 6, 8], atol=0.07)
    for repetition in found:
        assert repetition.start < repetition.time < repetition.end
        low, high = repetition.range_of_motion["left_knee"]
        assert low == pytest.approx(80, abs=6)
        assert high == pytest.approx(178, abs=6)
        assert "left_elbow" not in repetition.range_of_motion  # it does not move
    assert all(a.end <= b.start + 1e-9 for a, b in itertools.pairwise(found))


def check_times(found: list[Repetition]) -> None:
    """Repetitions follow one another, and the parts of the tempo fill each of them and the rest between."""
    for repetition, following in zip(found, [*found[1:], None], strict=True):
        assert repetition.start <= repetition.time <= repetition.end
        assert repetition.tempo is not None
        *parts, rest = repetition.tempo
        assert min(parts) >= 0
        assert sum(parts) == pytest.approx(repetition.duration)
        if following is None:
            assert rest is None
        else:
            assert repetition.end <= following.start
            assert rest == pytest.approx(following.start - repetition.end)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), period=st.floats(1.2, 4.0), shift=st.floats(0.2, 1.0), first=st.floats(0, 3))
def test_repetitions_follow_one_another_and_tempo_fills_them(
    seed: int, period: float, shift: float, first: float
) -> None:
    """Arms that curl in turn, so that one rises while the other is still on its way down."""
    times = np.arange(0, 2 + 5 * period, 1 / 15)
    left, right = humps(times, 4, period=period), humps(times, 4, start=1 + shift * period, period=period)
    sequence = curls(left, right, times, noise=0.02, seed=seed)
    check_times(count_repetitions(sequence, CURL, first, float(times[-1])))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["mountain_climber", "bicycle_crunch", "biceps_curl"])
def test_repetitions_of_sides_that_take_turns_do_not_overlap(name: str) -> None:
    exercise, rng = load_library()[name], np.random.default_rng(2)
    motion = generate(exercise, rng, rate=30, repetitions=8)
    joints = {joint: motion.joints[:, BODY.index(joint)] for joint in KINETAG13.joints}
    sequence = smooth(seen(joints, motion.times, azimuth=60, noise=0.015))
    found = count_repetitions(sequence, exercise, 0, float(motion.times[-1]))
    truth = np.array(motion.repetitions)
    assert len(found) == len(truth)
    check_times(found)
    np.testing.assert_allclose([r.time for r in found], truth[:, 1], atol=0.2)
    wrong = np.abs([(r.start, r.end) for r in found] - truth[:, [0, 2]])
    assert wrong.mean() < 0.15


def test_angles_of_a_hidden_arm_are_said_to_be_guesses() -> None:
    times = np.arange(0, 8, 1 / 15)
    both = curls(humps(times, 3), humps(times, 3), times)
    hidden = replace(both, confidence=both.confidence.copy())
    hidden.confidence[:, joint(both, "left_wrist")] = 0.3
    found = {name: count_repetitions(poses, CURL, 0, 8) for name, poses in (("seen", both), ("hidden", hidden))}
    assert all(rep.guessed == () for rep in found["seen"])
    assert len(found["hidden"]) == 3
    for rep in found["hidden"]:
        assert rep.guessed == ("left_elbow",)
        assert rep.to_dict()["guessed"] == ["left_elbow"]
        assert "right_elbow" in rep.range_of_motion


def joint(sequence: PoseSequence, name: str) -> int:
    return get_layout(sequence.layout).index(name)


def test_only_peaks_within_the_segment_count() -> None:
    sequence = squats(6)
    found = count_repetitions(sequence, SQUAT, 3.5, 8.5)  # type: ignore[arg-type]
    np.testing.assert_allclose([r.time for r in found], [4, 6, 8], atol=0.1)
    assert all(3.5 <= r.start < r.end <= 8.5 for r in found)


def test_partial_repetitions_are_listed_not_counted() -> None:
    times = np.arange(0, 16, 1 / 15)
    joints = body(len(times))
    depth = humps(times, 3) + humps(times, 1, start=8, depth=45) + humps(times, 2, start=11)
    squat(joints, depth)
    found = count_repetitions(seen(joints, times), SQUAT, 0, 16)  # type: ignore[arg-type]
    assert [r.partial for r in found] == [False, False, False, True, False, False]


def test_a_set_of_shallow_dips_is_partial() -> None:
    assert count(squats(5, depth=20)) == 0


@pytest.mark.parametrize("exercise", [CURL, ALTERNATE_CURL], ids=["either", "alternate"])
@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_arms_in_turn_at_once_or_one_only(exercise: Exercise, noise: float) -> None:
    times = np.arange(0, 14, 1 / 15)
    nothing = np.zeros(len(times))
    first, second = humps(times, 3, period=4), humps(times, 3, start=3, period=4)
    turns = [np.where((times - 1) % 4 < 2, humps(times, 6), 0), np.where((times - 1) % 4 >= 2, humps(times, 6), 0)]
    assert count(curls(*turns, times, noise=noise), exercise) == 6
    assert count(curls(first, second, times, noise=noise), exercise) == 6
    assert count(curls(first, first, times, noise=noise), exercise) == 3
    assert count(curls(nothing, first, times, noise=noise), exercise) == 3


@pytest.mark.parametrize("number", [2, 3, 5, 8])
def test_rest_before_and_after_taking_turns_is_no_repetition(number: int) -> None:
    times = np.arange(0, 4 + number, 1 / 15)
    both = humps(times, number, start=2, period=1)
    left = (times - 2) % 2 < 1
    assert count(curls(np.where(left, both, 0), np.where(left, 0, both), times, noise=0.003), ALTERNATE_CURL) == number


def test_a_held_peak_may_lie_after_the_end_of_the_other_sides_cycle() -> None:
    """As in a clean and jerk that is held overhead until the clip ends: ends and peaks are where noise put them."""
    left = Cycle(start=0.1, turn=3.58, end=5.13, peak=5.13, excursion=0.91, partial=False, arrives=3.0, leaves=5.13)
    right = Cycle(start=0.1, turn=3.72, end=5.23, peak=5.23, excursion=0.89, partial=False, arrives=3.1, leaves=5.23)
    assert _same(right, left, level=0.9, top=0.9)
    assert not _same(right, left, level=0.1, top=0.9)  # the left arm is down meanwhile: they take turns
    later = replace(right, start=5.0, turn=7.0, end=9.0, peak=7.0)
    assert not _same(later, left, level=0.9, top=0.9)  # its own repetition


def test_nothing_is_made_up_in_holes() -> None:
    sequence = squats(7)  # bottoms at 2, 4, 6, ... s
    knees = sequence.skeleton.indices(("left_knee", "right_knee"))
    hole = (sequence.times > 5.2) & (sequence.times < 8.8)
    hidden = squats(7)
    hidden.confidence[np.ix_(hole, knees)] = 0
    for holed in (hidden, cut(sequence, ~hole)):
        found = count_repetitions(holed, SQUAT, 0, 16)  # type: ignore[arg-type]
        np.testing.assert_allclose([r.time for r in found], [2, 4, 10, 12, 14], atol=0.2)


def test_a_hidden_side_is_made_up_for() -> None:
    sequence = squats(5, azimuth=80)
    for joint in ("left_hip", "left_knee", "left_ankle"):
        index = sequence.skeleton.index(joint)
        sequence.keypoints[:, index], sequence.confidence[:, index] = np.nan, 0
    assert count(sequence) == 5


def test_unseen_counting_joints_fall_back_on_the_rhythm_of_the_rest() -> None:
    sequence = squats(6, azimuth=20, noise=0.01)
    for joint in ("left_knee", "left_ankle", "right_knee", "right_ankle"):
        index = sequence.skeleton.index(joint)
        sequence.keypoints[:, index], sequence.confidence[:, index] = np.nan, 0
    assert count(sequence) == 6
    still = squats(0, tail=12, noise=0.03)
    still.confidence[:, still.skeleton.indices(("left_knee", "right_knee"))] = 0
    assert count(still) == 0


@settings(max_examples=15, deadline=None)
@given(number=st.integers(1, 6), scale=st.floats(0.6, 2.0), rate=st.sampled_from([10.0, 12.5, 25.0, 30.0]))
def test_neither_tempo_nor_frame_rate_matter(number: int, scale: float, rate: float) -> None:
    assert count(squats(number, period=2 * scale, rate=rate, noise=0.01)) == number


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), azimuth=st.floats(0, 360), noise=st.floats(0, 0.05))
def test_noise_alone_counts_nothing(seed: int, azimuth: float, noise: float) -> None:
    times = np.arange(0, 20, 1 / 15)
    sequence = smooth(seen(body(len(times)), times, azimuth=azimuth, noise=noise, seed=seed))
    for exercise in (SQUAT, SQUAT_BY_HEIGHT, CURL):
        assert count(sequence, exercise) == 0


def test_motion_amplitude() -> None:
    assert motion_amplitude(squats(4), SQUAT, 0, 9) == pytest.approx(100 / 90, abs=0.1)  # type: ignore[arg-type]
    assert motion_amplitude(squats(0, tail=9), SQUAT, 0, 9) == 0  # type: ignore[arg-type]
    assert np.isnan(motion_amplitude(squats(2), Exercise(None), 0, 5))  # type: ignore[arg-type]
    assert count_repetitions(squats(2), Exercise(None), 0, 5) == []  # type: ignore[arg-type]


def test_empty_and_tiny_sequences() -> None:
    sequence = squats(2)
    assert count_repetitions(sequence, SQUAT, 50, 60) == []  # type: ignore[arg-type]
    assert count_repetitions(sequence.between(0, 0.1), SQUAT, 0, 0.1) == []  # type: ignore[arg-type]
    sequence.confidence[:] = 0
    sequence.keypoints[:] = np.nan
    assert count(sequence) == 0


def test_a_long_set_is_counted_like_a_short_one():
    """Pieces of a long segment: no repetition is lost or counted twice at a seam."""
    sequence = squats(400, period=2.5)
    found = count_repetitions(sequence, SQUAT, 0.0, float(sequence.times[-1]))
    assert len(found) == 400
    np.testing.assert_allclose(np.diff([repetition.time for repetition in found]), 2.5, atol=0.2)


def walked(lift: float, wander: float) -> PoseSequence:
    """Somebody on the spot who lifts the feet in turn so many metres, while their depth seems to wander."""
    times = np.arange(0, 10, 1 / 15)
    joints = body(len(times))
    for side, way in (("left", 1), ("right", -1)):
        joints[f"{side}_ankle"][:, 1] += lift * np.maximum(0, way * np.sin(2 * np.pi * times / 1.2))
    sequence = smooth(seen(joints, times, azimuth=0, noise=0.01))
    assert sequence.world is not None
    ankle = get_layout(sequence.layout).index("left_ankle")
    sequence.world[:, ankle, 2] += wander * np.sin(2 * np.pi * times / 2.1)
    return sequence


def test_what_the_rule_does_not_show_is_counted_by_what_repeats():
    """A signal that comes out too flat, or a label that hardly fits: squats counted by turns of the trunk."""
    twist = load_library()["torso_twist"]
    assert count(squats(6, noise=0.01, azimuth=20), twist) == 6
    assert count(squats(0, tail=12, noise=0.01, azimuth=20), twist) == 0


def test_feet_that_stand_and_seem_to_wander_take_no_steps():
    walking = Exercise(Counting("step", 0, 0.8, "alternate", 0.3, 1.5))
    assert count_repetitions(walked(lift=0.0, wander=0.1), walking, 0, 10) == []


def test_even_steps_that_only_depth_shows_are_counted():
    walking = Exercise(Counting("step", 0, 0.8, "alternate", 0.3, 1.5))
    assert len(count_repetitions(walked(lift=0.0, wander=0.25), walking, 0, 10)) == pytest.approx(9, abs=1)


def test_low_steps_on_the_spot_are_counted():
    walking = Exercise(Counting("step", 0, 0.8, "alternate", 0.3, 1.5))
    for wander in (0.0, 0.03):
        assert len(count_repetitions(walked(lift=0.08, wander=wander), walking, 0, 10)) == pytest.approx(16, abs=2)
