"""`kinetag analyze` on paths in a store."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("s3fs")
from object_store import BUCKET

from kinetag import cli, storage
from kinetag.analyzer import analyze
from kinetag.classifier import DEFAULT_MODEL
from kinetag.errors import KinetagError
from kinetag.live import live
from kinetag.pose.files import write_poses
from kinetag.pose_log import FOLDER
from kinetag.sequence import PoseSequence
from kinetag.video import open_source

ROOT = f"s3://{BUCKET}"
OUT = f"{ROOT}/results/monday"


@pytest.fixture
def poses(store, tmp_path) -> str:
    times = np.arange(60) / 15
    points = np.random.default_rng(0).uniform(50, 200, (60, 17, 2))
    write_poses([PoseSequence(times, points, np.ones((60, 17)), "coco", (320, 240))], tmp_path / "poses.csv")
    storage.upload(tmp_path / "poses.csv", f"{ROOT}/clips/poses.csv")
    return f"{ROOT}/clips/poses.csv"


def names(url: str) -> set[str]:
    return {file.path.removeprefix(f"{url}/") for file in storage.list_files(url)}


def test_outputs_go_to_the_store_and_are_not_replaced_unasked(poses, tmp_path, capsys):
    assert cli.main(["analyze", poses, "--out", OUT]) == 0
    said = capsys.readouterr()
    assert f"written to {OUT}/: timeline.json" in said.err
    assert {"timeline.json", "report.html", "poses.csv"} <= names(OUT)
    assert cli.main(["analyze", str(tmp_path / "poses.csv"), "--out", str(tmp_path / "here"), "--quiet"]) == 0
    assert names(OUT) == set(os.listdir(tmp_path / "here"))
    assert storage.read_text(f"{OUT}/timeline.json") == (tmp_path / "here" / "timeline.json").read_text()

    assert cli.main(["analyze", poses, "--out", OUT]) == 2
    assert f"'{OUT}' already holds timeline.json of another run" in capsys.readouterr().err
    storage.write_file(f"{OUT}/annotated.mp4", b"of another run")
    storage.write_file(f"{OUT}/notes.txt", b"the user's own")
    assert cli.main(["analyze", poses, "--out", OUT, "--no-report", "--overwrite", "--quiet"]) == 0
    assert "annotated.mp4" not in names(OUT)
    assert "report.html" not in names(OUT)
    assert {"timeline.json", "notes.txt"} <= names(OUT)


def test_a_model_in_the_store(poses, capsys):
    storage.upload(DEFAULT_MODEL, f"{ROOT}/models/mine.onnx")
    assert len(analyze(poses, model=f"{ROOT}/models/mine.onnx").people) == 1
    storage.write_file(f"{ROOT}/models/bad.onnx", b"no network")
    assert cli.main(["analyze", poses, "--model", f"{ROOT}/models/bad.onnx"]) == 2
    assert f"{ROOT}/models/bad.onnx cannot be read as an ONNX file" in capsys.readouterr().err
    assert cli.main(["analyze", poses, "--profile", f"{ROOT}/models/none.npz"]) == 2
    assert f"no such file or folder: {ROOT}/models/none.npz" in capsys.readouterr().err


def test_a_bad_source_is_called_by_its_address(store, capsys):
    storage.write_file(f"{ROOT}/clips/bad.mp4", b"no video")
    assert cli.main(["analyze", f"{ROOT}/clips/bad.mp4"]) == 2
    err = capsys.readouterr().err
    assert f"error: {ROOT}/clips/bad.mp4: not a video that can be read" in err
    assert os.environ["KINETAG_CACHE"] not in err


def test_frames_of_a_video_in_the_store(store, squat_clip):
    storage.upload(squat_clip[0], f"{ROOT}/clips/squat.mp4")
    with open_source(f"{ROOT}/clips/squat.mp4", end=1.0) as there, open_source(squat_clip[0], end=1.0) as here:
        assert there.name == "squat.mp4"
        assert all(np.array_equal(a.image, b.image) for a, b in zip(there, here, strict=True))


@pytest.mark.slow
def test_an_analysis_stopped_on_one_machine_goes_on_on_another(store, squat_clip, tmp_path, monkeypatch, capsys):
    from kinetag import analyzer, pose_log

    url = f"{ROOT}/clips/squat.mp4"
    storage.upload(squat_clip[0], url)
    words = ["analyze", url, "--out", OUT, "--no-annotated", "--quiet"]
    monkeypatch.setattr(pose_log, "_EVERY", 0.0)
    whole = analyze(squat_clip[0])
    feed_all = analyzer.feed_all

    def stopped(video, made):
        for i, time in enumerate(feed_all(video, made)):
            yield time
            if i == 3:
                raise RuntimeError("killed")

    monkeypatch.setattr(analyzer, "feed_all", stopped)
    with pytest.raises(RuntimeError):
        cli.main(words)
    assert any(name.startswith(FOLDER) for name in names(OUT))
    read: list[float] = []

    def counted(video, made):
        for time in feed_all(video, made):
            read.append(time)
            yield time

    monkeypatch.setattr(analyzer, "feed_all", counted)
    monkeypatch.setenv("KINETAG_CACHE", str(tmp_path / "another machine"))
    assert cli.main(words) == 0
    assert read[0] > 1.0
    assert not any(name.startswith(FOLDER) for name in names(OUT))
    found = json.loads(storage.read_text(f"{OUT}/timeline.json"))
    assert [s["label"] for p in found["people"] for s in p["segments"]] == [
        s.label for p in whole.people for s in p.segments
    ]
    assert not list(Path(os.environ["KINETAG_CACHE"]).glob("results/*/files/*"))


def test_live_takes_its_networks_from_the_store(store, squat_clip, tmp_path, monkeypatch):
    (tmp_path / "net.onnx").write_bytes(b"a network")
    for name in ("pose", "detector"):
        storage.upload(tmp_path / "net.onnx", f"{ROOT}/{name}.onnx")
    given = {}

    def opened(**options):
        given.update(options)
        raise KinetagError("enough")

    monkeypatch.setattr("kinetag.analyzer.Analyzer", opened)
    with pytest.raises(KinetagError, match="enough"):
        live(squat_clip[0], pose=f"{ROOT}/pose.onnx", detector=f"{ROOT}/detector.onnx", window=False)
    assert [Path(given[name]).read_bytes() for name in ("pose", "detector")] == [b"a network"] * 2
    with pytest.raises(KinetagError, match="enough"):
        live(squat_clip[0], detector="frame", window=False)
    assert (given["pose"], given["detector"]) == ("blazepose", "frame")
