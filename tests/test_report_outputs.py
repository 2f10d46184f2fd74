"""The files that `write_outputs` leaves: complete, readable by others, or absent."""

import csv
import errno
import io
import json
import re

import av
import numpy as np
import pandas
import pytest
from made_timelines import timeline

from kinetag import report
from kinetag.errors import KinetagError
from kinetag.pose import files
from kinetag.report import OUTPUT_FILES, check_output_folder, write_outputs
from kinetag.video import VideoWriter

SIZE = (320, 240)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "workout.mp4"
    with VideoWriter(path, *SIZE, 30.0) as writer:
        for index in range(90):
            writer.write(np.full((SIZE[1], SIZE[0], 3), 90 + index, np.uint8), index / 30)
    return path


@pytest.fixture
def made(video):
    return timeline(source=str(video), seconds=6.0, size=SIZE)


def leftovers(folder):
    return [path.name for path in folder.iterdir() if path.name not in OUTPUT_FILES]


def test_all_files_are_written(made, video, tmp_path):
    written = write_outputs(made, tmp_path / "deep" / "out", video)
    assert sorted(path.name for path in written) == sorted(OUTPUT_FILES)
    assert leftovers(tmp_path / "deep" / "out") == []


def test_the_annotated_video_plays_in_a_browser_and_keeps_the_times(made, video, tmp_path):
    write_outputs(made, tmp_path, video)
    with av.open(str(tmp_path / "annotated.mp4")) as container:
        stream = container.streams.video[0]
        times = [float(frame.time) for frame in container.decode(stream)]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height) == SIZE
    assert times == pytest.approx(np.arange(90) / 30, abs=1e-4)
    data = (tmp_path / "annotated.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # plays before all of it has arrived


def test_part_of_a_video_begins_at_its_start(made, video, tmp_path):
    write_outputs(made, tmp_path, video, start=1.0, end=2.0, report=False)
    with av.open(str(tmp_path / "annotated.mp4")) as container:
        times = [float(frame.time) for frame in container.decode(video=0)]
    assert times[0] == pytest.approx(0.0, abs=0.05)
    assert times[-1] == pytest.approx(1.0, abs=0.05)


def test_tables_come_back_as_they_were(made, tmp_path):
    write_outputs(made, tmp_path)
    segments = pandas.read_csv(tmp_path / "segments.csv")
    assert segments.label.tolist() == [s.label for p in made.people for s in p.segments]
    repetitions = pandas.read_csv(tmp_path / "repetitions.csv")
    assert len(repetitions) == sum(len(s.repetitions) for p in made.people for s in p.segments)
    assert json.loads((tmp_path / "timeline.json").read_text("utf-8")) == made.to_dict()


@pytest.mark.parametrize("name", ["poses.csv", "poses.parquet"])
def test_poses_come_back_with_unseen_joints_empty(made, tmp_path, name):
    write_outputs(made, tmp_path)
    table = pandas.read_csv(tmp_path / name) if name.endswith("csv") else pandas.read_parquet(tmp_path / name)
    for person in made.people:
        rows = table[table.person == person.id]
        np.testing.assert_allclose(rows.time, person.poses.times, atol=1e-4)
        np.testing.assert_allclose(rows.left_knee_x, person.poses.joint("left_knee")[:, 0], atol=0.01)
        assert rows.left_pinky_x.isna().all()
        assert (rows.left_pinky_confidence == 0).all()


@pytest.mark.parametrize("name", ["poses.csv", "poses.parquet"])
def test_written_poses_can_be_analysed_again(made, tmp_path, name):
    write_outputs(made, tmp_path)
    for person, again in zip(made.people, files.read_pose_file(tmp_path / name), strict=True):
        np.testing.assert_array_equal(again.keypoints, person.poses.keypoints)
        assert again.frame_size == person.poses.frame_size


def test_without_pyarrow_there_is_csv_alone(made, tmp_path, monkeypatch):
    monkeypatch.setattr(report, "find_spec", lambda name: None)
    write_outputs(made, tmp_path)
    assert (tmp_path / "poses.csv").exists()
    assert not (tmp_path / "poses.parquet").exists()


def test_subtitles_parse(made, tmp_path):
    write_outputs(made, tmp_path)
    blocks = (tmp_path / "subtitles.vtt").read_text("utf-8").strip().split("\n\n")
    assert blocks[0] == "WEBVTT"
    last = 0.0
    for block in blocks[1:]:
        match = re.fullmatch(r"(\d\d):(\d\d):(\d\d\.\d{3}) --> (\d\d):(\d\d):(\d\d\.\d{3})", block.split("\n")[0])
        assert match, block
        hours, minutes, seconds, *rest = (float(part) for part in match.groups())
        start, end = 3600 * hours + 60 * minutes + seconds, 3600 * rest[0] + 60 * rest[1] + rest[2]
        assert last <= start < end
        last = end
        assert all(line.startswith("Person ") for line in block.split("\n")[1:])


def test_no_people_still_gives_every_data_file_and_a_page(tmp_path, video):
    write_outputs(timeline(people=0), tmp_path, video)
    assert {"timeline.json", "segments.csv", "poses.csv", "report.html"} <= {path.name for path in tmp_path.iterdir()}
    assert not (tmp_path / "annotated.mp4").exists()


def test_switches_leave_files_out(made, video, tmp_path):
    write_outputs(made, tmp_path / "a", video, annotated=False)
    assert not (tmp_path / "a" / "annotated.mp4").exists()
    assert "data:image/jpeg" in (tmp_path / "a" / "report.html").read_text("utf-8")
    write_outputs(made, tmp_path / "b", video, report=False)
    assert not (tmp_path / "b" / "report.html").exists()


def test_another_run_is_not_overwritten_unless_asked(made, video, tmp_path):
    write_outputs(made, tmp_path, video)
    (tmp_path / "notes.txt").write_text("mine")
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    with pytest.raises(KinetagError, match=r"already holds timeline\.json"):
        write_outputs(made, tmp_path, video)
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    write_outputs(made, tmp_path, video, overwrite=True, annotated=False)
    assert not (tmp_path / "annotated.mp4").exists(), "a video of the older run stayed beside the new tables"
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_failure_in_the_middle_of_the_video_leaves_whole_files_only(made, video, tmp_path, monkeypatch):
    from kinetag.report.annotate import Annotator

    draw = Annotator.draw

    def fails_at_two_seconds(self, image, time):
        if time > 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return draw(self, image, time)

    monkeypatch.setattr(Annotator, "draw", fails_at_two_seconds)
    with pytest.raises(KinetagError, match="no space left") as caught:
        write_outputs(made, tmp_path, video)
    assert "complete so far: timeline.json" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert leftovers(tmp_path) == []
    assert not (tmp_path / "annotated.mp4").exists()
    assert not (tmp_path / "report.html").exists()
    assert json.loads((tmp_path / "timeline.json").read_text("utf-8")) == made.to_dict()


def test_a_failure_among_the_data_files_leaves_nothing(made, video, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "write_poses", full)
    with pytest.raises(KinetagError, match="no space left"):
        write_outputs(made, tmp_path / "out", video)
    assert list((tmp_path / "out").iterdir()) == []


def test_ctrl_c_in_the_middle_leaves_whole_files_only(made, video, tmp_path):
    def stop(time, duration):
        if time > 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_outputs(made, tmp_path, video, progress=stop)
    assert leftovers(tmp_path) == []
    assert not (tmp_path / "annotated.mp4").exists()


def test_a_video_error_names_the_folder_and_not_the_hidden_one(made, video, tmp_path, monkeypatch):
    def broken(self, image, time):
        raise KinetagError(f"cannot write {self.path}: the disk is full")

    monkeypatch.setattr(VideoWriter, "write", broken)
    with pytest.raises(KinetagError) as caught:
        write_outputs(made, tmp_path, video)
    assert f"cannot write {tmp_path / 'annotated.mp4'}: the disk is full" in str(caught.value)


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(KinetagError, match="is a file"):
        check_output_folder(tmp_path / "out")
    with pytest.raises(KinetagError, match="cannot write"):
        check_output_folder(tmp_path / "out" / "below")


@pytest.mark.parametrize("name", ["a\udc80b.mp4", '日本 "quoted" & <b>.mp4', "new\nline.mp4"])
def test_odd_source_names_survive_in_every_file(name, tmp_path):
    made = timeline(source=name)
    write_outputs(made, tmp_path)
    assert json.loads((tmp_path / "timeline.json").read_text("utf-8"))["source"] == name
    (tmp_path / "report.html").read_text("utf-8")
    assert len(list(csv.reader(io.StringIO((tmp_path / "segments.csv").read_text("utf-8"))))) == 5
