import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from made_timelines import squat_poses, timeline

from kinetag.report.charts import Span, decimate, range_chart
from kinetag.report.html import _range, label_colors, report_html, telling_angles, time_span, without_glimpses
from kinetag.skeletons import get_layout
from kinetag.timeline import FormFault, Person, Repetition, Segment, Timeline

VOID = {"meta", "img", "link", "br", "hr", "input"}


class Strict(HTMLParser):
    """Notes every tag and attribute, and fails on tags that are closed out of order."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, key, value or "") for key, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, key, value or "") for key, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def parse(page):
    parser = Strict()
    parser.feed(page)
    assert parser.open == []
    return parser


def test_the_page_is_well_formed_and_says_what_was_found():
    page = parse(report_html(timeline()))
    text = " ".join("".join(page.text).split())
    for said in (
        "workout.mp4",
        "Person 1",
        "Person 2",
        "squat",
        "jumping jack",
        "2 damaged frames",
        "Joint angles",
        "Knee",
    ):
        assert said in text


def test_nothing_is_loaded_from_elsewhere():
    pictures = {(1, 1.5): b"\xff\xd8jpeg"}
    page = report_html(timeline(), pictures, video="annotated.mp4")
    assert not re.search(r"https?:|url\(|@import|//[a-z]", page)
    parsed = parse(page)
    assert not {"script", "link", "iframe", "object", "embed", "base"} & set(parsed.tags)
    for tag, key, value in parsed.attributes:
        if key in ("src", "href", "srcset", "data", "poster", "action"):
            assert value.startswith("data:image/jpeg;base64,") or (tag, value) == ("a", "annotated.mp4")
    assert ("meta", "http-equiv", "Content-Security-Policy") in parsed.attributes


@pytest.mark.parametrize(
    "name",
    ["<script>alert(1)</script>.mp4", '"><img src=x onerror=alert(1)>', "'onload='x", "</title><svg onload=alert(1)>"],
)
def test_hostile_names_are_text(name):
    made = timeline(source=name)
    made.warnings = [name]
    made.people[0].segments[0].label = name
    made.people[0].segments[0].repetitions[0].range_of_motion = {name: (10.0, 90.0)}
    page = parse(report_html(made))
    assert "script" not in page.tags
    assert not [key for _, key, _ in page.attributes if key.startswith("on")]
    assert len([tag for tag in page.tags if tag == "img"]) == 0
    assert name.rpartition("/")[2] in "".join(page.text)


def test_pictures_sit_with_their_repetition():
    page = report_html(timeline(), {(1, 1.5): b"\xff\xd8one", (2, 4.5): b"\xff\xd8two"})
    alts = [value for tag, key, value in parse(page).attributes if (tag, key) == ("img", "alt")]
    assert alts == ["Person 1, squat 1, at its turning point", "Person 2, jumping jack 2, at its turning point"]


def test_a_fault_is_shown_where_it_is_worst_with_its_angle_and_frame():
    made = timeline()
    fault = FormFault("too_shallow", "the thighs stay level", "knee", True, 118, (1.5, 4.4), (127.0, 134.0), 3)
    made.people[0].segments[0].faults = [fault]
    page = report_html(made, {(1, 4.4): b"\xff\xd8worst"})
    alts = [value for tag, key, value in parse(page).attributes if (tag, key) == ("img", "alt")]
    assert alts == ["Person 1, the thighs stay level: knee 134° at 0:04.4, frame 132"]
    assert "<figcaption>knee 134°</figcaption>" in page
    assert "in 2 of 3, worst at 0:04.4, frame 132 (134°)" in page
    assert "<figure>" not in report_html(made).partition("Joint angles")[0].partition("Form")[2].partition("</ul>")[0]


def test_an_hour_of_ten_people_stays_small():
    made = timeline(people=10, seconds=600.0)
    for person in made.people:
        poses = person.poses
        many = [Segment("squat" if i % 2 else "lunge", 3.0 * i, 3.0 * i + 3, 0.9) for i in range(1200)]
        reps = [Repetition(i, i + 0.5, i + 1.0, range_of_motion={"left_knee": (60, 170)}) for i in range(1000)]
        many[0].repetitions = reps
        person.segments, person.poses = many, poses
    made.duration = 3600.0
    pictures = {(p.id, r.time): bytes(6000) for p in made.people for r in p.segments[0].repetitions[:12]}
    assert len(report_html(made, pictures)) < 6e6


def test_a_timeline_without_poses_or_people_has_a_page():
    parse(report_html(Timeline("camera 0", 0.0, 0.0, warnings=["nobody was found"])))
    parse(report_html(Timeline("a.json", 5.0, 0.0, [Person(1, [Segment("squat", 0, 5, 0.5)])])))
    parse(report_html(Timeline("a.json", 5.0, 0.0, [Person(1, [])])))


def test_poses_that_were_never_seen_have_a_page():
    poses = squat_poses()
    poses.keypoints[:] = np.nan
    poses.confidence[:] = 0
    parse(report_html(Timeline("a.mp4", 5.0, 30.0, [Person(1, [Segment("other", 0, 5, 0.5)], poses)])))


def test_decimation_keeps_the_peaks_and_marks_gaps():
    times = np.arange(20_000) / 15
    values = np.sin(times)
    values[7_777] = 50.0
    values[12_000:15_000] = np.nan
    few_times, few = decimate(times, values, 300)
    assert len(few) <= 600
    assert np.nanmax(few) == 50.0
    assert few_times[np.nanargmax(few)] == times[7_777]
    assert np.isnan(few[(few_times > times[12_200]) & (few_times < times[14_800])]).all()
    assert (np.diff(few_times) > 0).all()


def test_each_label_has_one_colour_and_other_is_plain():
    colors = label_colors(timeline())
    assert colors["other"] == 0
    assert sorted(colors.values()) == [0, 1, 2]


def test_the_joints_that_move_most_come_first():
    reps = [Repetition(0, 1, 2, range_of_motion={"trunk": (0, 10), "left_knee": (60, 170), "left_hip": (90, 170)})]
    assert telling_angles(reps) == ["left_knee", "left_hip", "trunk"]


def test_what_the_exercise_is_judged_by_comes_first_and_guesses_come_last():
    ranges = {"left_shoulder": (30, 118), "right_shoulder": (20, 108), "left_elbow": (148, 167)}
    ranges |= {"left_hip": (93, 162), "left_knee": (96, 159), "right_knee": (89, 168), "trunk": (7, 27)}
    reps = [Repetition(0, 1, 2, range_of_motion=ranges, guessed=("right_knee", "right_shoulder"))] * 2
    assert telling_angles(reps, ("knee", "trunk")) == ["left_knee", "trunk", "left_shoulder", "left_hip"]
    seen = [replace(reps[0], guessed=())] * 2
    assert telling_angles(seen, ("knee", "trunk"))[:3] == ["right_knee", "left_knee", "trunk"]
    few = {name: ranges[name] for name in ("right_shoulder", "right_knee", "trunk")}
    few_seen = [Repetition(0, 1, 2, range_of_motion=few, guessed=("right_knee",))]
    assert telling_angles(few_seen, ("knee",)) == ["right_shoulder", "trunk", "right_knee"]


def test_guesses_are_drawn_only_where_nothing_was_seen():
    made = timeline(people=1)
    squat = made.people[0].segments[0]
    ranges = {"left_knee": (62.5, 174.0), "right_knee": (60.0, 175.0)}

    def drawn(*guessed):
        squat.repetitions = [Repetition(1, 2, 3, range_of_motion=ranges, guessed=guessed)]
        return re.findall(r"<figcaption>([^<]*), by repetition<", report_html(made))

    assert drawn("right_knee") == ["Left knee"]
    assert drawn("left_knee", "right_knee") == ["Right knee", "Left knee"]


def test_the_axis_covers_what_was_analysed():
    late = Person(1, [Segment("squat", 40.0, 60.0, 0.9)])
    assert time_span(Timeline("a.mp4", 70.0, 30.0, [late])) == Span(0.0, 70.0)
    assert time_span(Timeline("a.mp4", 3600.0, 30.0, [late], part=(5.0, 60.0))) == Span(5.0, 60.0)


def test_the_header_says_which_part_was_analysed():
    made = timeline()
    assert "<li>0:12.0</li>" in report_html(made)
    made.part = (3.0, 12.0)
    assert "<li>0:03.0 to 0:12.0 of 0:12.0</li>" in report_html(made)


def test_what_was_seen_for_a_moment_of_a_segment_is_no_curve():
    times, values = np.arange(100) / 10, np.full(100, np.nan)
    segments = [Segment("squat", 0.0, 4.95, 0.9), Segment("other", 4.95, 9.9, 0.9)]
    values[[3, 4]] = 90.0
    values[60:90] = 120.0
    left = without_glimpses(times, values, segments)
    assert np.isnan(left[:60]).all()
    assert (left[60:90] == 120.0).all()
    assert values[3] == 90.0


def test_one_repetition_is_said_in_the_singular():
    made = timeline(people=1)
    made.people[0].segments[0].repetitions = [Repetition(1, 2, 3)]
    page = report_html(made)
    assert ", 1 repetition;" in page
    assert "1 repetitions" not in page


def test_guessed_angles_are_told_from_seen_ones():
    rep = Repetition(0, 1, 2, range_of_motion={"left_knee": (60, 170), "right_knee": (61, 171)}, guessed=("left_knee",))
    assert "≈ 60° to 170°" in _range(rep, "left_knee")
    assert _range(rep, "right_knee") == "61° to 171°"
    assert "a guess" in range_chart("left_knee", [rep])
    assert "a guess" not in range_chart("right_knee", [rep])


def test_curves_end_where_a_joint_is_out_of_sight():
    poses = squat_poses()
    hidden = replace(poses, confidence=poses.confidence.copy())
    hidden.confidence[:, get_layout(poses.layout).index("left_knee")] = 0.3

    def knee(shown):
        segment = Segment("squat", 0.0, 12.0, 0.9)
        page = report_html(Timeline("a.mp4", 12.0, 25.0, [Person(1, [segment], poses=shown)]))
        return re.search(r"<figcaption>Knee<small>(.*?)</small>", page)[1]

    assert "left" in knee(poses)
    assert "right" in knee(poses)
    assert "left" not in knee(hidden)
    hidden.confidence[40:60] = 0.95  # for a moment
    assert "left" not in knee(hidden)
