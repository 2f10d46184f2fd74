"""How an answer is called: one name wherever somebody reads it."""

import csv
import io

import pytest
from made_timelines import squat_poses, timeline
from rich.console import Console

from kinetag.naming import called, is_doubtful
from kinetag.report.annotate import Annotator
from kinetag.report.html import label_colors, report_html
from kinetag.report.paint import tag_text
from kinetag.report.table import timeline_table
from kinetag.timeline import OTHER, Person, Repetition, Segment, Timeline


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (("step_up", 0.8), ("step up", 0.8)),
        (("step_up", 0.5), ("step up", 0.5)),
        (("step_up", 0.49), ("step up?", 0.49)),
        (("step_up", 0.45, "legs", 0.46), ("step up?", 0.45)),
        (("step_up", 0.45, "legs", 0.7, "high"), ("some leg exercise", 0.7)),
        (("squat", 0.9, "legs", 0.95, "sumo"), ("squat (sumo)", 0.9)),
        (("squat", 0.3, "", 0.0, "sumo"), ("squat?", 0.3)),
        (("my_move", 0.2, "my_kind", 0.6), ("some my kind exercise", 0.6)),
        ((OTHER, 0.2), ("other", 0.2)),
        ((OTHER, 0.3, "pull", 0.6), ("some pulling movement", 0.6)),
        ((OTHER, 0.0), ("too short to tell", 0.0)),
    ],
)
def test_only_what_is_sure_is_said(answer, said):
    assert called(*answer) == said


def test_other_is_no_guess():
    assert [is_doubtful(label, 0.2) for label in (OTHER, None, "squat")] == [False, False, True]


def guesses() -> Timeline:
    reps = [Repetition(t, t + 0.5, t + 1, range_of_motion={"left_knee": (80.0, 172.0)}) for t in (0.0, 1.0)]
    segments = [
        Segment("step_up", 0.0, 4.0, 0.41, reps),
        Segment("bent_over_row", 4.0, 8.0, 0.3, family="pull", family_confidence=0.8),
        Segment(OTHER, 8.0, 11.9, 0.4, family="pull", family_confidence=0.6),
    ]
    return Timeline("a.mp4", 12.0, 30.0, [Person(1, segments, squat_poses())], frame_size=(640, 360))


def test_the_table_and_its_totals_say_what_is_a_guess():
    out = io.StringIO()
    Console(file=out, width=120).print(timeline_table(guesses()))
    text = out.getvalue()
    rows = [" ".join(line.split()) for line in text.splitlines()]
    assert "● 1 step up? 0:00.0 0:04.0 4.0 s 2 41%" in rows
    assert "some pulling movement 0:04.0 0:08.0 4.0 s 80%" in rows
    assert "Person 1: step up? ×2, some pulling movement 7.9 s" in rows
    assert "bent over row" not in text


def test_what_is_too_short_to_tell_is_no_exercise_either():
    short = Timeline("a.mp4", 0.3, 30.0, [Person(1, [Segment(OTHER, 0.0, 0.3, 0.0)])])
    out = io.StringIO()
    Console(file=out, width=120).print(timeline_table(short))
    assert "too short to tell" in out.getvalue()
    assert "Person 1: nothing that is known" in out.getvalue()
    assert label_colors(short)["too short to tell"] == label_colors(short)[OTHER]


def test_subtitles_annotation_and_report_say_the_same():
    made = guesses()
    spoken = [line for line in made.to_vtt().splitlines() if line.startswith("Person")]
    assert spoken[-3:] == ["Person 1: step up? ×2", *["Person 1: some pulling movement"] * 2]
    annotator = Annotator(made, (640, 360))
    drawn = [tag_text(annotator.at(time)[0]) for time in (2.0, 5.0, 9.0)]
    assert drawn == ["step up? ×2  41%", "some pulling movement  80%", "some pulling movement  60%"]
    page = report_html(made, {(1, 0.5): b"\xff\xd8"})
    assert "Repetitions: step up?" in page
    assert "step up? 1, at its turning point" in page
    assert "step up<" not in page
    assert "bent over row" not in page
    assert set(label_colors(made)) == {OTHER, "step up?", "some pulling movement"}


def test_a_long_guess_stays_a_guess_in_the_picture():
    made = guesses()
    made.people[0].segments[0].label = "overhead_triceps_extension"
    assert tag_text(Annotator(made, (640, 360)).at(1.0)[0]) == "overhead triceps extensi…? ×1  41%"


def test_segments_csv_has_kind_way_and_doubt():
    made = guesses()
    made.people[0].segments.append(
        Segment("squat", 11.9, 12.0, 0.9, family="legs", family_confidence=0.95, variant="sumo")
    )
    rows = list(csv.DictReader(io.StringIO(made.to_csv())))
    assert [[row[key] for key in ("doubtful", "family", "family_confidence", "variant")] for row in rows] == [
        ["True", "", "", ""],
        ["True", "pull", "0.8", ""],
        ["False", "pull", "0.6", ""],
        ["False", "legs", "0.95", "sumo"],
    ]
    doubts = [segment["doubtful"] for segment in made.to_dict()["people"][0]["segments"]]
    assert doubts == [True, True, False, False]
    assert made.to_dataframe()["doubtful"].tolist() == doubts


def test_the_footer_does_not_call_an_estimate_calibrated():
    page = report_html(timeline())
    assert "calibrated" not in page
    assert "docs/classifier.md" in page
    assert "own estimate" in page
