"""Poses kept on disk: they come back as they were, and a stopped analysis goes on where it stopped."""

import numpy as np
import pytest

from kinetag.analyzer import analyze
from kinetag.cli import main
from kinetag.exercises.scenes import make_scene
from kinetag.pose_log import FOLDER, PoseLog, fingerprint, forget
from kinetag.sequence import Pose

RNG = np.random.default_rng(0)


def pose(world=True, colors=True):
    return Pose(
        RNG.normal(100, 30, (33, 2)).astype(np.float32),
        RNG.random(33).astype(np.float32),
        0.9,
        "blazepose",
        RNG.normal(size=(33, 3)).astype(np.float32) if world else None,
        RNG.random(348).astype(np.float32) if colors else None,
    )


FRAMES = [
    (0.0, [pose(), pose(colors=False)], False),
    (0.1, [], True),
    (0.2, [pose(world=False)], False),
    (0.3, [pose()], False),
]


def same(a, b):
    return (a is None and b is None) or np.array_equal(a, b)


def filled(folder, key="k", frames=FRAMES):
    log = PoseLog(folder, key)
    log.frame_size = (640, 360)
    for time, poses, cut in frames:
        log.add(time, poses, cut)
        log.write()
    return log


def test_poses_come_back_as_they_were_but_for_the_last_frame(tmp_path):
    filled(tmp_path)
    again = PoseLog(tmp_path, "k")
    assert again.reached == 0.3
    kept = list(again.kept())
    assert again.frame_size == (640, 360)
    assert [time for time, _, _ in kept] == [0.0, 0.1, 0.2]
    assert [cut for _, _, cut in kept] == [False, True, False]
    for (_, old, _), (_, new, _) in zip(FRAMES, kept, strict=False):
        assert len(old) == len(new)
        for a, b in zip(old, new, strict=True):
            assert (a.score, a.layout) == (b.score, b.layout)
            assert np.array_equal(a.keypoints, b.keypoints)
            assert np.array_equal(a.confidence, b.confidence)
            assert same(a.world, b.world)
            assert same(a.appearance, b.appearance)


def test_another_video_or_other_options_begin_anew(tmp_path):
    filled(tmp_path)
    other = PoseLog(tmp_path, "another")
    assert other.reached is None
    assert list(other.kept()) == []
    assert not list((tmp_path / FOLDER).glob("*.npz"))
    clip = tmp_path / "a.mp4"
    clip.write_bytes(b"1")
    assert fingerprint(clip, rate=15.0) == fingerprint(clip, rate=15.0) != fingerprint(clip, rate=10.0)
    assert fingerprint(0) is None
    assert fingerprint("rtsp://camera/1") is None


@pytest.mark.parametrize("harm", [b"", b"PK\x03\x04 nonsense", None])
def test_what_comes_after_a_damaged_part_is_made_again(tmp_path, harm):
    filled(tmp_path)
    part = tmp_path / FOLDER / "poses-00002.npz"
    part.write_bytes(part.read_bytes()[:-200] if harm is None else harm)
    again = PoseLog(tmp_path, "k")
    assert again.reached == 0.1
    assert [time for time, _, _ in again.kept()] == [0.0]
    again.add(0.1, FRAMES[2][1])
    again.write()
    assert PoseLog(tmp_path, "k").reached == 0.1
    forget(tmp_path)
    assert not (tmp_path / FOLDER).exists()


def test_pickles_are_not_read(tmp_path):
    filled(tmp_path, frames=FRAMES[:1])
    part = tmp_path / FOLDER / "poses-00000.npz"
    with np.load(part) as arrays:
        content = dict(arrays)
    np.savez(part, **content | {"times": np.array([print], dtype=object)}, allow_pickle=True)
    assert PoseLog(tmp_path, "k").reached is None


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "squat.mp4"
    make_scene("single:squat", width=320, height=180, frame_rate=15).write(path)
    return path


def test_a_stopped_analysis_goes_on_to_the_same_answer(clip, tmp_path):
    whole = analyze(clip)
    reached = []

    def stop(time, duration):
        reached.append(time)
        if time > 3:
            raise KeyboardInterrupt

    partial = analyze(clip, resume_in=tmp_path, progress=stop, keep_partial=True)
    assert any("stopped by the user" in warning for warning in partial.warnings)
    looked = []
    rest = analyze(clip, resume_in=tmp_path, progress=lambda time, _: looked.append(time))
    assert looked[0] > 3  # nothing before was looked at again
    assert not (tmp_path / FOLDER).exists()
    assert rest.warnings == whole.warnings
    (old,), (new,) = whole.people, rest.people
    assert [s.label for s in new.segments] == [s.label for s in old.segments]
    assert [s.repetition_count for s in new.segments] == [s.repetition_count for s in old.segments]
    assert new.poses is not None
    assert old.poses is not None
    assert new.poses.times[0] == old.poses.times[0]
    assert new.poses.times[-1] == pytest.approx(old.poses.times[-1], abs=0.15)
    assert np.diff(new.poses.times).max() < 0.3


def test_another_end_begins_anew(clip, tmp_path):
    def stop(time, duration):
        if time > 3:
            raise KeyboardInterrupt

    analyze(clip, resume_in=tmp_path, progress=stop, keep_partial=True)
    looked = []
    analyze(clip, end=1.5, resume_in=tmp_path, progress=lambda time, _: looked.append(time))
    assert looked[0] < 1
    assert looked[-1] <= 1.5


def test_the_same_command_goes_on_and_replaces_what_the_stopped_one_wrote(clip, tmp_path, monkeypatch, capsys):
    from kinetag import analyzer

    follow, calls = analyzer.Analyzer.follow_many, []

    def stop_at_the_fifth(self, frames, found):
        calls.append(frames[0].time)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return follow(self, frames, found)

    command = ["analyze", str(clip), "--out", str(tmp_path / "out"), "--no-annotated", "--quiet"]
    with monkeypatch.context() as patch:
        patch.setattr(analyzer.Analyzer, "follow_many", stop_at_the_fifth)
        assert main(command) == 130
    assert "the same command goes on" in capsys.readouterr().err
    assert (tmp_path / "out" / "timeline.json").exists()
    assert main(command) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.name.startswith(".")) == []
    assert main(command) == 2  # now it is complete, and nothing is replaced unasked


def test_a_folder_that_cannot_be_written_does_not_stop_the_analysis(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    log = PoseLog(tmp_path, "k")
    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", full)
        log.add(*FRAMES[0])
        log.write()
    assert not list(tmp_path.rglob("*.draft"))
    log.add(*FRAMES[1])
    log.write()  # there is room again: nothing was lost
    assert PoseLog(tmp_path, "k").reached == FRAMES[1][0]


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError])
def test_poses_are_kept_until_the_timeline_is_made(clip, tmp_path, monkeypatch, failure):
    from kinetag import analyzer

    def fails(*_):
        raise failure

    with monkeypatch.context() as patch:
        patch.setattr(analyzer, "label_people", fails)
        with pytest.raises(failure):
            analyze(clip, end=1.0, resume_in=tmp_path, keep_partial=True)
    looked = []
    # Stopped at the very end: the last frame alone is looked at once more.
    assert analyze(clip, end=1.0, resume_in=tmp_path, progress=lambda time, _: looked.append(time)).people
    assert len(looked) == 1
    assert not (tmp_path / FOLDER).exists()


def test_a_full_disk_costs_no_work(clip, tmp_path, monkeypatch, capsys):
    from kinetag import cli, report

    def full(poses, path):
        raise OSError(28, "No space left on device")

    command = ["analyze", str(clip), "--end", "1", "--out", str(tmp_path / "out"), "--no-report", "--no-annotated"]
    with monkeypatch.context() as patch:
        patch.setattr("kinetag.pose.files.write_poses", full)
        assert cli.main(command) == 2
    assert "no space left" in capsys.readouterr().err
    assert (tmp_path / "out" / FOLDER).is_dir()
    assert cli.main(command) == 0
    assert {*report.DATA_FILES} >= {path.name for path in (tmp_path / "out").iterdir()} >= {"poses.csv"}
