import csv
import io
import json

import pytest
from rich.console import Console

from kinetag.report.table import timeline_table
from kinetag.timeline import FormFault, Person, Repetition, Segment, Timeline


@pytest.fixture
def timeline() -> Timeline:
    reps = [
        Repetition(1.0, 1.5, 2.0, range_of_motion={"left_knee": (80.0, 172.0)}),
        Repetition(2.0, 2.5, 3.0),
        Repetition(3.0, 3.2, 3.4, partial=True),
    ]
    people = [
        Person(1, [Segment("squat", 0.5, 4.0, 0.9123, reps), Segment("other", 4.0, 9.0, 0.6)]),
        Person(4, [Segment("push_up", 2.0, 3.5, 0.7)]),
    ]
    return Timeline("clip.mp4", 10.0, 29.97, people, ["cut off"])


def test_json_has_the_documented_structure(timeline: Timeline) -> None:
    data = json.loads(timeline.to_json())
    assert list(data) == ["source", "duration", "start", "end", "frame_rate", "warnings", "people"]
    segment = data["people"][0]["segments"][0]
    assert segment["label"] == "squat"
    assert segment["confidence"] == 0.912
    assert segment["repetitions"] == 2  # the partial one is listed, not counted
    assert segment["repetition_times"] == [1.5, 2.5]
    assert len(segment["repetition_details"]) == 3


def test_the_part_that_was_analysed_is_told(timeline: Timeline) -> None:
    assert timeline.whole
    assert (timeline.start, timeline.end) == (0.0, 10.0)
    timeline.part = (0.5, 9.0)
    assert not timeline.whole
    assert {key: timeline.to_dict()[key] for key in ("duration", "start", "end")} == {
        "duration": 10.0, "start": 0.5, "end": 9.0
    }  # fmt: skip
    out = io.StringIO()
    Console(file=out, width=120).print(timeline_table(timeline))
    assert "0:00.5 to 0:09.0 of 0:10.0" in out.getvalue()


def test_csv_has_a_line_a_segment(timeline: Timeline) -> None:
    rows = list(csv.DictReader(io.StringIO(timeline.to_csv())))
    assert [(row["person"], row["label"], row["repetitions"]) for row in rows] == [
        ("1", "squat", "2"),
        ("1", "other", "0"),
        ("4", "push_up", "0"),
    ]


def test_repetitions_csv_has_ranges(timeline: Timeline) -> None:
    rows = list(csv.DictReader(io.StringIO(timeline.to_repetitions_csv())))
    assert [row["partial"] for row in rows] == ["False", "False", "True"]
    assert rows[0]["left_knee_min"] == "80.0"
    assert rows[1]["left_knee_min"] == ""


def test_a_fault_is_told_with_its_angle_and_frame(timeline: Timeline) -> None:
    fault = FormFault("too_shallow", "the thighs stay level", "knee", True, 118, (1.5, 2.5), (127.2, 131.0), 2)
    leans = FormFault("leaning", "the trunk leans", "trunk", False, 20, (2.5, 3.3), (12.0, 11.0), 3)
    segment = timeline.people[0].segments[0]
    segment.faults = [fault, leans]
    assert (fault.worst, leans.worst) == ((2.5, 131.0), (3.3, 11.0))
    found = timeline.to_dict()["people"][0]["segments"][0]["faults"][0]
    assert found["frames"] == [45, 75]  # of 29.97 a second
    rows = list(csv.DictReader(io.StringIO(timeline.to_repetitions_csv())))
    columns = ("faults", "fault_angles", "fault_values", "fault_frames")
    assert [rows[1][column] for column in columns] == ["too_shallow leaning", "knee trunk", "131.00 12.00", "75 75"]
    timeline.frame_rate = 0.0  # a camera that does not say
    assert "frames" not in timeline.to_dict()["people"][0]["segments"][0]["faults"][0]
    assert [row["fault_frames"] for row in csv.DictReader(io.StringIO(timeline.to_repetitions_csv()))] == [""] * 3


def test_why_left_and_right_were_not_compared_is_told() -> None:
    found = Repetition(0.0, 1.0, 2.0, not_compared="not seen from the front or back").to_dict()
    assert found["asymmetry"] is None
    assert found["not_compared"] == "not seen from the front or back"
    assert "asymmetry" not in Repetition(0.0, 1.0, 2.0).to_dict()


def test_vtt_counts_up_and_names_everyone(timeline: Timeline) -> None:
    text = timeline.to_vtt()
    blocks = [block.split("\n") for block in text.split("\n\n")[1:] if block.strip()]
    assert text.startswith("WEBVTT\n\n")
    spoken = {block[0]: block[1:] for block in blocks}
    assert spoken["00:00:01.500 --> 00:00:02.000"] == ["Person 1: squat ×1"]
    assert spoken["00:00:02.500 --> 00:00:03.500"] == ["Person 1: squat ×2", "Person 4: push up"]
    starts = [block[0].split(" --> ")[0] for block in blocks]
    assert starts == sorted(starts)


def test_dataframe_equals_csv(timeline: Timeline) -> None:
    frame = timeline.to_dataframe()
    assert frame["label"].tolist() == ["squat", "other", "push_up"]
    assert frame["repetition_times"].iloc[0] == [1.5, 2.5]


def test_main_segment_prefers_a_named_one(timeline: Timeline) -> None:
    main = timeline.people[0].main_segment
    assert main is not None
    assert main.label == "squat"  # though 'other' lasts longer
    assert Person(1, []).main_segment is None


def test_empty_timeline_is_valid_everywhere() -> None:
    empty = Timeline("x", 0.0, 0.0)
    assert json.loads(empty.to_json())["people"] == []
    assert empty.to_csv().count("\n") == 1
    assert empty.to_vtt() == "WEBVTT\n"
    assert empty.to_dataframe().empty


def test_labels_at_many_moments_are_those_of_the_segments(timeline: Timeline) -> None:
    person = timeline.people[0]
    times = [9.0, 0.0, 0.5, 4.0, 4.001, 12.0]
    assert person.labels_at(times) == ["other", None, "squat", "squat", "other", None]
    assert person.segments_at(times) == [person.at(time) for time in times]
    assert person.segments_at([0.4, 0.3, 9.1], tolerance=0.101) == [person.segments[0], None, person.segments[1]]
    assert Person(1, []).labels_at([1.0]) == [None]
