"""Whether files whose people would not do what they count are told."""

import re
from pathlib import Path

import numpy as np
import pytest

from kinetag import cli
from kinetag.exercises import recording
from kinetag.exercises.kinematics import BODY
from kinetag.exercises.library import FOLDER, read_written
from kinetag.exercises.motion import generate_batch
from kinetag.exercises.travel import must_move, unmoved

HEEL = """\
name: heel_slide
title: Heel slide
family: legs
description: On the back, slide one heel to the buttocks and back.
support: back
base: {trunk: -90}
poses:
  down: {hip: [0, 10], knee: [0, 10]}
  up: {left: {hip: [40, 60], knee: [90, 120]}}
order: [down, up]
sides: {one: 1}
tempo: {period: [2, 6]}
counting: {signal: knee, rest: 170, peak: 80, min_period: 1, max_period: 8, sides: either}
"""
SPREAD = """\
name: spread
poses:
  down: {abduction: 3}
  up: {abduction: 3, left: {abduction: 45}}
sides: one
tempo: {period: [1, 3]}
counting: {signal: stance, rest: 0.4, peak: 1.4, min_period: 1, max_period: 4}
"""
PUSH = """\
name: push
support: hands_and_feet
poses:
  up: {trunk: 75, shoulder: 75, elbow: 10}
  down: {trunk: 75, shoulder: 75, elbow: 10, left: {elbow: 100}}
tempo: {period: [1, 3]}
counting: {signal: wrist_height, rest: 0, peak: 1, min_period: 1, max_period: 4}
"""
DOCS = (Path(__file__).parents[1] / "docs" / "exercises.md").read_text()
EXAMPLES = [text for text in re.findall(r"```yaml\n(.*?)```", DOCS, re.DOTALL) if text.startswith("name:")]


@pytest.fixture
def write(tmp_path: Path):
    def writer(text: str) -> Path:
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        return path

    return writer


def test_all_that_ships_moves_as_it_is_counted():
    shipped = [*read_written(FOLDER), *read_written(FOLDER / "other")]
    assert [told for one in shipped if (told := unmoved(one))] == []


def test_a_knee_that_bends_over_a_foot_that_is_held_is_told(write):
    path = write(HEEL)
    told = unmoved(read_written(path)[0])
    assert told is not None
    said = re.fullmatch(
        rf"{re.escape(str(path))}:13: the knee stays between (\d+) and (\d+)° in the motion that this file makes, but "
        r"counting wants 170 to 80: feet that bear are held where they are; free the one that moves with contact: 0, "
        r"or both with support: \{by: back, feet: free\} \(in_place: they slide over the floor\)",
        told,
    )
    assert said
    assert int(said[2]) - int(said[1]) < 10


@pytest.mark.parametrize(("old", "new"), [
    ("support: back", "support: {by: back, feet: free}"),
    ("support: back", "support: {by: back, feet: in_place}"),
    ("left: {", "left: {contact: 0, "),
])  # fmt: skip
def test_what_the_message_proposes_mends_it(write, old, new):
    assert unmoved(read_written(write(HEEL.replace(old, new)))[0]) is None


@pytest.mark.parametrize(("text", "words"), [
    (SPREAD, r"the stance stays .* free the one that moves with contact: 0$"),
    (HEEL.replace("signal: knee", "signal: elbow"), r"the elbow stays .* let the poses differ in it"),
    (PUSH, r"the wrist height stays .* torso lengths .* free the one that moves with hand_contact: 0"),
])  # fmt: skip
def test_the_remedy_is_that_of_what_holds_it(write, text, words):
    assert re.search(words, unmoved(read_written(write(text))[0]) or "")


def test_what_is_held_or_has_no_rule_need_not_move(write):
    ruleless = re.sub("counting: .*\n", "", HEEL)
    held = HEEL.replace("  down: {hip: [0, 10], knee: [0, 10]}\n", "").replace("[down, up]", "[up]")
    for text in (ruleless, held):
        must_move(read_written(write(text))[0])


def test_teaching_and_training_refuse_it(write, tmp_path, capsys):
    path, profile = write(HEEL), tmp_path / "mine.npz"
    assert cli.main(["teach", "heel_slide", str(path), "--profile", str(profile)]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"error: {path}:13: the knee stays between ")
    assert told.endswith(f"(to see it: kinetag exercises heel_slide --exercises {path} --sheet sheet.png)\n")
    assert not profile.exists()
    options = ["--out", str(tmp_path / "r.npz"), "--classes", "squat", "--per-class", "1", "--seconds", "0"]
    assert recording.main(["--exercises", str(path), *options]) == 2
    assert "the knee stays between" in capsys.readouterr().err


def test_it_is_drawn_with_a_warning(write, tmp_path, capsys):
    sheet = tmp_path / "sheet.png"
    assert cli.main(["exercises", "heel_slide", "--exercises", str(write(HEEL)), "--sheet", str(sheet)]) == 0
    assert sheet.exists()
    assert capsys.readouterr().err.startswith(f"warning: {tmp_path / 'mine.yaml'}:13: the knee stays between ")
    assert cli.main(["exercises", "squat", "--exercises", str(write(HEEL))]) == 0
    assert capsys.readouterr().err == ""


def test_the_examples_of_the_page_move(write):
    written = [read_written(write(text))[0] for text in EXAMPLES]
    assert [(one.exercise.name, unmoved(one)) for one in written] == [("arm_raise", None), ("heel_slide", None)]


def test_the_pages_heel_slides_over_the_floor_beside_a_straight_leg(write):
    exercise = read_written(write(EXAMPLES[1]))[0].exercise
    legs = [[BODY.index(f"{side}_{joint}") for joint in ("hip", "knee", "ankle")] for side in ("left", "right")]
    for motion in generate_batch(exercise, np.random.default_rng(0), 6, repetitions=2):
        hip, knee, ankle = motion.joints[:, np.array(legs).T].transpose(1, 0, 2, 3)  # (T, 2, 3) each
        a, b = hip - knee, ankle - knee
        bend = np.degrees(np.arccos((a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)))
        works = np.ptp(bend, axis=0).argmax()
        assert bend[:, works].min() < 100
        assert bend[:, 1 - works].min() > 160
        assert np.ptp(ankle[:, works, 1]) < 0.06  # metres
        assert ankle[:, :, 1].max() < 0.25


def test_legs_that_nobody_speaks_of_lie_straight_on_the_back(write):
    text = HEEL.replace("support: back", "support: {by: back, feet: free}").replace("hip: [0, 10], ", "")
    exercise = read_written(write(text))[0].exercise
    for motion in generate_batch(exercise, np.random.default_rng(0), 6, repetitions=2):
        at_rest = motion.joints[0, [BODY.index(f"{side}_ankle") for side in ("left", "right")], 1]
        assert at_rest.max() < 0.35  # metres
        assert motion.joints[:, BODY.index("pelvis"), 1].max() < 0.25
