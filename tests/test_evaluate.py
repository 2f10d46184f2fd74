import json
from pathlib import Path

import numpy as np
import pytest
from made_models import CLASSES, made_clips, write_arrays

from kinetag import metrics
from kinetag.actions.confusion import confusion_picture, confusion_text, png
from kinetag.errors import KinetagError
from kinetag.spec import load_spec

pytest.importorskip("torch")


def evaluate(folder: Path, checkpoint: Path, *overrides: str):
    from kinetag.actions.evaluate import evaluate as run

    given = [f"results_dir={folder}", f"evaluate.checkpoint={checkpoint}"]
    return run(load_spec(None, [*given, *overrides], action="evaluate"))


@pytest.fixture
def data(tmp_path) -> str:
    """TAO's folder of arrays: evaluate takes val_data.npy from it."""
    write_arrays(tmp_path / "data", *made_clips(31, seed=5))
    return f"evaluate.test_dataset.data_path={tmp_path / 'data'}"


def test_files_and_numbers(tmp_path, small_model, data):
    found = evaluate(tmp_path, small_model, data, "evaluate.top_k=2", "evaluate.batch_size=7")
    folder = tmp_path / "evaluate"
    record = json.loads((folder / "results.json").read_text())
    assert found.clips == record["clips"] == 31
    assert found.accuracy >= 0.9
    matrix = np.array(record["confusion"])
    assert record["accuracy"] == pytest.approx(np.trace(matrix) / 31, abs=1e-6)
    assert record["mean_class_accuracy"] == pytest.approx(metrics.mean_class_accuracy(matrix), abs=1e-6)
    assert record["top_k"] == 2
    assert record["top_k_accuracy"] >= record["accuracy"]
    assert [record["classes"][name]["clips"] for name in CLASSES] == [11, 10, 10]
    text = (folder / "results.txt").read_text()
    assert "mean class accuracy" in text
    assert "confusion" in text
    assert (folder / "confusion.png").read_bytes().startswith(b"\x89PNG")
    lines = [json.loads(line) for line in (folder / "status.json").read_text().splitlines()]
    assert [line["status"] for line in lines] == ["STARTED", "RUNNING", "SUCCESS"]
    assert lines[1]["kpi"]["accuracy"] == found.accuracy
    assert set(lines[1]["categorical"]["class_accuracy"]) == set(CLASSES)


def test_few_clips_and_classes_that_are_never_the_answer_are_told(tmp_path, small_model, data):
    few = f"evaluate.test_dataset.data_path={tmp_path / 'few'}"
    arrays, labels = made_clips(31, seed=5)
    write_arrays(tmp_path / "few", arrays[labels == 0][:3], labels[labels == 0][:3])
    found = evaluate(tmp_path / "a", small_model, few)
    expected = f"fewer than 10 clips of {CLASSES[0]} 3, {CLASSES[1]} 0, {CLASSES[2]} 0: too few to learn from"
    assert any(warning.startswith(expected) for warning in found.warnings)
    never = [name for name, column in zip(CLASSES, found.confusion.T, strict=True) if not column.any()]
    assert never
    record = json.loads((tmp_path / "a/evaluate/results.json").read_text())
    assert f"no clip was taken for {', '.join(never)}, so there is no precision of it" in record["warnings"]
    assert all(record["classes"][name]["precision"] is None for name in never)
    assert evaluate(tmp_path / "b", small_model, data).warnings == ()


def test_the_order_of_batches_and_devices_does_not_matter(tmp_path, small_model, data):
    one = evaluate(tmp_path, small_model, data, "evaluate.batch_size=31").probabilities
    many = evaluate(tmp_path, small_model, data, "evaluate.batch_size=4", "evaluate.num_gpus=3").probabilities
    np.testing.assert_allclose(one, many, atol=1e-5)


def test_an_onnx_file_is_evaluated_like_its_checkpoint(tmp_path, small_model, data):
    from kinetag.actions.export import export

    path = tmp_path / "model.onnx"
    given = [f"results_dir={tmp_path}", f"export.checkpoint={small_model}", f"export.onnx_file={path}"]
    export(load_spec(None, given, action="export"))
    np.testing.assert_allclose(
        evaluate(tmp_path, path, data).probabilities, evaluate(tmp_path, small_model, data).probabilities, atol=1e-4
    )


def test_occlusion_is_one_flag(tmp_path, small_model, data):
    found = evaluate(tmp_path, small_model, data, "evaluate.occlusion=true")
    kinds = {name.split()[0] for name in found.occlusion}
    assert kinds == {"part", "time", "random", "jitter"}
    assert min(found.occlusion.values()) < found.accuracy
    record = json.loads((tmp_path / "evaluate/results.json").read_text())
    kept = record["occlusion"]["time 50"]
    assert kept["kept"] == pytest.approx(kept["accuracy"] / found.accuracy, abs=1e-5)
    assert evaluate(tmp_path, small_model, data, "evaluate.occlusion=true").occlusion == found.occlusion


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("dataset.num_classes=5",), "num_classes|5"),
        (("dataset.label_map.a=0", "dataset.label_map.b=1", "dataset.label_map.c=2"), "other classes|label_map"),
        (("model.graph_layout=nvidia",), "graph_layout"),
        (("model.input_channels=2",), "input_channels is 2"),
    ],
)
def test_a_model_of_something_else_is_refused(tmp_path, small_model, data, overrides, message):
    with pytest.raises(KinetagError, match=message):
        evaluate(tmp_path, small_model, data, *overrides)
    assert '"FAILURE"' in (tmp_path / "evaluate/status.json").read_text()


def test_what_is_missing_is_named(tmp_path, small_model, data):
    with pytest.raises(KinetagError, match=r"evaluate\.test_dataset\.data_path is empty"):
        evaluate(tmp_path, small_model)
    with pytest.raises(KinetagError, match=r"gone\.pth does not exist"):
        evaluate(tmp_path, tmp_path / "gone.pth", data)
    with pytest.raises(KinetagError, match="is a folder"):
        evaluate(tmp_path, tmp_path, data)
    engine = tmp_path / "model.engine"
    engine.write_bytes(b"engine")
    with pytest.raises(KinetagError, match=r"needs an NVIDIA card and an onnxruntime with TensorRT.*onnxruntime-gpu"):
        evaluate(tmp_path, Path("none"), data, f"evaluate.trt_engine={engine}")


def test_an_engine_is_wrapped_for_onnxruntime(tmp_path):
    onnx = pytest.importorskip("onnx")
    from kinetag.models.card import ModelCard
    from kinetag.predictor import engine_as_onnx

    card = ModelCard(kind="clips", labels=CLASSES, layout="coco", channels=("x", "y", "confidence"), window=60)
    proto = onnx.load_from_string(engine_as_onnx(b"\x00engine\xff", card))
    onnx.checker.check_model(proto)
    (node,) = proto.graph.node
    values = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    assert (node.op_type, node.domain) == ("EPContext", "com.microsoft")
    assert values["ep_cache_context"] == b"\x00engine\xff"
    assert (values["embed_mode"], values["main_context"]) == (1, 1)
    assert [d.dim_value for d in proto.graph.input[0].type.tensor_type.shape.dim][1:] == [3, 60, 17, 1]


# --- confusion -------------------------------------------------------------------------------------------------------


def test_confusion_as_text():
    text = confusion_text(np.array([[12, 0], [3, 7]]), ("squat", "push up"))
    assert text.splitlines() == ["           0  1", "0 squat   12  ·", "1 push up  3  7"]


@pytest.mark.parametrize("classes", [1, 6, 25, 60, 200])
def test_confusion_as_a_picture(classes):
    matrix = np.eye(classes, dtype=int) * 9
    matrix[0, -1] += 3
    names = tuple(f"klasse_{i}_ü" for i in range(classes))
    image = confusion_picture(matrix, names, "Accuracy 90 %")
    assert image.shape[2] == 3
    assert max(image.shape) < 4000
    dark = (image.sum(axis=2) < 330).sum()
    assert dark > 9 * 9 * classes * 0.5  # the diagonal is filled
    assert png(image).startswith(b"\x89PNG")
