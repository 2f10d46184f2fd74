"""What docs/datasets.md shows is read as it says."""

import json
import re
from pathlib import Path

from made_clips import dataset, model, source

from kinetag.datasets import FORMATS, load_clips
from kinetag.datasets.deepstream import read_tracks
from kinetag.datasets.listing import read_list
from kinetag.skeletons import get_layout

PAGE = (Path(__file__).parent.parent / "docs" / "datasets.md").read_text("utf-8")


def block(language: str, number: int = 0) -> str:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)[number]


def test_the_list(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(block("csv"))
    for name in ("monday.mp4", "plank.mp4"):
        (tmp_path / name).touch()
    entries = read_list(tmp_path / "list.csv", tmp_path)
    assert [entry.label for entry in entries] == ["squat", "lunge", "squat", "plank"]
    assert (entries[2].person, entries[3].start) == (2, None)


def test_the_arrays(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(block("python"), {})
    clips = load_clips(source(tmp_path), dataset(2), model("coco"), role="train")
    assert list(clips.names) == ["first", "second"]


def test_deepstream_s_json() -> None:
    tracks = read_tracks(json.loads(block("json")), "pose25d", 1, "page")
    assert tracks[0].poses.shape == (1, 1, 4)


def test_every_format_and_the_layouts_are_told() -> None:
    assert all(f"`{name}`" in PAGE for name in FORMATS if name != "auto")
    for name, joints in re.findall(r"^\| `([^`]+)` \| (\d+) \|", PAGE, re.MULTILINE):
        assert len(get_layout(name)) == int(joints)
