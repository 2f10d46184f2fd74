"""From poses to what is taught: who, from when to when, counted by what."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_teaching import salutes, squats, still, wave
from test_classifier import seen

from kinetag.classifier import Classifier
from kinetag.errors import KinetagError
from kinetag.exercises.library import load_library
from kinetag.few_shot.clips import candidate, cut_clips
from kinetag.few_shot.counting import find_counting, swings
from kinetag.few_shot.known import NOTHING, Known, disagreement, know
from kinetag.few_shot.profile import Taught
from kinetag.few_shot.teach import counted_by, repetitions
from kinetag.network_reps import Progress
from kinetag.smoothing import smooth


def rule_of(*clips):
    return find_counting([(swings(smooth(clip)), NOTHING) for clip in clips])


def test_squats_are_counted_by_a_joint_of_the_legs():
    rule = rule_of(squats(azimuth=60), squats(azimuth=90, period=2.6))
    assert rule.signal in ("knee", "hip")
    assert rule.sides == "both"
    assert rule.rest > 150 > 110 > rule.peak
    assert rule.min_period < 2.0 < 2.6 < rule.max_period


def test_one_arm_is_either_side():
    assert rule_of(salutes(both=False)).sides == "either"


def told(poses, period, label="other", share=0.0):
    """What a network says that sees repetitions which turn when the knees are bent most, and takes them for this."""
    progress = Progress(poses.times, wave(poses.times, period))
    return Known(label, share, load_library()[label].counting if share else None, progress)


def test_rest_is_where_the_network_sees_it_in_clips_that_begin_and_end_at_the_turning_point():
    clip = squats(count=4, period=2.0, azimuth=60).between(0.9, 7.1)
    assert rule_of(clip).rest < rule_of(clip).peak  # what the ends alone tell is wrong
    knows = told(clip, 2.0)
    rule = find_counting([(swings(smooth(clip)), knows)])
    assert rule.rest > 150 > 110 > rule.peak
    cut, rule, _ = cut_clips([replace(candidate("clip", [clip]), known=knows)])
    assert repetitions(Taught("mine", "Mine", rule, tuple(cut))) == (2,)  # two more are cut off


def test_who_rests_long_at_an_end_is_believed_though_the_network_sees_little():
    clip = squats(count=2, wait=3.0)
    faint = Progress(clip.times, 0.05 * (1 - wave(clip.times, 2.0, first=3.0, last=7.0)))
    rule = find_counting([(swings(smooth(clip)), Known(progress=faint))])
    assert rule.rest > 150 > rule.peak


def test_what_the_library_counts_an_exercise_by_is_preferred():
    clip = salutes()
    assert rule_of(clip).signal == "elbow"
    for label, signal in (("squat", "knee"), ("biceps_curl", "elbow")):
        assert find_counting([(swings(smooth(clip)), told(clip, 1.6, label, 0.95))]).signal == signal


@pytest.mark.parametrize("exercise", ["squat", "push_up", "pull_up", "lat_pulldown", "overhead_press"])
def test_the_classifier_tells_rest_wherever_a_clip_is_cut(exercise):
    classifier, counting = Classifier.load(), load_library()[exercise].counting
    for seed in range(3):
        whole = seen(exercise, seed=seed, repetitions=5)
        period = whole.duration / 5
        clip = candidate("clip", [whole.between(0.4 * period, 3.5 * period)])
        rule = find_counting([(clip.swings, know(clip.poses, classifier))])
        assert rule.signal == counting.signal
        assert (rule.rest > rule.peak) == (counting.rest > counting.peak)


def test_clips_that_are_surely_different_exercises_are_told():
    clips = [("a.mp4", Known("squat", 0.9)), ("b.mp4", Known("push_up", 0.95)), ("c.mp4", Known("squat", 0.99))]
    line = "the library takes a.mp4, c.mp4 for squat, b.mp4 for push up: are all of them my move?"
    assert disagreement("my_move", clips) == line
    unsure = [clips[0], ("b.mp4", Known("push_up", 0.7)), ("d.mp4", Known("other", 0.99))]
    assert disagreement("my_move", unsure) == disagreement("my_move", clips[:1]) == ""


def test_clips_that_differ_in_their_sides_are_counted_by_either():
    rule = rule_of(salutes(), salutes(both=False, azimuth=100))
    assert (rule.signal, rule.sides) == ("elbow", "either")


def test_nothing_that_moves_is_not_counted():
    assert rule_of(still()) is None


@settings(max_examples=12, deadline=None)
@given(
    count=st.integers(2, 7),
    period=st.floats(1.2, 4.0),
    azimuth=st.floats(30, 150),
    wait=st.sampled_from([0.0, 1.5, 3.0]),
)
def test_as_many_repetitions_as_were_made_and_standing_about_is_left_out(count, period, azimuth, wait):
    clip = squats(count=count, period=period, azimuth=azimuth, wait=wait)
    cut, rule, _ = cut_clips([candidate("clip", [clip])])
    assert repetitions(Taught("mine", "Mine", rule, tuple(cut))) == (count,)
    assert abs(cut[0].start - wait) < 0.6
    assert abs(cut[0].end - (wait + count * period)) < 0.6


def test_a_single_repetition_is_one():
    cut, rule, _ = cut_clips([candidate("clip", [squats(count=1, wait=0.5)])])
    assert repetitions(Taught("mine", "Mine", rule, tuple(cut))) == (1,)


def test_half_a_movement_is_told():
    cut, _, left_out = cut_clips([candidate("clip", [squats(count=1, period=3.0).between(0, 1.5)])])
    assert not cut
    assert "neither a whole repetition nor a pose that is held" in next(iter(left_out.values()))


def test_a_pose_is_cut_to_where_it_is_held():
    moving, held = squats(count=3), still(6.0)
    joined = replace(
        moving,
        times=np.concatenate([moving.times, moving.times[-1] + 0.1 + held.times]),
        keypoints=np.concatenate([moving.keypoints, held.keypoints]),
        confidence=np.concatenate([moving.confidence, held.confidence]),
        world=np.concatenate([moving.world, held.world]),
    )
    cut, rule, _ = cut_clips([candidate("clip", [joined])], held=True)
    assert rule is None
    assert cut[0].start == pytest.approx(6.0, abs=0.8)
    assert cut[0].end == pytest.approx(joined.times[-1], abs=0.3)


def test_a_still_clip_is_a_pose():
    cut, rule, _ = cut_clips([candidate("a", [still()]), candidate("b", [still(azimuth=90)])])
    assert rule is None
    assert [clip.name for clip in cut] == ["a", "b"]


def test_of_two_people_the_one_who_moves_regularly_is_taken():
    idle, busy = replace(still(8.0), person=1), replace(squats(), person=2)
    assert candidate("clip", [idle, busy]).poses.person == 2
    assert candidate("clip", [idle, busy]).people == (1, 2)
    assert candidate("clip", [idle, busy], person=1).poses.person == 1


def test_the_larger_of_two_who_move_is_taken():
    near = replace(squats(), person=2)
    far = replace(near, keypoints=near.keypoints / 3, person=1)
    assert candidate("clip", [far, near]).poses.person == 2


@pytest.mark.parametrize(
    ("people", "person", "said"),
    [
        ([], None, "clip: nobody was found"),
        ([squats()], 7, "no person 7 in it, only 1"),
        ([squats().between(0, 0.5)], None, "too short: 1 s are needed"),
    ],
    ids=["nobody", "other person", "short"],
)
def test_what_cannot_be_learned_from_is_told(people, person, said):
    with pytest.raises(KinetagError, match=said):
        candidate("clip", people, person)


def test_a_clip_without_the_movement_of_the_others_is_left_out():
    idle = candidate("idle", [still()])
    others = [candidate("a", [squats()]), candidate("c", [squats(azimuth=90)])]
    cut, rule, left_out = cut_clips([others[0], idle, others[1]])
    assert [clip.name for clip in cut] == ["a", "c"]
    assert rule == cut_clips(others)[1]  # measured without it
    assert list(left_out) == [idle]
    assert left_out[idle].startswith("idle: person 1 makes no whole repetition in it")
    assert "the other clips move" in left_out[idle]


def test_a_clip_that_shows_too_little_is_left_out_with_the_remedy(monkeypatch):
    quick, whole = candidate("quick", [squats(count=2, period=1.2)]), candidate("whole", [squats(count=8)])
    monkeypatch.setattr("kinetag.few_shot.clips.SHORTEST", 5.0)
    cut, _, left_out = cut_clips([quick, whole])
    assert [clip.name for clip in cut] == ["whole"]
    assert "show the exercise: 5 s are needed; take a longer piece of it" in left_out[quick]


def test_what_was_taught_before_is_never_left_out():
    with pytest.raises(KinetagError, match="taught: "):
        cut_clips([candidate("taught", [still()]), *[candidate(name, [squats()]) for name in "ab"]], kept=1)


def test_a_rule_in_words():
    assert counted_by(None) == "not counted"
    assert counted_by(rule_of(salutes(both=False))).startswith("elbow, 1")
    assert counted_by(rule_of(salutes(both=False))).endswith("°, each side")
