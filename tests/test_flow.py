"""The published flow, all in a bucket: dataset_convert, train with a search, evaluate, export, inference, as jobs."""

import json
import os
import sqlite3
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lightning")
pytest.importorskip("optuna")
pytest.importorskip("s3fs")
from made_flow import MOVES, put_poses
from made_jobs import home, until  # noqa: F401
from made_training import write_arrays
from object_store import BUCKET
from onnxruntime import InferenceSession

from kinetag import storage
from kinetag.cli import main
from kinetag.datasets.safe_pickle import read_pickle
from kinetag.encryption import decrypt
from kinetag.errors import KinetagError
from kinetag.jobs import Job, cancel_job, create_job, get_job, job_logs, plan_job, retry_job, wait_for
from kinetag.jobs.following import standing

pytestmark = pytest.mark.usefixtures("home", "store")
ROOT = f"s3://{BUCKET}"
RESULTS = f"{ROOT}/flow"
SECRET, KEY = "a-secret-of-the-store-itself", "a key of some length"

CONVERT = {
    "dataset_convert.data": f"{ROOT}/poses",
    "dataset_convert.keep_confidence": True,
    "dataset_convert.split": 0.25,
    "dataset_convert.sequence_length": 20,
    "dataset_convert.sequence_length_max": 20,
    "results_dir": RESULTS,
}
TRAIN = {
    "model.model_type": "Fold-GCN",
    "dataset.batch_size": 6,
    "dataset.num_classes": len(MOVES),
    "train.num_epochs": 4,
    "train.optim.optimizer_type": "torch.optim.AdamW",
    "train.optim.lr": 0.003,
    "automl_settings.automl_max_recommendations": 3,
    "automl_settings.custom_param_ranges": {"train.optim.lr": {"valid_min": 0.001, "valid_max": 0.005}},
    "results_dir": RESULTS,
}
SAME = {"results_dir": RESULTS}


def done(*jobs: Job, timeout: float = 400) -> list[Job]:
    """The jobs when they are over; all must have been done."""
    found = wait_for(*(job.id for job in jobs), timeout=timeout)
    for job in found:
        assert job.state == "done", f"{job.action}: {job.reason}\n{''.join(job_logs(job.id))}"
    return found


def names(url: str) -> set[str]:
    return {file.path.removeprefix(f"{url}/") for file in storage.list_files(url)}


def status(action: str) -> list[dict]:
    return [json.loads(line) for line in storage.read_text(f"{RESULTS}/{action}/status.json").splitlines()]


def inferred(job: Job) -> dict[str, object]:
    return {one["key"]: one["value"] for one in get_job(job.id).inferred}


def test_each_step_finds_in_the_bucket_what_its_parent_left_there(tmp_path, small_model):
    """A conversion, an export and an inference really run; the training between them is one that was made before."""
    put_poses(tmp_path, f"{ROOT}/poses", clips=4)
    (convert,) = done(create_job("dataset_convert", CONVERT))
    plan = plan_job("train", TRAIN, convert.id)
    assert plan.values["automl_policy"] == "auto"
    assert plan.spec.dataset.train_dataset.data_path == f"{RESULTS}/dataset_convert/train_data.npy"
    assert plan.spec.dataset.val_dataset.data_path == f"{RESULTS}/dataset_convert/val_data.npy"
    assert (plan.spec.model.graph_layout, plan.spec.model.input_channels) == ("nvidia", 3)
    assert plan.results == f"{RESULTS}/train"

    storage.upload(small_model, f"{RESULTS}/train/small.pth")
    export = create_job("export", SAME | {"export.checkpoint": f"{RESULTS}/train/small.pth"})
    write_arrays(tmp_path / "data", clips=7, prefix="test", seed=2)
    for name in ("test_data.npy", "test_label.pkl"):
        storage.upload(tmp_path / "data" / name, f"{ROOT}/data/{name}")
    inference = create_job("inference", SAME, export.id, train_data=f"{ROOT}/data")
    done(export, inference)
    assert inferred(export)["export.onnx_file"] == f"{RESULTS}/export/model.onnx"
    assert inferred(inference)["inference.checkpoint"] == f"{RESULTS}/export/model.onnx"
    assert len(storage.read_text(f"{RESULTS}/inference/predictions.txt").splitlines()) == 7
    assert standing(get_job(inference.id)).message == "inference finished successfully."
    assert status("export")[-1]["status"] == "SUCCESS"


def test_a_bucket_that_cannot_be_used_is_told_at_once_and_its_address_without_what_is_secret(capsys):
    with pytest.raises(KinetagError, match=rf"no such file or folder: {ROOT}/nowhere"):
        create_job("train", TRAIN, train_data=f"{ROOT}/nowhere")
    signed = "https://me:my-password@example.invalid/poses.json?X-Amz-Signature=my-signature"
    assert main(["jobs", "create", "dataset_convert", f"dataset_convert.data={signed}", "--dry-run"]) == 0
    plan = capsys.readouterr().out
    assert "https://***@example.invalid/poses.json?***" in plan
    assert "my-" not in plan


@pytest.mark.slow
def test_the_flow_from_poses_to_predictions_with_only_the_parents_ids(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("KINETAG_ENCRYPTION_KEY", KEY)
    put_poses(tmp_path, f"{ROOT}/poses")
    convert = create_job("dataset_convert", CONVERT)
    train = create_job("train", TRAIN, convert.id)
    evaluate = create_job("evaluate", SAME, train.id)
    export = create_job("export", SAME, train.id)
    asked = {"inference.test_dataset.data_path": f"{ROOT}/poses-new", "inference.output_format": "json"}
    inference = create_job("inference", SAME | asked, export.id)
    convert, train, evaluate, export, inference = done(convert, train, evaluate, export, inference)

    found = inferred(train)
    assert found["automl_policy"] == "auto"
    assert found["dataset.train_dataset.data_path"] == f"{RESULTS}/dataset_convert/train_data.npy"
    assert found["dataset.val_dataset.label_path"] == f"{RESULTS}/dataset_convert/val_label.pkl"
    assert found["model.graph_layout"] == "nvidia"
    assert inferred(evaluate)["evaluate.checkpoint"] == f"{RESULTS}/train/pc_model_best.pth"
    assert inferred(evaluate)["evaluate.test_dataset.data_path"] == f"{RESULTS}/dataset_convert/val_data.npy"
    assert inferred(inference)["inference.checkpoint"] == f"{RESULTS}/export/model.onnx"
    for job in (convert, train, evaluate, export, inference):
        assert status(job.action)[-1]["status"] == "SUCCESS"
    assert standing(train).best is not None

    check_the_search()
    results = json.loads(storage.read_text(f"{RESULTS}/evaluate/results.json"))
    assert results["accuracy"] > 0.6  # by chance a third
    check_the_predictions()
    check_what_lies_there(tmp_path)


@pytest.mark.slow
def test_a_search_that_was_cancelled_goes_on_in_the_bucket_when_it_is_tried_again(tmp_path):
    for seed, role in enumerate(("train", "val")):
        write_arrays(tmp_path / "data", clips=24, prefix=role, seed=seed)
    for path in (tmp_path / "data").iterdir():
        storage.upload(path, f"{ROOT}/data/{path.name}")
    asked = TRAIN | {"model.graph_layout": "coco", "automl_settings.automl_max_concurrent": 1}
    job = create_job("train", asked, train_data=f"{ROOT}/data")
    until(lambda: "train/trials/1/pc_model_latest.pth" in names(RESULTS), 200)
    cancel_job(job.id)
    (job,) = wait_for(job.id, timeout=60)
    assert job.state == "cancelled"
    before = {name for name in names(RESULTS) if name.startswith("train/trials/0/")}
    assert before
    (job,) = done(retry_job(job.id))
    assert job.attempts == 2
    check_the_search()
    told = [line["message"] for line in status("train")]
    assert len([line for line in told if line.startswith("trial 0 (the spec as it is): val_acc")]) == 1


@pytest.mark.slow
def test_a_search_keeps_what_was_given_beside_the_spec(tmp_path):
    asked = {
        key: value for key, value in TRAIN.items() if key not in ("results_dir", "automl_settings.custom_param_ranges")
    }
    asked |= {"automl_settings.automl_max_recommendations": 2, "train.num_epochs": 1, "model.graph_layout": "coco"}
    for seed, role in enumerate(("train", "val")):
        write_arrays(tmp_path / "data", clips=12, prefix=role, seed=seed)
    kept = ["learning_rate=0.002", "dataset.label_map={a: 0, b: 1, c: 2}"]
    (job,) = done(create_job("train", asked, overrides=kept, train_data=tmp_path / "data"))
    summary = json.loads((Path(job.results) / "automl.json").read_text())
    assert "train.optim.lr stays 0.002, as the command says" in summary["notes"]
    assert "train.optim.lr" not in summary["search"]
    assert "model.dropout" in summary["search"]  # the spec's own values are where a search starts


def check_the_search() -> None:
    summary = json.loads(storage.read_text(f"{RESULTS}/train/automl.json"))
    assert summary["finished"]
    assert [trial["state"] for trial in summary["trials"]] == ["done"] * 3
    assert summary["final"]["metrics"]["val_acc"] == pytest.approx(summary["best"]["value"])
    with sqlite3.connect(storage.local_copy(f"{RESULTS}/train/study.db")) as study:
        assert study.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert study.execute("SELECT COUNT(*) FROM trials").fetchone() == (3,)


def check_the_predictions() -> None:
    """Whoever was filmed, by name; and the exported file gives the same answers by itself."""
    answers = json.loads(storage.read_text(f"{RESULTS}/inference/predictions.json"))
    rows = answers["clips"]
    assert {row["person"] for row in rows} == {1, 2, 3}
    assert np.mean([row["class"] == list(MOVES)[row["person"] - 1] for row in rows]) > 0.6
    sealed = storage.local_copy(f"{RESULTS}/export/model.onnx").read_bytes()
    network = InferenceSession(decrypt(sealed, KEY), providers=["CPUExecutionProvider"])
    data = np.load(storage.local_copy(f"{RESULTS}/dataset_convert/val_data.npy"))
    (scores,) = network.run(["fc_pred"], {"input": data})
    truth = read_pickle(storage.local_copy(f"{RESULTS}/dataset_convert/val_label.pkl"))[1]
    assert np.mean(np.argmax(scores, 1) == truth) > 0.6


def check_what_lies_there(tmp_path: Path) -> None:
    """Nothing partial, nothing of this machine, nothing secret: in the bucket, and in what the jobs wrote here."""
    there = names(RESULTS)
    assert {"train/pc_model_best.pth", "train/pc_model_latest.pth", "train/automl.html", "export/model.onnx"} <= there
    partial = (".draft", ".tmp", "-journal", "-wal", "-shm", ".lock")
    assert not [name for name in there if name.endswith(partial) or ".working" in name]
    stored = [storage.local_copy(f"{RESULTS}/{name}") for name in there]
    here = [path for path in Path(os.environ["KINETAG_HOME"]).rglob("*") if path.is_file()]
    for path in [*stored, *here]:
        content = path.read_bytes()
        assert SECRET.encode() not in content, path
        assert KEY.encode() not in content, path
    for path in stored:
        assert os.environ["KINETAG_CACHE"].encode() not in path.read_bytes(), path
    assert not list(Path(os.environ["KINETAG_CACHE"]).glob("results/*/files/*"))
