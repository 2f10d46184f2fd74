"""frames.csv: one row a person and frame, in agreement with the timeline."""

import csv
import io

import numpy as np
import pytest
from made_timelines import timeline
from test_moments import squats_then_jacks

from kinetag.analyzer import label_person
from kinetag.classifier import Classifier
from kinetag.exercises.library import load_library
from kinetag.report.frames import COLUMNS, write_frames
from kinetag.timeline import Person, Repetition, Segment, Timeline


@pytest.fixture(scope="module")
def both() -> tuple[Timeline, float]:
    """Squats and then jumping jacks, filmed at 30 frames a second, and when (s) that changes."""
    poses, change = squats_then_jacks()
    person = label_person(poses, Classifier.load(), load_library())
    return Timeline("two.mp4", poses.duration, 30.0, [person]), change


def rows_of(made: Timeline) -> list[dict[str, str]]:
    stream = io.StringIO()
    write_frames(made, stream)
    stream.seek(0)
    return list(csv.DictReader(stream))


def test_every_frame_in_view_is_there_once_with_the_label_of_the_timeline(both):
    (person,), rows = both[0].people, rows_of(both[0])
    assert [int(row["frame"]) for row in rows] == list(range(round(person.segments[-1].end * 30) + 1))
    times = np.array([int(row["frame"]) for row in rows]) / 30
    assert [float(row["time"]) for row in rows] == pytest.approx(times, abs=6e-4)
    assert [row["label"] for row in rows[:-1]] == person.labels_at(times[:-1])
    said = person.probabilities_at(times)
    assert [row["frame_label"] for row in rows] == [person.labels[best] for best in said.argmax(axis=1)]
    assert [float(row["frame_confidence"]) for row in rows] == pytest.approx(said.max(axis=1), abs=6e-4)


def test_labels_change_within_half_a_second_of_the_truth(both):
    made, change = both
    for row in rows_of(made):
        if 0.5 < abs(float(row["time"]) - change) < 3:
            expected = "squat" if float(row["time"]) < change else "jumping_jack"
            assert (row["label"], row["frame_label"]) == (expected, expected)


def test_the_repetition_that_goes_on_is_told_by_its_number():
    segment = Segment("squat", 0.0, 4.0, 0.9, [Repetition(0.5, 1.0, 1.5), Repetition(2.0, 2.5, 3.0, partial=True)])
    rows = rows_of(Timeline("clip.mp4", 4.0, 2.0, [Person(3, [segment])]))
    assert [row["repetition"] for row in rows] == ["", "1", "1", "1", "2", "2", "2", "", ""]
    assert {(row["person"], row["doubtful"]) for row in rows} == {("3", "False")}
    assert {(row["frame_label"], row["frame_confidence"]) for row in rows} == {("", "")}  # read back: nothing is known


def test_who_is_away_has_no_rows():
    away = Person(1, [Segment("squat", 0.0, 1.0, 0.9), Segment("dip", 3.0, 4.0, 0.9)])
    rows = rows_of(Timeline("clip.mp4", 5.0, 10.0, [away, Person(2, [])]))
    assert [int(row["frame"]) for row in rows] == [*range(11), *range(30, 41)]


@pytest.mark.parametrize("rate", [30000 / 1001, 24.0, 59.94, 0.4])
def test_the_first_and_the_last_frame_are_there_at_any_rate(rate):
    start, end = round(3 / rate, 3), round(17 / rate, 3)  # as files tell times
    rows = rows_of(Timeline("clip.mp4", 20 / rate, rate, [Person(1, [Segment("squat", start, end, 0.9)])]))
    assert [int(row["frame"]) for row in rows] == list(range(3, 18))


def test_what_the_classifier_does_not_say_is_empty():
    known = np.array([0.0, 5.0]), np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)
    person = Person(1, [Segment("squat", 0.0, 5.0, 0.9)], None, ("squat", "other"), *known)
    rows = rows_of(Timeline("clip.mp4", 5.0, 1.0, [person]))
    assert [row["frame_label"] for row in rows] == ["squat", "squat", "", "", "other", "other"]
    assert [row["frame_confidence"] for row in rows] == ["0.9", "0.9", "", "", "0.8", "0.8"]


def test_without_a_frame_rate_there_is_a_row_a_pose():
    made = timeline(people=2)
    made.frame_rate = 0.0
    rows = rows_of(made)
    assert len(rows) == sum(len(person.poses or []) for person in made.people)
    assert {row["frame"] for row in rows} == {""}


def test_nobody_leaves_the_head_of_the_table_alone():
    stream = io.StringIO()
    write_frames(timeline(people=0), stream)
    assert stream.getvalue() == ",".join(COLUMNS) + "\n"


def test_a_long_video_is_written_piece_by_piece(monkeypatch):
    asked = []
    monkeypatch.setattr(Person, "probabilities_at", lambda self, times: asked.append(len(times)))
    rows = rows_of(Timeline("hour.mp4", 3600.0, 10.0, [Person(1, [Segment("squat", 0.0, 3600.0, 0.9)])]))
    assert [int(row["frame"]) for row in rows] == list(range(36_001))
    assert max(asked) <= 10_000
