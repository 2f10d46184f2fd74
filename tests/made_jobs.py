"""Small jobs for tests: a home of their own, actions that take a second, and a training that can be killed."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from made_clips import bodypose, write_json
from made_training import write_arrays

from kinetag.jobs import Job, get_job
from kinetag.jobs.store import Store
from kinetag.spec import Spec

TRAINING: dict[str, Any] = {
    "model": {"model_type": "Fold-GCN", "graph_layout": "coco", "input_channels": 3},
    "dataset": {"num_classes": 3, "batch_size": 5},
    "train": {"num_epochs": 2, "optim": {"optimizer_type": "torch.optim.AdamW", "lr": 0.003}},
}
if "automl_policy" in Spec.model_fields:  # one training, no search
    TRAINING["automl_policy"] = "off"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A kinetag home of the test's own, the working folder beside it; what still runs at the end is ended."""
    monkeypatch.setenv("KINETAG_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("KINETAG_ENCRYPTION_KEY", raising=False)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent.parent / "src")]))
    monkeypatch.chdir(tmp_path)
    yield tmp_path / "home"
    for job in Store(tmp_path / "home").jobs("queued", "running"):
        for process in (job.runner, job.worker):
            if process is not None:
                process.end_group(9)


def deepstream(folder: Path, people: int = 2) -> Path:
    """DeepStream's poses of some people."""
    return write_json(folder / "poses.json", bodypose({i: list(range(30)) for i in range(1, people + 1)}, frames=30))


def unreadable(folder: Path) -> str:
    """A file that is there when a job is created, and of no use to it."""
    (folder / "broken.json").write_text("{")
    return str(folder / "broken.json")


def arrays(folder: Path) -> Path:
    """Training, validation and test arrays by their well-known names."""
    for seed, prefix in enumerate(("train", "val", "test")):
        write_arrays(folder, clips=24 if prefix == "train" else 9, prefix=prefix, seed=seed)
    return folder


def write_spec(path: Path, values: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(values))
    return path


def until(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Wait for something to become true, and give it back."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)
    return found


def in_state(job: Job, *states: str) -> Job | None:
    now = get_job(job.id)
    return now if now.state in states else None
