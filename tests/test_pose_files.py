"""Pose files: every format back to the same numbers, and one clear line for everything that is wrong."""

import csv
import json
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinetag.errors import KinetagError
from kinetag.pose import table
from kinetag.pose.files import is_pose_source, read_pose_file, write_poses
from kinetag.sequence import PoseSequence
from kinetag.skeletons import BLAZEPOSE, LAYOUTS


def person(layout="coco", count=5, number=1, seed=0, world=False):
    rng = np.random.default_rng(seed)
    joints = len(LAYOUTS[layout])
    keypoints = rng.uniform(0, 640, (count, joints, 2)).astype(np.float32)
    confidence = rng.uniform(0.1, 1, (count, joints)).astype(np.float32)
    keypoints[rng.random((count, joints)) < 0.1] = np.nan
    confidence[np.isnan(keypoints[..., 0])] = 0
    places = rng.normal(size=(count, joints, 3)).astype(np.float32) if world else None
    return PoseSequence(np.sort(rng.uniform(0, 100, count)), keypoints, confidence, layout, (640, 480), number, places)


def same(a: PoseSequence, b: PoseSequence) -> None:
    assert (a.layout, a.frame_size, a.person) == (b.layout, b.frame_size, b.person)
    for name in ("times", "keypoints", "confidence", "world"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


@pytest.mark.parametrize("suffix", ["csv", "json", "parquet"])
@pytest.mark.parametrize("world", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_own_format_is_exact(tmp_path, suffix, world, layout):
    people = [person(layout, number=3, world=world), person(layout, 7, number=1, seed=1, world=world)]
    path = tmp_path / f"poses.{suffix}"
    write_poses(people, path)
    back = read_pose_file(path)
    assert len(back) == 2
    for a, b in zip(people, back, strict=True):
        same(a, b)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_many_poses_are_written_in_pieces(tmp_path, suffix, monkeypatch):
    monkeypatch.setattr(table, "_PIECE", 10)
    people = [person(count=25, number=1, world=True), person(count=10, number=2, seed=1)]
    write_poses(people, tmp_path / f"p.{suffix}")
    for a, b in zip(people, read_pose_file(tmp_path / f"p.{suffix}"), strict=True):
        same(a, b)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-1e5, 1e5, width=32), min_size=2, max_size=2), st.floats(0, 1, width=32), st.floats(0, 1e5))
def test_any_number_survives(tmp_path_factory, point, confidence, time):
    folder = tmp_path_factory.mktemp("exact")
    one = person(count=1)
    one.times[0], one.keypoints[0, 3], one.confidence[0, 3] = time, point, confidence
    for suffix in ("csv", "json"):
        write_poses([one], folder / f"p.{suffix}")
        same(one, read_pose_file(folder / f"p.{suffix}")[0])


def test_csv_columns_and_nobody(tmp_path):
    write_poses([person()], tmp_path / "p.csv")
    header = (tmp_path / "p.csv").read_text().splitlines()[0].split(",")
    assert header[:5] == ["person", "time", "nose_x", "nose_y", "nose_confidence"]
    for suffix in ("csv", "json", "parquet"):
        write_poses([], tmp_path / f"none.{suffix}")
        assert read_pose_file(tmp_path / f"none.{suffix}") == []


def test_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("precious")
    with pytest.raises(KinetagError, match="one layout"):
        write_poses([person("coco"), person("blazepose")], path)
    assert path.read_text() == "precious"
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(KinetagError, match="cannot write"):
        write_poses([person()], tmp_path / "nowhere" / "p.csv")


def openpose_frame(sequences, index, ids=False):
    people = []
    for sequence in sequences:
        values = np.concatenate([sequence.keypoints[index], sequence.confidence[index][:, None]], axis=1)
        entry = {
            "person_id": [sequence.person if ids else -1],
            "pose_keypoints_2d": np.nan_to_num(values).ravel().tolist(),
        }
        people.append(entry)
    return {"version": 1.3, "people": people}


@pytest.mark.parametrize("layout", ["openpose", "openpose25"])
def test_openpose_folder_with_ids(tmp_path, layout):
    people = [person(layout, number=1), person(layout, number=2, seed=5)]
    for index in range(5):
        name = f"clip_{index * 2:012d}_keypoints.json"
        (tmp_path / name).write_text(json.dumps(openpose_frame(people, index, ids=True)))
    assert is_pose_source(tmp_path)
    back = read_pose_file(tmp_path, frame_rate=20, frame_size=(640, 480))
    assert [p.person for p in back] == [1, 2]
    for a, b in zip(people, back, strict=True):
        np.testing.assert_allclose(b.times, np.arange(5) * 2 / 20)
        np.testing.assert_array_equal(a.keypoints, b.keypoints)
        np.testing.assert_array_equal(a.confidence, b.confidence)


def test_openpose_without_ids_is_tracked(tmp_path):
    pytest.importorskip("kinetag.tracking")
    body = person("openpose25", 1)
    body.keypoints, body.confidence = np.nan_to_num(body.keypoints, nan=300), np.full((1, 25), 0.9)
    left, right = body, person("openpose25", 1)
    left.keypoints = body.keypoints * 0.3
    right.keypoints, right.confidence = left.keypoints + np.array([400, 0]), left.confidence
    for index in range(30):
        frame = openpose_frame([left, right] if index % 2 else [right, left], 0)  # the order says nothing
        (tmp_path / f"a_{index:012d}_keypoints.json").write_text(json.dumps(frame))
    back = read_pose_file(tmp_path)
    assert len(back) == 2
    assert all(np.ptp(p.joint("left_wrist"), axis=0).max() == 0 for p in back)


def test_coco_results_annotations_and_alphapose(tmp_path):
    one = person(count=4)
    flat = [
        np.concatenate([k, c[:, None]], 1) for k, c in zip(np.nan_to_num(one.keypoints), one.confidence, strict=True)
    ]
    results = [
        {"image_id": 10 + 3 * i, "category_id": 1, "keypoints": f.ravel().tolist(), "score": 0.5, "track_id": 4}
        for i, f in enumerate(flat)
    ]
    alphapose = [
        {"image_id": f"{10 + 3 * i}.jpg", "category_id": 1, "keypoints": f.ravel().tolist(), "score": 2.5, "idx": [4.0]}
        for i, f in enumerate(flat)
    ]
    for name, data in (("results.json", results), ("alphapose.json", alphapose)):
        (tmp_path / name).write_text(json.dumps(data))
        (back,) = read_pose_file(tmp_path / name, frame_rate=30)
        assert back.person == 4
        np.testing.assert_allclose(back.times, np.arange(4) / 10)
        np.testing.assert_array_equal(back.keypoints, one.keypoints)
    marked = {
        "images": [{"id": 7, "file_name": "img_0003.png", "width": 800, "height": 600}],
        "annotations": [{"id": 1, "image_id": 7, "track_id": 1, "keypoints": [5, 6, 2] + [0, 0, 0] * 16}],
    }
    (tmp_path / "gt.json").write_text(json.dumps(marked))
    (back,) = read_pose_file(tmp_path / "gt.json")
    assert back.frame_size == (800, 600)
    assert back.confidence[0].tolist() == [1.0] + [0.0] * 16
    assert np.isnan(back.keypoints[0, 1:]).all()


def test_deepstream(tmp_path):
    one = person("nvidia", 3)
    data = [
        {
            "num_frames_in_batch": 1,
            "batches": [
                {
                    "frame_num": 10 + i,
                    "objects": [
                        {
                            "object_id": 9,
                            "pose25d": np.concatenate(
                                [np.nan_to_num(k), np.ones((34, 1)), c[:, None]], axis=1
                            ).ravel().tolist(),
                        }
                    ],
                }
            ],
        }
        for i, (k, c) in enumerate(zip(one.keypoints, one.confidence, strict=True))
    ]  # fmt: skip
    path = tmp_path / "ds.json"
    path.write_text(json.dumps(data))
    (back,) = read_pose_file(path, frame_rate=10)
    assert (back.person, back.layout) == (9, "nvidia")
    np.testing.assert_allclose(back.times, [1.0, 1.1, 1.2])
    np.testing.assert_array_equal(back.keypoints, one.keypoints)


def landmarks(_index):
    return [{"x": 0.01 * j, "y": 0.5, "z": 0.0, "visibility": 0.9, "presence": 1.0} for j in range(33)]


MEDIAPIPE = {
    "frames of one person": lambda f: [f(i) for i in range(3)],
    "objects with timestamps": lambda f: [
        {"timestamp_ms": 40 * i, "person_id": 1, "landmarks": f(i), "world_landmarks": f(i)} for i in range(3)
    ],
    "tasks result": lambda f: [{"timestamp_ms": 40 * i, "pose_landmarks": [f(i)]} for i in range(3)],
    "solutions result": lambda f: {
        "width": 200, "height": 100,
        "frames": [{"frame": i, "poseLandmarks": {"landmark": f(i)}} for i in range(3)],
    },
}  # fmt: skip


@pytest.mark.parametrize("form", MEDIAPIPE)
def test_mediapipe_json(tmp_path, form):
    path = tmp_path / "mp.json"
    path.write_text(json.dumps(MEDIAPIPE[form](landmarks)))
    poses = _untracked(path)
    assert {p.time for p in poses} == {0.0, 0.04, 0.08}
    expected = np.stack([np.arange(33) * 0.01 * 200, np.full(33, 50)], 1)
    np.testing.assert_allclose(poses[0].keypoints, expected, rtol=1e-6)
    np.testing.assert_allclose(poses[0].confidence, 0.9)


def _untracked(path):
    """What the reader found, before people are told apart."""
    from kinetag.pose.mediapipe import mediapipe

    return mediapipe(json.loads(path.read_text()), 25.0, (200, 100), "test")[0]


MEDIAPIPE_HEADERS = {
    "x0": [f"{a}{j}" for j in range(33) for a in ("x", "y", "z", "v")],
    "from one": [f"x_{j}" if a == "x" else f"{a}_{j}" for j in range(1, 34) for a in ("x", "y", "z", "visibility")],
    "landmark_0_x": [f"landmark_{j}_{a}" for j in range(33) for a in ("x", "y", "z", "visibility")],
    "names": [f"{n.upper()}_{a}" for n in BLAZEPOSE.joints for a in ("x", "y", "z", "visibility")],
    "mouth": [
        f"{n.replace('left_mouth', 'mouth_left').replace('right_mouth', 'mouth_right')}_{a}"
        for n in BLAZEPOSE.joints
        for a in ("x", "y", "z", "visibility")
    ],
}


@pytest.mark.parametrize("form", MEDIAPIPE_HEADERS)
@pytest.mark.parametrize(
    ("time", "values"), [("timestamp_ms", [0, 40, 80]), ("time", [0, 0.04, 0.08]), ("frame", [0, 1, 2])]
)
def test_mediapipe_wide_csv(tmp_path, form, time, values):
    path = tmp_path / "mp.csv"
    with open(path, "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow([time, "person_id", *MEDIAPIPE_HEADERS[form]])
        for value in values:
            writer.writerow([value, 1, *(v for j in range(33) for v in (0.01 * j, 0.5, 0, 0.9))])
    (back,) = read_pose_file(path, frame_rate=25, frame_size=(200, 100))
    np.testing.assert_allclose(back.times, [0, 0.04, 0.08])
    np.testing.assert_allclose(back.keypoints[1, :, 0], np.arange(33) * 2, rtol=1e-5)
    with pytest.raises(KinetagError, match="fractions of the frame"):
        read_pose_file(path)


def test_mediapipe_long_csv(tmp_path):
    path = tmp_path / "mp.csv"
    with open(path, "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["frame", "person", "landmark", "x", "y", "z", "visibility"])
        for frame in range(3):
            for joint, name in enumerate(BLAZEPOSE.joints):
                writer.writerow([frame, 1, name, 0.01 * joint, 0.5, 0, 0.9])
    (back,) = read_pose_file(path, frame_rate=25, frame_size=(200, 100))
    np.testing.assert_allclose(back.keypoints[2, :, 0], np.arange(33) * 2, rtol=1e-5)


GOOD = [1.0] * 51
BAD = {
    "empty": ("a.json", "", "not JSON"),
    "half": ("a.json", '[{"image_id": 1', "not JSON"),
    "deep": ("a.json", "[" * 100_000 + "]" * 100_000, "nested too deeply|no known"),
    "binary": ("a.json", b"\xff\xfe\x00\x01", "not JSON"),
    "huge number": ("a.json", "[" + "9" * 5000 + "]", "not JSON"),
    "other": ("a.json", '{"hello": 1}', "no known pose format"),
    "short keypoints": ("a.json", json.dumps([{"image_id": 1, "keypoints": [1, 2]}]), "entry 0 'keypoints': 2 numbers"),
    "text in keypoints": (
        "a.json",
        json.dumps([{"image_id": 1, "keypoints": GOOD}, {"image_id": 2, "keypoints": ["x"] * 51}]),
        "entry 1 'keypoints': 'x' is not a number",
    ),
    "no number in image": ("a.json", json.dumps([{"image_id": "cat", "keypoints": GOOD}]), "entry 0: image 'cat'"),
    "entry is null": ("a.json", json.dumps([{"image_id": 1, "keypoints": GOOD}, None]), "entry 1: expected an object"),
    "far apart": (
        "a.json",
        json.dumps([{"image_id": i, "keypoints": GOOD, "track_id": 1} for i in (0, 10**12)]),
        "more than a week",
    ),
    "33 landmarks": ("a.json", json.dumps([{"landmarks": [{"x": 0, "y": 0}] * 32}]), "frame 0, person 0: 32 landmarks"),
    "openpose": ("a.json", json.dumps({"people": [{"pose_keypoints_2d": [1] * 10}]}), r"people\[0\].*10 numbers"),
    "deepstream": (
        "a.json",
        json.dumps([{"batches": [{"objects": [{"object_id": 1}]}]}]),
        r"batches\[0\], objects\[0\]: no 'pose25d'",
    ),
    "own": ("a.json", json.dumps({"format": "kinetag-poses", "version": 9, "people": []}), "version 9"),
    "own person": ("a.json", json.dumps({"format": "kinetag-poses", "version": 1, "people": [{}]}),
                   r"people\[0\]: 'frame_size'"),
    "csv empty": ("a.csv", "", "empty"),
    "csv ragged": ("a.csv", "person,time\n1\n", "line 2: 1 cells"),
    "csv other": ("a.csv", "name,age\nx,3\n", "no columns of 33 landmarks"),
    "csv binary": ("a.csv", b"\x00\xff\xfe", "not a CSV"),
    "parquet": ("a.parquet", b"PAR1 no", "not a Parquet"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_pose_files_get_one_line(tmp_path, case):
    name, content, message = BAD[case]
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(KinetagError, match=message) as caught:
        read_pose_file(path)
    assert "\n" not in str(caught.value)


def test_bad_cell_is_named(tmp_path):
    write_poses([person(count=3)], tmp_path / "p.csv")
    lines = (tmp_path / "p.csv").read_text().splitlines()
    cells = lines[2].split(",")
    cells[5] = "banana"
    (tmp_path / "p.csv").write_text("\n".join([lines[0], lines[1], ",".join(cells)]))
    with pytest.raises(KinetagError, match="line 3: 'banana' is not a number"):
        read_pose_file(tmp_path / "p.csv")


@pytest.mark.parametrize("cell", ["--1", "", "one", "1.5", "9" * 30, "9" * 5000])
def test_a_person_that_is_no_whole_number_is_named(tmp_path, cell):
    write_poses([person(count=3)], tmp_path / "p.csv")
    header, first, *rest = (tmp_path / "p.csv").read_text().splitlines()
    (tmp_path / "p.csv").write_text("\n".join([header, first, cell + rest[0][1:]]))
    with pytest.raises(KinetagError, match=f"person '{cell[:40]}' is not a whole number"):
        read_pose_file(tmp_path / "p.csv")


@pytest.mark.parametrize("content", ["[]", "[null, [], {}]", '{"frames": []}', '{"annotations": []}', '{"people": []}'])
def test_a_file_of_nobody_is_a_pose_file(tmp_path, content):
    (tmp_path / "a.json").write_text(content)
    assert read_pose_file(tmp_path / "a.json") == []


_KEYS = ["people", "image_id", "keypoints", "annotations", "batches", "objects", "frames", "landmarks"]


@settings(max_examples=60, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(_KEYS),
            inner,
            max_size=3,
        ),
        max_leaves=12,
    )
)  # fmt: skip
def test_no_json_crashes_the_reader(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("fuzz") / "a.json"
    path.write_text(json.dumps(data))
    with suppress(KinetagError):
        read_pose_file(path)


def test_what_counts_as_a_pose_source(tmp_path):
    assert is_pose_source("poses.csv")
    assert not is_pose_source("clip.mp4")
    assert not is_pose_source(0)
    assert not is_pose_source("http://host/poses.json")
    assert not is_pose_source(tmp_path)
    (tmp_path / "meta.json").write_text("{}")
    (tmp_path / "1.jpg").write_bytes(b"")
    assert not is_pose_source(tmp_path)
