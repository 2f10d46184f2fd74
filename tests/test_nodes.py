"""Two machines, played by two programs on this one."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
from made_models import made_clips, write_arrays

pytest.importorskip("torch")

from kinetag.actions.evaluate import evaluate
from kinetag.actions.inference import inference
from kinetag.actions.nodes import ALONE, Nodes
from kinetag.actions.train import train
from kinetag.errors import KinetagError
from kinetag.spec import load_spec


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def on_two_machines(command: list[str]) -> list[subprocess.CompletedProcess]:
    """What the same command says on both."""
    shared = os.environ | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port(), "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "kinetag", *command],
            env=shared | {"NODE_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in (0, 1)
    ]
    said = [process.communicate(timeout=120)[0] for process in started]
    return [subprocess.CompletedProcess(command, p.returncode, text) for p, text in zip(started, said, strict=True)]


@pytest.mark.parametrize("clips", [1, 2, 7])
def test_shares_make_the_whole(clips):
    shares = [Nodes(3, rank).share(clips) for rank in range(3)]
    assert sorted(i for share in shares for i in share) == list(range(clips))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_alone_there_is_nobody_to_wait_for():
    answers = np.eye(3, dtype=np.float32)
    assert list(ALONE.share(3)) == [0, 1, 2]
    assert ALONE.together(answers, 3) is answers


@pytest.mark.parametrize(("action", "call"), [("train", train), ("evaluate", evaluate), ("inference", inference)])
def test_machines_that_cannot_meet_are_one_line(tmp_path, small_model, monkeypatch, action, call):
    for name in ("RANK", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    write_arrays(tmp_path / "data", *made_clips(6))
    source = "train.num_epochs=1" if action == "train" else f"{action}.checkpoint={small_model}"
    data = "dataset.train_dataset" if action == "train" else f"{action}.test_dataset"
    given = [f"results_dir={tmp_path}", source, f"{action}.num_nodes=2", f"{data}.data_path={tmp_path / 'data'}"]
    with pytest.raises(KinetagError, match=rf"{action}\.num_nodes is 2: .*NODE_RANK \(0 to 1\)") as caught:
        call(load_spec(None, given, action=action))
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("clips", [1, 13])
def test_two_machines_find_what_one_does(tmp_path, small_model, clips):
    write_arrays(tmp_path / "data", *made_clips(clips, seed=5))
    given = [f"evaluate.checkpoint={small_model}", f"evaluate.test_dataset.data_path={tmp_path / 'data'}"]
    given += ["evaluate.occlusion=true"]
    one = evaluate(load_spec(None, [f"results_dir={tmp_path / 'one'}", *given], action="evaluate"))
    both = on_two_machines(["evaluate", f"results_dir={tmp_path / 'two'}", *given, "evaluate.num_nodes=2"])
    assert [done.returncode for done in both] == [0, 0], both
    records = [json.loads((tmp_path / name / "evaluate/results.json").read_text()) for name in ("one", "two")]
    assert records[0] == records[1]
    assert records[0]["clips"] == one.clips == clips
    statuses = (tmp_path / "two/evaluate/status.json").read_text().splitlines()
    assert [json.loads(line)["status"] for line in statuses] == ["STARTED", "RUNNING", "SUCCESS"]


@pytest.mark.slow
def test_two_machines_write_the_classes_once_and_in_order(tmp_path, small_model):
    write_arrays(tmp_path / "data", *made_clips(11, seed=6))
    given = [
        f"inference.checkpoint={small_model}",
        f"inference.test_dataset.data_path={tmp_path / 'data/val_data.npy'}",
    ]
    inference(load_spec(None, [f"results_dir={tmp_path / 'one'}", *given], action="inference"))
    both = on_two_machines(["inference", f"results_dir={tmp_path / 'two'}", *given, "inference.num_nodes=2"])
    assert [done.returncode for done in both] == [0, 0], both
    texts = [(tmp_path / name / "inference/predictions.txt").read_text() for name in ("one", "two")]
    assert texts[0] == texts[1]


@pytest.mark.slow
def test_two_machines_train_as_two_processes_of_one_do(tmp_path):
    pytest.importorskip("lightning")
    import torch
    from made_training import write_spec

    from kinetag.checkpoint import load_checkpoint

    options = ["train.accelerator=cpu", "train.num_epochs=2"]
    train(load_spec(write_spec(tmp_path, "one"), [*options, "train.num_gpus=2"], action="train"))
    both = on_two_machines(["train", "-e", str(write_spec(tmp_path, "two")), *options, "train.num_nodes=2"])
    assert [done.returncode for done in both] == [0, 0], both
    paths = [tmp_path / name / "train/pc_model_latest.pth" for name in ("one", "two")]
    (_, one), (_, two) = (load_checkpoint(path) for path in paths)
    assert all(torch.equal(one[key], two[key]) for key in one)
