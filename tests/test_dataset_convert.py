"""dataset_convert: the reference's arrays bit for bit, and what we add."""

import json
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_clips import bodypose, dataset, labelled_folder, model, source, write_json

from kinetag.actions.dataset_convert import DatasetConvert, dataset_convert
from kinetag.datasets import load_clips
from kinetag.errors import KinetagError
from kinetag.spec import load_spec


def convert(folder: Path, data: Any, **options: Any) -> DatasetConvert:
    path = data if isinstance(data, Path) else write_json(folder / "poses.json", data)
    settings = {"data": str(path), "results_dir": str(folder / "out")} | options
    overrides = [f"{key if '.' in key else f'dataset_convert.{key}'}={value}" for key, value in settings.items()]
    return dataset_convert(load_spec(None, overrides, action="dataset_convert"))


def reference(data: list[dict[str, Any]], pose_type: str = "3dbp", **options: float) -> dict[int, np.ndarray]:
    """The arrays by the description of the format, number by number, in plain Python."""
    width, height, focal = options.get("input_width", 1920), options.get("input_height", 1080), 1200.0
    focal = options.get("focal_length", focal)
    longest, shortest = int(options.get("sequence_length_max", 300)), int(options.get("sequence_length_min", 10))
    length, overlap = int(options.get("sequence_length", 100)), options.get("sequence_overlap", 0.5)
    channels = 2 if pose_type == "2dbp" else 3
    people: dict[int, list] = {}
    for batch in data:
        for frame in batch["batches"]:
            for thing in frame["objects"]:
                flat = thing["pose3d" if pose_type == "3dbp" else "pose25d"]
                joints = []
                for j in range(len(flat) // 4):
                    x, y, z, confidence = flat[4 * j : 4 * j + 4]
                    if pose_type == "3dbp":
                        point = [(x - flat[0]) / focal, (y - flat[1]) / focal, (z - flat[2]) / focal]
                    else:
                        point = [x / width - 0.5, y / height - 0.5, z]
                    joints.append([0.0] * 3 if confidence == 0 else point)
                people.setdefault(thing["object_id"], []).append(joints)
    arrays = {}
    for identity, frames in people.items():
        windows = []
        start = 0
        while len(frames) - start >= shortest:
            window = np.zeros((channels, longest, len(frames[0]), 1), np.float32)
            for t, joints in enumerate(frames[start : start + length]):
                for v, point in enumerate(joints):
                    for c in range(channels):
                        window[c, t, v, 0] = point[c]
            windows.append(window)
            start += int(length * overlap)
        if windows:
            arrays[identity] = np.stack(windows)
    return arrays


def written(folder: Path) -> dict[int, np.ndarray]:
    return {int(path.stem.split("_")[1]): np.load(path) for path in (folder / "out").glob("object_*.npy")}


def identical(there: dict[int, np.ndarray], here: dict[int, np.ndarray]) -> None:
    assert there.keys() == here.keys()
    for key, array in here.items():
        assert there[key].dtype == array.dtype == np.float32
        assert there[key].shape == array.shape
        assert there[key].tobytes() == array.tobytes()


@pytest.mark.parametrize("pose_type", ["3dbp", "25dbp", "2dbp"])
def test_the_reference_s_arrays_bit_for_bit(tmp_path: Path, pose_type: str) -> None:
    data = bodypose({3: list(range(160)), 11: [*range(20, 70), *range(120, 160)], 4: list(range(12))}, frames=160)
    result = convert(tmp_path, data, pose_type=pose_type)
    identical(written(tmp_path), reference(data, pose_type))
    assert result.windows == {"person 3": 4, "person 11": 2, "person 4": 1}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "object_11.npy",
        "object_3.npy",
        "object_4.npy",
        "status.json",
    ]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pose_type=st.sampled_from(["3dbp", "25dbp", "2dbp"]),
    length=st.integers(2, 30),
    shortest=st.integers(1, 12),
    spare=st.integers(0, 9),
    overlap=st.floats(0.5, 1),
    frames=st.integers(1, 60),
    width=st.integers(1, 4000),
    focal=st.floats(1, 5000),
    seed=st.integers(0, 1000),
)
def test_the_reference_s_arrays_with_any_options(
    tmp_path_factory, pose_type, length, shortest, spare, overlap, frames, width, focal, seed
) -> None:
    folder = tmp_path_factory.mktemp("any")
    options = {
        "sequence_length": length,
        "sequence_length_max": length + spare,
        "sequence_length_min": shortest,
        "sequence_overlap": overlap,
        "input_width": width,
        "focal_length": focal,
    }
    data = bodypose({1: list(range(frames)), 2: list(range(0, frames, 3))}, frames=frames, joints=5, seed=seed)
    expected = reference(data, pose_type, **options)
    if not expected:
        with pytest.raises(KinetagError, match="no window of"):
            convert(folder, data, pose_type=pose_type, num_joints=5, **options)
        return
    convert(folder, data, pose_type=pose_type, num_joints=5, **options)
    identical(written(folder), expected)


def test_a_person_too_short_for_a_window_is_reported(tmp_path: Path) -> None:
    result = convert(tmp_path, bodypose({1: list(range(60)), 8: list(range(9))}))
    assert result.too_short == ["8"]
    assert result.warnings == [
        "person 8 was left out: 9 frames, of which none fill a window of 10 (dataset_convert.sequence_length_min)"
    ]
    status = [json.loads(line) for line in (tmp_path / "out/status.json").read_text().splitlines()]
    assert [line["status"] for line in status] == ["STARTED", "RUNNING", "RUNNING", "RUNNING", "SUCCESS"]
    assert status[1]["kpi"] == {"Number of objects": 2}
    assert status[3]["verbosity"] == "WARNING"


def test_the_confidence_is_kept(tmp_path: Path) -> None:
    data = bodypose({1: list(range(30))}, frames=30)
    convert(tmp_path, data, keep_confidence="true", pose_type="2dbp")
    array = written(tmp_path)[1]
    assert array.shape == (1, 3, 300, 34, 1)
    identical({1: np.ascontiguousarray(array[:, :2])}, reference(data, "2dbp"))
    first = np.array(data[0]["batches"][0]["objects"][0]["pose25d"]).reshape(34, 4)
    np.testing.assert_array_equal(array[0, 2, 0, :, 0], first[:, 3].astype(np.float32))
    assert (array[0, 2, 0, :, 0] == 0).any()
    assert not array[0, 2, 30:].any()
    clips = load_clips(source(tmp_path / "out/object_1.npy"), dataset(), model("nvidia", 3), need_labels=False)
    assert clips.channels == ("x", "y", "confidence")
    assert clips.coordinates == "frame"


@pytest.mark.parametrize("stated", [True, False])
def test_no_window_reaches_across_a_gap(tmp_path: Path, stated: bool) -> None:
    here = [*range(40), *range(43, 60), *range(90, 140)]
    data = bodypose({1: here, 2: list(range(140))}, frames=140, stated=stated)
    convert(tmp_path, data, keep_confidence="true", max_gap=5, sequence_overlap=1.0, sequence_length=200)
    array = written(tmp_path)[1]
    assert array.shape[0] == 2, "frames 0-59 with a short gap, and 90-139"
    seen: np.ndarray = np.any(array[:, 3], axis=(2, 3))  # (N, T)
    assert np.flatnonzero(~seen[0, :60]).tolist() == [40, 41, 42]
    assert not seen[0, 60:].any()
    assert seen[1, :50].all()
    assert not seen[1, 50:].any()
    assert not array[:, :, ~seen[0]][0].any()
    # each frame stands where it belongs
    frame = [f for batch in data for f in batch["batches"]][43]
    pose = np.array(frame["objects"][0]["pose3d"]).reshape(34, 4)
    np.testing.assert_array_equal(array[0, 3, 43, :, 0], pose[:, 3].astype(np.float32))
    joined = convert_again(tmp_path, data)
    assert joined[1].shape[0] == 1, "the reference glues all frames together"


def convert_again(folder: Path, data: Any) -> dict[int, np.ndarray]:
    folder = folder / "again"
    convert(folder, data, sequence_overlap=1.0, sequence_length=200)
    return written(folder)


def test_a_split_by_person(tmp_path: Path) -> None:
    data = bodypose({i: list(range(15)) for i in range(10)}, frames=15)
    convert(tmp_path, data, split=0.3)
    train, val = (sorted(p.name for p in (tmp_path / "out" / part).glob("*.npy")) for part in ("train", "val"))
    assert len(val) == 3
    assert not set(train) & set(val)
    assert len(train) + len(val) == 10
    with pytest.raises(KinetagError, match=r"1 person\(s\) cannot be split"):
        convert(tmp_path / "one", bodypose({1: list(range(15))}), split=0.3)


def changed(change) -> list[dict[str, Any]]:
    data = bodypose({1: list(range(20))}, frames=20)
    change(data[1]["batches"][2])
    return data


FAULTS = {
    "frames": ([{"num_frames_in_batch": 2, "batches": [{"objects": []}]}], "num_frames_in_batch is 2, but it has 1"),
    "no pose": (changed(lambda f: f["objects"][0].pop("pose3d")), r"entry 1, batches\[2\], objects\[0\]: no 'pose3d'"),
    "joints": (changed(lambda f: f["objects"][0]["pose3d"].__delitem__(slice(4))), "holds 33 joints"),
    "not numbers": (changed(lambda f: f["objects"][0]["pose3d"].__setitem__(5, "x")), "'x' is not a number"),
    "null": (changed(lambda f: f["objects"][0]["pose3d"].__setitem__(5, None)), "not finite"),
    "no id": (changed(lambda f: f["objects"][0].pop("object_id")), "'object_id'"),
    "an id with a path": (changed(lambda f: f["objects"][0].update(object_id="../../x")), "'object_id'"),
    "no objects": (changed(lambda f: f.pop("objects")), r"'objects': expected a list"),
    "nobody": ([{"num_frames_in_batch": 1, "batches": [{"objects": []}]}], "no window of 10 frames in it; 0 person"),
    "nothing": ([], "no window of 10 frames"),
    "too short": (bodypose({1: list(range(5))}), "no window of 10 frames.*the longest has 5"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_one_clear_line_and_a_failure_on_record(tmp_path: Path, name: str) -> None:
    data, message = FAULTS[name]
    with pytest.raises(KinetagError, match=message) as error:
        convert(tmp_path, data)
    assert "\n" not in str(error.value)
    last = json.loads((tmp_path / "out/status.json").read_text().splitlines()[-1])
    assert last["status"] == "FAILURE"
    assert last["message"] == " ".join(str(error.value).split())
    assert not list((tmp_path / "out").glob("*.npy"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sequence_length": 400}, "sequence_length is 400, more than sequence_length_max"),
        ({"sequence_overlap": 0.001}, "a window would start where the last one did; give at least 0.01"),
        ({"num_joints": 17}, "holds 34 joints; set dataset_convert.num_joints"),
        ({"sequence_length_max": 2_000_000_000}, "GiB; lower sequence_length_max"),
    ],
)
def test_options_that_cannot_work(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(KinetagError, match=message):
        convert(tmp_path, bodypose({1: list(range(20))}), **options)


@pytest.mark.parametrize("content", ["{", "[" * 200_000, '{"a": 1}', "\x00\x01", "[1, 2]", '[{"batches": 3}]'])
def test_files_that_are_something_else(tmp_path: Path, content: str) -> None:
    path = tmp_path / "poses.json"
    path.write_text(content)
    with pytest.raises(KinetagError) as error:
        convert(tmp_path, path)
    assert "\n" not in str(error.value)
    with pytest.raises(KinetagError, match="no such file"):
        convert(tmp_path, tmp_path / "none.json")


def test_a_labelled_folder_becomes_arrays_to_train_on(tmp_path: Path) -> None:
    data = labelled_folder(tmp_path / "data")
    options = {"keep_confidence": "true", "split": 0.34, "sequence_length_max": 60, "sequence_length": 40}
    result = convert(tmp_path, data, **options, **{"model.graph_layout": "coco"})
    assert result.clips == {"lunge": 6, "squat": 6}
    assert result.windows == {}
    out = tmp_path / "out"
    names, labels = pickle.loads((out / "val_label.pkl").read_bytes())
    array = np.load(out / "val_data.npy")
    assert array.dtype == np.float32
    assert array.shape == (len(names), 3, 60, 17, 1)
    assert set(labels) == {0, 1}
    counted = {name: labels.count(i) for i, name in enumerate(("lunge", "squat"))}
    assert result.val_windows == counted
    assert sum(result.train_windows.values()) == len(np.load(out / "train_data.npy"))
    told = [json.loads(line)["message"] for line in (out / "status.json").read_text().splitlines()]
    assert f"Validation windows: lunge {counted['lunge']}, squat {counted['squat']}" in told
    direct = load_clips(source(data), dataset(), model("coco"))
    sets = [load_clips(source(out), dataset(2), model("coco"), role=role) for role in ("train", "val")]
    for clips in sets:
        assert (clips.channels, clips.coordinates, clips.rate) == (("x", "y", "confidence"), "body", 15.0)
        assert clips.lengths is not None
        assert clips.labels is not None
        for i, name in enumerate(clips.names):
            if "window" in name:
                continue
            k = list(direct.names).index(name)
            assert direct.labels is not None
            assert clips.labels[i] == direct.labels[k]
            np.testing.assert_array_equal(clips.arrays[i][:, : clips.lengths[i]], direct.arrays[k])
    train, val = sets
    assert not set(train.groups or ()) & set(val.groups or ())
    assert any("window" in name for clips in sets for name in clips.names), "75 and 90 frames are cut into windows"


def test_a_class_without_a_usable_clip_writes_nothing(tmp_path: Path) -> None:
    data = labelled_folder(tmp_path / "data")
    write_json(data / "ghost/empty.json", [])
    with pytest.raises(KinetagError, match=r"nothing could be used of class 'ghost', which has ghost/empty\.json"):
        convert(tmp_path, data)
    assert not list(tmp_path.rglob("*.npy"))


def test_a_validation_that_says_little_is_warned_of(tmp_path: Path) -> None:
    """One video a class is held out; the one of 90 frames is cut into many windows."""
    options = {"split": 0.34, "sequence_length_max": 20, "sequence_length": 20, "sequence_overlap": 0.1}
    result = convert(tmp_path, labelled_folder(tmp_path / "data", 3), **options)
    told = "\n".join(result.warnings)
    assert "validation has fewer than 2 clips of " in told
    windows = sum(result.val_windows.values())
    found = re.search(r"(\d+) of the (\d+) validation windows come from (\S+): ", told)
    assert found
    assert (int(found[1]) > windows / 2, int(found[2])) == (True, windows)
    assert found[3].endswith("2.json")


def test_a_validation_of_many_videos_is_not(tmp_path: Path) -> None:
    result = convert(tmp_path, labelled_folder(tmp_path / "data", 6), split=0.5)
    assert "validation" not in "\n".join(result.warnings)


def test_without_confidence_the_arrays_have_two_channels(tmp_path: Path) -> None:
    result = convert(tmp_path, labelled_folder(tmp_path / "data", 1))
    assert np.load(tmp_path / "out/train_data.npy").shape == (2, 2, 300, 34, 1)
    assert not (tmp_path / "out/val_data.npy").exists()
    assert result.warnings
    assert [path.name for path in result.files] == ["train_data.npy", "train_label.pkl", "train_data.json"]


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file is in the way")
    with pytest.raises(KinetagError, match=r"cannot write into .*out.*choose another results_dir"):
        convert(tmp_path, bodypose({1: list(range(20))}))


def test_the_reference_s_own_spec_runs(tmp_path: Path, data_folder: Path) -> None:
    folder = data_folder.parent / "reference" / "tao_pose_classification"
    if not folder.is_dir():
        pytest.skip("the reference's specs are not here")
    data = bodypose({1: list(range(160))}, frames=160)
    path = write_json(tmp_path / "poses.json", data)
    for name in ("spec_template_dataset_convert.yaml", "experiment_nvidia.yaml"):
        overrides = [f"dataset_convert.data={path}", f"dataset_convert.results_dir={tmp_path / 'out'}"]
        dataset_convert(load_spec(folder / name, overrides, action="dataset_convert"))
        identical(written(tmp_path), reference(data))
