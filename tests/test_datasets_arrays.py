"""Clips in numpy arrays: what is read is what was written, and every fault is named."""

import json
import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from made_clips import dataset, model, source, write_arrays, write_labels

from kinetag.datasets import load_clips
from kinetag.datasets.arrays import guess_channels
from kinetag.errors import KinetagError
from kinetag.skeletons import get_layout


def load(path: Path, labels: Path | str = "", **options):
    keywords = {"need_labels": options.pop("need_labels", True), "role": options.pop("role", "train")}
    layout, channels = options.pop("layout", "nvidia"), options.pop("channels", 3)
    return load_clips(source(path, str(labels)), dataset(**options), model(layout, channels), **keywords)


@pytest.mark.parametrize("role", ["train", "val", "test"])
def test_a_folder_with_the_well_known_names(tmp_path: Path, role: str) -> None:
    write_arrays(tmp_path, role="other", seed=9)
    data = write_arrays(tmp_path, role=role)
    clips = load(tmp_path, role=role)
    assert len(clips) == 6
    assert clips.source.endswith(f"{role}_data.npy")
    np.testing.assert_array_equal(np.stack(list(clips.arrays)), data)
    assert clips.labels is not None
    assert clips.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert clips.labels.dtype == np.int64
    assert clips.names[5] == "clip_5"
    assert clips.channels == ("x", "y", "z")
    assert clips.counts() == {"class_0": 2, "class_1": 2, "class_2": 2}
    assert clips.coordinates == "array"
    assert load(tmp_path, role=role, coordinates="body").coordinates == "body"


def test_files_as_given_and_names_from_the_label_map(tmp_path: Path) -> None:
    data = write_arrays(tmp_path)
    (tmp_path / "train_data.npy").rename(tmp_path / "mine.npy")
    (tmp_path / "train_label.pkl").rename(tmp_path / "yours.pickle")
    clips = load(tmp_path / "mine.npy", tmp_path / "yours.pickle", classes=3, names=("a", "b", "c"))
    assert clips.class_names == ("a", "b", "c")
    np.testing.assert_array_equal(clips.arrays[3], data[3])


def test_the_class_names_of_a_checkpoint_win(tmp_path: Path) -> None:
    write_arrays(tmp_path)
    clips = load_clips(source(tmp_path), dataset(9), model(), role="train", class_names=("x", "y", "z"))
    assert clips.class_names == ("x", "y", "z")


def test_without_labels(tmp_path: Path) -> None:
    write_arrays(tmp_path, role="test")
    (tmp_path / "test_label.pkl").unlink()
    clips = load(tmp_path, role="test", need_labels=False)
    assert clips.labels is None
    assert list(clips.names) == ["0", "1", "2", "3", "4", "5"]
    with pytest.raises(KinetagError, match="no labels; give label_path"):
        load(tmp_path, role="test")


def test_padding_is_not_counted(tmp_path: Path) -> None:
    data = write_arrays(tmp_path)
    data[2, :, 13:] = 0
    data[4] = 0
    np.save(tmp_path / "train_data.npy", data)
    clips = load(tmp_path)
    assert clips.lengths is not None
    assert clips.lengths.tolist() == [20, 20, 13, 20, 1, 20]


@pytest.mark.parametrize("kind", ["float16", "float64", ">f4", "int16", "uint8"])
def test_other_numbers_are_given_as_float32(tmp_path: Path, kind: str) -> None:
    data = (10 * write_arrays(tmp_path)).clip(0, 200).astype(kind)
    np.save(tmp_path / "train_data.npy", np.asfortranarray(data))
    clips = load(tmp_path)
    assert clips.arrays[1].dtype == np.float32
    np.testing.assert_array_equal(clips.arrays[1], data[1].astype(np.float32))


def test_the_array_stays_on_the_disk_also_for_other_processes(tmp_path: Path) -> None:
    write_arrays(tmp_path, (6, 3, 300, 34, 1))
    clips = load(tmp_path)
    sent = pickle.dumps(clips)
    assert len(sent) < 5000
    np.testing.assert_array_equal(pickle.loads(sent).arrays[2], clips.arrays[2])


@pytest.mark.parametrize(
    ("layout", "values", "expected"),
    [
        ("openpose", (-0.5, 0.5, 0.9), ("x", "y", "confidence")),
        ("coco", (0, 0.5, 1.0), ("x", "y", "confidence")),
        ("coco", (0, 0.5, 1.7), ("x", "y", "z")),
        ("ntu-rgb+d", (0, 0.5, 0.9), ("x", "y", "z")),
    ],
)
def test_the_third_channel_is_z_or_confidence(tmp_path: Path, layout: str, values, expected) -> None:
    joints = len(get_layout(layout))
    np.save(tmp_path / "train_data.npy", np.ones((2, 1, 4, joints, 1)) * np.reshape(values, (1, 3, 1, 1, 1)))
    write_labels(tmp_path / "train_label.pkl", ["a", "b"], [0, 1])
    assert load(tmp_path, layout=layout).channels == expected


def test_channels_by_number() -> None:
    assert guess_channels(2, "nvidia", False) == ("x", "y")
    assert guess_channels(4, "coco", True) == ("x", "y", "z", "confidence")
    assert len(set(guess_channels(7, "coco", True))) == 7


def test_a_file_beside_it_says_what_the_array_cannot(tmp_path: Path) -> None:
    write_arrays(tmp_path)
    about = {"format": "kinetag-clips", "layout": "nvidia", "channels": ["x", "y", "confidence"], "rate": 12.0}
    about |= {"coordinates": "body", "groups": list("aabbcc"), "class_names": ["run", "walk", "jump"]}
    (tmp_path / "train_data.json").write_text(json.dumps(about))
    clips = load(tmp_path)
    assert (clips.channels, clips.rate, clips.coordinates) == (("x", "y", "confidence"), 12.0, "body")
    assert clips.groups == tuple("aabbcc")
    assert clips.class_names == ("run", "walk", "jump")
    assert load(tmp_path, classes=3, names=("a", "b", "c")).class_names == ("a", "b", "c")
    for odd in ("[1]", '{"rate": 5}', "{", "[" * 100_000):
        (tmp_path / "train_data.json").write_text(odd)  # another program's: no concern of ours
        assert load(tmp_path).rate is None


def test_another_layout_by_the_names_of_its_joints(tmp_path: Path) -> None:
    data = write_arrays(tmp_path, (4, 3, 10, 17, 2))
    data[:, 2] = np.random.default_rng(1).uniform(0.1, 1, data[:, 2].shape)
    coco, openpose = get_layout("coco"), get_layout("openpose")
    data[1, :, 3, coco.index("left_shoulder"), 1] = 0  # unseen
    np.save(tmp_path / "train_data.npy", data)
    clips = load(tmp_path, layout="openpose", source_layout="coco")
    assert clips.layout == "openpose"
    clip = clips.arrays[1]
    assert clip.shape == (3, 10, 18, 2)
    for joint in set(coco.joints) & set(openpose.joints):
        np.testing.assert_array_equal(clip[:, :, openpose.index(joint)], data[1, :, :, coco.index(joint)])
    neck, shoulders = openpose.index("neck"), coco.indices(("left_shoulder", "right_shoulder"))
    np.testing.assert_allclose(clip[:2, 0, neck, 0], data[1, :2, 0, shoulders, 0].mean(axis=0), rtol=1e-6)
    assert not clip[:, 3, neck, 1].any(), "a neck between a shoulder and nothing is nothing"
    assert clip[2, 3, neck, 0] > 0
    there = load(tmp_path, layout="blazepose", source_layout="coco").arrays[0]
    assert not there[:, :, get_layout("blazepose").index("left_heel")].any()


def hurt(position, value):
    def change(folder: Path) -> None:
        data = np.load(folder / "train_data.npy")
        data[position] = value
        np.save(folder / "train_data.npy", data)

    return change


def saved(array):
    return lambda folder: np.save(folder / "train_data.npy", array)


def labelled(names, labels):
    return lambda folder: write_labels(folder / "train_label.pkl", names, labels)


def written(name: str, content: bytes):
    return lambda folder: (folder / name).write_bytes(content)


def renamed_npz(folder: Path) -> None:
    np.savez(folder / "x.npz", a=np.zeros(3))
    (folder / "x.npz").rename(folder / "train_data.npy")


def claims_too_much(folder: Path) -> None:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999, 3, 300, 34, 1), }"
    header += b" " * (118 - len(header) - 1) + b"\n"
    (folder / "train_data.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)


def claims_more_than_a_number(folder: Path) -> None:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (" + b"9" * 60 + b", 1), }"
    header += b" " * (118 - len(header) - 1) + b"\n"
    (folder / "train_data.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)


NAMES = [f"clip_{i}" for i in range(6)]
GOOD = np.zeros((6, 3, 20, 34, 1), np.float32)
FAULTS = {
    "no array": (lambda f: (f / "train_data.npy").unlink(), r"no such file.*train_data\.npy"),
    "no labels": (lambda f: (f / "train_label.pkl").unlink(), "no labels; give label_path"),
    "other joints": (saved(GOOD[:, :, :, :17]), r"17 joints a person, but layout 'nvidia' has 34.*coco"),
    "unheard-of joints": (saved(GOOD[:, :, :, :3]), r"3 joints a person.*no known layout has that many"),
    "channels": (saved(GOOD[:, :2]), r"2 channels \(x, y\), but model.input_channels is 3; set it to 2"),
    "four dimensions": (saved(GOOD[..., 0]), r"4 dimensions.*must have 5.*data\[\.\.\., None\]"),
    "no dimensions": (saved(np.float32(1)), r"0 dimensions"),
    "no samples": (saved(GOOD[:0]), r"empty"),
    "no frames": (saved(GOOD[:, :, :0]), r"empty"),
    "objects": (saved(np.array([[{}]], object)), r"holds Python objects"),
    "text": (saved(GOOD.astype("U1")), r"holds <U1, but must hold float32"),
    "complex": (saved(GOOD.astype(complex)), r"holds complex128"),
    "NaN": (hurt((3, 1, 7, 5, 0), np.nan), r"sample 3 \('clip_3'\) holds nan at channel 1, frame 7, joint 5, person 0"),
    "infinity": (hurt((5, 0, 0, 0, 0), -np.inf), r"sample 5 \('clip_5'\) holds -inf"),
    "an archive": (renamed_npz, r"an \.npz archive"),
    "not an array": (written("train_data.npy", b"hello"), r"not a \.npy array"),
    "nothing in it": (written("train_data.npy", b""), r"not a \.npy array"),
    "a pickle as array": (written("train_data.npy", pickle.dumps([1])), r"not a \.npy array|Python objects"),
    "larger than the file": (claims_too_much, r"not a \.npy array"),
    "larger than any number": (claims_more_than_a_number, r"not a \.npy array"),
    "label too large": (labelled(NAMES, [0, 1, 2, 0, 3, 1]), r"label 3 of sample 4 \('clip_4'\) is outside \[0, 3\)"),
    "label negative": (labelled(NAMES, [0, -1, 2, 0, 3, 1]), r"label -1 of sample 1"),
    "label fractional": (labelled(NAMES, [0, 0.5, 2, 0, 1, 1]), r"labels must be whole numbers"),
    "label as text": (labelled(NAMES, list("abcabc")), r"labels must be whole numbers"),
    "labels in a table": (labelled(NAMES, [[0]] * 6), r"labels have shape \(6, 1\)"),
    "ragged labels": (labelled(NAMES, [[0], [0, 1], 0, 0, 0, 0]), r"labels must be"),
    "fewer labels": (labelled(NAMES[:5], [0] * 5), r"5 labels, but .* has 6 samples"),
    "fewer names": (labelled(NAMES[:5], [0] * 6), r"5 sample names but 6 labels"),
    "labels alone": (lambda f: (f / "train_label.pkl").write_bytes(pickle.dumps([0] * 6)), r"the pair .*6 of them"),
    "labels in a dict": (lambda f: (f / "train_label.pkl").write_bytes(pickle.dumps({"a": 1})), r"the pair .*a dict"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_one_clear_line(tmp_path: Path, name: str) -> None:
    write_arrays(tmp_path)
    make, message = FAULTS[name]
    make(tmp_path)
    with pytest.raises(KinetagError, match=message) as error:
        load(tmp_path)
    assert "\n" not in str(error.value)
    assert str(tmp_path) in str(error.value)


def test_a_path_that_says_too_little(tmp_path: Path) -> None:
    with pytest.raises(KinetagError, match="data_path is empty"):
        load_clips(SimpleNamespace(data_path="", label_path=""), dataset(), model())
    with pytest.raises(KinetagError, match=r"kinetag\.storage\.local_copy fetches it"):
        load_clips(SimpleNamespace(data_path="s3://bucket/data/train", label_path=""), dataset(), model())
    write_arrays(tmp_path, role="train")
    write_arrays(tmp_path, role="val")
    with pytest.raises(KinetagError, match=r"which array in this folder.*name the file"):
        load(tmp_path, role="")
    with pytest.raises(KinetagError, match=r"no such file: .*test_data\.npy"):
        load(tmp_path, role="test")


def test_label_map_and_number_of_classes_must_agree(tmp_path: Path) -> None:
    write_arrays(tmp_path)
    with pytest.raises(KinetagError, match=r"label_map has 2 classes.*num_classes is 3"):
        load(tmp_path, classes=3, names=("a", "b"))
