"""Progress that programs look at."""

import json

from kinetag import progress
from kinetag.progress import into_file


def test_a_file_holds_what_was_told_and_is_written_seldom(tmp_path, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    path = tmp_path / "progress.json"
    update = into_file(path)
    update("Epoch 1", 1, 4)
    assert json.loads(path.read_text()) == {"stage": "Epoch 1", "done": 1.0, "total": 4.0}
    update("Epoch 1", 2, 4)
    assert json.loads(path.read_text())["done"] == 1.0
    clock[0] += 1
    update("Reading", 3)
    assert json.loads(path.read_text()) == {"stage": "Reading", "done": 3.0, "total": None}
    assert [one.name for one in tmp_path.iterdir()] == ["progress.json"]


def test_a_place_that_cannot_be_written_does_not_stop_the_work(tmp_path):
    into_file(tmp_path / "nowhere" / "progress.json")("Epoch 1", 1, 4)
    assert not (tmp_path / "nowhere").exists()
