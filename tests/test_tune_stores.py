"""Searches whose results folder is in a bucket."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

pytest.importorskip("lightning")
pytest.importorskip("optuna")
pytest.importorskip("s3fs")
from made_search import FakeNursery
from made_training import write_spec
from object_store import BUCKET

from kinetag import storage
from kinetag.cli import main
from kinetag.errors import KinetagError
from kinetag.spec import load_spec
from kinetag.tune import search, tune

ROOT = f"s3://{BUCKET}"
PLACE = f"{ROOT}/run/train"


def search_spec(folder: Path, trials: int, *more: str):
    options = [f"automl_settings.automl_max_recommendations={trials}", "automl_settings.automl_max_concurrent=1"]
    return load_spec(write_spec(folder), [f"results_dir={ROOT}/run", *options, *more], action="train")


def summary() -> dict:
    return json.loads(storage.read_text(f"{PLACE}/automl.json"))


def names() -> set[str]:
    return {file.path.removeprefix(f"{PLACE}/") for file in storage.list_files(PLACE)}


@pytest.fixture
def pretended(store, monkeypatch):
    """Searches that train nothing."""
    fake = type("Fake", (FakeNursery,), {"jobs": [], "value": staticmethod(lambda spec, epoch: 1 - spec.model.dropout)})
    monkeypatch.setattr(search, "Nursery", fake)
    return fake


def test_a_search_goes_on_from_the_bucket_on_another_machine(pretended, tmp_path, monkeypatch):
    result = tune(search_spec(tmp_path, 2))
    assert result.checkpoint == f"{PLACE}/pc_model_best.pth"
    assert result.report == f"{PLACE}/automl.html"
    assert {"study.db", "automl.json", "automl.html", "experiment.yaml", "status.json", ".study"} <= names()
    assert {"trials/0/pc_model_best.pth", "trials/1/status.json"} <= names()
    assert not [name for name in names() if name.startswith(".working") or name.endswith((".lock", "-journal"))]
    before = summary()["trials"]

    monkeypatch.setenv("KINETAG_CACHE", str(tmp_path / "another"))
    monkeypatch.setattr("socket.gethostname", lambda: "another")
    told = []
    again = tune(search_spec(tmp_path, 3), tell=told.append)
    assert again.trials == 3
    assert [trial["parameters"] for trial in summary()["trials"][:2]] == [trial["parameters"] for trial in before]
    assert [folder for folder, _ in pretended.jobs] == ["0", "1", "2"]  # none was trained twice
    cache = os.environ["KINETAG_CACHE"]
    assert cache not in "\n".join(told)
    for file in storage.list_files(PLACE):
        assert cache.encode() not in storage.local_copy(file.path).read_bytes(), file.path


def test_a_trial_of_a_machine_that_is_gone_is_taken_over_at_once(pretended, tmp_path, monkeypatch):
    class Death(FakeNursery):
        def start(self, name: str, work: dict) -> None:
            raise RuntimeError("the power went")

    monkeypatch.setattr(search, "Nursery", Death)
    with pytest.raises(RuntimeError):
        tune(search_spec(tmp_path, 2))
    monkeypatch.setattr(search, "Nursery", pretended)
    monkeypatch.setenv("KINETAG_CACHE", str(tmp_path / "another"))
    monkeypatch.setattr("socket.gethostname", lambda: "another")
    began = time.monotonic()
    assert tune(search_spec(tmp_path, 2)).trials == 2
    assert time.monotonic() - began < 60


def test_machines_share_a_disk_not_a_bucket(pretended, tmp_path):
    storage_of_study = "automl_settings.storage=postgresql://me:secret@nowhere/db"
    with pytest.raises(KinetagError, match=rf"share its results folder, which {PLACE} cannot be") as caught:
        tune(search_spec(tmp_path, 2, storage_of_study))
    assert "secret" not in str(caught.value)


def test_the_command_line_searches_in_a_bucket_by_a_spec_in_it(pretended, tmp_path, capsys):
    storage.upload(write_spec(tmp_path), f"{ROOT}/specs/train.yaml")
    words = ["-e", f"{ROOT}/specs/train.yaml", f"results_dir={ROOT}/run"]
    words.append("automl_settings.automl_max_recommendations=2")
    progress = tmp_path / "progress.json"
    assert main(["train", *words, "automl_policy=auto", "--progress-file", str(progress)]) == 0
    assert f"{PLACE}/pc_model_best.pth" in capsys.readouterr().out
    assert json.loads(progress.read_text())["stage"]
    assert main(["tune", *words, "--quiet"]) == 0
    assert "the search is over" in capsys.readouterr().out


@pytest.mark.slow
def test_a_search_killed_on_one_machine_ends_on_another_as_if_it_had_not_been(store, tmp_path):
    spec = write_spec(tmp_path)
    options = [f"automl_settings.automl_max_{name}" for name in ("recommendations=3", "concurrent=1")] + [
        "num_epochs=10"
    ]

    def command(place: str) -> list[str]:
        return [sys.executable, "-m", "kinetag", "tune", "-e", str(spec), f"results_dir={place}", *options]

    def environment(machine: str) -> dict[str, str]:
        return {**os.environ, "KINETAG_CACHE": str(tmp_path / machine), "OMP_NUM_THREADS": "1"}

    subprocess.run(command(str(tmp_path / "whole")), env=environment("one"), check=True, capture_output=True)
    killed = subprocess.Popen(command(f"{ROOT}/run"), env=environment("one"), start_new_session=True)
    until = time.monotonic() + 120
    while "trials/0/pc_model_latest.pth" not in names():
        assert time.monotonic() < until
        assert killed.poll() is None, "it ended before it could be killed"
        time.sleep(0.3)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    with closing(sqlite3.connect(storage.local_copy(f"{PLACE}/study.db"))) as study:
        assert study.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    subprocess.run(command(f"{ROOT}/run"), env=environment("two"), check=True, capture_output=True)

    whole = json.loads((tmp_path / "whole/train/automl.json").read_text())
    for one, other in zip(whole["trials"], summary()["trials"], strict=True):
        for key in ("parameters", "value", "epoch", "state", "curve"):
            assert one[key] == other[key]
    assert summary()["finished"]
