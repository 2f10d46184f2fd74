import json
from pathlib import Path

import numpy as np
import pytest
from made_models import CLASSES, RATE, made_clips, trained, write_arrays

from kinetag.errors import KinetagError
from kinetag.spec import load_spec

pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
pytestmark = pytest.mark.filterwarnings("ignore")


def export(folder: Path, checkpoint: Path, *overrides: str):
    from kinetag.actions.export import export as run

    given = [f"results_dir={folder}", f"export.checkpoint={checkpoint}", f"export.onnx_file={folder / 'model.onnx'}"]
    return run(load_spec(None, [*given, *overrides], action="export"))


def answers(path: Path, clips: np.ndarray) -> np.ndarray:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert [value.name for value in session.get_inputs()] == ["input"]
    assert [value.name for value in session.get_outputs()] == ["fc_pred"]
    return session.run(None, {"input": clips})[0]


def torch_answers(checkpoint: Path, clips: np.ndarray) -> np.ndarray:
    import torch

    from kinetag.checkpoint import build_from_checkpoint

    with torch.inference_mode():
        return build_from_checkpoint(checkpoint)[0](torch.from_numpy(clips)).numpy()


def metadata(path: Path) -> dict:
    return json.loads({p.key: p.value for p in onnx.load(str(path)).metadata_props}["kinetag"])


FLAT, SPATIAL = ("x", "y", "confidence"), ("x", "y", "z")


@pytest.mark.parametrize(
    ("model_type", "layout", "channels", "people"),
    [
        ("ST-GCN", "coco", ("x", "y"), 1),
        ("ST-GCN++", "kinetag", FLAT, 1),
        ("Fold-GCN", "ntu-rgb+d", SPATIAL, 2),
        pytest.param("ST-GCN", "ntu-rgb+d", SPATIAL, 2, marks=pytest.mark.slow),
        pytest.param("ST-GCN++", "nvidia", SPATIAL, 1, marks=pytest.mark.slow),
        pytest.param("ST-GCN++", "ntu_edge", (*SPATIAL, "confidence"), 2, marks=pytest.mark.slow),
        pytest.param("Fold-GCN", "blazepose", FLAT, 1, marks=pytest.mark.slow),
    ],
)
def test_an_exported_network_answers_as_pytorch_does(tmp_path, model_type, layout, channels, people):
    about = {"model_type": model_type, "layout": layout, "channels": channels}
    checkpoint = trained(tmp_path / "model.safetensors", steps=0, people=people, **about)
    result = export(tmp_path, checkpoint)
    for count, frames in ((1, 60), (4, 37)):  # batch and time are open
        clips, _ = made_clips(count, layout=layout, channels=len(channels), frames=frames, people=people, seed=3)
        want = torch_answers(checkpoint, clips)
        np.testing.assert_allclose(answers(result.onnx_file, clips), want, rtol=1e-4, atol=1e-4 * abs(want).max())
    assert result.any_length
    assert metadata(result.onnx_file)["layout"] == layout


def test_the_metadata_say_how_to_use_it(tmp_path, small_model):
    result = export(tmp_path, small_model, "dataset.rate=20")
    about = metadata(result.onnx_file)
    assert about["labels"] == list(CLASSES)
    assert about["channels"] == ["x", "y", "confidence"]
    assert (about["window"], about["rate"], about["coordinates"]) == (60, RATE, "body")  # the checkpoint's rate wins
    assert about["kind"] == "clips"
    assert result.fit_for_analyze == "yes"
    assert "SUCCESS" in (tmp_path / "export/status.json").read_text()


@pytest.mark.parametrize(
    ("classes", "given", "told"),
    [
        (("squat", "lunge"), (), "gives everybody one of the 2 classes"),
        (("squat", "other"), (), ""),
        (("squat", "lunge"), ("dataset.coordinates=array",), ""),
    ],
    ids=["without other", "with other", "not for analyze"],
)
def test_a_model_for_analyze_without_other_is_told(tmp_path, classes, given, told):
    about = {"coordinates": "array"} if given else {}
    checkpoint = trained(tmp_path / "model.safetensors", steps=0, classes=classes, **about)
    warnings = export(tmp_path, checkpoint).warnings
    assert len(warnings) == bool(told)
    if told:
        assert warnings[0].startswith("no class is named 'other'")
        assert told in warnings[0]
        assert warnings[0] in (tmp_path / "export/status.json").read_text()


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_smaller_numbers_keep_the_classes(tmp_path, small_model, precision):
    data = write_arrays(tmp_path / "data", *made_clips(30, seed=5))
    plain = export(tmp_path, small_model)
    small = export(
        tmp_path,
        small_model,
        f"export.precision={precision}",
        f"export.onnx_file={tmp_path / 'small.onnx'}",
        f"export.calibration_dataset.data_path={data}",
    )
    assert small.megabytes < {"fp16": 0.6, "int8": 0.5}[precision] * plain.megabytes
    assert small.accuracy_before >= 0.9
    assert small.accuracy >= small.accuracy_before - 0.07
    assert small.same_class >= 0.9
    clips, labels = made_clips(12, seed=9)
    assert (answers(small.onnx_file, clips).argmax(1) == labels).mean() >= 0.9
    kinds = {tensor.data_type for tensor in onnx.load(str(small.onnx_file)).graph.initializer if len(tensor.dims) > 1}
    wanted = {"fp16": onnx.TensorProto.FLOAT16, "int8": onnx.TensorProto.INT8}[precision]
    assert wanted in kinds


def test_int8_without_clips_says_what_to_set(tmp_path, small_model):
    with pytest.raises(KinetagError, match=r"set export\.calibration_dataset\.data_path"):
        export(tmp_path, small_model, "export.precision=int8")
    assert not (tmp_path / "model.onnx").exists()
    assert '"FAILURE"' in (tmp_path / "export/status.json").read_text()


def test_a_file_that_is_there_is_kept_without_force(tmp_path, small_model):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"mine")
    with pytest.raises(KinetagError, match=r"model\.onnx exists: set export\.force=true"):
        export(tmp_path, small_model)
    assert path.read_bytes() == b"mine"
    export(tmp_path, small_model, "export.force=true")
    assert path.stat().st_size > 1000
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".draft"] == []


def test_without_a_name_the_file_lies_beside_the_checkpoint(tmp_path):
    from kinetag.actions.export import export as run

    checkpoint = trained(tmp_path / "best.pth", steps=0)
    given = [f"results_dir={tmp_path}", f"export.checkpoint={checkpoint}"]
    assert run(load_spec(None, given, action="export")).onnx_file == tmp_path / "best.onnx"


@pytest.mark.slow
@pytest.mark.parametrize("opset", [13, 18, 20])
def test_opsets(tmp_path, small_model, opset):
    result = export(tmp_path, small_model, f"export.opset={opset}")
    assert onnx.load(str(result.onnx_file)).opset_import[0].version == opset


def test_encrypted_files_open_with_their_key_alone(tmp_path, small_model, monkeypatch):
    from kinetag.classifier import Classifier

    checkpoint = trained(tmp_path / "secret.safetensors", steps=0, secret="open sesame")
    result = export(tmp_path, checkpoint, "encryption_key=open sesame")
    assert result.encrypted
    data = result.onnx_file.read_bytes()
    assert b"fc_pred" not in data
    monkeypatch.delenv("KINETAG_ENCRYPTION_KEY", raising=False)
    with pytest.raises(KinetagError, match="is encrypted: set encryption_key"):
        Classifier.load(result.onnx_file)
    monkeypatch.setenv("KINETAG_ENCRYPTION_KEY", "sesame street")
    with pytest.raises(KinetagError, match="wrong encryption key"):
        Classifier.load(result.onnx_file)
    monkeypatch.setenv("KINETAG_ENCRYPTION_KEY", "open sesame")
    assert Classifier.load(result.onnx_file).labels == CLASSES
    assert "sesame" not in (tmp_path / "export/status.json").read_text()


def test_a_network_that_answers_differently_is_not_written(tmp_path, small_model, monkeypatch):
    from kinetag.models import onnx_export

    def broken(proto):
        for tensor in proto.graph.initializer:
            if len(tensor.dims) == 2:
                values = onnx.numpy_helper.to_array(tensor) * 1.5
                tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
        return proto

    monkeypatch.setattr(onnx_export, "to_fp16", broken)
    with pytest.raises(KinetagError, match=r"differ from PyTorch's .* nothing was written"):
        export(tmp_path, small_model, "export.precision=fp16")
    assert not (tmp_path / "model.onnx").exists()


def test_an_unreadable_data_set_of_the_spec_does_not_stop_an_export(tmp_path, small_model):
    result = export(tmp_path, small_model, f"dataset.val_dataset.data_path={tmp_path / 'gone.npy'}")
    assert result.accuracy is None
    with pytest.raises(KinetagError, match=r"gone\.npy"):
        export(
            tmp_path, small_model, "export.force=true", f"export.calibration_dataset.data_path={tmp_path / 'gone.npy'}"
        )


def test_the_page_about_exported_models_runs(tmp_path, small_model, monkeypatch, capsys):
    """docs/export.md: with onnxruntime alone."""
    page = (Path(__file__).parents[1] / "docs" / "export.md").read_text()
    code = page.split("```python\n")[1].split("```")[0]
    export(tmp_path, small_model, f"export.onnx_file={tmp_path / 'mine.onnx'}")
    clips, labels = made_clips(6, seed=4)
    np.save(tmp_path / "clips.npy", clips)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "docs/export.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6
    assert sum(line.split()[0] == CLASSES[label] for line, label in zip(lines, labels, strict=True)) >= 5
    for key in metadata(tmp_path / "mine.onnx"):
        if key not in ("temperature", "other_bias", "data", "licence", "training"):
            assert f"`{key}`" in page
