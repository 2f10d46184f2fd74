"""Runners and their actions are killed at random moments while clients look on: nothing is lost, nothing runs twice.

The long version: pytest tests/test_jobs_kill.py -m slow
"""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from made_jobs import TRAINING, arrays, home, until  # noqa: F401

from kinetag.errors import KinetagError
from kinetag.jobs import Job, create_job, get_job, list_jobs, retry_job, wait_for
from kinetag.jobs.store import DONE, ENDED_BADLY, Store

pytest.importorskip("lightning")
pytestmark = pytest.mark.usefixtures("home")


def graph(data: Path, seed: int, epochs: int, *, whole: bool) -> list[Job]:
    """A training and its evaluation; the ``whole`` has its export as well, and predictions by what was exported."""
    values = {**TRAINING, "train": {**TRAINING["train"], "seed": seed, "num_epochs": epochs}}
    train = create_job("train", values, train_data=data)
    evaluate = create_job("evaluate", None, train.id)
    if not whole:
        return [train, evaluate]
    export = create_job("export", None, train.id)
    return [train, evaluate, export, create_job("inference", None, export.id)]


def outcome(jobs: list[Job]) -> list[object]:
    """What a graph came to: weights and metrics bit for bit, accuracies, predictions."""
    import torch

    from kinetag.checkpoint import load_checkpoint

    train, evaluate, *others = (get_job(job.id) for job in jobs)
    found: list[object] = []
    for name in ("pc_model_latest.pth", "pc_model_best.pth"):
        header, weights = load_checkpoint(Path(train.results) / name)
        found += [
            header.metrics,
            header.step,
            {key: torch.sum(value.double()).item() for key, value in weights.items()},
        ]
        found.append({key: value.numpy().tobytes() for key, value in weights.items()})
    record = json.loads((Path(evaluate.results) / "results.json").read_text())
    found.append({key: record[key] for key in ("accuracy", "classes", "confusion", "calibration_error")})
    return found + [(Path(job.results) / "predictions.txt").read_text() for job in others[1:]]


def leaders(job: Job) -> list[int]:
    """The processes that do the action of a job, without their helpers."""
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            if "kinetag.jobs.worker" in words and str(job.spec) in words and os.getpgid(process.pid) == process.pid:
                alive = process.status() != psutil.STATUS_ZOMBIE
                found += [process.pid] if alive else []
        except (psutil.Error, ProcessLookupError):
            continue
    return found


@contextmanager
def onlookers(jobs: list[Job]) -> Iterator[list[str]]:
    """Clients that look on: one that lists from a process of its own, one that counts runs, one that tries again."""
    over, faults = threading.Event(), []

    def lists() -> None:
        while not over.is_set():
            words = [sys.executable, "-m", "kinetag", "jobs", "list", "--format", "json"]
            found = subprocess.run(words, capture_output=True, text=True, check=False)
            if found.returncode or {one["id"] for one in json.loads(found.stdout)} != {job.id for job in jobs}:
                faults.append(f"a list without some jobs: {found.stdout[-500:]} {found.stderr[-500:]}")
            over.wait(0.3)

    def counts() -> None:
        while not over.is_set():
            faults.extend(f"{job.id} runs twice" for job in jobs if len(leaders(job)) > 1)
            over.wait(0.1)

    def retries() -> None:
        while not over.is_set():
            for job in list_jobs(*ENDED_BADLY):
                try:
                    retry_job(job.id)
                except KinetagError as error:  # its parent comes first, or another was faster
                    if "retry it first" not in str(error) and "only a job that ended badly" not in str(error):
                        faults.append(str(error))
            over.wait(0.2)

    threads = [threading.Thread(target=work) for work in (lists, counts, retries, retries)]
    for thread in threads:
        thread.start()
    try:
        yield faults
    finally:
        over.set()
        for thread in threads:
            thread.join()


def kill_one(jobs: list[Job], rng: random.Random) -> str | None:
    """Kill a runner or an action that is alive now, without warning; None when there is none."""
    store = Store()
    alive = [
        (name, process)
        for job in jobs
        if (now := store.find(job.id)) is not None
        for name, process in (("runner", now.runner), ("worker", now.worker))
        if process is not None and process.runs()
    ]
    if not alive:
        return None
    kind = rng.choice(sorted({name for name, _ in alive}))  # runners that wait are many
    name, process = rng.choice([one for one in alive if one[0] == kind])
    try:
        os.kill(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return None
    return name


def disturb(
    data: Path, *, seeds: list[int], epochs: int, kills: int, pause: float, rng_seed: int, whole: bool
) -> dict[str, int]:
    """Run graphs, undisturbed and killed, and compare."""
    quiet = [graph(data, seed, epochs, whole=whole) for seed in seeds]
    assert all(job.state == DONE for job in wait_for(*(job.id for jobs in quiet for job in jobs), timeout=600))
    expected = [outcome(jobs) for jobs in quiet]
    os.environ["KINETAG_HOME"] += "_killed"
    rng = random.Random(rng_seed)
    graphs = [graph(data, seed, epochs, whole=whole) for seed in seeds]
    jobs = [job for one in graphs for job in one]
    done: dict[str, int] = {"runner": 0, "worker": 0}
    with onlookers(jobs) as faults:
        while sum(done.values()) < kills:
            time.sleep(rng.uniform(0.1, pause))
            if (killed := kill_one(jobs, rng)) is not None:
                done[killed] += 1
            if all(get_job(job.id).is_over for job in jobs) and not list_jobs(*ENDED_BADLY):
                break
        until(lambda: all(Store().get(job.id).state == DONE for job in jobs), 600)
    assert faults == []
    assert sorted(job.id for job in list_jobs()) == sorted(job.id for job in jobs)
    with sqlite3.connect(Store().path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    for one, wanted in zip(graphs, expected, strict=True):
        assert outcome(one) == wanted
    for job in map(lambda job: get_job(job.id), jobs):  # noqa: C417
        assert 1 <= job.log.read_text().count("] attempt ") <= job.attempts  # one may be killed before it says so
        assert leaders(job) == []
    return done


def test_killed_and_tried_again_a_graph_ends_as_an_undisturbed_one(tmp_path):
    done = disturb(arrays(tmp_path / "data"), seeds=[1], epochs=4, kills=2, pause=4.0, rng_seed=1, whole=False)
    assert sum(done.values()) == 2


@pytest.mark.slow
def test_killed_25_times_several_graphs_end_as_undisturbed_ones(tmp_path):
    done = disturb(arrays(tmp_path / "data"), seeds=[1, 2, 3], epochs=40, kills=25, pause=2.0, rng_seed=2, whole=True)
    print(f"killed {done['runner']} runners and {done['worker']} actions")
    assert sum(done.values()) == 25
    assert min(done.values()) > 0
