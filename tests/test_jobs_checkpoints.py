"""Which checkpoint of a folder is chosen, and why."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinetag import storage
from kinetag.errors import KinetagError
from kinetag.jobs.checkpoints import choose_checkpoint, choose_onnx, list_folder, records, scores_by_epoch


def write(folder: Path, *names: str) -> None:
    """Files with content, each a second newer than the one before it."""
    for second, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
        os.utime(path, (1000 + second, 1000 + second))


def tell(folder: Path, scores: dict[int, float]) -> None:
    """A status.json with the val_acc of epochs, counted from 1."""
    records = [{"status": "RUNNING", "kpi": {"epoch": epoch, "val_acc": score}} for epoch, score in scores.items()]
    (folder / "status.json").write_text("".join(json.dumps(record) + "\n" for record in records))


def chosen(folder: Path) -> str:
    return Path(choose_checkpoint(folder).path).name


def test_what_training_kept_as_the_best_comes_first(tmp_path):
    write(tmp_path, "pc_model_best.pth", "model_epoch_000.pth", "pc_model_latest.pth")
    tell(tmp_path, {1: 0.5, 2: 0.25})
    assert chosen(tmp_path) == "pc_model_best.pth"
    assert choose_checkpoint(tmp_path).why == "best by val_acc (0.5)"


def test_the_best_epoch_of_those_that_are_there(tmp_path):
    write(tmp_path, "model_epoch_000.pth", "model_epoch_002.pth", "pc_model_latest.pth")
    tell(tmp_path, {1: 0.5, 2: 0.9, 3: 0.7})
    assert chosen(tmp_path) == "model_epoch_002.pth"
    assert "0.7" in choose_checkpoint(tmp_path).why


def test_of_equal_epochs_the_earliest(tmp_path):
    write(tmp_path, "model_epoch_004.pth", "model_epoch_001.pth")
    tell(tmp_path, {2: 0.5, 5: 0.5})
    assert chosen(tmp_path) == "model_epoch_001.pth"


def test_what_an_earlier_run_in_the_folder_told_does_not_count(tmp_path):
    def told(*runs: dict[int, float], **more: int) -> str:
        parts = []
        for run in runs:
            tell(tmp_path, run)
            parts.append((tmp_path / "status.json").read_text())
        (tmp_path / "status.json").write_text("".join(parts))
        return choose_checkpoint(tmp_path).why

    write(tmp_path, "model_epoch_000.pth", "model_epoch_001.pth", "model_epoch_008.pth")
    earlier = {1: 0.1, 2: 0.2, 9: 0.9}
    assert told(earlier, {1: 0.5, 2: 0.4}) == "best by val_acc (0.5) of those that were kept"
    assert chosen(tmp_path) == "model_epoch_000.pth"
    write(tmp_path, "pc_model_best.pth")
    assert told(earlier, {1: 0.5, 2: 0.4}) == "best by val_acc (0.5)"
    assert told({1: 0.7, 2: 0.6, 3: 0.9}, {3: 0.4}) == "best by val_acc (0.7)"  # it went on from the second epoch


def test_of_a_search_the_best_trial_s_number(tmp_path):
    write(tmp_path, "pc_model_best.pth")
    records = [{"kpi": {"trial": trial, "epoch": 3, "val_acc": score}} for trial, score in enumerate((0.5, 0.8, 0.6))]
    (tmp_path / "status.json").write_text("".join(json.dumps(record) + "\n" for record in records))
    assert choose_checkpoint(tmp_path).why == "best by val_acc (0.8)"


def test_a_search_s_best_is_by_its_own_metric(tmp_path):
    write(tmp_path, "pc_model_best.pth")
    records = [{"kpi": {"trial": trial, "epoch": 3, "val_loss": loss}} for trial, loss in enumerate((0.5, 0.2, 0.6))]
    (tmp_path / "status.json").write_text("".join(json.dumps(record) + "\n" for record in records))
    assert choose_checkpoint(tmp_path, "val_loss", maximize=False).why == "best by val_loss (0.2)"
    (tmp_path / "pc_model_best.pth").rename(tmp_path / "pc_model_latest.pth")
    assert choose_checkpoint(tmp_path, "val_loss", maximize=False).why == "the latest; no val_loss is known"


def test_of_epochs_the_one_with_the_least_loss(tmp_path):
    write(tmp_path, "model_epoch_000.pth", "model_epoch_001.pth")
    records = [{"kpi": {"epoch": epoch, "val_loss": loss}} for epoch, loss in ((1, 0.5), (2, 0.2))]
    (tmp_path / "status.json").write_text("".join(json.dumps(record) + "\n" for record in records))
    choice = choose_checkpoint(tmp_path, "val_loss", maximize=False)
    assert (Path(choice.path).name, choice.why) == (
        "model_epoch_001.pth", "best by val_loss (0.2) of those that were kept"
    )  # fmt: skip


def test_without_a_metric_the_latest(tmp_path):
    write(tmp_path, "pc_model_latest.pth", "model_epoch_009.pth")
    assert chosen(tmp_path) == "pc_model_latest.pth"
    (tmp_path / "pc_model_latest.pth").unlink()
    write(tmp_path, "model_epoch_010.pth", "model_epoch_009.pth")
    assert chosen(tmp_path) == "model_epoch_010.pth"
    assert "latest" in choose_checkpoint(tmp_path).why


def test_a_search_s_best_and_not_one_of_a_trial(tmp_path):
    write(tmp_path, "pc_model_best.pth", "trials/3/pc_model_best.pth")
    assert choose_checkpoint(tmp_path).path == str(tmp_path.resolve() / "pc_model_best.pth")
    (tmp_path / "pc_model_best.pth").unlink()
    assert choose_checkpoint(tmp_path).path.endswith("trials/3/pc_model_best.pth")


def test_drafts_empty_files_and_links_out_of_the_folder_do_not_count(tmp_path):
    outside = tmp_path / "outside.pth"
    outside.write_bytes(b"x")
    folder = tmp_path / "results"
    write(folder, ".pc_model_best.pth.1.draft", ".hidden/pc_model_best.pth", "status.json")
    (folder / "pc_model_best.pth").symlink_to(outside)
    (folder / "model_epoch_000.pth").touch()
    with pytest.raises(KinetagError, match=r"no checkpoint \(\*\.pth\) in"):
        choose_checkpoint(folder)
    (folder / "within.pth").symlink_to(folder / "status.json")
    assert chosen(folder) == "within.pth"


@pytest.mark.parametrize("choose", [choose_checkpoint, choose_onnx])
def test_a_folder_that_is_not_there_is_one_clear_line(tmp_path, choose):
    with pytest.raises(KinetagError, match="nothing can go on from it"):
        choose(tmp_path / "nowhere")


def test_the_exported_model_is_the_named_one_else_the_newest(tmp_path):
    write(tmp_path, "old.onnx", "new.onnx")
    assert choose_onnx(tmp_path).path.endswith("new.onnx")
    assert choose_onnx(tmp_path, str(tmp_path / "old.onnx")).path.endswith("old.onnx")
    assert choose_onnx(tmp_path, str(tmp_path / "gone.onnx")).path.endswith("new.onnx")


@given(st.lists(st.one_of(st.binary(max_size=40), st.sampled_from([b'{"kpi": 3}', b"[]", b'{"kpi": {"epoch": "x"}}']))))
def test_a_damaged_status_is_read_as_far_as_it_goes(tmp_path_factory, lines):
    path = tmp_path_factory.mktemp("status") / "status.json"
    path.write_bytes(b'{"kpi": {"epoch": 1, "val_acc": 0.5}}\n' + b"\n".join(lines))
    assert scores_by_epoch(path).get(1) == 0.5


def test_the_listing_is_by_name_and_tells_sizes(tmp_path):
    write(tmp_path, "b.pth", "a/c.pth")
    assert [(found.name, found.size) for found in list_folder(tmp_path)] == [("a/c.pth", 1), ("b.pth", 1)]
    assert [found.name for found in list_folder(tmp_path, deep=False)] == ["b.pth"]
    assert list_folder(tmp_path / "b.pth") == []


# --- in a store ------------------------------------------------------------------------------------------------------


def put(folder: Path, url: str) -> str:
    """The files of a folder in a bucket."""
    for path in folder.rglob("*"):
        if path.is_file():
            storage.upload(path, f"{url}/{path.relative_to(folder).as_posix()}")
    return url


def test_a_folder_in_a_store_is_chosen_from_as_one_here(tmp_path, store):
    pytest.importorskip("s3fs")
    write(tmp_path, "model_epoch_000.pth", "model_epoch_001.pth", "trials/0/pc_model_best.pth", ".a.draft", "m.onnx")
    tell(tmp_path, {1: 0.75, 2: 0.5})
    url = put(tmp_path, "s3://bucket/run/train")
    assert [found.name for found in list_folder(url)] == [found.name for found in list_folder(tmp_path)]
    assert [found.path for found in list_folder(f"{url}/")] == [
        f"{url}/{found.name}" for found in list_folder(tmp_path)
    ]
    choice = choose_checkpoint(url)
    assert (choice.path, choice.why) == (f"{url}/model_epoch_000.pth", choose_checkpoint(tmp_path).why)
    assert scores_by_epoch(f"{url}/status.json") == {1: 0.75, 2: 0.5}
    assert choose_onnx(url).path == choose_onnx(url, f"{url}/m.onnx").path == f"{url}/m.onnx"
    assert choose_onnx(url, f"{url}/gone.onnx").why == "the newest .onnx in its folder"


def test_what_is_not_in_a_store(store):
    pytest.importorskip("s3fs")
    assert list_folder("s3://bucket/nothing") == []
    assert list(records("s3://bucket/nothing/status.json")) == []
    assert list_folder("https://example.invalid/folder") == []  # the web lists no folders, and is not asked
    with pytest.raises(KinetagError, match="no checkpoint"):
        choose_checkpoint("s3://bucket/nothing")
