"""What comes from a store for each kind of data, and that it reads as it does on a disk."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("s3fs")
pytest.importorskip("lightning")
import torch
from made_clips import bodypose, person, write_json
from made_training import training_spec, write_arrays, write_spec
from object_store import BUCKET, client

from kinetag import cli, storage
from kinetag.actions.dataset_convert import dataset_convert
from kinetag.actions.train import train
from kinetag.checkpoint import load_checkpoint
from kinetag.errors import KinetagError
from kinetag.pose.files import write_poses
from kinetag.spec import load_spec
from kinetag.storage.cache import Cache
from kinetag.storage.sources import fetch
from kinetag.storage.staging import remote_keys

ROOT = f"s3://{BUCKET}"


def put(folder: Path, url: str) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            storage.upload(path, f"{url}/{path.relative_to(folder).as_posix()}")


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_of_a_folder_of_arrays_only_the_role_comes(store, tmp_path):
    for role in ("train", "val", "test"):
        write_arrays(tmp_path / "data", prefix=role)
    put(tmp_path / "data", f"{ROOT}/data/all")
    with Cache().lease() as lease:
        assert names(fetch(f"{ROOT}/data/all", lease, role="val")) == {"val_data.npy", "val_label.pkl"}
        assert names(fetch(f"{ROOT}/data/all/", lease, role="train")) == {"train_data.npy", "train_label.pkl"}
        one = fetch(f"{ROOT}/data/all/test_data.npy", lease)
        assert names(one.parent) == {"test_data.npy", "test_label.pkl"}
        storage.delete(f"{ROOT}/data/all/test_data.npy")
        storage.delete(f"{ROOT}/data/all/test_label.pkl")
        with pytest.raises(KinetagError, match=r"no such file: s3://bucket/data/all/test_data.npy; a folder of arrays"):
            fetch(f"{ROOT}/data/all", lease, role="test")


def test_a_list_brings_the_files_that_it_names_and_no_other(store, tmp_path):
    for name in ("a.mp4", "deep/b.mp4", "c.mp4"):
        storage.write_file(f"{ROOT}/clips/{name}", name.encode())
    storage.write_file(f"{ROOT}/clips/list.csv", b"file,label\na.mp4,squat\ndeep/b.mp4,lunge\n")
    storage.write_file(f"{ROOT}/clips/bad.json", json.dumps([{"file": "../secret"}]).encode())
    storage.write_file(f"{ROOT}/clips/gone.csv", b"file,label\nnone.mp4,squat\n")
    with Cache().lease() as lease:
        assert names(fetch(f"{ROOT}/clips/list.csv", lease).parent) == {"list.csv", "a.mp4", "deep/b.mp4"}
        with pytest.raises(KinetagError, match="cannot be the name of a file"):
            fetch(f"{ROOT}/clips/bad.json", lease)
        with pytest.raises(KinetagError, match=r"gone.csv: no such file: s3://bucket/clips/none.mp4"):
            fetch(f"{ROOT}/clips/gone.csv", lease)


def converted(place: str, data: str, *options: str) -> dict[str, bytes]:
    overrides = [f"dataset_convert.data={data}", f"results_dir={place}", *options]
    result = dataset_convert(load_spec(None, overrides, action="dataset_convert"))
    return {str(path).removeprefix(place): storage.local_copy(path).read_bytes() for path in result.files}


def test_poses_are_converted_from_a_store_into_a_store(store, tmp_path):
    data = bodypose({1: list(range(40)), 2: list(range(20, 40))})
    storage.upload(write_json(tmp_path / "poses.json", data), f"{ROOT}/poses.json")
    there = converted(f"{ROOT}/out", f"{ROOT}/poses.json", "dataset_convert.keep_confidence=true")
    here = converted(str(tmp_path / "out"), str(tmp_path / "poses.json"), "dataset_convert.keep_confidence=true")
    assert there == here
    assert here


def test_clips_in_class_folders_are_converted_and_their_groups_are_named(store, tmp_path):
    for label in ("squat", "lunge"):
        (tmp_path / "clips" / label).mkdir(parents=True)
        for i in range(2):
            write_poses([person(seconds=2.0 + i)], tmp_path / "clips" / label / f"{i}.csv")
    put(tmp_path / "clips", f"{ROOT}/clips")
    options = ("model.graph_layout=coco", "dataset.coordinates=body", "dataset_convert.split=0.5")
    there = converted(f"{ROOT}/out", f"{ROOT}/clips", *options)
    here = converted(str(tmp_path / "out"), str(tmp_path / "clips"), *options)
    groups = json.loads(there["/dataset_convert/train_data.json"]).pop("groups")
    assert all(group.startswith(f"{ROOT}/clips/") for group in groups)
    assert {name: data for name, data in there.items() if name.endswith((".npy", ".pkl"))} == {
        name: data for name, data in here.items() if name.endswith((".npy", ".pkl"))
    }


def test_only_what_an_action_uses_is_fetched(store, tmp_path):
    spec = training_spec(tmp_path, "evaluate.checkpoint=s3://elsewhere/a.pth", "export.onnx_file=s3://elsewhere/b.onnx")
    assert remote_keys(spec, "train") == []
    assert remote_keys(spec, "export") == ["export.onnx_file"]
    assert train(spec).epochs == 3  # that bucket is never asked


def test_a_pretrained_model_and_a_state_in_a_store(store, tmp_path):
    first = train(training_spec(tmp_path, name="first"))
    put(tmp_path / "first" / "train", f"{ROOT}/first")
    best = f"model.pretrained_model_path={ROOT}/first/pc_model_best.pth"
    started = train(training_spec(tmp_path, best, name="second"))
    assert any(f"weights taken from {ROOT}/first/pc_model_best.pth" in note for note in started.notes)
    resumed = f"train.resume_training_checkpoint_path={ROOT}/first"  # a folder: its latest
    more = train(training_spec(tmp_path, resumed, "train.num_epochs=4", name="third"))
    whole = train(training_spec(tmp_path, "train.num_epochs=4", name="whole"))
    assert more.steps == whole.steps > first.steps
    (_, one), (_, two) = load_checkpoint(more.latest), load_checkpoint(whole.latest)
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_poses_are_kept_on_this_machine(store, tmp_path):
    with pytest.raises(KinetagError, match=r"dataset\.cache_dir must be a folder of this machine"):
        train(training_spec(tmp_path, f"dataset.cache_dir={ROOT}/cache"))


@pytest.mark.slow
def test_encrypted_results_stay_encrypted(store, tmp_path, monkeypatch):
    monkeypatch.setenv("KINETAG_ENCRYPTION_KEY", "open sesame")
    train(training_spec(tmp_path, f"results_dir={ROOT}/run"))
    for file in storage.list_files(f"{ROOT}/run"):
        data = client(store).get_object(Bucket=BUCKET, Key=file.path.removeprefix(f"{ROOT}/"))["Body"].read()
        assert b"sesame" not in data
        assert not file.path.endswith(".pth") or data.startswith(b"KINETAG")
    assert train(training_spec(tmp_path, f"results_dir={ROOT}/run", "train.num_epochs=4")).steps == 16


def test_ctrl_c_is_on_record_and_the_state_is_sent(store, tmp_path, monkeypatch):
    from kinetag.learning import keeping

    monkeypatch.setattr(keeping, "_TELL_EVERY", -1.0)
    monkeypatch.setattr(keeping, "SAVE_EVERY", -1.0)
    told = [0]

    def progress(stage, done, total):
        told[0] += stage.startswith("Epoch")
        if stage.startswith("Epoch") and told[0] == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(training_spec(tmp_path, f"results_dir={ROOT}/run"), progress=progress)
    last = json.loads(storage.read_text(f"{ROOT}/run/train/status.json").splitlines()[-1])
    assert (last["status"], last["message"]) == ("FAILURE", "interrupted by the user")
    assert load_checkpoint(storage.local_copy(f"{ROOT}/run/train/pc_model_latest.pth"))[0].step == 5


@pytest.mark.slow
def test_several_processes_with_everything_in_a_store(store, tmp_path):
    write_spec(tmp_path)
    put(tmp_path / "data", f"{ROOT}/data")
    options = [f"dataset.{part}_dataset.data_path={ROOT}/data" for part in ("train", "val")]
    two = ("train.accelerator=cpu", "train.num_gpus=2")
    there = train(training_spec(tmp_path, *two, *options, f"results_dir={ROOT}/run"))
    here = train(training_spec(tmp_path, *two, name="here"))
    assert there.metrics == here.metrics
    more = train(training_spec(tmp_path, *two, *options, f"results_dir={ROOT}/run", "train.num_epochs=4"))
    assert more.steps > there.steps  # it is the same run, whatever its copies were called


def test_a_missing_package_is_one_line(tmp_path, capsys, monkeypatch):
    import sys

    from kinetag.storage import store as stores

    stores._opened.cache_clear()
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.setitem(sys.modules, "fsspec", None)
    assert cli.main(["train", f"dataset.train_dataset.data_path={ROOT}/a", f"results_dir={tmp_path}"]) == 2
    assert "needs the package 'fsspec', which is not installed: pip install 'kinetag[cloud]'" in capsys.readouterr().err
    stores._opened.cache_clear()


def test_arrays_are_mapped_from_the_disk(store, tmp_path):
    """A copy is a file as any other: an array larger than memory is not read whole."""
    write_arrays(tmp_path / "data")
    put(tmp_path / "data", f"{ROOT}/data")
    assert isinstance(np.load(storage.local_copy(f"{ROOT}/data/train_data.npy"), mmap_mode="r"), np.memmap)
