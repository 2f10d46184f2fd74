import io
import json

import cv2
import pytest
from rich.console import Console

from kinetag import cli
from kinetag.errors import KinetagError
from kinetag.exercises.kinematics import JOINT
from kinetag.exercises.library import load_library
from kinetag.report.exercise import _one, exercise_table, figures, find_exercise, show_exercise, write_picture

LIBRARY = load_library()


@pytest.mark.parametrize("word", ["squat", "Squat", "SQUAT", "air squat", "Air-Squat"])
def test_an_exercise_is_found_by_name_title_and_synonym(word):
    assert find_exercise(LIBRARY, word).name == "squat"


def test_an_unknown_name_gets_the_nearest(capsys):
    assert cli.main(["exercises", "sqat"]) == 2
    assert capsys.readouterr().err == "error: unknown exercise 'sqat'; did you mean 'squat'?\n"
    with pytest.raises(KinetagError, match="known: "):
        find_exercise(LIBRARY, "0000")
    with pytest.raises(KinetagError, match="known: "):
        find_exercise(LIBRARY, "chemical")


def test_a_family_is_listed(capsys):
    assert cli.main(["exercises", "Legs"]) == 0
    told = capsys.readouterr().out
    assert "split_squat" in told
    assert "push_up" not in told
    assert "9 of 9" in told
    assert cli.main(["exercises", "leg"]) == 2
    assert capsys.readouterr().err == "error: unknown exercise 'leg'; did you mean 'legs'?\n"
    assert cli.main(["exercises", "legs", "--out", "a.png"]) == 2
    assert "--out needs the name of an exercise" in capsys.readouterr().err


def test_the_library_is_told_to_programs(capsys):
    def told(*words):
        assert cli.main(["exercises", *words, "--format", "json"]) == 0
        return json.loads(capsys.readouterr().out)

    assert [facts["name"] for facts in told()] == list(LIBRARY)
    assert [facts["family"] for facts in told("back")] == ["back"]  # a family of one is a list, too
    squat = told("Air squat")
    assert (squat["name"], squat["title"], squat["family"], squat["recognised"]) == ("squat", "Squat", "legs", True)
    assert "goblet squat" in squat["synonyms"]
    assert squat["counting"] == {"signal": "knee", "rest": 170, "peak": 85, "sides": "both"}
    assert squat["norms"]["knee"] == [60, 105]
    assert squat["faults"]["too_shallow"]["above"] == 118
    assert "below" not in squat["faults"]["too_shallow"]
    plank = told("plank")
    assert (plank["held"], plank["counting"]) == (True, None)
    assert cli.main(["exercises", "squat", "--format", "json", "--out", "a.png"]) == 2
    assert "--out does not go with --format json" in capsys.readouterr().err


def test_other_and_files_are_told_from_names(tmp_path):
    with pytest.raises(KinetagError, match="'other' is no exercise"):
        find_exercise(LIBRARY, "other")
    with pytest.raises(KinetagError, match=r"say: kinetag exercises arm_raise --exercises mine/arm_raise\.yaml"):
        find_exercise(LIBRARY, "mine/arm_raise.yaml")
    with pytest.raises(KinetagError, match=f"say: kinetag exercises --exercises {tmp_path}"):
        find_exercise(LIBRARY, str(tmp_path))


@pytest.mark.parametrize("option", ["--out", "--animation", "--sheet"])
def test_a_picture_needs_a_name(tmp_path, capsys, option):
    assert cli.main(["exercises", option, str(tmp_path / "a.png")]) == 2
    told = capsys.readouterr()
    assert told.err.startswith(f"error: {option} needs the name of an exercise, for example: kinetag exercises squat")
    assert not told.out
    assert not list(tmp_path.iterdir())


OWN = """name: arm_raise
poses:
  down: {shoulder: 5}
  up: {shoulder: 90}
tempo: {period: [1.5, 4]}
"""


def test_an_entry_of_ones_own_is_drawn(tmp_path, capsys):
    file = tmp_path / "arm_raise.yaml"
    file.write_text(OWN)
    out, sheet = tmp_path / "a.png", tmp_path / "sheet.png"
    command = ["exercises", "arm_raise", "--exercises", str(file), "--out", str(out), "--sheet", str(sheet)]
    assert cli.main(command) == 0
    assert cv2.imread(str(out)).shape[0] == 360
    assert cv2.imread(str(sheet)).shape[0] == 168


def test_variants_on_the_sheet_go_all_the_way():
    depths = []
    for variant in ("quarter", "plain", "deep"):
        motion = _one(LIBRARY["squat"], variant)
        assert len(motion.repetitions) == 1
        depths.append(motion.joints[:, JOINT["pelvis"], 1].min() / motion.joints[0, JOINT["pelvis"], 1])
    assert depths[0] - 0.1 > depths[1] > depths[2] + 0.03


@pytest.mark.parametrize("name", LIBRARY)
def test_every_exercise_has_a_figure_that_fits_a_terminal(name):
    drawn = figures(LIBRARY[name])
    rows = drawn.split("\n")
    assert 3 <= len(rows) <= 16
    assert max(map(len, rows)) <= 100
    assert set(drawn) <= {" ", "\n", *map(chr, range(0x2801, 0x2900))}
    assert sum(character > "\u2800" for character in drawn) > 20


def test_the_same_exercise_looks_the_same_each_time():
    assert figures(LIBRARY["squat"]) == figures(LIBRARY["squat"])


def test_the_list_names_every_exercise(capsys):
    assert cli.main(["exercises"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in LIBRARY)


def test_one_is_described(capsys):
    assert cli.main(["exercises", "push_up"]) == 0
    said = capsys.readouterr().out
    assert "counted by" in said
    assert "elbow" in said


def test_one_without_a_rule_is_counted_by_its_movement():
    exercise = LIBRARY["squat"].model_copy(update={"counting": None})
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(exercise_table({"squat": exercise}), show_exercise({"squat": exercise}, "squat"))
    said = console.export_text()
    assert "its strongest movement" in said
    assert "not counted" not in said


def test_a_picture_is_written(tmp_path):
    write_picture(LIBRARY["squat"], tmp_path / "squat.png")
    assert cv2.imread(str(tmp_path / "squat.png")).shape[0] >= 200
    assert [path.name for path in tmp_path.iterdir()] == ["squat.png"]


def test_one_is_told_from_its_look_alikes(capsys):
    assert cli.main(["exercises", "squat"]) == 0
    said = capsys.readouterr().out
    assert "sit to stand: rests on a seat" in said
    assert "sumo" in said


def test_a_sheet_has_a_row_for_every_variant(tmp_path, capsys):
    out = tmp_path / "sheet.png"
    assert cli.main(["exercises", "squat", "--sheet", str(out)]) == 0
    assert str(out) in capsys.readouterr().out.replace("\n", "")
    assert cv2.imread(str(out)).shape[0] == (18 + 150) * (1 + len(LIBRARY["squat"].variants))
    assert cli.main(["exercises", "squat", "--sheet", str(tmp_path / "sheet.gif")]) == 2
    assert "must end in .png or .jpg" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "said"), [("a.bmp", "must end in"), ("gone/a.png", "no folder")])
def test_a_picture_that_cannot_be_written(tmp_path, name, said):
    with pytest.raises(KinetagError, match=said):
        write_picture(LIBRARY["squat"], tmp_path / name)
