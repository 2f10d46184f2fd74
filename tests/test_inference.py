import csv
import json
from pathlib import Path

import numpy as np
import pytest
from made_models import CLASSES, made_clips, write_arrays

from kinetag.spec import load_spec

pytest.importorskip("torch")


def inference(folder: Path, checkpoint: Path, *overrides: str):
    from kinetag.actions.inference import inference as run

    given = [f"results_dir={folder}", f"inference.checkpoint={checkpoint}"]
    return run(load_spec(None, [*given, *overrides], action="inference"))


@pytest.fixture
def data(tmp_path) -> str:
    write_arrays(tmp_path / "data", *made_clips(11, seed=8), role="test")
    return f"inference.test_dataset.data_path={tmp_path / 'data'}"


def test_the_text_file_has_one_class_name_a_line(tmp_path, small_model, data):
    path = tmp_path / "out" / "answers.txt"
    found = inference(tmp_path, small_model, data, f"inference.output_file={path}")
    lines = path.read_text().split("\n")
    assert lines[-1] == ""
    assert tuple(lines[:-1]) == found.classes
    assert len(found.classes) == 11
    truth = [CLASSES[i] for i in made_clips(11, seed=8)[1]]
    assert np.mean([a == b for a, b in zip(found.classes, truth, strict=True)]) >= 0.8
    assert sum(found.predicted.values()) == 11


def test_labels_are_not_needed(tmp_path, small_model):
    clips, _ = made_clips(4, seed=8)
    np.save(tmp_path / "clips.npy", clips)
    found = inference(tmp_path, small_model, f"inference.test_dataset.data_path={tmp_path / 'clips.npy'}")
    assert found.output_file == tmp_path / "inference" / "predictions.txt"
    assert len(found.output_file.read_text().splitlines()) == 4


def test_json_has_scores(tmp_path, small_model, data):
    found = inference(tmp_path, small_model, data, "inference.output_format=json", "inference.top_k=2")
    record = json.loads(found.output_file.read_text())
    assert record["classes"] == list(CLASSES)
    first = record["clips"][0]
    assert first["clip"] == "clip_0"
    assert next(item["class"] for item in first["top"]) == first["class"] == found.classes[0]
    assert len(first["top"]) == 2
    assert first["score"] == pytest.approx(found.probabilities[0].max(), abs=1e-6)


def test_csv_has_person_and_interval_where_they_are_known(tmp_path, small_model):
    from kinetag.pose.files import write_poses
    from kinetag.sequence import PoseSequence

    clips, _ = made_clips(1, frames=150)
    points = 300 + 60 * np.moveaxis(clips[0, :2, ..., 0], 0, -1)  # (T, V, 2) pixels
    sequence = PoseSequence(np.arange(150) / 15, points, np.ones((150, 17)), "coco", (640, 480), person=3)
    write_poses([sequence], tmp_path / "poses.json")
    found = inference(
        tmp_path,
        small_model,
        f"inference.test_dataset.data_path={tmp_path / 'poses.json'}",
        "inference.output_format=csv",
    )
    rows = list(csv.DictReader(found.output_file.open()))
    assert [row["person"] for row in rows] == ["3"] * len(rows)
    assert float(rows[0]["start"]) == pytest.approx(0, abs=0.01)
    assert float(rows[0]["end"]) == pytest.approx(59 / 15, abs=0.01)  # as long as the clips of training
    assert rows[0]["class"] == found.classes[0]
    assert float(rows[0]["score"]) >= float(rows[0]["score_2"]) >= float(rows[0]["score_3"])


def test_many_devices_give_the_same_answers_in_order(tmp_path, small_model, data):
    one = inference(tmp_path, small_model, data)
    many = inference(tmp_path, small_model, data, "inference.num_gpus=3", "inference.batch_size=2")
    assert many.classes == one.classes
    np.testing.assert_allclose(many.probabilities, one.probabilities, atol=1e-5)
