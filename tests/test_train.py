"""Training from a spec: exact resume, best and latest, pretrained weights, and errors that say what to do."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lightning")
import torch
import yaml
from made_training import training_spec, write_arrays, write_spec

from kinetag.actions.train import train
from kinetag.checkpoint import CheckpointHeader, build_from_checkpoint, load_checkpoint, load_training
from kinetag.errors import KinetagError
from kinetag.learning import fitting, keeping, resuming
from kinetag.learning.loaders import Plan
from kinetag.spec import load_spec


class Killed(BaseException):
    pass


@pytest.fixture(autouse=True)
def _every_step_tells(monkeypatch):
    monkeypatch.setattr(keeping, "_TELL_EVERY", -1.0)


def run_killed_at(spec, step):
    """Train until the progress of step ``step`` (counted from 1 in this start) is told."""
    told = 0

    def progress(stage, done, total):
        nonlocal told
        told += stage.startswith("Epoch")
        if told == step:
            raise Killed

    with pytest.raises(Killed):
        train(spec, progress=progress)


def same(a: Path, b: Path) -> bool:
    (_, one), (_, two) = load_checkpoint(a), load_checkpoint(b)
    return one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one)


def kpis(folder: Path) -> list[dict]:
    lines = [json.loads(line) for line in (folder / "train" / "status.json").read_text().splitlines()]
    return [line["kpi"] for line in lines if "kpi" in line]


EVERYTHING = (
    "train.ema=0.9",
    "train.recipe=kinetag",
    "dataset.window_size=10",
    "train.optim.lr_scheduler=AutoReduce",
    "train.optim.lr_monitor=train_loss",
    "train.validation_interval=2",
    "train.class_weights=balanced",
    "train.grad_clip=1.0",
    "dataset.num_workers=2",
)


@pytest.mark.parametrize("options", [(), EVERYTHING], ids=["plain", "everything"])
def test_a_killed_run_ends_as_an_unbroken_one(tmp_path, monkeypatch, options):
    whole = train(training_spec(tmp_path, *options, "train.num_epochs=4", name="whole"))
    broken = training_spec(tmp_path, *options, "train.num_epochs=4", name="broken")
    run_killed_at(broken, 6)  # in the second epoch of 4 steps; saved after the first
    monkeypatch.setattr(keeping, "SAVE_EVERY", -1.0)
    run_killed_at(broken, 3)  # step 6 was saved, within the epoch
    run_killed_at(broken, 3)
    result = train(broken)
    assert any("step 8" in note for note in result.notes)
    assert result.steps == whole.steps == 16
    assert same(result.latest, whole.latest)
    assert same(result.checkpoint, whole.checkpoint)
    assert result.metrics == whole.metrics
    assert kpis(tmp_path / "broken")[-1] == kpis(tmp_path / "whole")[-1]


@pytest.mark.parametrize("options", [(), EVERYTHING, ("train.optim.lr_scheduler=Cosine", "dataset.num_workers=2")])
def test_a_run_that_stops_at_epochs_ends_as_an_unbroken_one(tmp_path, options):
    options = (*options, "train.num_epochs=5", "train.validation_interval=1")
    whole = train(training_spec(tmp_path, *options, name="whole"))
    epochs = []
    for stop in (1, 1, 3, 0):
        result = train(
            training_spec(tmp_path, *options, name="rungs"),
            stop_after=stop,
            on_epoch=lambda kpi: epochs.append(kpi["epoch"]),
        )
        assert result.epochs == (stop or 5)
    assert epochs == [1, 2, 3, 4, 5]
    assert same(result.latest, whole.latest)
    assert same(result.checkpoint, whole.checkpoint)
    assert result.metrics == whole.metrics
    assert kpis(tmp_path / "rungs") == kpis(tmp_path / "whole")


def test_files_and_status(tmp_path):
    result = train(training_spec(tmp_path, "train.checkpoint_interval=2"))
    folder = tmp_path / "out" / "train"
    assert sorted(p.name for p in folder.iterdir()) == [
        "experiment.yaml",
        "model_epoch_001.pth",
        "pc_model_best.pth",
        "pc_model_latest.pth",
        "status.json",
    ]
    lines = [json.loads(line) for line in (folder / "status.json").read_text().splitlines()]
    assert (lines[0]["status"], lines[-1]["status"]) == ("STARTED", "SUCCESS")
    assert [k["epoch"] for k in kpis(tmp_path / "out")] == [1, 2, 3]
    assert all({"val_acc", "val_loss", "train_loss", "train_acc", "lr"} <= k.keys() for k in kpis(tmp_path / "out"))
    best = max(kpis(tmp_path / "out"), key=lambda k: (k["val_acc"], -k["val_loss"]))
    assert result.metrics["epoch"] == best["epoch"]
    header, _ = load_checkpoint(result.checkpoint)
    assert header.epoch == best["epoch"]
    assert header.metrics["val_acc"] == pytest.approx(best["val_acc"])
    assert (header.layout, header.channels, header.class_names) == (
        "coco",
        ("x", "y", "z"),
        ("class_0", "class_1", "class_2"),
    )
    assert load_training(result.checkpoint)[2] is None
    assert load_training(result.latest)[2] is not None


def test_the_best_checkpoint_is_what_was_validated(tmp_path):
    """With averaged weights too: val_acc and val_loss can be had again from the file."""
    result = train(training_spec(tmp_path, "train.ema=0.8"))
    network, header = build_from_checkpoint(result.checkpoint)
    data = torch.from_numpy(np.load(tmp_path / "data" / "val_data.npy"))
    labels = torch.arange(len(data)) % 3
    with torch.no_grad():
        logits = network(data)
    assert (logits.argmax(1) == labels).float().mean().item() == pytest.approx(header.metrics["val_acc"])
    loss = torch.nn.functional.cross_entropy(logits, labels).item()
    assert loss == pytest.approx(header.metrics["val_loss"], rel=1e-4)


def test_it_learns(tmp_path):
    result = train(training_spec(tmp_path, "train.num_epochs=12", "train.ema=0.5", "dataset.batch_size=8"))
    assert result.metrics["val_acc"] == 1.0


def test_a_finished_run_is_skipped_and_more_epochs_go_on(tmp_path):
    first = train(training_spec(tmp_path))
    again = train(training_spec(tmp_path))
    assert again.steps == first.steps
    assert "raise train.num_epochs" in again.notes[-1]
    assert json.loads((tmp_path / "out/train/status.json").read_text().splitlines()[-1])["status"] == "SKIPPED"
    more = train(training_spec(tmp_path, "train.num_epochs=5"))
    whole = train(training_spec(tmp_path, "train.num_epochs=5", name="whole"))
    assert more.steps == 20
    assert same(more.latest, whole.latest)


def test_an_option_that_a_run_was_begun_without_had_its_default(tmp_path):
    begun = {"dataset.batch_size": 16, "seed_drawn": False}
    found = resuming.Found(tmp_path, CheckpointHeader("", "", "", (), ()), {}, {}, keeping.Record(), begun)
    resuming._same_run(found, {**begun, "dataset.frame_size": []}, named=False)
    with pytest.raises(KinetagError, match=r"a run with dataset\.frame_size \[\], but the spec says \[2, 1\]"):
        resuming._same_run(found, {**begun, "dataset.frame_size": [2, 1]}, named=False)


def test_a_state_of_another_run_is_refused_unless_named(tmp_path):
    first = train(training_spec(tmp_path))
    with pytest.raises(KinetagError, match=r"is of a run with train\.optim\.lr 0\.003, but the spec says 0\.1"):
        train(training_spec(tmp_path, "train.optim.lr=0.1"))
    named = f"train.resume_training_checkpoint_path={first.latest}"
    result = train(training_spec(tmp_path, named, "train.optim.lr=0.1", "train.num_epochs=4", name="other"))
    assert result.steps == 16
    assert kpis(tmp_path / "other")[-1]["lr"] == pytest.approx(0.1)
    with pytest.raises(KinetagError, match=r"cannot go on from .* model\.graph_strategy"):
        train(training_spec(tmp_path, named, "model.graph_strategy=uniform", name="third"))
    dropout = ("model.dropout=0.1", "train.num_epochs=4")
    assert train(training_spec(tmp_path, named, *dropout, name="fourth")).steps == 16
    with pytest.raises(KinetagError, match="holds weights alone"):
        train(training_spec(tmp_path, f"train.resume_training_checkpoint_path={first.checkpoint}", name="third"))
    status = [json.loads(line) for line in (tmp_path / "third/train/status.json").read_text().splitlines()]
    assert status[-1]["status"] == "FAILURE"
    assert "weights alone" in status[-1]["message"]


def test_a_refused_run_leaves_the_record_of_the_one_before(tmp_path):
    first = train(training_spec(tmp_path, "dataset.window_size=9"))
    folder = first.latest.parent
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(KinetagError, match=r"window_size 9, but the spec says 10: use another results_dir") as caught:
        train(training_spec(tmp_path, "dataset.window_size=10"))
    assert "or set it back with dataset.window_size=9" in str(caught.value)
    assert "resume_training_checkpoint_path" not in str(caught.value)
    write_arrays(tmp_path / "data", clips=21)
    with pytest.raises(KinetagError, match=r"of a run with clips 24, but here it is 21: use another results_dir$"):
        train(training_spec(tmp_path, "dataset.window_size=9"))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_any_other_failure_is_on_record_beside_the_run_before(tmp_path):
    folder = train(training_spec(tmp_path)).latest.parent
    resolved = (folder / "experiment.yaml").read_bytes()
    with pytest.raises(KinetagError):
        train(training_spec(tmp_path, "dataset.train_dataset.data_path=/nowhere"))
    states = [json.loads(line)["status"] for line in (folder / "status.json").read_text().splitlines()]
    assert (states.count("STARTED"), states[-1]) == (2, "FAILURE")
    assert (folder / "experiment.yaml").read_bytes() == resolved


def small(tmp_path, *options, recipe="kinetag", clips=14):
    """A training on a few clips whose spec does not say a batch size."""
    path = write_spec(tmp_path)
    values = yaml.safe_load(path.read_text())
    del values["dataset"]["batch_size"]
    path.write_text(yaml.safe_dump(values))
    write_arrays(tmp_path / "data", clips=clips)
    shared = (f"train.recipe={recipe}", "dataset.window_size=9", "train.num_epochs=2")
    return train(load_spec(path, [*shared, *options], action="train"))


def test_the_recipes_batch_is_cut_down_for_few_clips(tmp_path):
    result = small(tmp_path)
    assert result.steps == 2 * 3  # 14 clips in batches of 4
    assert any("batches of 4 instead of the recipe's 32" in note for note in result.notes)
    resolved = yaml.safe_load((result.latest.parent / "experiment.yaml").read_text())
    assert resolved["dataset"]["batch_size"] == 4
    assert small(tmp_path, "train.num_epochs=3").steps == 3 * 3  # it goes on
    assert small(tmp_path, "results_dir=" + str(tmp_path / "more"), clips=48).steps == 2 * 4  # in batches of 12


@pytest.mark.parametrize("options", [{"recipe": "tao"}, {"options": ["dataset.batch_size=16"]}])
def test_a_batch_that_no_recipe_chose_stays(tmp_path, options):
    result = small(tmp_path, *options.pop("options", ()), **options)
    assert result.steps == 2  # an epoch is one step of all 14
    assert any("14 clips in batches of 16 are 1 step an epoch, 2 in all" in note for note in result.notes)


def test_few_steps_are_warned_of(tmp_path):
    result = small(tmp_path)
    wanted = "14 clips in batches of 4 are 3 steps an epoch, 6 in all"
    assert any(wanted in note and "more train.num_epochs" in note for note in result.notes)
    lines = [json.loads(line) for line in (result.latest.parent / "status.json").read_text().splitlines()]
    assert [line["verbosity"] for line in lines if wanted in line["message"]] == ["WARNING"]
    assert fitting._few_steps(Plan(clips=400, batch=32, seed=0), epochs=16)  # 12 steps an epoch
    assert not fitting._few_steps(Plan(clips=400, batch=32, seed=0), epochs=17)


def test_intervals_in_steps_and_most_steps(tmp_path):
    options = ("train.checkpoint_interval_unit=step", "train.checkpoint_interval=3", "train.max_steps=10")
    result = train(training_spec(tmp_path, *options))
    names = sorted(p.name for p in result.latest.parent.glob("model_epoch*"))
    assert names == [f"model_epoch_{e:03d}_step_{s:05d}.pth" for e, s in ((0, 3), (1, 6), (2, 9))]
    assert result.steps == 10
    assert load_checkpoint(result.latest)[0].step == 10
    assert [k["step"] for k in kpis(tmp_path / "out")] == [4, 8, 10]
    assert all("val_acc" in k for k in kpis(tmp_path / "out"))
    resumed = f"train.resume_training_checkpoint_path={result.latest.parent / names[0]}"
    again = train(training_spec(tmp_path, *options, resumed, name="again"))
    assert same(again.latest, result.latest)


def test_the_last_epoch_is_always_validated(tmp_path):
    train(training_spec(tmp_path, "train.validation_interval=2"))
    first, second, third = kpis(tmp_path / "out")
    assert "val_acc" not in first
    assert second["val_loss"] != third["val_loss"]


def test_seed_decides(tmp_path):
    one = train(training_spec(tmp_path, name="one"))
    two = train(training_spec(tmp_path, "dataset.num_workers=3", name="two"))
    other = train(training_spec(tmp_path, "train.seed=7", name="other"))
    assert same(one.latest, two.latest)
    assert not same(one.latest, other.latest)
    drawn = [train(training_spec(tmp_path, "train.seed=-1", name=name)).latest for name in ("a", "b")]
    assert not same(*drawn)


def test_early_stopping(tmp_path):
    result = train(
        training_spec(tmp_path, "train.num_epochs=50", "train.early_stopping_patience=2", "train.optim.lr=0")
    )
    accuracies = [kpi["val_acc"] for kpi in kpis(tmp_path / "out")]  # only the batch norms' statistics still move
    last_rise = max(i for i in range(len(accuracies)) if accuracies[i] > max(accuracies[:i], default=0))
    assert result.epochs == len(accuracies) == last_rise + 1 + 2 < 50
    again = train(training_spec(tmp_path, "train.num_epochs=50", "train.early_stopping_patience=2", "train.optim.lr=0"))
    assert "stopped early" in again.notes[-1]


@pytest.mark.parametrize("classes", [3, 4])
def test_pretrained_weights_with_the_same_and_another_head(tmp_path, classes):
    first = train(training_spec(tmp_path))
    write_arrays(tmp_path / "other", classes=classes)
    options = [
        f"dataset.train_dataset.data_path={tmp_path / 'other'}",
        "dataset.val_dataset.data_path=",
        f"dataset.num_classes={classes}",
        f"model.pretrained_model_path={first.checkpoint}",
        "train.num_epochs=1",
        "train.optim.lr=0",
    ]
    result = train(training_spec(tmp_path, *options, name="second"))
    assert any(("starts anew" in note) == (classes == 4) for note in result.notes if "weights taken" in note)
    old, new = load_checkpoint(first.checkpoint)[1], load_checkpoint(result.checkpoint)[1]
    learned = [name for name, _ in build_from_checkpoint(result.checkpoint)[0].named_parameters()]
    for name in learned:
        assert (old[name].shape == new[name].shape and torch.equal(old[name], new[name])) == (
            classes == 3 or not name.startswith("head.")
        ), name
    assert result.checkpoint == result.latest  # nothing validates


def test_small_sets_and_missing_validation(tmp_path):
    write_arrays(tmp_path / "few", clips=3)
    options = [f"dataset.train_dataset.data_path={tmp_path / 'few'}", "dataset.val_dataset.data_path="]
    result = train(training_spec(tmp_path, *options, "dataset.batch_size=16"))
    assert result.steps == 3  # an epoch is one step of all three
    assert any("nothing watches val_acc" in note for note in result.notes)
    split = train(training_spec(tmp_path, options[1], "dataset.validation_split=0.25", name="split"))
    assert "val_acc" in split.metrics


def test_encrypted_checkpoints(tmp_path, monkeypatch):
    monkeypatch.setenv("KINETAG_ENCRYPTION_KEY", "open sesame")
    result = train(training_spec(tmp_path))
    again = train(training_spec(tmp_path, "train.num_epochs=4"))
    assert again.steps == 16
    assert load_checkpoint(result.checkpoint, secret="open sesame")[0].model_type == "Fold-GCN"
    for path in result.latest.parent.iterdir():
        assert b"sesame" not in path.read_bytes()
        assert path.suffix != ".pth" or path.read_bytes()[:7] == b"KINETAG"
    monkeypatch.setenv("KINETAG_ENCRYPTION_KEY", "wrong")
    with pytest.raises(KinetagError, match="wrong encryption key"):
        train(training_spec(tmp_path, "train.num_epochs=5"))


def test_divergence_is_said_plainly(tmp_path):
    options = ("train.optim.optimizer_type=torch.optim.SGD", "train.optim.lr=1e30")
    with pytest.raises(KinetagError, match=r"training diverged in epoch \d: .*lower train\.optim\.lr"):
        train(training_spec(tmp_path, *options))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["train.num_gpus=2"], "no graphics card here"),
        (["train.accelerator=gpu"], "no graphics card"),
        (["train.precision=16-mixed"], "bf16-mixed or 32"),
        (["train.logger=mlflow"], "pip install mlflow"),
        (["model.pretrained_model_path=/nowhere.pth"], "does not exist"),
        (["model.graph_layout=nvidia"], "17 joints"),
        (["dataset.train_dataset.data_path=/nowhere"], "/nowhere"),
    ],
)
@pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without a graphics card")
def test_what_cannot_be_is_one_line(tmp_path, options, words):
    with pytest.raises(KinetagError, match=words) as caught:
        train(training_spec(tmp_path, *options))
    assert "\n" not in str(caught.value)
    last = json.loads((tmp_path / "out/train/status.json").read_text().splitlines()[-1])
    assert last["status"] == "FAILURE"


def test_mixed_precision_and_tensorboard(tmp_path):
    pytest.importorskip("tensorboard")
    mixed = ("train.precision=bf16-mixed", "train.grad_clip=1")  # which Lightning refuses of a fused optimiser
    train(training_spec(tmp_path, *mixed, "train.logger=tensorboard", "train.num_epochs=1"))
    assert list((tmp_path / "out/train/tensorboard").glob("events*"))


def test_lightning_stays_out_of_the_terminal(tmp_path, capfd, recwarn):
    level = logging.getLogger("lightning.pytorch").level
    train(training_spec(tmp_path, "train.num_epochs=1"))
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")
    assert [str(w.message) for w in recwarn if "lightning" in str(w.filename)] == []
    assert logging.getLogger("lightning.pytorch").level == level


@pytest.mark.slow
@pytest.mark.parametrize("name", ["experiment_nvidia.yaml", "experiment_kinetics.yaml", "spec_template_train.yaml"])
def test_the_references_specs_run_as_they_are(tmp_path, name):
    import os

    if "KINETAG_DATA" not in os.environ:
        pytest.skip("set KINETAG_DATA to the folder of real data, whose neighbour holds the reference's specs")
    path = Path(os.environ["KINETAG_DATA"]).parent / "reference" / "tao_pose_classification" / name
    joints, classes = (18, 5) if "kinetics" in name else (34, 6)
    write_arrays(tmp_path / "data", clips=20, frames=30, joints=joints, classes=classes)
    write_arrays(tmp_path / "data", clips=6, frames=30, joints=joints, classes=classes, prefix="val")
    sources = {"train": "train", "val": "val"}
    overrides = [f"dataset.{k}_dataset.data_path={tmp_path}/data/{v}_data.npy" for k, v in sources.items()]
    overrides += [f"dataset.{k}_dataset.label_path={tmp_path}/data/{v}_label.pkl" for k, v in sources.items()]
    spec = load_spec(path, [*overrides, f"results_dir={tmp_path}/out", "train.num_epochs=1"], action="train")
    result = train(spec)
    assert result.steps == 1
    header, _ = load_checkpoint(result.checkpoint, secret=spec.secret())
    assert header.model_type == "ST-GCN"
    assert len(header.class_names) == classes
