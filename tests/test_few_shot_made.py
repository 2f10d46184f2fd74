"""People made from an exercise's YAML file, and what is taught by them."""

import io
from pathlib import Path

import numpy as np
import pytest
from made_teaching import WRITTEN
from rich.console import Console

from kinetag.errors import KinetagError
from kinetag.exercises.library import load_library, read_exercises
from kinetag.features import windows
from kinetag.few_shot import made
from kinetag.few_shot.made import is_written, made_clips, written_exercise
from kinetag.few_shot.profile import Profile, Taught
from kinetag.few_shot.teach import how_counted, repetitions
from kinetag.report.teaching import profile_table


@pytest.fixture
def file(tmp_path):
    (tmp_path / "arm_raise.yaml").write_text(WRITTEN)
    return tmp_path / "arm_raise.yaml"


def test_people_are_the_same_by_seed_and_differ_among_themselves(file):
    exercise = read_exercises(file)[0]
    first, again, others = (made_clips(exercise, 6, seed=seed) for seed in (1, 1, 2))
    for a, b, c in zip(first, again, others, strict=True):
        np.testing.assert_array_equal(a.poses.keypoints, b.poses.keypoints)
        assert not np.array_equal(a.poses.keypoints, c.poses.keypoints)
    assert not np.array_equal(first[0].poses.keypoints, first[1].poses.keypoints)
    assert all(clip.made and len(windows(clip.part)) for clip in first)


def test_people_of_whom_too_little_is_seen_are_not_learned_from(file, monkeypatch):
    exercise = read_exercises(file)[0]
    lengths = [len(clip.poses) for clip in made_clips(exercise, 12)]
    assert min(lengths) < max(lengths)
    monkeypatch.setattr(made, "_LEAST", max(lengths))
    assert {len(clip.poses) for clip in made_clips(exercise, 12)} == {max(lengths)}


def test_the_rule_of_the_file_counts_them(file):
    exercise = read_exercises(file)[0]
    clips = made_clips(exercise, 4)
    taught = Taught("front_lift", "Front lift", exercise.counting, tuple(clips), exercise)
    assert sum(1 <= count <= 6 for count in repetitions(taught)) >= 3
    assert (taught.exercise.name, taught.exercise.norms) == ("front_lift", exercise.norms)
    assert how_counted(taught) == "counted by: shoulder, 12 to 88°, each side"


@pytest.mark.parametrize(("name", "said"), [("plank", "held: not counted"), ("squat", "not counted")])
def test_what_is_held_or_nobody_counts_is_not_counted(name, said):
    exercise = load_library()[name].model_copy(update={"counting": None, "counted": False})
    taught = Taught(name, exercise.title, None, tuple(made_clips(exercise, 2)), exercise)
    assert repetitions(taught) == (0, 0)
    assert how_counted(taught).endswith(said)


def test_a_file_without_a_rule_is_counted_by_what_repeats():
    exercise = load_library()["squat"].model_copy(update={"counting": None})
    taught = Taught("dips_of_mine", "Dips", None, tuple(made_clips(exercise, 4)), exercise)
    assert sum(count > 0 for count in repetitions(taught)) >= 3
    assert how_counted(taught) == "counted by: its strongest movement"
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(profile_table(Profile({"dips_of_mine": taught}), Path("mine.npz")))
    said = console.export_text()
    assert "its strongest movement" in said
    assert "held" not in said


def test_slow_exercises_are_seen_for_longer():
    library = load_library()
    slowest = max(library.values(), key=lambda e: e.tempo.period[1] if e.tempo else 0)
    assert 12 < max(clip.end for clip in made_clips(slowest, 4)) <= 20
    assert max(clip.end for clip in made_clips(library["plank"], 4)) == pytest.approx(6, abs=0.1)


def test_of_several_exercises_in_a_file_the_named_one_is_taken(file):
    assert written_exercise(file, "something_else").name == "arm_raise"
    file.write_text(f"{WRITTEN}---\n{WRITTEN.replace('arm_raise', 'arm_wave')}")
    assert written_exercise(file, "arm_wave").name == "arm_wave"
    with pytest.raises(KinetagError, match=r"arm_raise\.yaml holds arm_raise, arm_wave, but no 'lift'"):
        written_exercise(file, "lift")


def test_a_yaml_file_is_one_by_its_name():
    assert [is_written(name) for name in ("a.yaml", "s3://b/A.YML", "a.json", "yaml")] == [True, True, False, False]
