"""The whole way from a video to a timeline, on rendered people whose truth is known."""

import json
from itertools import pairwise

import numpy as np
import pytest

import kinetag
from kinetag.errors import KinetagError
from kinetag.report import write_outputs
from kinetag.sequence import Frame
from kinetag.video import VideoWriter, open_source


@pytest.fixture(scope="module")
def timeline(squat_clip) -> kinetag.Timeline:
    return kinetag.analyze(squat_clip[0])


def test_label_and_repetitions_are_those_of_the_truth(squat_clip, timeline) -> None:
    truth = squat_clip[1].people[0]
    assert [person.id for person in timeline.people] == [1]
    segment = timeline.people[0].main_segment
    assert segment.label == "squat"
    assert segment.judged_by == ("knee", "trunk")
    marks = [rep.time for s in truth.segments for rep in s.repetitions]
    found = [rep.time for rep in segment.repetitions if not rep.partial]
    assert len(found) == len(marks) == 3
    np.testing.assert_allclose(found, marks, atol=0.3)


def test_segments_are_in_order_and_inside_the_clip(timeline) -> None:
    for person in timeline.people:
        assert all(a.end <= b.start + 1e-6 for a, b in pairwise(person.segments))
        assert person.segments[0].start >= 0
        assert person.segments[-1].end <= timeline.duration + 1e-6


def test_range_of_motion_follows_the_knee(timeline) -> None:
    reps = timeline.people[0].main_segment.repetitions
    low, high = reps[1].range_of_motion["left_knee"]
    assert high > 140
    assert 60 < low < high - 25  # how deep this one goes, the motion's seed decides


def test_frames_one_at_a_time_give_the_same_people(squat_clip, timeline) -> None:
    analyzer = kinetag.Analyzer()
    said = []
    with open_source(squat_clip[0], rate=15.0) as video:
        for frame in video:
            said += analyzer.feed(frame)
    fed = analyzer.finish()
    assert [person.id for person in fed.people] == [1]
    assert fed.people[0].main_segment.label == "squat"
    assert fed.people[0].main_segment.repetition_count == timeline.people[0].main_segment.repetition_count
    assert said[-1].label == "squat"
    assert said[-1].repetitions == 3
    counts = [person.repetitions for person in said if person.label == "squat"]
    assert all(a <= b for a, b in pairwise(counts))  # a running count never goes back
    assert analyzer.finish(last=True).to_dict() == fed.to_dict()
    assert analyzer.tracker.people == []


def test_poses_that_were_written_give_the_same_timeline(timeline, tmp_path) -> None:
    write_outputs(timeline, tmp_path / "out", None)
    again = kinetag.analyze(tmp_path / "out" / "poses.csv")
    assert [p.main_segment.label for p in again.people] == ["squat"]
    assert again.people[0].main_segment.repetition_count == 3
    assert again.whole
    part = kinetag.analyze(tmp_path / "out" / "poses.csv", start=2.0, end=5.0)
    assert (part.start, part.end, part.duration) == (2.0, 5.0, again.duration)


def test_start_and_end_keep_the_times_of_the_source(squat_clip) -> None:
    part = kinetag.analyze(squat_clip[0], start=2.0, end=5.0)
    times = part.people[0].poses.times
    assert times[0] >= 2.0 - 1 / 15
    assert times[-1] <= 5.0 + 1 / 15
    assert (part.start, part.end, part.whole) == (2.0, 5.0, False)


def test_nobody_is_a_valid_empty_timeline(tmp_path) -> None:
    path = tmp_path / "empty.mp4"
    with VideoWriter(path, 320, 240, 10.0) as writer:
        for i in range(10):
            writer.write(np.full((240, 320, 3), 90, np.uint8), i / 10)
    timeline = kinetag.analyze(path)
    assert timeline.people == []
    assert timeline.warnings == ["nobody was found"]
    assert json.loads(timeline.to_json())["people"] == []


def test_an_interrupt_keeps_what_was_seen_only_when_asked(squat_clip) -> None:
    def stop(time: float, duration: float | None) -> None:
        if time > 3.0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kinetag.analyze(squat_clip[0], progress=stop)
    part = kinetag.analyze(squat_clip[0], progress=stop, keep_partial=True)
    assert any("stopped by the user at 3." in warning for warning in part.warnings)
    assert part.people[0].poses.times[-1] < 4.0
    assert part.start == 0.0
    assert 3.0 < part.end < 4.0 < part.duration


def test_times_must_increase() -> None:
    analyzer = kinetag.Analyzer(running_labels=False)
    image = np.zeros((120, 160, 3), np.uint8)
    analyzer.feed(Frame(image, 1.0, 0))
    with pytest.raises(KinetagError, match=r"1\.000 s does not come after"):
        analyzer.feed(Frame(image, 1.0, 1))


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_a_rate_that_makes_no_sense_is_refused(rate, squat_clip) -> None:
    with pytest.raises(KinetagError, match="rate is"):
        kinetag.analyze(squat_clip[0], rate=rate)


@pytest.mark.data
@pytest.mark.slow
def test_real_people_keep_their_ids(data_folder) -> None:
    timeline = kinetag.analyze(data_folder / "videos" / "three_people_aerobics.avi")
    shares = [person.poses.duration / timeline.duration for person in timeline.people]
    assert len(shares) == 3
    assert min(shares) >= 0.9


def test_one_picture_says_why_it_has_no_labels(squat_clip, tmp_path) -> None:
    import cv2

    path, _ = squat_clip
    with open_source(path) as video:
        picture = next(iter(video)).image
    cv2.imwrite(str(tmp_path / "squat.png"), picture[..., ::-1])
    found = kinetag.analyze(tmp_path / "squat.png")
    (person,) = found.people
    assert person.segments == []
    assert any("one picture" in warning for warning in found.warnings)
