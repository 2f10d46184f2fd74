"""Annotation pickles of PYSKL and MMAction2."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from made_clips import annotation, dataset, model, source

from kinetag.datasets import load_clips
from kinetag.errors import KinetagError
from kinetag.skeletons import get_layout


def load(path: Path, data: object, split: str = "", **options):
    path = path / "clips.pkl"
    path.write_bytes(pickle.dumps(data))
    role, labels = options.pop("role", ""), options.pop("need_labels", True)
    wanted = model(options.pop("layout", "coco"), options.pop("channels", 3))
    return load_clips(source(path, split), dataset(**options), wanted, role=role, need_labels=labels)


def test_a_list_of_annotations_in_frame_coordinates(tmp_path: Path) -> None:
    notes = [annotation("a", 2), annotation("bb", 0, frames=30)]
    clips = load(tmp_path, notes, coordinates="frame")
    assert list(clips.names) == ["a", "bb"]
    assert clips.labels is not None
    assert clips.lengths is not None
    assert clips.labels.tolist() == [2, 0]
    assert clips.lengths.tolist() == [12, 30]
    assert clips.channels == ("x", "y", "confidence")
    points = notes[1]["keypoint"].astype(np.float32)[0]  # (T, V, 2)
    clip = clips.arrays[1]
    assert clip.shape == (3, 30, 17, 1)
    np.testing.assert_allclose(clip[0, :, :, 0], points[..., 0] / 320 - 0.5, rtol=1e-6)
    np.testing.assert_allclose(clip[1, :, :, 0], points[..., 1] / 240 - 0.5, rtol=1e-6)
    np.testing.assert_allclose(clip[2, :, :, 0], notes[1]["keypoint_score"][0], rtol=1e-6)


def test_body_coordinates_do_not_depend_on_place_and_size(tmp_path: Path) -> None:
    note = annotation("a")
    note["keypoint"] = note["keypoint"].astype(np.float32)
    moved = {**note, "keypoint": note["keypoint"] * 3 + 50, "frame_dir": "b"}
    clips = load(tmp_path, [note, moved])
    assert clips.coordinates == "body"
    np.testing.assert_allclose(clips.arrays[0], clips.arrays[1], atol=1e-4)


def test_the_people_that_are_seen_most(tmp_path: Path) -> None:
    note = annotation("a", people=4)
    note["keypoint_score"][:] = np.array([0.2, 0.9, 0.1, 0.5])[:, None, None]
    clips = load(tmp_path, [note, annotation("b")], coordinates="pixels")
    assert clips.arrays[0].shape == (3, 12, 17, 2)
    np.testing.assert_allclose(clips.arrays[0][0, :, :, 0], note["keypoint"][1, :, :, 0].astype(np.float32))
    np.testing.assert_allclose(clips.arrays[0][0, :, :, 1], note["keypoint"][3, :, :, 0].astype(np.float32))
    assert clips.arrays[1].shape == (3, 12, 17, 2)
    assert not clips.arrays[1][..., 1].any()


def test_three_dimensions_of_ntu(tmp_path: Path) -> None:
    note = annotation("a", joints=25, axes=3, people=2)
    clips = load(tmp_path, [note], layout="ntu-rgb+d", coordinates="metres")
    assert clips.channels == ("x", "y", "z")
    np.testing.assert_allclose(clips.arrays[0], note["keypoint"].astype(np.float32).transpose(3, 1, 2, 0))


def test_another_layout_is_seen_by_the_number_of_joints(tmp_path: Path) -> None:
    note = annotation("a")
    clips = load(tmp_path, [note], layout="openpose", coordinates="pixels")
    assert clips.layout == "openpose"
    nose = clips.arrays[0][:2, :, get_layout("openpose").index("nose"), 0]
    np.testing.assert_allclose(nose, note["keypoint"][0, :, 0].astype(np.float32).T)


def test_a_joint_of_score_0_is_zero(tmp_path: Path) -> None:
    note = annotation("a")
    note["keypoint_score"][0, 3, 5] = 0
    clip = load(tmp_path, [note]).arrays[0]
    assert not clip[:, 3, 5].any()
    assert clip[:, 3, 6].any()


SPLITS = {"xsub_train": ["a"], "xsub_val": ["b"]}
BOTH = {"split": SPLITS, "annotations": [annotation("a", 0), annotation("b", 1), annotation("c", 2)]}


@pytest.mark.parametrize(
    ("role", "split", "expected"),
    [
        ("train", "", ["a"]),
        ("val", "", ["b"]),
        ("test", "", ["b"]),
        ("", "", ["a", "b", "c"]),
        ("train", "xsub_val", ["b"]),
    ],
)
def test_a_split_by_role_or_name(tmp_path: Path, role: str, split: str, expected: list[str]) -> None:
    assert list(load(tmp_path, BOTH, split, role=role).names) == expected


def test_labels_may_be_missing_where_none_are_needed(tmp_path: Path) -> None:
    assert load(tmp_path, [annotation("a", None)], need_labels=False).labels is None
    with pytest.raises(KinetagError, match=r"annotation 1 \('b'\) has no label"):
        load(tmp_path, [annotation("a"), annotation("b", None)])


def changed(**fields):
    return [annotation("a"), {**annotation("b"), **fields}]


XVIEW = {"split": {**SPLITS, "xview_train": ["a"]}, "annotations": [annotation("a")]}
FAULTS = {
    "nothing": ([], "must be a list of annotations"),
    "a table": ({"a": 1}, "must be a list of annotations"),
    "a number in the list": ([annotation("a"), 3], "annotation 1 is a int"),
    "no keypoints": (changed(keypoint=None), r"annotation 1 \('b'\): 'keypoint' has no array but a NoneType"),
    "keypoints left out": ([{"frame_dir": "a", "raw_file": "x.pkl"}], "no 'keypoint'; poses left out"),
    "wrong rank": (changed(keypoint=np.zeros((12, 17, 2))), r"'keypoint' has shape \(12, 17, 2\)"),
    "wrong axes": (changed(keypoint=np.zeros((1, 12, 17, 4))), r"\(1, 12, 17, 4\), but must be"),
    "nobody": (changed(keypoint=np.zeros((0, 12, 17, 2))), r"\(0, 12, 17, 2\), but must be"),
    "other joints": (changed(keypoint=np.zeros((1, 12, 18, 2))), r"\(18, 2\) joints and coordinates"),
    "NaN": (changed(keypoint=np.full((1, 12, 17, 2), np.nan)), r"annotation 1 \('b'\): 'keypoint' holds NaN"),
    "score of another shape": (
        changed(keypoint_score=np.zeros((1, 5, 17))),
        r"'keypoint_score' must be numbers of shape \(1, 12, 17\)",
    ),
    "other length": (changed(total_frames=99), "total_frames is 99, but 'keypoint' has 12"),
    "label out of range": (changed(label=7), r"label 7 of sample 1 \('b'\)"),
    "label as text": (changed(label="squat"), "labels must be whole numbers"),
    "unknown joints": ([annotation("a", joints=7)], "7 joints a person, which no known layout has"),
    "empty split": ({"split": {"train": ["x"]}, "annotations": [annotation("a")]}, "names no annotation"),
    "which split": (XVIEW, r"which split is for train\? it has xsub_train, xsub_val, xview_train"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_one_clear_line(tmp_path: Path, name: str) -> None:
    data, message = FAULTS[name]
    with pytest.raises(KinetagError, match=message) as error:
        load(tmp_path, data, role="train")
    assert "\n" not in str(error.value)
    assert str(tmp_path) in str(error.value)


def test_a_split_that_is_not_there_and_layouts_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(KinetagError, match="no split 'xset_train'; it has xsub_train, xsub_val"):
        load(tmp_path, BOTH, "xset_train")
    with pytest.raises(KinetagError, match="17 joints a person, but layout 'nvidia' has 34"):
        load(tmp_path, BOTH, source_layout="nvidia")
    with pytest.raises(KinetagError, match="input_channels is 4"):
        load(tmp_path, BOTH, channels=4)
    small = {**annotation("a"), "img_shape": None}
    with pytest.raises(KinetagError, match=r"need the frame's size.*use 'body'"):
        _ = load(tmp_path, [small], coordinates="frame").arrays[0]
