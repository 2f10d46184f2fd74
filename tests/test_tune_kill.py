"""kill -9 of a search and of its trials, at random moments: nothing is lost, nothing is done twice.

`pytest -m slow tests/test_tune_kill.py` does it 25 times.
"""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("lightning")
pytest.importorskip("optuna")
pytest.importorskip("psutil")
import psutil
from made_training import write_spec
from test_tune import summary_of, table

OPTIONS = ["automl_settings.automl_max_concurrent=1", "automl_settings.automl_max_epochs=4",
           "automl_settings.automl_reduction_factor=2", "train.optim.lr_scheduler=Cosine"]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["bayesian", "asha"])
def test_kills_at_random_moments(tmp_path, algorithm):
    options = [*OPTIONS, f"automl_settings.algorithm={algorithm}", "automl_settings.automl_max_recommendations=24"]
    _finish(_start(write_spec(tmp_path, "alone"), options))
    path, rng = write_spec(tmp_path, "out"), random.Random(algorithm)
    kills = {"search": 0, "trial": 0}
    process = _start(path, options)
    while sum(kills.values()) < 25 and process.poll() is None:
        if rng.random() < 0.8:  # else while it starts
            _wait_for_trial(process)
        time.sleep(rng.uniform(0.0, 1.2))
        if sum(kills.values()) % 2:
            kills["trial"] += _kill_trial(process.pid)
        elif process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
            kills["search"] += 1
            process = _start(path, options)
    _finish(process)
    assert sum(kills.values()) == 25, "it was over too soon"
    folder = tmp_path / "out" / "train"
    mine, alone = summary_of(tmp_path / "out"), summary_of(tmp_path / "alone")
    assert table(mine) == table(alone)
    assert mine["best"] == alone["best"]
    assert mine["final"] == alone["final"]
    with sqlite3.connect(folder / "study.db") as connection:
        assert connection.execute("pragma integrity_check").fetchone() == ("ok",)
    assert not list((folder / "trials").rglob("*.draft"))
    for trial in mine["trials"]:
        lines = (folder / "trials" / str(trial["number"]) / "status.json").read_text().splitlines()
        epochs = [kpi["epoch"] for line in lines if (kpi := json.loads(line).get("kpi", {}))]
        assert sorted(set(epochs)) == list(range(1, trial["epoch"] + 1))
    assert not [p for p in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(p.info["cmdline"] or ())]


def _start(path: Path, options: list[str]) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "kinetag", "tune", "-e", str(path), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _finish(process: "subprocess.Popen[str]") -> None:
    try:
        _, err = process.communicate(timeout=900)
    finally:
        process.kill()  # of a search that took too long nothing stays behind
    assert process.returncode == 0, err


def _wait_for_trial(process: "subprocess.Popen[str]") -> None:
    while process.poll() is None and not _trials(process.pid):
        time.sleep(0.05)


def _trials(search: int) -> list:
    try:
        return [trial for nursery in psutil.Process(search).children() for trial in nursery.children()]
    except psutil.NoSuchProcess:
        return []


def _kill_trial(search: int) -> int:
    """Kill a trial's process with kill -9; how many were there to kill."""
    for trial in _trials(search)[:1]:
        trial.kill()
        return 1
    return 0
