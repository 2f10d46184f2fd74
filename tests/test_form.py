"""Faults of form, tempo and how left and right differ, on bodies whose truth is known."""

import numpy as np
import pytest
from made_poses import bend_elbow, body, seen, squat
from test_reps import humps, squats

from kinetag.alignment import form_confidence, form_signals, lies_flat, view_of
from kinetag.exercises.library import FORM_SIGNALS, Fault, load_library
from kinetag.form import _Look, assess
from kinetag.reps import count_any
from kinetag.schema import validate_timeline
from kinetag.smoothing import smooth
from kinetag.timeline import Person, Segment, Timeline

LIBRARY = load_library()


def judged(sequence, name: str, **changes) -> Segment:
    exercise = LIBRARY[name].model_copy(update=changes)
    start, end = float(sequence.times[0]), float(sequence.times[-1])
    segment = Segment(name, start, end, 1.0, count_any(sequence, exercise, start, end))
    assess(sequence, exercise, segment)
    return segment


def faults(segment: Segment) -> set[str]:
    return {fault.name for fault in segment.faults}


def test_a_shallow_squat_is_told_and_a_deep_one_is_not():
    for azimuth in (0, 90):
        assert "too_shallow" not in faults(judged(squats(5, depth=100, azimuth=azimuth, noise=0.01), "squat"))
        shallow = judged(squats(5, depth=40, azimuth=azimuth, noise=0.01), "squat")
        assert "too_shallow" in faults(shallow)
    fault = next(fault for fault in shallow.faults if fault.name == "too_shallow")
    assert fault.above
    assert fault.limit == 118
    assert len(fault.times) == fault.judged == 5
    assert np.median(fault.values) == pytest.approx(140, abs=8)
    np.testing.assert_allclose(fault.times, [r.time for r in shallow.repetitions])
    assert all(r.start < t < r.end for r, t in zip(shallow.repetitions, fault.times, strict=True))


def test_one_bad_repetition_is_no_fault():
    times = np.arange(0, 14, 1 / 15)
    joints = body(len(times))
    squat(joints, humps(times, 5) + humps(times, 1, start=11, depth=50))
    assert "too_shallow" not in faults(judged(smooth(seen(joints, times, azimuth=90, noise=0.01)), "squat"))


def test_who_cannot_be_seen_is_not_judged():
    sequence = squats(5, depth=40, azimuth=90)
    unsure = np.full_like(sequence.confidence, 0.3)
    hidden = type(sequence)(sequence.times, sequence.keypoints, unsure, sequence.layout, sequence.frame_size)
    assert not judged(hidden, "squat").faults


def test_knees_inward_are_seen_from_the_front_only():
    def squatted(inward: float, azimuth: float) -> Segment:
        times = np.arange(0, 12, 1 / 15)
        joints, bend = body(len(times)), humps(times, 5)
        squat(joints, bend)
        for side, way in (("left", -1), ("right", 1)):
            knee, other = joints[f"{side}_knee"], joints[f"{'right' if side == 'left' else 'left'}_knee"]
            sign = np.sign(other[0, 0] - knee[0, 0])
            assert sign in (1, -1), way
            knee[:, 0] += sign * inward * bend / 100
        return judged(smooth(seen(joints, times, azimuth=azimuth, noise=0.005)), "squat")

    assert "knees_inward" not in faults(squatted(0.0, 0))
    assert "knees_inward" in faults(squatted(0.06, 0))
    assert "knees_inward" not in faults(squatted(0.06, 90))


def test_a_held_pose_is_judged_second_by_second():
    exercise = LIBRARY["plank"].faults["sagging"]
    assert exercise.at == "whole"
    upright = Fault(description="standing upright", angle="trunk", below=30, at="whole")
    times = np.arange(0, 10, 1 / 15)
    segment = judged(smooth(seen(body(len(times)), times, azimuth=90)), "plank", faults={"upright": upright})
    (fault,) = segment.faults
    assert fault.judged >= 6
    assert max(fault.values) < 10


def test_left_and_right_are_compared_from_the_front():
    times = np.arange(0, 12, 1 / 15)

    def curls(left: float, right: float, azimuth: float) -> Segment:
        joints = body(len(times))
        bend_elbow(joints, "left", humps(times, 5, depth=left))
        bend_elbow(joints, "right", humps(times, 5, depth=right))
        sequence = smooth(seen(joints, times, azimuth=azimuth))
        return judged(sequence, "biceps_curl", sides={"both": 1.0})

    even = curls(110, 110, 30)
    for repetition in even.repetitions:
        assert abs(repetition.asymmetry["elbow"].degrees) < 3
        assert abs(repetition.asymmetry["elbow"].seconds) < 0.05
    uneven = curls(120, 75, 30)
    assert "uneven" in faults(uneven)
    assert uneven.repetitions[1].asymmetry["elbow"].degrees == pytest.approx(45, abs=8)
    assert uneven.repetitions[1].asymmetry["elbow"].percent == pytest.approx(100 * 45 / 97, abs=9)
    aside = curls(120, 70, 90).repetitions
    assert not any(repetition.asymmetry for repetition in aside)
    assert {repetition.not_compared for repetition in aside} == {"not seen from the front or back"}
    assert not any(repetition.not_compared for repetition in even.repetitions)


def test_what_is_missing_to_the_norm():
    full = judged(squats(3, depth=100, azimuth=90), "squat")
    short = judged(squats(3, depth=55, azimuth=90), "squat")
    assert [repetition.short_of_norm for repetition in full.repetitions] == [0, 0, 0]
    for repetition in short.repetitions:
        assert repetition.short_of_norm == pytest.approx(125 - 105, abs=6)  # the norm ends at 105 degrees


def test_a_height_tells_a_fault_in_torso_lengths():
    low = Fault(description="the hips go down", angle="hip_height", below=1.5)
    for azimuth in (0, 90):
        assert faults(judged(squats(4, depth=100, azimuth=azimuth), "squat", faults={"low": low})) == {"low"}
        assert not faults(judged(squats(4, depth=40, azimuth=azimuth), "squat", faults={"low": low}))


def test_a_height_of_one_side_is_enough_where_it_moves():
    low = Fault(description="the hips go down", angle="hip_height", below=1.5)
    sequence = squats(4, depth=100, azimuth=90)
    sequence.confidence[:, sequence.skeleton.index("right_hip")] = 0.2
    assert faults(judged(sequence, "squat", sides={"both": 0.5, "alternating": 0.5}, faults={"low": low})) == {"low"}


def test_a_height_that_is_seen_from_the_front_is_not_judged_from_the_side():
    low = Fault(description="the hips go down", angle="hip_height", below=1.5, view="front")
    assert faults(judged(squats(4, depth=100, azimuth=0), "squat", faults={"low": low})) == {"low"}
    assert not faults(judged(squats(4, depth=100, azimuth=90), "squat", faults={"low": low}))


def test_a_height_has_no_degrees_short_of_the_norm():
    counting = LIBRARY["squat"].counting.model_copy(update={"signal": "hip_height", "rest": 1.7, "peak": 1.0})
    segment = judged(squats(4, depth=70, azimuth=90), "squat", counting=counting, norms={"hip_height": (0.1, 0.2)})
    assert segment.repetitions
    assert all(repetition.short_of_norm is None for repetition in segment.repetitions)


def test_an_arm_that_hangs_is_no_low_raise_when_the_other_points_at_the_camera():
    times = np.arange(0, 14, 1 / 15)
    joints, raised = body(len(times)), np.radians(humps(times, 5, depth=85))
    for part, length in (("elbow", 0.3), ("wrist", 0.55)):
        shoulder = joints["left_shoulder"]
        joints[f"left_{part}"] = shoulder + length * np.stack([0 * raised, -np.cos(raised), np.sin(raised)], axis=-1)
    segment = judged(smooth(seen(joints, times, azimuth=25, world=False)), "front_raise")
    assert len(segment.repetitions) == 5
    assert "too_low" not in faults(segment)


def curls(*, left: float, right: float, unsure: str = "", bent: float = 0.0) -> Segment:
    """Five curls so many degrees far, done with one arm, from the left; ``bent``: how far the left never stretches."""
    times = np.arange(0, 12, 1 / 15)
    joints = body(len(times))
    bend_elbow(joints, "left", bent + humps(times, 5, depth=left))
    bend_elbow(joints, "right", humps(times, 5, depth=right))
    sequence = smooth(seen(joints, times, azimuth=90, noise=0.005))
    sequence.confidence[:, [i for i, joint in enumerate(sequence.skeleton.joints) if unsure and unsure in joint]] = 0.3
    return judged(sequence, "biceps_curl", sides={"one": 1.0})


def test_the_near_side_is_judged_alone_when_it_is_at_work():
    assert "too_small" in faults(curls(left=50, right=0, unsure="right"))
    assert "too_small" not in faults(curls(left=110, right=0, unsure="right"))


def test_the_near_side_is_not_judged_when_the_hidden_one_is_at_work():
    segment = curls(left=0, right=110, unsure="left")  # the left is hidden now, and idle
    assert segment.repetitions
    assert not faults(segment)
    assert "too_small" not in faults(curls(left=0, right=50, unsure="right"))


@pytest.mark.parametrize("along", [18, 20, 24, 40])
def test_a_near_side_that_moves_along_is_not_judged_when_the_hidden_one_is_at_work(along):
    segment = curls(left=along, right=110, unsure="right")
    assert len(segment.repetitions) == 5
    assert not faults(segment)
    assert all(repetition.short_of_norm is None for repetition in segment.repetitions)


def turns(degrees: float, fault: Fault) -> Segment:
    """Five turns of the trunk to the left so far, seen from the front."""
    times = np.arange(0, 12, 1 / 15)
    joints, turned = body(len(times)), np.radians(humps(times, 5, depth=degrees))
    for part in ("shoulder", "elbow", "wrist"):
        for side, way in (("left", 1), ("right", -1)):
            joints[f"{side}_{part}"][:, 0] = way * 0.18 * np.cos(turned)
            joints[f"{side}_{part}"][:, 2] = -way * 0.18 * np.sin(turned)
    return judged(smooth(seen(joints, times, azimuth=0)), "torso_twist", faults={"far": fault})


def test_the_side_that_turns_is_judged_though_the_picture_shows_no_turn():
    fault = Fault(description="turns too far", angle="twist", above=40)
    assert faults(turns(70, fault)) == {"far"}
    assert not faults(turns(30, fault))


def test_the_sides_at_work_are_found_once_for_each_repetition(monkeypatch):
    asked = []
    at_work = _Look.at_work
    monkeypatch.setattr(_Look, "at_work", lambda look, one: asked.append(one) or at_work(look, one))
    assert len(curls(left=110, right=0).repetitions) == len(asked) == 5


def test_an_idle_side_does_not_excuse_the_one_at_work():
    assert "not_straight" in faults(curls(left=50, right=0, bent=70))
    assert "not_straight" not in faults(curls(left=110, right=0))


def test_a_lunge_is_shallow_when_the_hips_hardly_go_down_however_high_they_are():
    for depth, told in ((100, False), (55, True)):
        for azimuth in (0, 90):
            assert ("too_shallow" in faults(judged(squats(5, depth=depth, azimuth=azimuth), "lunge"))) is told


def test_tempo_of_a_set_with_pauses():
    """1 s down, 0.8 s held, 0.6 s up, 0.5 s at rest."""
    times = np.arange(0, 14, 1 / 30)
    phase = (times - 1) % 2.9
    down, up = (1 - np.cos(np.pi * phase / 1.0)) / 2, (1 + np.cos(np.pi * (phase - 1.8) / 0.6)) / 2
    depth = np.where(phase < 1, down, np.where(phase < 1.8, 1, np.where(phase < 2.4, up, 0)))
    joints = body(len(times))
    squat(joints, 100 * depth * (times >= 1) * (times < 1 + 4 * 2.9))
    segment = judged(smooth(seen(joints, times, azimuth=90)), "squat")
    assert segment.tempo_names == ("eccentric", "pause", "concentric", "rest")
    assert len(segment.repetitions) == 4
    for repetition in segment.repetitions[:-1]:
        assert repetition.tempo == pytest.approx((1.0, 0.8, 0.6, 0.5), abs=0.15)
    last = segment.repetitions[-1].tempo
    assert last is not None
    assert last[3] is None


def test_signals_have_a_confidence_and_a_fault_needs_a_known_one():
    sequence = squats(1)
    assert set(FORM_SIGNALS) == set(form_signals(sequence, "2d")) == set(form_confidence(sequence))
    for wrong in ({"angle": "nose", "above": 1}, {"angle": "knee"}, {"angle": "knee", "above": 1, "below": 2}):
        with pytest.raises(ValueError, match=r"unknown angle|either 'above' or 'below'"):
            Fault.model_validate({"description": "wrong", **wrong})


@pytest.mark.parametrize(
    ("azimuth", "view"), [(0, "front"), (180, "front"), (90, "side"), (270, "side"), (45, "oblique")]
)
def test_views(azimuth, view):
    assert view_of(squats(2, azimuth=azimuth)) == view


def test_bones_along_the_line_of_sight_are_not_flat():
    deep = squats(1, azimuth=0, depth=110)
    turn = int(np.argmin(np.abs(deep.times - 2)))
    assert not lies_flat(deep)["left_knee"][turn]
    assert lies_flat(squats(1, azimuth=90, depth=110))["left_knee"][turn]


def test_a_long_trunk_counts_once_for_how_large_the_body_is():
    sequence = squats(1, azimuth=90, depth=10)
    above = [i for i, joint in enumerate(sequence.skeleton.joints) if joint == "nose" or "shoulder" in joint]
    above += [i for i, joint in enumerate(sequence.skeleton.joints) if "elbow" in joint or "wrist" in joint]
    sequence.keypoints[:, above, 1] -= 0.45 * 100  # pixels: 200 a metre, half a metre of trunk
    assert lies_flat(sequence)["left_knee"].all()


def test_what_is_found_is_in_the_outputs():
    segment = judged(squats(4, depth=40, azimuth=90), "squat")
    timeline = Timeline("made.mp4", 10.0, 15.0, [Person(1, [segment])])
    found = validate_timeline(timeline.to_dict()).people[0].segments[0]
    assert found.faults[0].name == segment.faults[0].name
    assert (found.repetition_details[0].tempo or {}).keys() == {"eccentric", "pause", "concentric", "rest"}
    header, first, *_ = timeline.to_repetitions_csv().splitlines()
    row = dict(zip(header.split(","), first.split(","), strict=True))
    assert "too_shallow" in row["faults"]
    assert float(row["tempo_out"]) == pytest.approx(1, abs=0.3)
    assert float(row["short_of_norm"]) > 20
