"""What follows from the job graph, and what does not."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinetag.errors import KinetagError
from kinetag.jobs.contract import SPEC_PARAMS
from kinetag.jobs.inferring import Case, Parent, infer
from kinetag.spec import ACTIONS, MASK, MISSING, Spec, value_at


def case(action: str, own: Path, *parents: Parent, values: dict[str, Any] | None = None, **options: Any) -> Case:
    return Case(action, copy.deepcopy(values or {}), str(own), parents, **options)


def filled(done: Case) -> dict[str, Any]:
    return {one.key: one.value for one in done.filled}


def trained(folder: Path, **values: Any) -> Parent:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pc_model_best.pth").write_bytes(b"x")
    return Parent("abc234", "train", True, str(folder), values)


def converted(folder: Path, *names: str, finished: bool = True, **values: Any) -> Parent:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return Parent("cnv234", "dataset_convert", finished, str(folder), values)


@pytest.mark.parametrize("action", ["evaluate", "inference", "export"])
def test_a_trained_parent_gives_its_best_model(tmp_path, action):
    done = infer(case(action, tmp_path / "own", trained(tmp_path / "train")))
    assert filled(done)[f"{action}.checkpoint"] == str(tmp_path / "train/pc_model_best.pth")
    assert filled(done)["results_dir"] == str(tmp_path / "own")
    source = next(one.source for one in done.filled if one.key.endswith("checkpoint"))
    assert "abc234 (train)" in source
    assert "val_acc" in source


def test_the_model_of_a_search_is_told_by_its_metric(tmp_path):
    def source(**values: Any) -> str:
        done = infer(case("export", tmp_path / "own", trained(tmp_path / "train", **values)))
        return next(one.source for one in done.filled if one.key == "export.checkpoint")

    by_loss = {"metric": "val_loss"}
    assert source(automl_policy="auto", automl_settings=by_loss).endswith("best by val_loss")
    assert source(automl_policy="off", automl_settings=by_loss).endswith("best by val_acc")
    assert source(automl_policy="auto").endswith("best by val_acc")


def test_an_evaluation_of_a_training_with_a_split_says_why_it_has_no_data(tmp_path):
    parent = trained(tmp_path / "train", dataset={"validation_split": 0.2, "train_dataset": {"data_path": "d"}})
    with pytest.raises(KinetagError, match=r"job abc234 .*validation_split=0.2.*give evaluate.test_dataset.data_path"):
        infer(case("evaluate", tmp_path / "own", parent))
    given = {"evaluate": {"test_dataset": {"data_path": "mine"}}}
    assert "evaluate.checkpoint" in filled(infer(case("evaluate", tmp_path / "own", parent, values=given)))
    own = {"validation_split": 0.2, "val_dataset": {"data_path": "v"}}
    done = infer(case("evaluate", tmp_path / "own", trained(tmp_path / "train", dataset=own)))
    assert filled(done)["evaluate.test_dataset.data_path"] == "v"


def test_files_go_into_the_results_folder(tmp_path):
    done = infer(case("export", tmp_path, values={"export": {"checkpoint": "a"}}))
    assert filled(done)["export.onnx_file"] == str(tmp_path / "export/model.onnx")
    done = infer(case("inference", tmp_path, values={"inference": {"output_format": "csv"}}))
    assert filled(done)["inference.output_file"] == str(tmp_path / "inference/predictions.csv")
    named = {"inference": {"results_dir": "/there"}}
    assert filled(infer(case("inference", tmp_path, values=named))) == {
        "inference.output_file": "/there/predictions.txt"
    }


def test_a_conversion_writes_into_its_own_results_dir(tmp_path):
    assert filled(infer(case("dataset_convert", tmp_path))) == {"dataset_convert.results_dir": str(tmp_path)}
    assert filled(infer(case("dataset_convert", tmp_path, values={"results_dir": "here"}))) == {}


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("empty", ["", MISSING, None])
def test_empty_values_are_filled_and_others_never_touched(tmp_path, action, empty):
    params = SPEC_PARAMS[action]

    def tree(value: Any) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for key in params:
            group, _, name = key.rpartition(".")
            target = out
            for part in group.split(".") if group else ():
                target = target.setdefault(part, {})
            target[name] = value
        return out

    parent = trained(tmp_path / "train")
    data = {"dataset": {"train_dataset": {"data_path": "d"}}} if action == "train" else {}
    written = tree("the user's") | data
    done = infer(case(action, tmp_path / "own", parent, values=written, has_key=True, attempt=2))
    assert not set(params) & set(filled(done))
    assert all(value_at(done.values, key) == "the user's" for key in params)
    done = infer(case(action, tmp_path / "own", parent, values=tree(empty) | data, has_key=True))
    expected = {key for key, function in params.items() if function != "resume_model"}
    assert set(params) & set(filled(done)) == expected


def test_the_key_is_never_a_value(tmp_path):
    done = infer(case("export", tmp_path, has_key=True))
    assert filled(done)["encryption_key"] == MASK
    assert "encryption_key" not in filled(infer(case("export", tmp_path)))


def test_an_exporting_parent_gives_its_file(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"x")
    parent = Parent("exp234", "export", True, str(tmp_path), {})
    assert filled(infer(case("evaluate", tmp_path, parent)))["evaluate.checkpoint"] == str(tmp_path / "model.onnx")
    done = infer(case("train", tmp_path, parent, values={"dataset": {"train_dataset": {"data_path": "d"}}}))
    assert "model.pretrained_model_path" not in filled(done)
    assert "ONNX file" in done.notes[0]


def test_an_evaluation_hands_on_the_model_and_the_data_that_it_used(tmp_path):
    values = {"evaluate": {"checkpoint": "/m.pth", "test_dataset": {"data_path": "/d"}}}
    parent = Parent("eva234", "evaluate", True, str(tmp_path), values)
    assert filled(infer(case("export", tmp_path, parent)))["export.checkpoint"] == "/m.pth"
    assert filled(infer(case("evaluate", tmp_path, parent)))["evaluate.test_dataset.data_path"] == "/d"


def test_training_starts_from_its_parent_s_weights_until_it_has_a_state_of_its_own(tmp_path):
    parent, own = trained(tmp_path / "train"), tmp_path / "own"
    values = {"automl_policy": "off", "dataset": {"train_dataset": {"data_path": "d"}}}
    first = filled(infer(case("train", own, parent, values=values)))
    assert first["model.pretrained_model_path"] == str(tmp_path / "train/pc_model_best.pth")
    assert "train.resume_training_checkpoint_path" not in first
    (own / "train").mkdir(parents=True)
    state = own / "train/pc_model_latest.pth"
    state.write_bytes(b"x")
    again = filled(infer(case("train", own, parent, values=values, attempt=2)))
    assert again["train.resume_training_checkpoint_path"] == str(state)
    assert "model.pretrained_model_path" not in again


def test_in_a_folder_of_the_user_s_training_looks_itself(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train/pc_model_latest.pth").write_bytes(b"x")
    values = {"results_dir": str(tmp_path), "dataset": {"train_dataset": {"data_path": "d"}}}
    done = filled(infer(case("train", tmp_path / "own", values=values, attempt=2)))
    assert "train.resume_training_checkpoint_path" not in done


def test_a_second_export_replaces_the_job_s_own_file_alone(tmp_path):
    values = {"export": {"checkpoint": "a"}}
    assert filled(infer(case("export", tmp_path, values=values, attempt=2)))["export.force"] is True
    assert "export.force" not in filled(infer(case("export", tmp_path, values=values)))
    values["export"]["onnx_file"] = "mine.onnx"
    assert "export.force" not in filled(infer(case("export", tmp_path, values=values, attempt=2)))


def test_jobs_search_where_the_spec_knows_of_searching(tmp_path):
    """`automl_policy` is passed on as soon as it is an option, and not before: the spec would refuse it."""
    values = {"dataset": {"train_dataset": {"data_path": "d"}}}
    done = filled(infer(case("train", tmp_path, values=values)))
    assert done.get("automl_policy") == ("auto" if "automl_policy" in Spec.model_fields else None)
    assert "automl_policy" not in filled(infer(case("train", tmp_path, values=values | {"automl_policy": "off"})))
    assert "automl_policy" not in filled(infer(case("evaluate", tmp_path)))


# --- data ------------------------------------------------------------------------------------------------------------


def data_of(done: Case) -> dict[str, str]:
    """The inferred data, by the end of the key, as file names."""
    return {key: Path(value).name for key, value in filled(done).items() if key.endswith("_path") and "dataset" in key}


def test_a_folder_becomes_the_well_known_files(tmp_path):
    names = [f"{role}_{kind}" for role in ("train", "val", "test") for kind in ("data.npy", "label.pkl")]
    converted(tmp_path, *names)
    assert data_of(infer(case("train", tmp_path, train_data=str(tmp_path)))) == {
        "dataset.train_dataset.data_path": "train_data.npy",
        "dataset.train_dataset.label_path": "train_label.pkl",
        "dataset.val_dataset.data_path": "val_data.npy",
        "dataset.val_dataset.label_path": "val_label.pkl",
    }
    for action, role in (("evaluate", "val"), ("inference", "test")):
        assert data_of(infer(case(action, tmp_path, train_data=str(tmp_path)))) == {
            f"{action}.test_dataset.data_path": f"{role}_data.npy",
            f"{action}.test_dataset.label_path": f"{role}_label.pkl",
        }


def test_a_folder_of_videos_stays_one(tmp_path):
    converted(tmp_path, "squat/1.mp4")
    done = infer(case("train", tmp_path, train_data=str(tmp_path)))
    assert value_at(done.values, "dataset.train_dataset.data_path") == str(tmp_path)
    assert "dataset.val_dataset.data_path" not in filled(done)


def test_a_list_of_videos_is_a_source_as_it_is(tmp_path):
    converted(tmp_path, "list.csv")
    done = infer(case("train", tmp_path, train_data=str(tmp_path / "list.csv")))
    assert value_at(done.values, "dataset.train_dataset.data_path") == str(tmp_path / "list.csv")


def test_a_folder_that_lacks_what_the_action_reads_is_refused(tmp_path):
    converted(tmp_path, "train_data.npy", "train_label.pkl")
    with pytest.raises(KinetagError, match=r"has train_data.npy, train_label.pkl, but no val_data.npy"):
        infer(case("evaluate", tmp_path, train_data=str(tmp_path)))


def test_a_conversion_gives_its_arrays_and_what_they_say_of_themselves(tmp_path):
    parent = converted(tmp_path, "train_data.npy", "train_label.pkl", "val_data.npy", "val_label.pkl")
    about = {"format": "kinetag-clips", "layout": "coco", "channels": ["x", "y"]}
    (tmp_path / "train_data.json").write_text(json.dumps(about))
    done = infer(case("train", tmp_path / "own", parent))
    assert len(data_of(done)) == 4
    assert (filled(done)["model.graph_layout"], filled(done)["model.input_channels"]) == ("coco", 2)
    done = infer(case("train", tmp_path / "own", parent, values={"model": {"graph_layout": "kinetag"}}))
    assert "model.graph_layout" not in filled(done)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"layout": 3, "channels": "xy"}', b"\xff"])
def test_a_strange_file_beside_the_array_says_nothing(tmp_path, content):
    parent = converted(tmp_path, "train_data.npy", "train_label.pkl")
    (tmp_path / "train_data.json").write_bytes(content)
    assert not [key for key in filled(infer(case("train", tmp_path, parent))) if key.startswith("model.")]


def test_poses_without_labels_cannot_be_trained_on(tmp_path):
    parent = converted(tmp_path, "object_1.npy", "object_2.npy")
    for action in ("train", "evaluate"):
        with pytest.raises(KinetagError, match=r"poses of 2 person\(s\) .*without labels, which " + action):
            infer(case(action, tmp_path, parent))
    with pytest.raises(KinetagError, match=r"2 persons .*say which in inference.test_dataset.data_path"):
        infer(case("inference", tmp_path, parent))
    (tmp_path / "object_2.npy").unlink()
    assert data_of(infer(case("inference", tmp_path, parent))) == {"inference.test_dataset.data_path": "object_1.npy"}


def test_what_a_conversion_did_not_write_is_named(tmp_path):
    with pytest.raises(KinetagError, match=r"wrote no val_data.npy .*dataset_convert.split=0.2"):
        infer(case("evaluate", tmp_path, converted(tmp_path, "train_data.npy")))


def test_before_a_parent_is_done_its_results_are_expected(tmp_path):
    folder = tmp_path / "later"
    parent = converted(folder, finished=False, dataset_convert={"split": 0.2})
    assert data_of(infer(case("train", tmp_path, parent)))["dataset.val_dataset.data_path"] == "val_data.npy"
    parent = converted(folder, finished=False)
    assert "dataset.val_dataset.data_path" not in data_of(infer(case("train", tmp_path, parent)))
    done = infer(case("inference", tmp_path, parent))
    assert filled(done)["inference.test_dataset.data_path"] == str(folder)
    assert any("will have written" in one.source for one in done.filled)
    parent = Parent("abc234", "train", False, str(folder), {})
    assert filled(infer(case("export", tmp_path, parent)))["export.checkpoint"] == str(folder / "pc_model_best.pth")
    parent = Parent("abc234", "export", False, str(folder), {})
    assert filled(infer(case("inference", tmp_path, parent)))["inference.checkpoint"] == str(folder / "model.onnx")


def test_evaluation_takes_the_validation_data_of_its_training(tmp_path):
    spec = {"dataset": {"train_dataset": {"data_path": "/t"}, "val_dataset": {"data_path": "/v", "label_path": "/l"}}}
    done = infer(case("evaluate", tmp_path / "own", trained(tmp_path, **spec)))
    assert filled(done)["evaluate.test_dataset.data_path"] == "/v"
    assert filled(done)["evaluate.test_dataset.label_path"] == "/l"
    done = infer(case("train", tmp_path / "own", trained(tmp_path, **spec)))
    assert filled(done)["dataset.train_dataset.data_path"] == "/t"
    assert "inference.test_dataset.data_path" not in filled(
        infer(case("inference", tmp_path, trained(tmp_path, **spec)))
    )


def test_data_come_from_the_nearest_ancestor_that_has_any(tmp_path):
    grandparent = converted(tmp_path / "data", "test_data.npy")
    done = infer(case("inference", tmp_path / "own", trained(tmp_path / "train"), grandparent))
    assert data_of(done) == {"inference.test_dataset.data_path": "test_data.npy"}
    assert "cnv234" in next(one.source for one in done.filled if one.key.endswith("data_path"))
    values = {"inference": {"test_dataset": {"data_path": "mine.npy"}}}
    assert data_of(infer(case("inference", tmp_path, trained(tmp_path / "train"), grandparent, values=values))) == {}


@given(st.sampled_from(ACTIONS), st.integers(1, 3), st.booleans())
def test_inferring_twice_changes_nothing(tmp_path_factory, action, attempt, has_key):
    folder = tmp_path_factory.mktemp("twice")
    parent = trained(folder / "train", dataset={"train_dataset": {"data_path": "/t"}})
    once = infer(case(action, folder / "own", parent, attempt=attempt, has_key=has_key))
    again = infer(case(action, folder / "own", parent, values=once.values, attempt=attempt, has_key=has_key))
    assert again.filled == []
    assert again.values == once.values
    np.testing.assert_equal(len({one.key for one in once.filled}), len(once.filled))
