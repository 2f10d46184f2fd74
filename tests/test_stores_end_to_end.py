"""Every action on paths in a store alone, against a real S3 server, beside the same run on local paths."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lightning")
pytest.importorskip("s3fs")
import torch
import yaml
from made_training import write_arrays, write_spec
from object_store import BUCKET, client

from kinetag import cli, storage
from kinetag.actions.evaluate import evaluate
from kinetag.actions.export import export
from kinetag.actions.inference import inference
from kinetag.actions.train import train
from kinetag.checkpoint import load_checkpoint
from kinetag.spec import load_spec

ROOT = f"s3://{BUCKET}"


def put_folder(folder: Path, url: str) -> None:
    for path in sorted(folder.iterdir()):
        storage.upload(path, f"{url}/{path.name}")


def stored_spec(folder: Path, name: str) -> Path:
    """The spec of `made_training`, with every path in the store."""
    values = yaml.safe_load(write_spec(folder).read_text())
    values["results_dir"] = f"{ROOT}/{name}"
    for part in ("train_dataset", "val_dataset"):
        values["dataset"][part]["data_path"] = f"{ROOT}/{name}-data"
    path = folder / f"{name}-store.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.fixture
def data(store, tmp_path):
    """Arrays in a folder of this machine, and the same at s3://bucket/run-data."""
    write_spec(tmp_path)
    write_arrays(tmp_path / "data", clips=7, prefix="test", seed=2)
    put_folder(tmp_path / "data", f"{ROOT}/run-data")
    return tmp_path


def all_actions(spec: Path, data: str, results: str) -> dict:
    """Train, evaluate, export, inference: what each found."""
    trained = train(load_spec(spec, action="train"))
    same = [f"results_dir={results}", "dataset.num_classes=3", "model.graph_layout=coco"]
    model = f"evaluate.checkpoint={trained.checkpoint}"
    found = evaluate(load_spec(None, [*same, model, f"evaluate.test_dataset.data_path={data}"], action="evaluate"))
    made = export(
        load_spec(
            None,
            [*same, f"export.checkpoint={trained.checkpoint}", f"export.onnx_file={results}/model.onnx"],
            action="export",
        )
    )
    asked = [f"inference.checkpoint={made.onnx_file}", f"inference.test_dataset.data_path={data}"]
    asked += [f"inference.output_file={results}/answers.json", "inference.output_format=json"]
    answered = inference(load_spec(None, [*same, *asked], action="inference"))
    return {"train": trained, "evaluate": found, "export": made, "inference": answered}


def test_all_actions_in_a_store_do_what_they_do_on_a_disk(data, store):
    here = all_actions(write_spec(data), str(data / "data"), str(data / "out"))
    there = all_actions(stored_spec(data, "run"), f"{ROOT}/run-data", f"{ROOT}/run")

    assert there["train"].checkpoint == f"{ROOT}/run/train/pc_model_best.pth"
    assert there["export"].onnx_file == f"{ROOT}/run/model.onnx"
    assert there["inference"].output_file == f"{ROOT}/run/answers.json"
    assert there["train"].metrics == here["train"].metrics
    for name in ("confusion", "probabilities"):
        assert np.array_equal(getattr(here["evaluate"], name), getattr(there["evaluate"], name))
    assert np.array_equal(here["inference"].probabilities, there["inference"].probabilities)

    local = {path.relative_to(data / "out").as_posix() for path in (data / "out").rglob("*") if path.is_file()}
    stored = {file.path.removeprefix(f"{ROOT}/run/") for file in storage.list_files(f"{ROOT}/run")}
    assert stored == local
    for name in ("train/pc_model_latest.pth", "train/pc_model_best.pth", "train/model_epoch_001.pth"):
        (_, one), (_, two) = (
            load_checkpoint(data / "out" / name),
            load_checkpoint(storage.local_copy(f"{ROOT}/run/{name}")),
        )
        assert all(torch.equal(one[key], two[key]) for key in one)

    # Nothing that was written or returned names a copy on this machine.
    cache = os.environ["KINETAG_CACHE"]
    for file in storage.list_files(f"{ROOT}/run"):
        assert cache.encode() not in storage.local_copy(file.path).read_bytes(), file.path
    assert cache not in str({name: asdict(result) for name, result in there.items()})
    # Every result was sent and is not kept here.
    assert not list(Path(cache).glob("results/*/files/*"))


def status(url: str) -> list[dict]:
    return [json.loads(line) for line in storage.read_text(f"{url}/status.json").splitlines()]


def test_the_command_line_takes_addresses(data, store, capsys):
    spec = stored_spec(data, "run")
    storage.upload(spec, f"{ROOT}/specs/train.yaml")
    assert cli.main(["train", "-e", f"{ROOT}/specs/train.yaml", "-r", f"{ROOT}/elsewhere", "--quiet"]) == 0
    out = capsys.readouterr().out
    assert f"{ROOT}/elsewhere/pc_model_best.pth" in out
    assert f"written to  {ROOT}/elsewhere" in out
    assert [line["status"] for line in status(f"{ROOT}/elsewhere")][-1] == "SUCCESS"
    resolved = yaml.safe_load(storage.read_text(f"{ROOT}/elsewhere/experiment.yaml"))
    assert resolved["dataset"]["train_dataset"]["data_path"] == f"{ROOT}/run-data"
    assert resolved["train"]["results_dir"] == f"{ROOT}/elsewhere"


def test_failures_are_on_record_in_the_store(data, store, capsys):
    spec = stored_spec(data, "run")
    assert cli.main(["train", "-e", str(spec), "num_epochs=0"]) == 2
    assert cli.main(["train", "-e", str(spec), f"dataset.train_dataset.data_path={ROOT}/nowhere"]) == 2
    assert f"no such file or folder: {ROOT}/nowhere" in capsys.readouterr().err
    assert cli.main(["train", "-e", str(spec), "model.graph_layout=nvidia"]) == 2
    ends = [line for line in status(f"{ROOT}/run/train") if line["status"] == "FAILURE"]
    assert len(ends) == 3
    assert ends[1]["message"] == f"no such file or folder: {ROOT}/nowhere"
    assert f"{ROOT}/run-data/train_data.npy" in ends[2]["message"]


def test_an_export_does_not_replace_a_file_in_the_store(data, store, small_model):
    storage.upload(small_model, f"{ROOT}/models/small.pth")
    words = ["export", f"export.checkpoint={ROOT}/models/small.pth", f"results_dir={ROOT}/x", "--quiet"]
    assert cli.main(words) == 0  # beside the checkpoint
    before = client(store).head_object(Bucket=BUCKET, Key="models/small.onnx")["ETag"]
    assert cli.main(words) == 2
    assert client(store).head_object(Bucket=BUCKET, Key="models/small.onnx")["ETag"] == before
    assert cli.main([*words, "--force"]) == 0


@pytest.mark.slow
def test_a_training_killed_on_one_machine_goes_on_on_another(data, store, tmp_path):
    spec = stored_spec(data, "run")
    options = ["train.num_epochs=6", "--quiet"]
    whole = train(load_spec(write_spec(data), ["train.num_epochs=6"], action="train"))
    first = {**os.environ, "KINETAG_CACHE": str(tmp_path / "machine-1")}
    slow = (
        "import time\nfrom kinetag.learning import keeping\nfrom kinetag.storage import mirror\nmirror.EVERY = 0.2\n"
        "keeping.Keeper._report, report = lambda self, x: (time.sleep(1.5), report(self, x)), keeping.Keeper._report\n"
        "import sys\nfrom kinetag.cli import main\nmain(sys.argv[1:])"
    )
    child = subprocess.Popen([sys.executable, "-c", slow, "train", "-e", str(spec), *options], env=first)
    s3 = client(store)
    for _ in range(600):  # the bucket shows how it goes while it goes
        names = {item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET, Prefix="run/train/").get("Contents", [])}
        if "run/train/model_epoch_001.pth" in names and "run/train/pc_model_latest.pth" in names:
            break
        assert child.poll() is None
        time.sleep(0.1)
    child.send_signal(signal.SIGKILL)
    child.wait()
    lines = status(f"{ROOT}/run/train")
    assert lines[0]["status"] == "STARTED"
    assert lines[-1]["status"] == "RUNNING"

    result = train(load_spec(spec, ["train.num_epochs=6"], action="train"))  # another cache: another machine
    assert any(f"going on from {ROOT}/run/train/pc_model_latest.pth" in note for note in result.notes)
    assert result.metrics == whole.metrics
    (_, one), (_, two) = load_checkpoint(whole.latest), load_checkpoint(storage.local_copy(result.latest))
    assert all(torch.equal(one[key], two[key]) for key in one)
