import io
import json
import os
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from made_timelines import timeline

from kinetag import cli
from kinetag.errors import KinetagError
from kinetag.live import JsonLines, Newest, live, newest_frames, shown, why_no_window
from kinetag.running import LivePerson
from kinetag.sequence import Frame, Pose
from kinetag.video import VideoWriter

POSE = Pose(np.full((33, 2), 100.0), np.ones(33), 1.0, "blazepose")


def someone(id, label="squat", repetitions=0, confidence=0.9, **kind):
    return LivePerson(id, POSE, label, confidence, repetitions, **kind)


def frame(seconds):
    return Frame(np.zeros((4, 4, 3), np.uint8), seconds, round(seconds * 30))


class Source:
    """Frames at 100 a second: from a camera they come when they come, a file gives them as fast as it can."""

    name = "source"

    def __init__(self, count, *, live, wait=0.0, fails=False):
        self.count, self.live, self.wait, self.fails = count, live, wait, fails

    def __iter__(self):
        for index in range(self.count):
            time.sleep(self.wait)
            yield frame(index / 100)
        if self.fails:
            raise OSError("unplugged")


def test_a_slow_reader_gets_the_newest_and_does_not_fall_behind():
    late, count = [], 0
    begin = time.monotonic()
    with newest_frames(Source(100, live=False)) as frames:
        for taken in frames:
            late.append(time.monotonic() - begin - taken.time)
            count += 1
            time.sleep(0.05)  # five frames arrive meanwhile
    assert count < 50
    assert np.median(late) < 0.15


def test_a_file_is_held_back_to_its_own_times():
    begin = time.monotonic()
    with newest_frames(Source(30, live=False)) as frames:
        last = [taken.time for taken in frames][-1]
    assert last == pytest.approx(0.29)
    assert time.monotonic() - begin >= 0.28


def test_the_last_frame_is_not_lost():
    with newest_frames(Source(5, live=True)) as frames:
        time.sleep(0.1)
        assert [taken.time for taken in frames] == [0.04]


def test_an_unplugged_camera_raises_in_the_reader():
    with newest_frames(Source(2, live=True, fails=True)) as frames, pytest.raises(OSError, match="unplugged"):
        list(frames)


def test_leaving_early_ends_the_thread():
    with newest_frames(Source(10_000, live=False)) as frames:
        next(frames)
    assert not [thread for thread in threading.enumerate() if thread.name == "newest frame"]


def test_newest_counts_what_it_drops():
    newest = Newest()
    for index in range(4):
        newest.put(frame(index))
    newest.stop()
    assert newest.take().time == 3
    assert newest.take() is None
    assert newest.dropped == 3


def lines(out):
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_line_when_something_changes_and_once_a_second():
    out = io.StringIO()
    screen = JsonLines(out)
    for index in range(31):  # three seconds, nothing changes
        screen.show(frame(index / 10), [someone(1)])
    assert [line["time"] for line in lines(out)] == pytest.approx([0, 1, 2, 3])
    screen.show(frame(3.1), [someone(1, repetitions=1)])
    screen.show(frame(3.2), [])
    assert [line["time"] for line in lines(out)][-2:] == [3.1, 3.2]
    assert lines(out)[-2]["people"] == [
        {"id": 1, "name": "squat", "label": "squat", "confidence": 0.9, "doubtful": False, "repetitions": 1}
    ]


def test_a_doubtful_answer_is_called_so_in_lines_and_on_the_screen():
    out = io.StringIO()
    guess = someone(1, "bent_over_row", confidence=0.3, family="pull", family_confidence=0.8)
    screen = JsonLines(out)
    screen.show(frame(0.0), [guess])
    screen.show(frame(0.1), [replace(guess, family_confidence=0.4)])
    screen.show(frame(0.2), [replace(guess, label=None)])
    people = [line["people"][0] for line in lines(out)]
    assert [person["name"] for person in people] == ["some pulling movement", "bent over row?", None]
    assert [person["doubtful"] for person in people] == [True, True, False]
    assert people[0]["label"] == "bent_over_row"
    assert (shown(guess).label, shown(guess).sure) == ("some pulling movement", 0.8)


def test_who_changed_last_comes_first():
    out = io.StringIO()
    screen = JsonLines(out)
    screen.show(frame(0), [someone(1), someone(2), someone(3)])
    screen.show(frame(0.1), [someone(1), someone(2), someone(3, repetitions=1)])
    screen.show(frame(1.5), [someone(1), someone(2), someone(3, repetitions=1)])
    orders = [[person["id"] for person in line["people"]] for line in lines(out)]
    assert orders[0] == [1, 2, 3]
    assert orders[1:] == [[3, 1, 2], [3, 1, 2]]


def test_no_window_without_a_display(monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert why_no_window() == "no display"


def test_what_is_drawn_is_scaled_with_the_frame():
    drawn = shown(someone(2, repetitions=4), 0.5)
    assert drawn.keypoints.max() == 50
    assert (drawn.id, drawn.label, drawn.repetitions) == (2, "squat", 4)


@pytest.mark.skipif(not os.environ.get("DISPLAY"), reason="needs a display")
def test_the_window_opens_draws_and_closes():
    from kinetag.live import TkScreen

    screen = TkScreen("test")
    pose = Pose(np.full((33, 2), 100.0), np.ones(33), 1.0, "blazepose")
    big = Frame(np.zeros((2160, 3840, 3), np.uint8), 0.0, 0)
    assert screen.show(big, [someone(1, pose=pose)])
    assert screen._picture.width() <= screen._root.winfo_screenwidth()
    screen._end()
    assert not screen.show(big, [])
    screen.close()


class FakeAnalyzer:
    """Sees the same person in every frame; takes as long as a slow machine."""

    def __init__(self, **options):
        self.options, self.count = options, 0

    def feed(self, frame):
        self.count += 1
        time.sleep(0.05)
        if self.options.get("pose") == "ctrl-c" and self.count == 3:
            raise KeyboardInterrupt
        return [someone(1, repetitions=int(frame.time / 0.2 + 1e-6))]

    def finish(self, video, *, last):
        made = timeline(source=video.name, people=1)
        made.warnings.extend(video.warnings)
        return made


@pytest.fixture
def video(tmp_path, monkeypatch):
    path = tmp_path / "gym.mp4"
    with VideoWriter(path, 64, 48, 30.0) as writer:
        for index in range(30):
            writer.write(np.full((48, 64, 3), 8 * index, np.uint8), index / 30)
    monkeypatch.setattr("kinetag.analyzer.Analyzer", FakeAnalyzer)
    monkeypatch.setattr("kinetag.classifier.Classifier.load", lambda model: None)
    monkeypatch.setattr("kinetag.exercises.library.load_library", lambda extra: {})
    return path


def test_a_file_in_real_time_as_lines_of_json(video):
    out = io.StringIO()
    begin = time.monotonic()
    made = live(video, window=False, out=out)
    assert 0.9 < time.monotonic() - begin < 3.0
    counts = [line["people"][0]["repetitions"] for line in lines(out)]
    assert counts == sorted(set(counts))  # a line for each change, and none without
    assert counts[-1] == 4
    assert made.whole
    assert made.source == video.name


def test_what_cannot_be_recognised_is_told_before_the_first_line(video, monkeypatch, capsys):
    told = "wave: the classifier does not know it; teach it: kinetag teach wave wave.yaml"
    monkeypatch.setattr("kinetag.analyzer.untaught", lambda own, *known, **options: [told])
    made = live(video, window=False, out=sys.stderr)
    first, *rest = capsys.readouterr().err.splitlines()
    assert first == f"warning: {told}"
    assert all(json.loads(line)["people"] for line in rest)
    assert rest
    assert made.warnings.count(told) == 1


def test_ctrl_c_ends_it_with_the_timeline(video):
    made = live(video, pose="ctrl-c", window=False, out=io.StringIO())
    assert made.people
    assert made.start == 0.0
    assert 0.0 < made.end < 1.0


def test_the_verb_prints_json_alone_and_writes_the_outputs(video, tmp_path, capsys):
    assert cli.main(["live", str(video), "--no-window", "--out", str(tmp_path / "out")]) == 0
    captured = capsys.readouterr()
    assert all(json.loads(line)["people"] for line in captured.out.splitlines())
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"timeline.json", "report.html", "subtitles.vtt"}


def test_a_source_that_does_not_exist(capsys):
    assert cli.main(["live", "gone.mp4", "--no-window"]) == 2
    assert "gone.mp4" in capsys.readouterr().err


def test_a_camera_that_is_unplugged_leaves_what_was_seen(video, monkeypatch):
    def unplugged(frames):
        for count, frame in enumerate(frames):
            if count == 3:
                raise KinetagError("camera 0: no frame for 10 s")
            yield frame

    kept = newest_frames

    @contextmanager
    def failing(video):
        with kept(video) as frames:
            yield unplugged(frames)

    monkeypatch.setattr("kinetag.live.newest_frames", failing)
    made = live(video, window=False, out=io.StringIO())
    assert "camera 0: no frame for 10 s" in made.warnings
    assert made.people
