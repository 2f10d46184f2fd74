"""Recordings of the embedded estimator beside the truth."""

import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from made_teaching import WRITTEN

from kinetag.errors import KinetagError
from kinetag.exercises.filming import film
from kinetag.exercises.kinematics import JOINT
from kinetag.exercises.labels import class_names
from kinetag.exercises.library import Exercise, load_library
from kinetag.exercises.recording import follow, main, record, record_many
from kinetag.exercises.recordings import Recording, read_recordings, write_recordings
from kinetag.pose.regions import Region
from kinetag.reps import count_repetitions
from kinetag.skeletons import BLAZEPOSE, KINETAG13
from kinetag.smoothing import smooth

OURS = BLAZEPOSE.indices(KINETAG13.joints)
TRUE = [JOINT[name] for name in KINETAG13.joints]


@pytest.fixture(scope="module")
def clip() -> Recording:
    return record("squat", 3, 0, seconds=1.0)


def same(a: Recording, b: Recording) -> bool:
    return all(np.array_equal(getattr(a, f.name), getattr(b, f.name)) for f in fields(Recording))


def test_a_clip_depends_on_seed_class_and_number_alone(clip: Recording):
    assert same(clip, record("squat", 3, 0, seconds=1.0))
    assert not np.array_equal(clip.joints, record("squat", 3, 1, seconds=1.0).joints)


def test_shapes_and_ranges(clip: Recording):
    assert len(clip) == 12
    assert clip.keypoints.shape == (12, 33, 2)
    assert clip.world.shape == (12, 33, 3)
    assert clip.joints.shape == (12, 25, 3)
    assert clip.shown.shape == clip.behind.shape == (12, 13)
    assert (clip.joints[..., 2] > 0).all()
    assert 0 <= clip.azimuth < 360
    heights = clip.joints @ np.array(clip.up) + clip.eye  # above the floor
    assert heights[:, [JOINT["left_foot_index"], JOINT["right_foot_index"]]].min() == pytest.approx(0.02, abs=0.06)
    assert heights.max() > 1
    for values in (clip.visibility, clip.inside, clip.confidence, clip.score):
        assert values.min() >= 0
        assert values.max() <= 1


def test_a_set_is_whole_repetitions(tmp_path: Path):
    clip = record("squat", 3, 0, sets=True, rate=6.0)
    assert 2 <= clip.repetitions <= 6
    found = count_repetitions(smooth(clip.sequence()), load_library()["squat"], 0.0, len(clip) / 6.0)
    assert len(found) == clip.repetitions
    write_recordings(tmp_path / "a.npz", [clip])
    assert read_recordings(tmp_path / "a.npz")[0].repetitions == clip.repetitions


@pytest.mark.parametrize("name", ["plank", "other"])
def test_what_nobody_counts_has_no_sets(name: str):
    with pytest.raises(KinetagError, match=f"{name} is not counted"):
        record(name, 1, 0, sets=True)


def test_the_truth_lies_on_blazeposes_joints():
    """Seen from the front, whole and in the open, most joints are within 20 % of the trunk's diagonal of the truth."""
    clips = []
    number = 0
    while len(clips) < 3:
        footage = film("standing", np.random.default_rng([0, number, *b"standing"]), seconds=0.5)
        facing = abs((footage.azimuth + 180) % 360 - 180) < 40 and abs(footage.elevation) < 20
        if facing and not footage.occluders:
            clip = record("standing", 0, number, seconds=0.5)
            clips += [clip] if clip.shown.all() else []
        number += 1
    for clip in clips:
        true, seen = clip.pixels[:, TRUE], clip.keypoints[:, OURS]
        left, right = KINETAG13.indices(("left_shoulder", "right_hip"))
        reach = 0.2 * np.linalg.norm(true[:, left] - true[:, right], axis=-1).max()
        close = np.linalg.norm(true - seen, axis=-1) < reach
        assert clip.found.all()
        assert close[clip.shown & ~clip.behind].mean() > 0.85
        # World points share the axes of the true joints: x right, y down, z away.
        hips = clip.joints[:, [JOINT["left_hip"], JOINT["right_hip"]]].mean(1, keepdims=True)
        assert np.abs(clip.world[:, OURS] - (clip.joints[:, TRUE] - hips)).mean() < 0.2


def test_azimuth_says_from_where():
    """Azimuth 0 sees the left shoulder on the right, and 90 sees it nearer."""
    for number in range(12):
        footage = film("standing", np.random.default_rng(number), seconds=0.5)
        left, right = (footage.performances[0].joints[0, JOINT[f"{s}_shoulder"]] for s in ("left", "right"))
        pixels, depth = footage.camera.project(np.array([left, right]))
        if np.isfinite(pixels).all():
            turn = np.deg2rad(footage.azimuth)
            across = (pixels[0, 0] - pixels[1, 0]) / footage.camera.focal_pixels * depth.mean()
            assert abs(across - 0.37 * np.cos(turn)) < 0.25
            assert abs((depth[1] - depth[0]) - 0.37 * np.sin(turn)) < 0.25


def test_somebody_who_walks_past_hides_for_a_moment_and_changes_nothing_else():
    seed = next(s for s in range(20) if len(film("squat", np.random.default_rng(s), rate=4, passers=1).actors) == 2)
    alone, passed = (film("squat", np.random.default_rng(seed), rate=4, passers=share) for share in (0, 1))
    assert len(alone.actors) == 1
    assert passed.camera == alone.camera
    np.testing.assert_array_equal(passed.performances[0].joints, alone.performances[0].joints)
    person, walker = passed.truth().people
    hidden = alone.truth().people[0].visible & ~person.visible  # (T, 13)
    assert hidden.any()
    assert not hidden.all(axis=1).all()
    way = walker.keypoints[..., 0].mean(axis=1)  # across the picture, one way
    assert (np.sign(np.diff(way)) == np.sign(way[-1] - way[0])).all()


def test_an_empty_picture_is_lost_and_looked_at_again():
    images = [np.full((120, 160, 3), 128, np.uint8)] * 7
    nowhere = Region(float("nan"), float("nan"), float("nan"))  # somebody behind the lens
    bodies, found = follow(images, [Region(80, 60, 100)] * 6 + [nowhere], np.arange(7) / 12)
    assert len(bodies) == 7
    assert not found.any()


def test_files_give_back_what_was_written(clip: Recording, tmp_path: Path):
    other = replace(clip, label="other", number=7, keypoints=clip.keypoints - 5000, variant="long way round")
    write_recordings(tmp_path / "a.npz", [clip, other])
    first, second = read_recordings(tmp_path / "a.npz")
    assert (second.label, second.variant, second.number, second.size) == ("other", "long way round", 7, clip.size)
    np.testing.assert_allclose(first.keypoints, clip.keypoints, atol=0.0626)
    np.testing.assert_allclose(first.world, clip.world, atol=0.00101)
    np.testing.assert_allclose(first.joints, clip.joints, atol=0.00051)
    np.testing.assert_allclose(second.confidence, other.confidence, atol=0.005)
    np.testing.assert_allclose(second.keypoints.max(), -4096, atol=0.1)  # as far as the file goes
    assert np.array_equal(second.shown, clip.shown)
    assert np.array_equal(second.behind, clip.behind)
    # The truth keeps a tenth of a pixel.
    np.testing.assert_allclose(first.pixels[first.found], clip.pixels[first.found], atol=0.25)


def test_a_foreign_file_is_refused(tmp_path: Path):
    np.savez(tmp_path / "a.npz", x=np.zeros(3))
    with pytest.raises(KinetagError, match="cannot read"):
        read_recordings(tmp_path / "a.npz")
    (tmp_path / "b.npz").write_bytes(b"nothing")
    with pytest.raises(KinetagError, match="cannot read"):
        read_recordings(tmp_path / "b.npz")


def test_files_of_before_sets_were_filmed_are_read(tmp_path: Path, clip: Recording):
    write_recordings(tmp_path / "a.npz", [clip])
    with np.load(tmp_path / "a.npz") as arrays:
        content = {name: arrays[name] for name in arrays.files if name != "repetitions"}
    np.savez_compressed(tmp_path / "old.npz", **content)
    assert same(read_recordings(tmp_path / "old.npz")[0], read_recordings(tmp_path / "a.npz")[0])
    del content["rate"]
    np.savez_compressed(tmp_path / "odd.npz", **content)
    with pytest.raises(KinetagError, match="cannot read"):
        read_recordings(tmp_path / "odd.npz")


def test_a_run_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clip: Recording):
    made: list[tuple[str, int]] = []

    def quick(label: str, seed: int, number: int, **_: float) -> Recording:
        made.append((label, number))
        return replace(clip, label=label, seed=seed, number=number)

    monkeypatch.setattr("kinetag.exercises.recording.record", quick)
    path, labels = tmp_path / "r.npz", ["squat", "plank"]
    record_many(path, labels, 1, seed=3, workers=1, limit=60)
    # A shard that a killed run left behind.
    write_recordings(tmp_path / "r.shard-000.npz", [replace(clip, label="plank", number=1)])
    record_many(path, labels, 2, seed=3, workers=1, limit=60)
    assert made == [("squat", 0), ("plank", 0), ("squat", 1)]
    assert [(c.label, c.number) for c in read_recordings(path)] == [
        ("squat", 0), ("plank", 0), ("squat", 1), ("plank", 1),
    ]  # fmt: skip
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(KinetagError, match="seed 3"):
        record_many(path, labels, 2, seed=4, workers=1, limit=60)
    with pytest.raises(KinetagError, match="holds clips of six seconds, not sets of whole repetitions"):
        record_many(path, labels, 3, seed=3, workers=1, limit=60, sets=True)


def test_the_command_stops_in_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    main(["--out", str(tmp_path / "a.npz"), "--seconds", "0", "--workers", "1"])
    assert "0 clips" in capsys.readouterr().out
    assert read_recordings(tmp_path / "a.npz") == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--classes", "squads"], "unknown exercise 'squads'"),
        (["--passers", "30"], "--passers 30 is no share; give one from 0 to 1"),
        (["--sets", "--classes", "squat,plank"], "--sets films what is counted, and plank is not"),
        (["--sets", "--classes", "squads"], "unknown exercise 'squads'"),
    ],
)
def test_what_cannot_be_recorded_is_said_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str], words, said):
    assert main(["--out", str(tmp_path / "a.npz"), "--per-class", "1", "--workers", "1", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {said}")
    assert error.count("\n") == 1
    assert not (tmp_path / "a.npz").exists()


def test_exercises_of_ones_own_are_recorded_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clip: Recording):
    filmed: list[str] = []

    def quick(exercise: Exercise | str, seed: int, number: int, passers: float, sets: bool) -> Recording:
        assert isinstance(exercise, Exercise)
        assert passers == 0.3
        assert not sets
        filmed.append(exercise.name)
        return replace(clip, label=exercise.name, seed=seed, number=number)

    monkeypatch.setattr("kinetag.exercises.recording.record", quick)
    (tmp_path / "arm_raise.yaml").write_text(WRITTEN)
    given = ["--exercises", str(tmp_path / "arm_raise.yaml"), "--classes", "arm_raise,squat"]
    main(["--out", str(tmp_path / "a.npz"), "--per-class", "1", "--workers", "1", "--passers", "0.3", *given])
    assert filmed == ["arm_raise", "squat"]
    assert [c.label for c in read_recordings(tmp_path / "a.npz")] == ["arm_raise", "squat"]


def test_an_exercise_and_its_name_are_filmed_alike(clip: Recording):
    assert same(clip, record(load_library()["squat"], 3, 0, seconds=1.0))


def test_classes_are_the_library_and_other():
    names = class_names(load_library())
    assert names[-1] == "other"
    assert len(set(names)) == len(names) > 50


def test_nothing_heavy_is_imported():
    code = "import sys, kinetag.exercises.recording as r; r.record('squat', 0, 0, seconds=0.2);"
    code += "print([m for m in ('av', 'rich', 'torch', 'lightning', 'pyarrow') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
