"""The verbs that a spec drives, with the actions themselves replaced."""

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from kinetag import cli, cli_actions
from kinetag.spec import ACTIONS

DATA = "dataset.train_dataset.data_path=a"
NEEDS = """
evaluate: {checkpoint: a, test_dataset: {data_path: a}}
inference: {checkpoint: a, test_dataset: {data_path: a}}
export: {checkpoint: a}
dataset: {train_dataset: {data_path: a}}
dataset_convert: {data: a}
"""


@dataclass
class Result:
    val_acc: float
    classes: tuple[str, ...]
    by_class: dict[str, float]
    onnx_file: Path
    table: np.ndarray = field(repr=False, default_factory=lambda: np.zeros(3))


@pytest.fixture
def specs(monkeypatch):
    """Every action replaced by one that remembers the spec it got."""
    seen = []

    def action(spec, *, progress):
        progress("Epoch 1", 1.0, 2.0)
        seen.append(spec)
        return Result(0.987654, ("squat", "lunge"), {"squat": 0.5}, Path("a.onnx"))

    for name in ACTIONS:
        module = ModuleType(f"kinetag.actions.{name}")
        setattr(module, name, action)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return seen


def test_the_names_of_the_actions_are_those_of_the_spec():
    assert cli_actions.ACTIONS == ACTIONS
    assert set(ACTIONS) < set(cli.VERBS)


@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_gets_its_spec(specs, action, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "spec.yaml"
    path.write_text(f"results_dir: here\n{NEEDS}")
    assert cli.main([action, "num_epochs=3", "-e", str(path), "train.optim.lr=0.5", "--quiet", "batch_size=2"]) == 0
    spec = specs[0]
    assert (spec.train.num_epochs, spec.train.optim.lr, spec.dataset.batch_size) == (3, 0.5, 2)
    out = capsys.readouterr().out
    for words in ("val acc", "0.9877", "squat, lunge", "squat 0.5", "a.onnx", f"here/{action}"):
        assert words in out
    if action == "export":  # a bare name lies in the current folder
        places = dict(line.split(maxsplit=2)[1:] for line in out.splitlines() if line.startswith(("written", "record")))
        assert places == {"to": str(tmp_path / "a.onnx"), "in": "here/export"}
    assert "table" not in out


def test_how_far_it_is_goes_into_a_file_for_programs(specs, tmp_path):
    assert cli.main(["train", DATA, "--progress-file", str(tmp_path / "progress.json")]) == 0
    told = json.loads((tmp_path / "progress.json").read_text())
    assert told == {"stage": "Epoch 1", "done": 1.0, "total": 2.0}


def test_export_overwrites_when_forced(specs, capsys):
    assert cli.main(["export", "export.checkpoint=a"]) == 0
    assert cli.main(["export", "export.checkpoint=a", "--force"]) == 0
    assert [spec.export.force for spec in specs] == [False, True]
    assert cli.main(["train", "--force"]) == 2
    assert "unknown option '--force'" in capsys.readouterr().err


def test_results_go_where_the_command_says(specs, tmp_path):
    assert cli.main(["train", "-r", str(tmp_path), "results_dir=elsewhere", DATA]) == 0
    assert specs[0].results_folder("train") == tmp_path


def test_taos_name_of_the_option_is_understood(specs, tmp_path):
    (tmp_path / "spec.yaml").write_text("train: {seed: 5}")
    assert cli.main(["train", "--experiment_spec_file", str(tmp_path / "spec.yaml"), DATA]) == 0
    assert specs[0].train.seed == 5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "train.num_epoch=5"], "did you mean 'train.num_epochs'?"),
        (["train", "-e", "nowhere.yaml"], "'nowhere.yaml' does not exist"),
        (["train", "spec.yaml"], "'spec.yaml' is not an override"),
        (["train", "-e", "a.yaml", "--epochs", "3"], "unknown option '--epochs'"),
        (["evaluate"], "evaluate.checkpoint is needed"),
        (["evaluate", "evaluate.checkpoint=a"], "evaluate.test_dataset.data_path is needed"),
        (["train"], "dataset.train_dataset.data_path is needed"),
        (["export"], "export.checkpoint is needed"),
        (["trian"], "did you mean 'train'?"),
        (["predict"], "did you mean 'inference'?"),
        (["spec"], "ACTION"),
        (["spec", "trane"], "'trane'"),
        (["schema", "analyze"], "'analyze'"),
    ],
)
def test_a_mistake_is_one_line_and_code_2(specs, words, message, capsys):
    assert cli.main(words) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert not specs


def test_a_spec_that_is_refused_is_on_record(specs, tmp_path, capsys):
    assert cli.main(["train", f"results_dir={tmp_path}", "num_epochs=0"]) == 2
    last = json.loads((tmp_path / "train" / "status.json").read_text().splitlines()[-1])
    assert last["status"] == "FAILURE"
    assert last["message"] in capsys.readouterr().err


def test_a_spec_that_names_no_folder_leaves_none(specs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "num_epochs=0"]) == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["spec", "train"], ["schema", "train"], ["train", "--help"]])
def test_showing_a_spec_loads_no_torch(words):
    code = (
        "import sys\nfrom kinetag.cli import main\n"
        f"try: main({words!r})\nexcept SystemExit: pass\n"
        "print([name for name in ('torch', 'lightning', 'cv2', 'av', 'onnxruntime') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"
