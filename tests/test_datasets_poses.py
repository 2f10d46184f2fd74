"""Clips of videos and pose files: the right person, the right time, the right numbers."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_clips import bodypose, dataset, model, person, source, write_json

from kinetag.datasets import extraction, load_clips
from kinetag.datasets.poses import prominence
from kinetag.errors import KinetagError
from kinetag.exercises.scenes import make_scene
from kinetag.features import LAYOUT, resample, window_features
from kinetag.pose.files import write_poses
from kinetag.sequence import PoseSequence
from kinetag.skeletons import get_layout
from kinetag.smoothing import smooth


def load(path: Path, labels: Path | str = "", **options):
    wanted = model(options.pop("layout", "kinetag"), options.pop("channels", 3))
    keywords = {name: options.pop(name) for name in ("need_labels", "class_names", "progress") if name in options}
    kind = options.pop("kind", "auto")
    return load_clips(source(path, str(labels), kind), dataset(**options), wanted, **keywords)


def poses(folder: Path, name: str, *people: PoseSequence) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    write_poses(people, path)
    return path


def test_class_folders_of_pose_files(tmp_path: Path) -> None:
    for label, count in (("squat", 3), ("plank", 2)):
        for i in range(count):
            poses(tmp_path, f"{label}/{i}.json", person(seconds=2 + i))
    clips = load(tmp_path)
    assert clips.class_names == ("plank", "squat")
    assert clips.labels is not None
    assert clips.lengths is not None
    assert clips.labels.tolist() == [0, 0, 1, 1, 1]
    assert list(clips.names) == ["plank/0.json", "plank/1.json", "squat/0.json", "squat/1.json", "squat/2.json"]
    assert clips.lengths.tolist() == [30, 45, 30, 45, 60]
    assert (clips.layout, clips.channels, clips.coordinates) == ("kinetag", ("x", "y", "confidence"), "body")
    assert clips.rate == 15.0
    assert clips.warnings == ("fewer than 10 clips of plank 2, squat 3: too few to learn from, or to judge by",)


def test_the_numbers_are_those_of_the_window_features(tmp_path: Path) -> None:
    """The shipped classifier's positions are an independent formulation of the same coordinates."""
    sequence = person()
    sequence.confidence[10:14, 3] = 0
    sequence.keypoints[10:14, 3] = np.nan
    clip = load(poses(tmp_path, "a.json", sequence), need_labels=False).arrays[0]
    _, points, confidence = resample(smooth(sequence).to_layout(LAYOUT), 15.0)
    expected, _ = window_features(points[None], confidence[None], 15.0)
    main = get_layout(LAYOUT).indices(get_layout("kinetag").joints)  # it has six more, which this person lacks
    np.testing.assert_allclose(clip[:2, :, :, 0], np.moveaxis(expected[0][:, main, :2], -1, 0), atol=1e-4)
    np.testing.assert_allclose(clip[2, :, :, 0], confidence[:, main], atol=1e-6)


def test_a_list_cuts_pieces_and_chooses_people(tmp_path: Path) -> None:
    poses(tmp_path, "a.json", person(1, 6), person(2, 6))
    (tmp_path / "list.csv").write_text(
        "file,label,start,end,person\na.json,up,0.5,2.5,1\na.json,down,3,5,2\na.json,up,,1,2\n"
    )
    clips = load(tmp_path / "list.csv")
    assert clips.intervals is not None
    assert clips.labels is not None
    assert clips.people == (1, 2, 2)
    np.testing.assert_allclose(clips.intervals, [(0.5, 2.5), (3, 5), (0, 1)], atol=0.1)
    assert [clip.shape[1] for clip in clips.arrays] == [30, 31, 16]  # 0.53-2.47, 3-5, 0-1 s
    assert clips.labels.tolist() == [1, 0, 1]
    assert clips.class_names == ("down", "up")
    assert clips.groups is not None
    assert clips.groups[1] == clips.groups[2] != clips.groups[0]


def test_the_most_prominent_of_several_is_taken_and_told(tmp_path: Path) -> None:
    poses(tmp_path, "squat/a.json", person(1, size=0.4), person(2), person(3, seconds=1))
    clips = load(tmp_path)
    assert clips.people == (2,)
    assert "squat/a.json: 3 people; took person 2, the most prominent" in clips.warnings


def test_prominence_grows_with_size_and_time() -> None:
    assert prominence(person(size=2)) == pytest.approx(2 * prominence(person()), rel=1e-3)
    assert prominence(person(seconds=8)) > 1.8 * prominence(person(seconds=4))
    hidden = person()
    hidden.confidence[:] = 0
    assert prominence(hidden) == 0


def test_without_labels_everybody_is_cut_into_windows(tmp_path: Path) -> None:
    path = poses(tmp_path, "a.json", person(1, 10), person(4, 3, start=2))
    clips = load(path, need_labels=False, window_size=60)
    assert clips.labels is None
    assert clips.intervals is not None
    assert [clip.shape[1] for clip in clips.arrays] == [60, 60, 30, 45]
    assert clips.people == (1, 1, 1, 4)
    np.testing.assert_allclose(clips.intervals[1], (4.0, 4.0 + 59 / 15), atol=1e-6)
    np.testing.assert_allclose(clips.intervals[3], (2.0, 2.0 + 44 / 15), atol=1e-6)
    assert len(set(clips.names)) == 4
    with pytest.raises(KinetagError, match="no labels in it; use class folders"):
        load(path)


@pytest.mark.parametrize("layout", ["coco", "nvidia", "ntu-rgb+d", "human3.6m", "blazepose"])
def test_into_other_layouts(tmp_path: Path, layout: str) -> None:
    clip = load(poses(tmp_path, "a.json", person()), layout=layout, need_labels=False).arrays[0]
    target = get_layout(layout)
    assert clip.shape[2] == len(target)
    assert clip[:, :, target.index("left_knee")].all()
    unknown = [i for i, name in enumerate(target.joints) if "thumb" in name or "heel" in name]
    assert not clip[:, :, unknown].any()


def test_rate_and_coordinates(tmp_path: Path) -> None:
    sequence = person(rate=30)
    path = poses(tmp_path, "a.json", sequence)
    clips = load(path, need_labels=False, rate=10.0, coordinates="frame", channels=2)
    assert clips.rate == 10
    assert clips.channels == ("x", "y")
    knee = get_layout("kinetag").index("left_knee")
    width, height = sequence.frame_size
    smoothed = smooth(sequence).keypoints[::3, knee]
    np.testing.assert_allclose(clips.arrays[0][0, :, knee, 0], smoothed[:, 0] / width - 0.5, atol=1e-3)
    np.testing.assert_allclose(clips.arrays[0][1, :, knee, 0], smoothed[:, 1] / height - 0.5, atol=1e-3)


def test_points_in_space(tmp_path: Path) -> None:
    sequence = person()
    assert sequence.world is not None
    clips = load(poses(tmp_path, "a.json", sequence), need_labels=False, channels=4)
    assert (clips.channels, clips.coordinates) == (("x", "y", "z", "confidence"), "metres")
    expected = smooth(sequence).world
    assert expected is not None
    np.testing.assert_allclose(clips.arrays[0][:3, :, :, 0], np.moveaxis(expected, -1, 0), atol=1e-3)
    flat = person()
    flat.world = None
    with pytest.raises(KinetagError, match="no points in space in it"):
        load(poses(tmp_path, "b.json", flat), need_labels=False, channels=4)


def test_nothing_is_made_up_in_gaps(tmp_path: Path) -> None:
    sequence = person(seconds=6)
    away = (sequence.times > 2) & (sequence.times < 4)
    clip = load(poses(tmp_path, "a.json", sequence.rows(~away)), need_labels=False).arrays[0]
    assert clip.shape[1] == 90
    assert not clip[:, 32:58].any()
    assert clip[2, :30].all()
    assert clip[2, 61:].all()


def test_what_cannot_be_used_is_left_out_and_told(tmp_path: Path) -> None:
    poses(tmp_path, "squat/a.json", person())
    (tmp_path / "squat/broken.json").write_text("{")
    poses(tmp_path, "squat/nobody.json")
    poses(tmp_path, "squat/one.json", person(seconds=1 / 15))
    clips = load(tmp_path)
    assert len(clips) == 1
    told = "\n".join(clips.warnings)
    assert "broken.json: not JSON" in told
    assert "squat/nobody.json: nobody was found in it" in told
    assert "squat/one.json: nobody was found in it" in told


def test_many_warnings_are_shortened(tmp_path: Path) -> None:
    for i in range(30):
        poses(tmp_path, f"squat/{i:02}.json", person(1, 1), person(2, 1))
    warnings = load(tmp_path).warnings
    assert len(warnings) == 21
    assert warnings[-1] == "and 10 more warnings like these"


def test_a_file_of_another_kind_is_looked_at_as_a_video(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(KinetagError, match=r"notes\.txt.*(video|picture)"):
        load(tmp_path / "notes.txt", cache_dir=str(tmp_path / "cache"))


def test_coordinates_that_are_fractions_need_the_frame_s_size(tmp_path: Path) -> None:
    points = np.random.default_rng(0).uniform(0.2, 0.8, (60, 33, 2))
    frames = [[{"x": x, "y": y} for x, y in frame] for frame in points.tolist()]
    for name in ("squat/a.json", "lunge/b.json"):
        write_json(tmp_path / name, frames)
    with pytest.raises(KinetagError, match=r"--frame-size 1280x720, or in a spec as dataset\.frame_size=\[1280,720\]"):
        load(tmp_path, layout="blazepose")
    clips = load(tmp_path, layout="blazepose", coordinates="pixels", frame_size=[1000, 500])
    assert clips.counts() == {"lunge": 1, "squat": 1}
    assert [round(float(clips.arrays[0][axis].max()), -2) for axis in (0, 1)] == [800, 400]


def test_when_nothing_can_be_used_the_reason_is_the_error(tmp_path: Path) -> None:
    (tmp_path / "squat").mkdir()
    (tmp_path / "squat/a.json").write_text("{")
    with pytest.raises(KinetagError, match=r"a\.json: not JSON"):
        load(tmp_path)
    poses(tmp_path, "squat/a.json")
    with pytest.raises(KinetagError, match=r"no clip in it could be used; left out: squat/a\.json: nobody"):
        load(tmp_path)


@pytest.mark.parametrize("names", [None, ("ghost", "plank", "squat")], ids=["folders", "label map"])
def test_a_class_of_which_nothing_can_be_used_is_told_and_not_learned(tmp_path: Path, names: tuple | None) -> None:
    poses(tmp_path, "squat/a.json", person())
    poses(tmp_path, "plank/a.json", person())
    poses(tmp_path, "ghost/1.json")
    poses(tmp_path, "ghost/2.json")
    stated = {"classes": 3, "names": names} if names else {}
    with pytest.raises(KinetagError) as error:
        load(tmp_path, **stated)
    told = str(error.value)
    assert "nothing could be used of class 'ghost', which has ghost/1.json, ghost/2.json" in told
    assert "(ghost/1.json: nobody was found in it)" in told
    assert "\n" not in told
    judged = load(tmp_path, class_names=("squat", "plank", "ghost"))  # a model that knows the classes already
    assert judged.counts() == {"squat": 1, "plank": 1, "ghost": 0}


def test_classes_that_the_spec_names(tmp_path: Path) -> None:
    poses(tmp_path, "squat/a.json", person())
    clips = load(tmp_path, classes=2, names=("squat", "plank"))
    assert clips.class_names == ("squat", "plank")
    assert load(tmp_path, class_names=("plank", "squat")).counts() == {"plank": 0, "squat": 1}
    assert load(tmp_path, classes=2, names=("class_0", "class_1")).class_names == ("squat",)
    with pytest.raises(KinetagError, match=r"has the label 'squat', which no class has; did you mean 'squats'\?"):
        load(tmp_path, classes=1, names=("squats",))


def test_folders_that_are_no_classes_where_no_labels_are_needed(tmp_path: Path) -> None:
    poses(tmp_path, "monday/a.json", person(1), person(2))
    clips = load(tmp_path, class_names=("squat", "plank"), need_labels=False)
    assert clips.labels is None
    assert clips.people == (1, 2)
    assert clips.class_names == ("squat", "plank")


def test_a_person_that_is_never_seen_clearly(tmp_path: Path) -> None:
    faint = person()
    faint.confidence[:] = 0.01
    path = poses(tmp_path, "squat/a.json", faint)
    for labels in (True, False):
        with pytest.raises(KinetagError, match="person 1 is never seen clearly"):
            load(tmp_path if labels else path, need_labels=labels)


def test_a_person_that_is_not_there(tmp_path: Path) -> None:
    poses(tmp_path, "a.json", person(3))
    (tmp_path / "list.csv").write_text("file,label,person\na.json,squat,1\n")
    with pytest.raises(KinetagError, match=r"no person 1 in it, only 3"):
        load(tmp_path / "list.csv")


def test_channels_that_do_not_fit(tmp_path: Path) -> None:
    path = poses(tmp_path, "a.json", person())
    with pytest.raises(
        KinetagError, match=r"input_channels is 5, but poses in coordinates 'body' give 2 \(x, y\) or 3"
    ):
        load(path, need_labels=False, channels=5)
    with pytest.raises(KinetagError, match="'array' is for arrays"):
        load(path, need_labels=False, coordinates="array")
    with pytest.raises(KinetagError, match=r"dataset format 'video' is not known; known: auto, array"):
        load(path, kind="video")


def test_openpose_folders(tmp_path: Path) -> None:
    for i in range(20):
        flat = np.column_stack([np.random.default_rng(i).uniform(50, 400, (25, 2)), np.full(25, 0.9)])
        data = {"version": 1.3, "people": [{"person_id": [1], "pose_keypoints_2d": flat.ravel().tolist()}]}
        write_json(tmp_path / "squat" / "take1" / f"take1_{i:012}_keypoints.json", data)
    clips = load(tmp_path, layout="coco", rate=30.0, kind="openpose")
    assert list(clips.names) == ["squat/take1"]
    assert clips.arrays[0].shape == (3, 20, 17, 1)
    single = load(tmp_path / "squat" / "take1", layout="coco", need_labels=False)
    assert len(single) == 1


def test_deepstream_in_space_as_the_reference_has_it(tmp_path: Path) -> None:
    data = bodypose({5: list(range(40)), 9: list(range(10, 30))}, frames=40)
    path = write_json(tmp_path / "walk" / "a.json", data)
    clips = load(tmp_path, layout="nvidia", kind="deepstream")
    assert (clips.channels, clips.coordinates, clips.rate) == (("x", "y", "z"), "pelvis3d", None)
    assert clips.people == (5,)
    pose = np.array(data[0]["batches"][3]["objects"][0]["pose3d"]).reshape(34, 4)
    expected = (pose[:, :3] - pose[0, :3]) / 1200.0
    expected[pose[:, 3] == 0] = 0
    np.testing.assert_allclose(clips.arrays[0][:, 3, :, 0].T, expected, rtol=1e-5)
    both = load(path, layout="nvidia", need_labels=False, channels=4)
    assert both.people == (5, 9)
    np.testing.assert_allclose(both.arrays[0][3, 3, :, 0], pose[:, 3], rtol=1e-5)
    assert both.intervals is not None
    np.testing.assert_allclose(both.intervals[1], (10 / 30, 29 / 30))
    flat = load(path, layout="coco", need_labels=False, channels=2)
    assert flat.coordinates == "body"


def test_deepstream_is_cut_at_gaps(tmp_path: Path) -> None:
    frames = [*range(30), *range(35, 50), *range(120, 180)]
    data = bodypose({1: frames}, frames=180, stated=True)
    clips = load(write_json(tmp_path / "a.json", data), layout="nvidia", need_labels=False)
    assert [clip.shape[1] for clip in clips.arrays] == [50, 60]
    assert not clips.arrays[0][:, 30:35].any()
    labelled = load_clips(source(write_list(tmp_path)), dataset(), model("nvidia"), need_labels=True)
    assert [clip.shape[1] for clip in labelled.arrays] == [60]
    assert "seen in 2 pieces; took the longest" in labelled.warnings[0]


def write_list(folder: Path) -> Path:
    (folder / "list.csv").write_text("file,label\na.json,walk\n")
    return folder / "list.csv"


def test_videos_are_read_once_and_an_interrupt_costs_one(tmp_path: Path, monkeypatch) -> None:
    looked: list[str] = []

    def fake(self, path: Path, *, rate: float, progress=None):
        looked.append(path.name)
        if progress is not None:
            progress(1.0, 2.0)
        if path.name == "c.mp4" and looked.count("c.mp4") == 1:
            raise KeyboardInterrupt
        return [person()]

    monkeypatch.setattr(extraction.Extractor, "__call__", fake)
    for name in "abcd":
        path = tmp_path / "data" / "squat" / f"{name}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    options = {"cache_dir": str(tmp_path / "cache")}
    with pytest.raises(KeyboardInterrupt):
        load(tmp_path / "data", **options)
    told: list[tuple[str, float, float | None]] = []
    clips = load(tmp_path / "data", **options, progress=lambda *step: told.append(step))
    assert len(clips) == 4
    assert looked == ["a.mp4", "b.mp4", "c.mp4", "c.mp4", "d.mp4"]
    done = [step[1] for step in told]
    assert done == sorted(done)
    assert {2.5, 3.5} <= set(done)
    assert told[-1] == ("Reading poses", 4, 4)


def rendered(folder: Path, label: str, seconds: float | None = None, **look) -> PoseSequence:
    """A video of somebody rendered in a class folder, and where the joints truly are."""
    scene = make_scene(f"single:{label}", frame_rate=15.0, **look)
    scene = replace(scene, duration=seconds or scene.duration)
    (folder / label).mkdir(parents=True, exist_ok=True)
    return scene.write(folder / label / f"{look.get('seed', 0)}.mp4").sequence(1)


def distance(clip: np.ndarray, truth: np.ndarray) -> float:
    """Median distance of the joints of two clips (3, T, V, 1), in body sizes."""
    count = min(clip.shape[1], truth.shape[1])
    both = (clip[2, :count] > 0.3) & (truth[2, :count] > 0)
    gap = np.hypot(*(clip[:2, :count] - truth[:2, :count]))
    return float(np.median(gap[both]))


def test_a_tiny_video_end_to_end(tmp_path: Path) -> None:
    truth = rendered(tmp_path / "data", "squat", 0.8, width=320, height=240)
    expected = load(poses(tmp_path, "truth.json", truth), need_labels=False).arrays[0]
    shutil.copy(tmp_path / "data/squat/0.mp4", tmp_path / "data/squat/again.mp4")
    clips = load(tmp_path / "data", cache_dir=str(tmp_path / "cache"), kind="videos")
    assert list(clips.names) == ["squat/0.mp4", "squat/again.mp4"]
    assert len(list((tmp_path / "cache").iterdir())) == 1, "the same content is looked at once"
    np.testing.assert_array_equal(clips.arrays[0], clips.arrays[1])
    assert distance(clips.arrays[0], expected) < 0.12
    assert distance(clips.arrays[0][:, :, ::-1], expected) > 0.3


@pytest.mark.slow
def test_videos_of_two_exercises_end_to_end(tmp_path: Path) -> None:
    for label in ("squat", "jumping_jack"):
        truth = rendered(tmp_path / "data", label, 4.0, width=480, height=360, seed=1)
        poses(tmp_path, f"truth/{label}/1.json", truth)
    clips, true = load(tmp_path / "data", cache_dir=str(tmp_path / "cache")), load(tmp_path / "truth")
    assert clips.class_names == ("jumping_jack", "squat")
    np.testing.assert_array_equal(clips.labels, true.labels)  # pyright: ignore[reportArgumentType]
    for found, expected in zip(clips.arrays, true.arrays, strict=True):
        assert abs(found.shape[1] - expected.shape[1]) <= 15
        assert distance(found, expected) < 0.15


@pytest.mark.slow
def test_a_video_of_two_people_and_a_list_that_tells_them_apart(tmp_path: Path) -> None:
    scene = make_scene("demo", frame_rate=15.0, width=480, height=270)
    replace(scene, duration=6.0).write(tmp_path / "two.mp4")
    (tmp_path / "list.csv").write_text(
        "file,label,start,end,person\ntwo.mp4,a,1,5,1\ntwo.mp4,b,1,5,2\ntwo.mp4,c,1,5,\n"
    )
    clips = load(tmp_path / "list.csv", cache_dir=str(tmp_path / "cache"), coordinates="frame")
    assert clips.people is not None
    assert clips.people[:2] == (1, 2)
    first, second = (clip[0][clip[2] > 0.5].mean() for clip in clips.arrays[:2])
    assert abs(first - second) > 0.1, "they stand beside each other"
    assert any("two.mp4 1-5: 2 people; took person" in warning for warning in clips.warnings)
