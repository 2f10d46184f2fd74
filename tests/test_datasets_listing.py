"""Which files hold which exercise: class folders and lists."""

import json
import os
from pathlib import Path

import pytest

from kinetag.datasets.listing import Entry, list_entries
from kinetag.errors import KinetagError


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def test_class_folders(tmp_path: Path) -> None:
    touch(tmp_path, "squat/b.MP4", "squat/a.mov", "squat/notes.txt", "squat/.hidden.mp4", "plank/p.json", "readme.md")
    touch(tmp_path, "plank/take/take_000000000000_keypoints.json", "plank/empty/x.txt")
    entries = list_entries(tmp_path)
    assert [(entry.name, entry.label) for entry in entries] == [
        ("plank/p.json", "plank"),
        ("plank/take", "plank"),
        ("squat/a.mov", "squat"),
        ("squat/b.MP4", "squat"),
    ]
    assert entries[2].file == tmp_path / "squat/a.mov"


def test_files_without_classes_have_no_label(tmp_path: Path) -> None:
    touch(tmp_path, "b.mp4", "a.mp4")
    assert [(entry.name, entry.label) for entry in list_entries(tmp_path)] == [("a.mp4", None), ("b.mp4", None)]
    assert list_entries(tmp_path / "a.mp4") == [Entry(tmp_path / "a.mp4", "a.mp4")]


def test_a_folder_of_openpose_files_is_one_recording(tmp_path: Path) -> None:
    touch(tmp_path, "x_000000000000_keypoints.json", "x_000000000001_keypoints.json")
    assert list_entries(tmp_path) == [Entry(tmp_path, tmp_path.name)]


ROWS = [
    {"file": "a.mp4", "label": "squat", "start": 1.5, "end": 9, "person": 2},
    {"file": "sub/b.mp4", "label": "plank"},
]
EXPECTED = [("a.mp4 1.5-9", "squat", 1.5, 9.0, 2), ("sub/b.mp4", "plank", None, None, None)]


def brief(entries: list[Entry]) -> list[tuple]:
    return [(e.name, e.label, e.start, e.end, e.person) for e in entries]


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_a_list_beside_its_files(tmp_path: Path, kind: str) -> None:
    touch(tmp_path, "a.mp4", "sub/b.mp4")
    path = tmp_path / f"list.{kind}"
    if kind == "json":
        path.write_text(json.dumps(ROWS))
    else:
        path.write_text("\ufefffile, label,start,end,person\na.mp4, squat ,1.5,9,2\n\nsub/b.mp4,plank,,,\n")
    assert brief(list_entries(path)) == EXPECTED
    assert list_entries(path)[1].file == tmp_path / "sub" / "b.mp4"


def test_a_list_in_the_folder_is_found(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "sub/b.mp4", "poses.csv")
    (tmp_path / "labels.json").write_text(json.dumps(ROWS))
    assert brief(list_entries(tmp_path)) == EXPECTED
    (tmp_path / "more.csv").write_text("file,label\na.mp4,x\n")
    with pytest.raises(KinetagError, match=r"2 lists in it, labels.json and more.csv; give the one to use"):
        list_entries(tmp_path)


def test_a_list_that_lies_elsewhere(tmp_path: Path) -> None:
    touch(tmp_path, "videos/a.mp4", "videos/sub/b.mp4")
    (tmp_path / "labels.json").write_text(json.dumps(ROWS))
    entries = list_entries(tmp_path / "videos", str(tmp_path / "labels.json"))
    assert brief(entries) == EXPECTED
    assert entries[0].file == tmp_path / "videos" / "a.mp4"


def test_quotes_commas_and_links_in_names(tmp_path: Path) -> None:
    touch(tmp_path, "x/a, b.mp4")
    os.symlink(tmp_path / "x" / "a, b.mp4", tmp_path / "link.mp4")
    (tmp_path / "list.csv").write_text(
        'file,label\r\n"x/a, b.mp4","the ""big""\u2028one"\r\nlink.mp4,small\r\n', "utf-8"
    )
    assert [(e.name, e.label) for e in list_entries(tmp_path / "list.csv")] == [
        ("x/a, b.mp4", 'the "big"\u2028one'),
        ("link.mp4", "small"),
    ]


LISTS = {
    "out of the folder": ("file,label\n../secret.mp4,a\n", "line 2: '../secret.mp4' leads out of"),
    "an absolute path": ("file,label\n/etc/passwd,a\n", "line 2: '/etc/passwd' leads out of"),
    "round about": ("file,label\nsub/../../secret.mp4,a\n", "leads out of"),
    "an address": ("file,label\nhttp://127.0.0.1/x.mp4,a\n", "leads out of"),
    "a camera": ("file,label\n0,a\n", "line 2: no such file"),
    "a zero byte": ("file,label\na\0.mp4,a\n", "file|line 2"),
    "no file": ("file,label\n,a\n", "line 2: 'file' must be a path"),
    "not there": ("file,label\nzzz.mp4,a\n", r"line 2: no such file: .*zzz\.mp4"),
    "no column": ("label,file_name,file\na,b,c\n", "unknown column 'file_name'; the columns are file, label"),
    "cells": ("file,label\na.mp4\n", "line 2: 1 cells, but the header has 2"),
    "start": ("file,start\na.mp4,early\n", "line 2: start is 'early'"),
    "negative": ("file,start\na.mp4,-1\n", "line 2: start is '-1'"),
    "endless": ("file,end\na.mp4,inf\n", "line 2: end is 'inf'"),
    "backwards": ("file,start,end\na.mp4,5,2\n", r"line 2: end \(2 s\) must come after start \(5 s\)"),
    "person": ("file,person\na.mp4,bob\n", "line 2: person is 'bob'"),
    "some labels": ("file,label\na.mp4,x\na.mp4,\n", "'a.mp4' has no label, but others have"),
    "only a header": ("file,label\n", "the list is empty"),
}


@pytest.mark.parametrize("name", LISTS)
def test_every_fault_in_a_list_is_one_clear_line(tmp_path: Path, name: str) -> None:
    folder = touch(tmp_path / "data", "a.mp4", "sub/b.mp4")
    touch(tmp_path, "secret.mp4")
    content, message = LISTS[name]
    (folder / "list.csv").write_text(content)
    with pytest.raises(KinetagError, match=message) as error:
        list_entries(folder / "list.csv")
    assert "\n" not in str(error.value)


JSON = {
    "deep": ('[{"file": ' + "[" * 100_000, "not JSON"),
    "cut short": ('[{"file": "a.mp4"', "not JSON"),
    "numbers": ('[{"file": 5}]', "entry 0: 'file' must be a path"),
    "a list in the list": ('[{"file": "a.mp4"}, ["file"]]', "must be a list of objects"),
    "an odd key": ('[{"file": "a.mp4", "lable": "x"}]', "unknown column 'lable'"),
    "an odd label": ('[{"file": "a.mp4", "label": {"a": 1}}]', "is not a name"),
    "an odd start": ('[{"file": "a.mp4", "start": [1]}]', r"start is '\[1\]'"),
    "an odd person": ('[{"file": "a.mp4", "person": 1.5}]', "person is '1.5'"),
    "a huge number": ('[{"file": "a.mp4", "start": 1' + "0" * 5000 + "}]", "not JSON|start is"),
}


@pytest.mark.parametrize("name", JSON)
def test_every_fault_in_a_json_list_is_one_clear_line(tmp_path: Path, name: str) -> None:
    folder = touch(tmp_path, "a.mp4")
    content, message = JSON[name]
    (folder / "list.json").write_text(content)
    with pytest.raises(KinetagError, match=message) as error:
        list_entries(folder, str(folder / "list.json"))
    assert "\n" not in str(error.value)


def test_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(KinetagError, match="no videos or pose files in it"):
        list_entries(touch(tmp_path, "x.txt", "sub/y.txt"))
    with pytest.raises(KinetagError, match="no such file or folder"):
        list_entries(tmp_path / "none")
    with pytest.raises(KinetagError, match="cannot be read"):
        list_entries(tmp_path, str(tmp_path / "none.csv"))
