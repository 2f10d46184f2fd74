"""Training as a program: killed at any moment, and spread over processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("lightning")
import psutil
import torch
from made_training import training_spec, write_spec

from kinetag.actions.train import train
from kinetag.checkpoint import load_checkpoint
from kinetag.errors import KinetagError
from kinetag.learning.processes import run_processes

pytestmark = pytest.mark.slow
TWO = ("train.accelerator=cpu", "train.num_gpus=2")
STEPS = ("train.checkpoint_interval_unit=step", "train.checkpoint_interval=3", "train.num_epochs=12", "train.ema=0.9")


def start(folder: Path, *overrides: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "kinetag", "train", "-e", str(write_spec(folder, "broken")), *overrides]
    return subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"})


def wait_for(condition, process, seconds=180.0):
    until = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "ended before it was killed"
        assert time.monotonic() < until
        time.sleep(0.005)


def kill_after(folder: Path, count: int, delay: float, *overrides: str) -> None:
    """Start a training and end it without warning, a while after it has written ``count`` checkpoints."""
    process = start(folder, *overrides)
    wait_for(lambda: len(list((folder / "broken/train").glob("model_epoch*"))) >= count, process)
    time.sleep(delay)
    family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(family, timeout=30)
    assert not alive, "processes outlive their parent"


@pytest.mark.parametrize("options", [(), TWO], ids=["one", "two"])
def test_a_run_that_is_killed_twice_ends_as_an_unbroken_one(tmp_path, options):
    whole = train(training_spec(tmp_path, *STEPS, *options, name="whole"))
    for count, delay in ((2, 0.0), (5, 0.05)):
        kill_after(tmp_path, count, delay, *STEPS, *options)
    process = start(tmp_path, *STEPS, *options)
    assert process.wait(300) == 0
    (_, one), (_, two) = (
        load_checkpoint(tmp_path / name / "train/pc_model_latest.pth") for name in ("whole", "broken")
    )
    assert one.keys() == two.keys()
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert load_checkpoint(tmp_path / "broken/train/pc_model_best.pth")[0].epoch == whole.metrics["epoch"]
    names = [sorted(p.name for p in (tmp_path / n / "train").glob("*.pth")) for n in ("whole", "broken")]
    assert names[0] == names[1]


def test_two_processes_learn_what_one_does(tmp_path):
    epochs = ("train.num_epochs=15", "train.ema=0.5")
    one = train(training_spec(tmp_path, *epochs, "dataset.batch_size=8", name="one"))
    two = train(training_spec(tmp_path, *epochs, "dataset.batch_size=4", *TWO, name="two"))
    assert one.steps == two.steps
    assert one.metrics["val_acc"] == two.metrics["val_acc"] == 1.0


def test_an_error_in_a_process_is_the_runs_error(tmp_path):
    write_spec(tmp_path)
    with pytest.raises(KinetagError, match=r"nowhere\.pth does not exist"):
        train(training_spec(tmp_path, *TWO, "model.pretrained_model_path=nowhere.pth"))
    with pytest.raises(KinetagError, match=r"process \d of the training ended with code"):
        run_processes(2, {"spec": "no spec at all"}, lambda event: None)


def test_processes_that_are_refused_leave_the_record_of_the_run_before(tmp_path):
    train(training_spec(tmp_path, "train.num_epochs=1"))
    record = tmp_path / "out/train/status.json"
    before = record.read_bytes()
    with pytest.raises(KinetagError, match=r"is of a run with .*: use another results_dir"):
        train(training_spec(tmp_path, *TWO, "train.num_epochs=1", "train.optim.lr=0.1"))
    assert record.read_bytes() == before
