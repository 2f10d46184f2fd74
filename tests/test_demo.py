"""The comparison of an analysis with the truth, and the demo from end to end."""

import json

import numpy as np
import pytest
from made_timelines import squat_poses, timeline
from rich.console import Console

from kinetag.demo import TRUTH, VIDEO, DemoResult, compare, demo, match_people
from kinetag.errors import KinetagError
from kinetag.exercises.truth import PersonTruth, Truth
from kinetag.timeline import Segment


def truth_of(made, *, shift=0.0):
    """A truth in which everybody really did what ``made`` says."""
    times = np.arange(0, made.duration, 1 / 15)
    people = []
    for person in made.people:
        poses = squat_poses(seconds=made.duration, size=made.frame_size, x=person.id / (len(made.people) + 1))
        body = poses.to_layout("kinetag").keypoints
        boxes = np.concatenate([body.min(axis=1) - 5, body.max(axis=1) + 5], axis=1)
        seen = np.ones(body.shape[:2], bool)
        segments = [
            Segment(s.label, s.start + shift, s.end + shift, 1.0, [r for r in s.repetitions if not r.partial])
            for s in person.segments
        ]
        people.append(PersonTruth(person.id, body, seen, ~seen, boxes, np.ones(len(times)), segments))
    return Truth("made", times, made.frame_size, people)


def test_a_perfect_analysis_is_all_right():
    made = timeline()
    found = compare(truth_of(made), made)
    assert found.agreement == pytest.approx(1.0, abs=0.02)
    assert [row.right for row in found.rows] == [True, True]
    assert [row.repetitions for row in found.rows] == [3, 3]


def test_people_are_paired_by_place_and_not_by_number():
    made = timeline()
    truth = truth_of(made)
    made.people[0].id, made.people[1].id = 2, 1
    made.people.reverse()
    assert {true: found.id for true, found in match_people(truth, made).items()} == {1: 2, 2: 1}


def test_a_wrong_label_and_a_lost_person_are_not_right():
    made = timeline()
    truth = truth_of(made)
    made.people[0].segments[0].label = "lunge"
    del made.people[1]
    found = compare(truth, made)
    assert [row.right for row in found.rows] == [False, False]
    assert found.rows[1].found is None
    assert found.agreement < 0.2


def test_a_wrong_count_is_not_right():
    made = timeline()
    truth = truth_of(made)
    made.people[0].segments[0].repetitions = made.people[0].segments[0].repetitions[:1]
    rows = compare(truth, made).rows
    assert [row.right for row in rows] == [False, True]
    assert [row.named for row in rows] == [True, True]


def test_agreement_falls_with_the_overlap():
    made = timeline()
    assert 0.5 < compare(truth_of(made, shift=3.0), made).agreement < 0.85


def test_nobody_found():
    made = timeline()
    truth = truth_of(made)
    made.people.clear()
    found = compare(truth, made)
    assert (found.agreement, found.people, found.true_people) == (0.0, 0, 2)


def test_the_table_says_how_it_went(tmp_path):
    made = timeline()
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(DemoResult(tmp_path, made, compare(truth_of(made), made)).table())
    said = console.export_text()
    assert "2 of 2 exercises, 6 of 6 repetitions and 2 of 2 people found; the label is right" in said
    assert "report.html" in said


def test_the_table_says_what_was_counted_too_often(tmp_path):
    made = timeline()
    truth = truth_of(made)
    truth.people[0].segments[0].repetitions = truth.people[0].segments[0].repetitions[:1]
    console = Console(width=140, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(DemoResult(tmp_path, made, compare(truth, made)).table())
    assert "4 of 4 repetitions (2 too many) and" in console.export_text()


def test_other_outputs_are_not_replaced(tmp_path):
    (tmp_path / "timeline.json").write_text("{}")
    with pytest.raises(KinetagError, match="already holds"):
        demo(tmp_path)


@pytest.mark.slow
def test_the_demo_from_end_to_end(tmp_path):
    stages = []

    def stage(name):
        from contextlib import nullcontext

        stages.append(name)
        return nullcontext(lambda time, duration: None)

    result = demo(tmp_path, stage=stage)
    assert stages == ["Rendering", "Analysing", "Writing"]
    assert result.comparison.people == 2
    assert [row.right for row in result.comparison.rows] == [True] * 4
    assert result.comparison.agreement > 0.7
    for name in (VIDEO, TRUTH, "report.html", "annotated.mp4", "timeline.json", "subtitles.vtt"):
        assert (tmp_path / name).stat().st_size > 0
    assert json.loads((tmp_path / "timeline.json").read_text("utf-8"))["people"]
