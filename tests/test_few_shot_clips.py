"""From poses to what is taught: who, from when to when, counted by what."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_teaching import salutes, squats, still

from kinetag.errors import KinetagError
from kinetag.few_shot.clips import candidate, cut_clips
from kinetag.few_shot.counting import find_counting, swings
from kinetag.few_shot.profile import Taught
from kinetag.few_shot.teach import counted_by, repetitions
from kinetag.smoothing import smooth


def rule_of(*clips):
    return find_counting([swings(smooth(clip)) for clip in clips])


def test_squats_are_counted_by_a_joint_of_the_legs():
    rule = rule_of(squats(azimuth=60), squats(azimuth=90, period=2.6))
    assert rule.signal in ("knee", "hip")
    assert rule.sides == "both"
    assert rule.rest > 150 > 110 > rule.peak
    assert rule.min_period < 2.0 < 2.6 < rule.max_period


def test_one_arm_is_either_side():
    assert rule_of(salutes(both=False)).sides == "either"


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
