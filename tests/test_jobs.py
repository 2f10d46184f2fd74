"""Jobs that run: without their client, after their parent, once."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from made_clips import labelled_folder
from made_jobs import TRAINING, arrays, deepstream, home, in_state, unreadable, until, write_spec  # noqa: F401
from made_training import write_arrays

from kinetag.errors import KinetagError
from kinetag.jobs import (
    cancel_job,
    create_job,
    delete_job,
    get_job,
    job_logs,
    list_jobs,
    plan_job,
    retry_job,
    wait_for,
)
from kinetag.jobs.following import ago, standing
from kinetag.jobs.process import Identity, held
from kinetag.jobs.store import Store
from kinetag.jobs.tidying import missing_key

pytestmark = pytest.mark.usefixtures("home")
KEY = "a secret of some length"


def converting(folder: Path, people: int = 2, **more) -> dict:
    return {"dataset_convert.data": str(deepstream(folder, people)), **more}


def endless(folder: Path) -> dict:
    """A training that does not end by itself."""
    return {**TRAINING, "train": {**TRAINING["train"], "num_epochs": 100_000}, "results_dir": str(folder / "endless")}


def log_of(job) -> str:
    return "".join(job_logs(job.id))


def test_a_job_writes_into_its_own_folder_and_is_on_record(tmp_path):
    job = create_job("dataset_convert", converting(tmp_path))
    assert job.state in ("queued", "running")
    (job,) = wait_for(job.id, timeout=60)
    assert (job.state, job.exit_code, job.attempts, job.reason) == ("done", 0, 1, "")
    assert sorted(path.name for path in job.own_results.glob("object_*")) == ["object_1.npy", "object_2.npy"]
    assert job.results == str(job.own_results)
    assert standing(job).message == "dataset_convert finished successfully."
    assert "attempt 1: kinetag dataset_convert" in log_of(job)
    assert job.runner is None
    assert [one.id for one in list_jobs()] == [job.id]
    assert list_jobs("failed") == []


def test_relative_paths_start_from_where_the_job_was_created(tmp_path, monkeypatch):
    deepstream(tmp_path)
    job = create_job("dataset_convert", {"dataset_convert.data": "poses.json", "results_dir": "out"})
    monkeypatch.chdir("/")
    (job,) = wait_for(job.id, timeout=60)
    assert job.state == "done"
    assert job.results == str(tmp_path / "out/dataset_convert")
    assert (tmp_path / "out/dataset_convert/object_1.npy").exists()


def test_the_reason_of_a_failure_is_the_action_s_own_line(tmp_path):
    job = create_job("dataset_convert", {"dataset_convert.data": unreadable(tmp_path)})
    (job,) = wait_for(job.id, timeout=60)
    assert (job.state, job.exit_code) == ("failed", 2)
    assert "broken.json" in job.reason


def test_a_child_waits_and_takes_from_its_parent(tmp_path):
    parent = create_job("dataset_convert", converting(tmp_path, 1))
    (tmp_path / "m.pth").write_bytes(b"no checkpoint")
    child = create_job("inference", {"inference.checkpoint": "m.pth", "results_dir": "out"}, parent.id)
    seen: list[tuple[str, ...]] = []
    watch = lambda jobs: seen.append(tuple(job.state for job in jobs))  # noqa: E731
    parent, child = wait_for(parent.id, child.id, timeout=60, watch=watch)
    assert (seen[0][1], seen[-1]) == ("queued", ("done", "failed"))
    assert child.started is not None
    assert parent.ended is not None
    assert child.started > parent.ended
    values = yaml.safe_load(child.spec.read_text())
    assert values["inference"]["test_dataset"]["data_path"] == str(parent.own_results / "object_1.npy")
    assert child.reason.startswith("m.pth ")  # it got that far
    assert "inference.test_dataset.data_path" in {one["key"] for one in child.inferred}


def test_what_hangs_on_a_job_that_fails_is_blocked_and_freed_by_its_retry(tmp_path):
    (tmp_path / "poses.json").write_text("{")
    (tmp_path / "m.pth").write_bytes(b"no checkpoint")
    first = create_job("dataset_convert", {"dataset_convert.data": "poses.json"})
    second = create_job("inference", {"inference.checkpoint": "m.pth"}, first.id)
    third = create_job("export", {"export.checkpoint": "m.pth"}, second.id)
    first, second, third = wait_for(first.id, second.id, third.id, timeout=60)
    assert [job.state for job in (first, second, third)] == ["failed", "blocked", "blocked"]
    assert second.reason == f"its parent {first.id} is failed"
    late = create_job("export", {"export.checkpoint": "m.pth"}, first.id)
    assert late.state == "blocked"
    for job in (second, late):
        with pytest.raises(KinetagError, match=f"its parent {first.id} is failed: retry it first"):
            retry_job(job.id)
    deepstream(tmp_path, 1)
    retry_job(first.id)
    first, second, third, late = wait_for(first.id, second.id, third.id, late.id, timeout=60)
    assert (first.state, first.attempts) == ("done", 2)
    assert (second.state, second.attempts) == ("failed", 1)
    assert (third.state, third.reason) == ("blocked", f"its parent {second.id} is failed")
    assert late.reason.startswith("m.pth ")
    with pytest.raises(KinetagError, match="is done; only a job that ended badly"):
        retry_job(first.id)


def test_several_clients_at_once(tmp_path):
    """Created, cancelled and tried again from many sides: every job is there once and its runs do not overlap."""
    values = converting(tmp_path)
    with ThreadPoolExecutor(6) as pool:
        jobs = list(pool.map(lambda _: create_job("dataset_convert", values), range(6)))
        assert len({job.id for job in jobs}) == 6
        wait_for(*(job.id for job in jobs), timeout=120)
        bad = create_job("dataset_convert", {"dataset_convert.data": unreadable(tmp_path)})
        wait_for(bad.id, timeout=60)

        refused: list[str] = []

        def again(_: int) -> bool:
            try:
                return bool(retry_job(bad.id))
            except KinetagError as error:
                refused.append(str(error))
                return False

        assert sum(pool.map(again, range(6))) == 1
        assert len([said for said in refused if "only a job that ended badly" in said]) == 5
    (bad,) = wait_for(bad.id, timeout=60)
    assert bad.attempts == 2
    assert [job.state for job in list_jobs()] == ["done"] * 6 + ["failed"]
    assert all(log_of(job).count("attempt 1:") == 1 and "attempt 2:" not in log_of(job) for job in jobs)


def test_a_results_folder_is_one_job_s_until_it_is_over(tmp_path):
    values = converting(tmp_path, results_dir="out")
    first = create_job("dataset_convert", values)
    with pytest.raises(KinetagError, match=f"job {first.id} writes into {tmp_path / 'out/dataset_convert'}"):
        create_job("dataset_convert", values)
    wait_for(first.id, timeout=60)
    second = create_job("dataset_convert", values)
    assert wait_for(second.id, timeout=60)[0].state == "done"
    assert len(list((tmp_path / "home/jobs").iterdir())) == 2  # a job that was refused leaves nothing


def test_no_more_run_at_once_than_may_and_the_first_goes_first(tmp_path, monkeypatch):
    values = converting(tmp_path)
    monkeypatch.setenv("KINETAG_MAX_JOBS", "1")
    store, me = Store(), Identity.own()
    away = store.add(id="here22", action="train", state="running", cwd="/", runner=me)
    jobs = []
    for _ in range(3):
        jobs.append(create_job("dataset_convert", values))
        until(lambda: "waits until fewer than 1 run (KINETAG_MAX_JOBS)" in get_job(jobs[-1].id).reason)
    store.change(away, "running", state="done")
    jobs = wait_for(*(job.id for job in jobs), timeout=60)
    assert [job.state for job in jobs] == ["done"] * 3
    for first, second in pairwise(jobs):
        assert first.ended is not None
        assert second.started is not None
        assert first.ended <= second.started
    monkeypatch.setenv("KINETAG_MAX_JOBS", "many")
    with pytest.raises(KinetagError, match="KINETAG_MAX_JOBS is 'many'"):
        create_job("dataset_convert", values)


def test_a_place_of_a_job_that_is_gone_is_free(tmp_path, monkeypatch):
    monkeypatch.setenv("KINETAG_MAX_JOBS", "1")
    me = Identity.own()
    Store().add(id="gone22", action="train", state="running", cwd="/", runner=Identity(me.host, me.boot, 1, "1"))
    Store().add(id="away22", action="train", state="running", cwd="/", runner=Identity("another", "b", 1, "1"))
    assert wait_for(create_job("dataset_convert", converting(tmp_path)).id, timeout=60)[0].state == "done"


def test_a_job_outlives_its_client_and_the_client_s_group(tmp_path):
    code = (
        "import os, signal, sys; from kinetag.jobs import create_job\n"
        f"print(create_job('dataset_convert', {converting(tmp_path)!r}).id, flush=True)\n"
        "os.killpg(0, signal.SIGKILL)"
    )
    client = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, start_new_session=True)
    assert client.returncode == -signal.SIGKILL
    (job,) = wait_for(client.stdout.strip(), timeout=60)
    assert job.state == "done"


def test_a_queued_job_without_a_runner_gets_one_from_whoever_looks(tmp_path):
    parent = create_job("dataset_convert", converting(tmp_path))
    wait_for(parent.id, timeout=60)
    store = Store()
    left = store.add(id="left22", action="dataset_convert", state="queued", cwd=str(tmp_path), launched=time.time())
    left.folder.mkdir()
    write_spec(left.given, {"dataset_convert": {"data": str(tmp_path / "poses.json")}})
    list_jobs()
    assert store.get("left22").runner is None  # its client may still be about to start it
    store.change(left, "queued", launched=time.time() - 60)
    for _ in range(3):
        list_jobs()
    (left,) = wait_for("left22", timeout=60)
    assert (left.state, log_of(left).count("attempt 1:")) == ("done", 1)


@pytest.mark.parametrize(("boot", "reason"), [("another", "the machine was restarted"), (None, "its process is gone")])
def test_a_running_job_whose_process_is_gone_is_found(tmp_path, boot, reason):
    me = Identity.own()
    runner = Identity(me.host, boot or me.boot, me.pid, me.started if boot else "1")  # the number is in use again
    store = Store()
    gone = store.add(id="gone22", action="train", state="running", cwd="/", runner=runner, started=1.0)
    child = store.add(id="chld22", action="export", state="queued", cwd="/", parent="gone22", launched=time.time())
    (found, _) = list_jobs()
    assert (found.id, found.state) == (gone.id, "interrupted")
    assert found.reason.startswith(reason)
    assert "kinetag jobs retry gone22" in found.reason
    store.change(child, "queued", state="cancelled")


def test_an_action_that_hangs_without_its_runner_is_ended(tmp_path):
    hanging = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], process_group=0)
    os.kill(hanging.pid, signal.SIGSTOP)
    me, worker = Identity.own(), Identity.of(hanging.pid)
    runner = Identity(me.host, me.boot, me.pid, "1")
    Store().add(id="gone22", action="train", state="running", cwd="/", runner=runner, worker=worker)
    assert list_jobs()[0].state == "interrupted"
    assert hanging.wait(10) == -signal.SIGKILL


def test_a_job_that_anything_still_works_on_is_not_given_up(tmp_path):
    me = Identity.own()
    job = Store().add(id="gone22", action="train", state="running", cwd="/", runner=Identity(me.host, me.boot, 1, "1"))
    job.folder.mkdir(parents=True)
    with held(job.lock):
        assert list_jobs()[0].state == "running"
    assert list_jobs()[0].state == "interrupted"


def test_a_retry_while_the_processes_of_a_killed_job_still_end(tmp_path):
    me = Identity.own()
    job = Store().add(id="gone22", action="train", state="running", cwd="/", runner=Identity(me.host, me.boot, 1, "1"))
    job.folder.mkdir(parents=True)
    with held(job.lock), pytest.raises(KinetagError, match="its processes are still ending, try again in a few"):
        retry_job(job.id)
    Store().add(id="runs22", action="train", state="running", cwd="/", runner=me)
    with pytest.raises(KinetagError, match="is running; only a job that ended badly"):
        retry_job("runs22")


def test_a_job_of_another_machine_is_left_alone():
    store = Store()
    store.add(id="away22", action="train", state="running", cwd="/", runner=Identity("another", "b", 1, "1"))
    assert list_jobs()[0].state == "running"


def test_cancelling_a_job_that_waits(tmp_path):
    store = Store()
    away = store.add(id="away22", action="train", state="running", cwd="/", runner=Identity("another", "b", 1, "1"))
    away.folder.mkdir(parents=True)
    write_spec(away.given, {})
    waiting = create_job("dataset_convert", converting(tmp_path), "away22")
    until(lambda: "waits for its parent" in get_job(waiting.id).reason)
    assert cancel_job(waiting.id).state == "cancelled"
    assert cancel_job(waiting.id).state == "cancelled"
    runner = get_job(waiting.id).runner
    assert runner is not None
    until(lambda: not runner.runs())
    assert get_job(waiting.id).attempts == 0


def test_deleting(tmp_path):
    (tmp_path / "m").touch()
    first = create_job("dataset_convert", {"dataset_convert.data": unreadable(tmp_path)})
    second = create_job("inference", {"inference.checkpoint": "m"}, first.id)
    wait_for(first.id, second.id, timeout=60)
    with pytest.raises(KinetagError, match=f"is the parent of {second.id}, which are not over"):
        delete_job(first.id)
    assert cancel_job(second.id).state == "cancelled"
    delete_job(first.id)
    assert not first.folder.exists()
    with pytest.raises(KinetagError, match="no job"):
        get_job(first.id)
    with pytest.raises(KinetagError, match="was deleted: create the job anew"):
        retry_job(second.id)


def test_inputs_that_are_not_there_are_refused_at_once(tmp_path):
    with pytest.raises(KinetagError, match=r"^dataset_convert\.data: no such file or folder: nosuch \(from "):
        create_job("dataset_convert", {"dataset_convert.data": "nosuch"})
    values = {"evaluate.checkpoint": unreadable(tmp_path), "evaluate.test_dataset.data_path": "nosuch"}
    with pytest.raises(KinetagError, match=r"^evaluate\.test_dataset\.data_path: no such file"):
        create_job("evaluate", values)
    assert list_jobs() == []
    assert not list((tmp_path / "home").rglob("given.yaml"))
    assert "no such file" in plan_job("evaluate", values).notes[-1]


def test_what_a_parent_will_write_and_addresses_may_be_missing(tmp_path):
    store = Store()
    for job_id, state in (("aaa222", "failed"), ("bbb222", "done")):
        results = str(tmp_path / "out" / "train")
        job = store.add(id=job_id, action="train", state=state, cwd="/", results=results)
        job.folder.mkdir(parents=True)
        write_spec(job.given, {})
    values = {"export.checkpoint": "out/train/model_epoch_002.pth"}
    assert create_job("export", values, "aaa222").state == "blocked"
    with pytest.raises(KinetagError, match=r"export\.checkpoint: no such file or folder: out/train"):
        create_job("export", values, "bbb222")
    assert plan_job("export", {"export.checkpoint": "s3://bucket/model.pth"}).notes == ()


def test_a_retry_looks_at_the_inputs_too(tmp_path):
    store = Store()
    job = store.add(
        id="aaa222", action="dataset_convert", state="failed", cwd=str(tmp_path), results=str(tmp_path / "o")
    )
    job.folder.mkdir(parents=True)
    write_spec(job.given, {"dataset_convert": {"data": "nosuch"}})
    with pytest.raises(KinetagError, match=r"job aaa222 cannot be tried again: dataset_convert\.data: no such file"):
        retry_job(job.id)
    assert get_job(job.id).state == "failed"


def test_a_retry_without_the_databases_password_is_refused_at_once(tmp_path, monkeypatch):
    monkeypatch.delenv("PGPASSWORD", raising=False)
    store = Store()
    job = store.add(id="aaa222", action="train", state="failed", cwd=str(tmp_path), results=str(tmp_path / "o"))
    job.folder.mkdir(parents=True)
    write_spec(job.given, {"automl_settings": {"storage": "postgresql://me:***@db/studies"}})
    with pytest.raises(KinetagError, match=r"job aaa222 needs its database's password: set PGPASSWORD"):
        retry_job(job.id)
    assert get_job(job.id).state == "failed"


def test_a_parent_without_a_model_is_named(tmp_path):
    store = Store()
    job = store.add(id="aaa222", action="dataset_convert", state="done", cwd="/", results=str(tmp_path / "o"))
    job.folder.mkdir(parents=True)
    write_spec(job.given, {})
    (tmp_path / "o").mkdir()
    write_arrays(tmp_path / "o", prefix="val")
    message = r"the parent aaa222 is a job of dataset_convert and has no model: name a job of train or export"
    for action in ("evaluate", "export"):
        with pytest.raises(KinetagError, match=message):
            create_job(action, None, job.id)


def test_waiting_has_an_end(tmp_path):
    Store().add(id="away22", action="train", state="running", cwd="/", runner=Identity("another", "b", 1, "1"))
    with pytest.raises(KinetagError, match=r"not over after 0.1 s: away22 \(running\)"):
        wait_for("away22", timeout=0.1)
    with pytest.raises(KinetagError, match="away22 is running: cancel it first"):
        delete_job("away22")


def test_a_folder_that_is_gone_is_the_reason(tmp_path):
    (tmp_path / "there").mkdir()
    os.chdir(tmp_path / "there")
    job = create_job("dataset_convert", {"dataset_convert.data": unreadable(tmp_path)})
    wait_for(job.id, timeout=60)
    os.chdir(tmp_path)
    (tmp_path / "there").rmdir()
    with pytest.raises(KinetagError, match=r"cannot be started in the folder .*there"):
        retry_job(job.id)
    assert get_job(job.id).state == "failed"


def test_the_best_of_what_was_told(tmp_path):
    def told(*kpis: dict) -> tuple[str, float] | None:
        (tmp_path / "status.json").write_text("".join(json.dumps({"kpi": kpi}) + "\n" for kpi in kpis))
        job = Store().add(id=Store().new_id(), action="train", state="done", cwd="/", results=str(tmp_path))
        return standing(job).best

    assert told({"val_acc": 0.5, "val_loss": 1.0}, {"val_acc": 0.25, "val_loss": 0.1}) == ("val_acc", 0.5)
    assert told({"train_loss": 0.5}, {"train_loss": 0.75}) == ("train_loss", 0.5)
    assert told({"train_loss": 0.1}, {"val_acc": 0.25}, {"train_loss": 0.0}) == ("val_acc", 0.25)
    assert told({"other": 1.0}) is None
    by_loss = {"trial": 0, "val_loss": 0.5}, {"trial": 1, "val_loss": 0.25}
    assert told({"val_acc": 0.5}, *by_loss, {"val_acc": 0.75, "val_loss": 0.3}) == ("val_loss", 0.25)


def test_how_long_ago():
    assert [ago(0.0, now=seconds) for seconds in (0, 59, 60, 7200, 200_000)] == ["0 s", "59 s", "1 min", "2 h", "2 d"]
    assert ago(None) == ""


# --- training --------------------------------------------------------------------------------------------------------


@pytest.fixture
def torch_here():
    pytest.importorskip("lightning")


@pytest.mark.slow
@pytest.mark.usefixtures("torch_here")
def test_from_training_to_predictions_without_a_path_in_any_spec(tmp_path):
    train = create_job("train", TRAINING, train_data=arrays(tmp_path / "data"))
    evaluate = create_job("evaluate", None, train.id)
    export = create_job("export", None, train.id)
    inference = create_job("inference", None, export.id)
    jobs = wait_for(train.id, evaluate.id, export.id, inference.id, timeout=240)
    assert [job.state for job in jobs] == ["done"] * 4, [job.reason for job in jobs]
    train, evaluate, export, inference = jobs
    assert len((Path(inference.results) / "predictions.txt").read_text().splitlines()) == 9
    used = json.loads((Path(evaluate.results) / "results.json").read_text())
    assert used["clips"] == 9
    told = standing(train)
    assert told.best is not None
    assert told.best[0] == "val_acc"
    assert used["accuracy"] == pytest.approx(told.best[1], abs=1e-6)  # the very checkpoint, on the very data
    source = next(one["source"] for one in evaluate.inferred if one["key"] == "evaluate.checkpoint")
    assert source.startswith(f"job {train.id} (train): best by val_acc")


@pytest.mark.slow
@pytest.mark.usefixtures("torch_here")
def test_a_conversion_feeds_a_training(tmp_path):
    labelled_folder(tmp_path / "clips", 3)
    options = {"data": str(tmp_path / "clips"), "keep_confidence": True, "split": 0.34}
    options |= {"sequence_length_max": 60, "sequence_length": 40}
    convert = create_job("dataset_convert", {"dataset_convert": options, "model.graph_layout": "coco"})
    values = {"model.model_type": "Fold-GCN", "train.num_epochs": 1, "dataset.batch_size": 2}
    train = create_job("train", values, convert.id)
    convert, train = wait_for(convert.id, train.id, timeout=120)
    assert (convert.state, train.state) == ("done", "done"), (convert.reason, train.reason)
    filled = {one["key"]: one["value"] for one in train.inferred}
    assert filled["dataset.train_dataset.data_path"] == str(convert.own_results / "train_data.npy")
    assert filled["dataset.val_dataset.data_path"] == str(convert.own_results / "val_data.npy")
    assert (filled["model.graph_layout"], filled["model.input_channels"]) == ("coco", 3)


@pytest.mark.slow
@pytest.mark.usefixtures("torch_here")
def test_cancelling_ends_every_process_and_retrying_goes_on(tmp_path):
    values = {**TRAINING, "train": {**TRAINING["train"], "num_epochs": 100_000}}
    job = create_job("train", values, train_data=arrays(tmp_path / "data"))
    latest = job.own_results / "train/pc_model_latest.pth"
    until(latest.exists, 120)
    job = get_job(job.id)
    assert standing(job).stage or standing(job).message
    assert job.worker is not None
    group = os.getpgid(job.worker.pid)
    assert cancel_job(job.id).cancelling
    (job,) = wait_for(job.id, timeout=60)
    assert (job.state, job.reason) == ("cancelled", "by the user")
    with pytest.raises(ProcessLookupError):
        os.killpg(group, 0)
    record = [json.loads(line) for line in (job.own_results / "train/status.json").read_text().splitlines()]
    assert record[-1]["message"] == "interrupted by the user"  # it was asked, and ended in order
    retry_job(job.id)
    until(lambda: "going on from" in (job.own_results / "train/status.json").read_text(), 120)
    assert get_job(job.id).attempts == 2
    cancel_job(job.id)
    wait_for(job.id, timeout=60)


@pytest.mark.slow
@pytest.mark.usefixtures("torch_here")
def test_the_key_goes_by_the_environment_alone(tmp_path, monkeypatch):
    train = create_job("train", {**TRAINING, "encryption_key": KEY}, train_data=arrays(tmp_path / "data"))
    monkeypatch.setenv("KINETAG_ENCRYPTION_KEY", KEY)
    evaluate = create_job("evaluate", None, train.id)
    jobs = wait_for(train.id, evaluate.id, timeout=240)
    assert [job.state for job in jobs] == ["done", "done"], [job.reason for job in jobs]
    assert (train.own_results / "train/pc_model_best.pth").read_bytes().startswith(b"KINETAG")
    for path in (tmp_path / "home").rglob("*"):
        if path.is_file():
            assert KEY.encode() not in path.read_bytes(), path


def test_without_the_key_a_job_is_not_tried_again(tmp_path, monkeypatch):
    monkeypatch.setenv("KINETAG_ENCRYPTION_KEY", KEY)
    job = create_job("dataset_convert", {"dataset_convert.data": unreadable(tmp_path)})
    (job,) = wait_for(job.id, timeout=60)
    assert job.needs_key
    monkeypatch.delenv("KINETAG_ENCRYPTION_KEY")
    with pytest.raises(KinetagError, match="set KINETAG_ENCRYPTION_KEY to it, then 'kinetag jobs retry"):
        retry_job(job.id)
    assert get_job(job.id).attempts == 1
    store = Store()
    store.change(job, "failed", state="queued", launched=time.time() - 60)
    assert list_jobs()[0].state == "queued"  # somebody who has the key may be starting it
    store.change(job, "queued", launched=0.0)  # as after a reboot
    list_jobs()
    found = get_job(job.id)
    assert (found.state, found.reason) == ("interrupted", missing_key(job))
    monkeypatch.setenv("KINETAG_ENCRYPTION_KEY", KEY)
    retry_job(job.id)
    assert wait_for(job.id, timeout=60)[0].attempts == 2
