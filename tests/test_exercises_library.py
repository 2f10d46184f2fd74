import re
from pathlib import Path

import pytest

from kinetag.angles import STEPS
from kinetag.cli import main
from kinetag.errors import KinetagError, MistakesError
from kinetag.exercises.library import FOLDER, FORM_SIGNALS, Exercise, load_arm_styles, load_library, read_exercises
from kinetag.storage import in_users_names

MINIMAL = """name: arm_wave
title: Arm wave
family: arms
description: Wave.
poses:
  down: {shoulder: 10}
  up: {shoulder: [80, 110], plane: 90}
tempo: {period: [1, 3]}
"""
FIRST_SET = {
    "squat", "push_up", "pull_up", "dip", "sit_up", "lunge", "plank", "jumping_jack", "biceps_curl", "overhead_press",
    "deadlift", "bench_press", "mountain_climber", "jump_rope", "bent_over_row", "lateral_raise", "standing", "walking",
}  # fmt: skip
OTHERS = {exercise.name for exercise in read_exercises(FOLDER / "other")}


@pytest.fixture
def write(tmp_path: Path):
    def writer(text: str, name: str = "mine.yaml") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return writer


def test_the_first_set_is_there():
    assert set(load_library()) >= FIRST_SET


@pytest.mark.parametrize("exercise", load_library().values(), ids=lambda e: e.name)
def test_every_shipped_exercise_is_complete(exercise: Exercise):
    assert (FOLDER / f"{exercise.name}.yaml").exists(), "a file is named after its exercise"
    assert exercise.title
    assert exercise.synonyms
    assert len(exercise.description) > 30
    assert exercise.family != "other"
    assert exercise.min_duration <= 5
    names = {name.removeprefix("left_") for name in (*FORM_SIGNALS, *STEPS)}
    if exercise.counting:
        assert exercise.counting.signal in names
    for name in (*exercise.norms, *(fault.angle for fault in exercise.faults.values())):
        assert name in names
    assert len({variant.name for variant in exercise.variants}) == len(exercise.variants)
    assert set(exercise.looks_like) <= set(load_library()) | OTHERS
    assert all(exercise.looks_like.values()), "each says how it differs"


def test_exercises_have_norms_and_faults_where_they_can_be_seen():
    unseen = {"standing", "sitting", "lying", "kneeling", "walking", "running", "bear_crawl"}
    library = load_library()
    assert {name for name, exercise in library.items() if not exercise.norms} == unseen
    assert {name for name, exercise in library.items() if not exercise.faults} == unseen | {"fire_hydrant"}


def test_what_is_usual_is_no_fault():
    for exercise in load_library().values():
        for name, fault in exercise.faults.items():
            if fault.angle in exercise.norms and fault.at in ("peak", "whole"):  # norms are of the turning point
                low, high = exercise.norms[fault.angle]
                right = fault.above >= high if fault.above is not None else fault.below <= low
                assert right, f"{exercise.name}, {name}"


def test_look_alikes_know_each_other():
    library = load_library()
    one_sided = {
        (name, other)
        for name, exercise in library.items()
        for other in exercise.looks_like
        if other in library and name not in library[other].looks_like
    }
    assert one_sided == {("downward_dog", "toe_touch"), ("shoulder_extension", "bent_over_row")}


def test_static_and_counted():
    library = load_library()
    static = {name for name, e in library.items() if e.static}
    assert static >= {"plank", "standing"}
    assert {name for name, e in library.items() if e.counting is None} == static
    assert {name for name, e in library.items() if not e.is_counted} == static
    ruleless = library["squat"].model_copy(update={"counting": None})
    assert ruleless.is_counted
    assert not ruleless.model_copy(update={"counted": False}).is_counted


def test_synonyms_name_one_exercise():
    seen = {}
    for exercise in load_library().values():
        for word in (exercise.name, exercise.title.lower(), *(s.lower() for s in exercise.synonyms)):
            assert seen.setdefault(word, exercise.name) == exercise.name


def test_others_are_not_in_the_library():
    assert len(OTHERS) > 60
    assert not OTHERS & set(load_library())


def test_look_alikes_may_be_a_list_or_say_how_they_differ(write):
    listed = write(MINIMAL + "looks_like: [squat]\n", "a.yaml")
    told = write(MINIMAL + "looks_like: {squat: the knees bend}\n", "b.yaml")
    assert load_library([listed])["arm_wave"].looks_like == {"squat": ""}
    assert load_library([told])["arm_wave"].looks_like == {"squat": "the knees bend"}


def test_arm_styles_only_speak_of_arms():
    for style in load_arm_styles().values():
        for part in (style.rest, style.moved):
            assert part is None or set(part.given) <= {"shoulder", "upper_arm", "plane", "rotation", "elbow", "shrug"}


def test_a_users_exercise_joins_and_replaces(write):
    path = write(MINIMAL)
    library = load_library([path])
    assert library["arm_wave"].title == "Arm wave"
    assert load_library([path.parent])["arm_wave"] == library["arm_wave"]
    replaced = load_library([write(MINIMAL.replace("arm_wave", "squat"), "s.yaml")])
    assert replaced["squat"].title == "Arm wave"


def test_the_example_of_the_docs_works(write):
    docs = Path(__file__).parents[1] / "docs" / "exercises.md"
    example = docs.read_text().split("```yaml\n")[1].split("```")[0]
    exercise = load_library([write(example)])["arm_raise"]
    assert exercise.variants[0].name == "seated"


def test_contact_sheet(tmp_path, write):
    import cv2

    from kinetag.exercises.sheet import main

    out = tmp_path / "sheet.png"
    main(["arm_wave", "plank", "--library", str(write(MINIMAL)), "--out", str(out), "--people", "1"])
    image = cv2.imread(str(out))
    assert image.shape == (336, 1800, 3)
    assert (image != 255).any()


def test_a_users_exercise_moves(write):
    import numpy as np

    from kinetag.exercises.motion import generate

    exercise = load_library([write(MINIMAL)])["arm_wave"]
    motion = generate(exercise, np.random.default_rng(0))
    assert motion.label == "arm_wave"


@pytest.mark.parametrize(("old", "new", "line", "words"), [
    ("shoulder: 10", "sholder: 10", 6, "unknown key 'poses.down.sholder', did you mean 'shoulder'"),
    ("family", "famly", 3, "unknown key 'famly', did you mean 'family'"),
    ("period", "perod", 8, "unknown key 'tempo.perod', did you mean 'period'"),
    ("[80, 110]", "[80]", 7, "poses.up.shoulder"),
    ("[80, 110]", "high", 7, "poses.up.shoulder"),
    ("[80, 110]", "[80, 9000]", 7, "less than or equal to 400"),
    ("[80, 110]", "[80, .nan]", 7, "finite"),
    ("name: arm_wave", "name: Arm Wave", 1, "name is 'Arm Wave'"),
    ("name: arm_wave\n", "", 1, "'name' is missing"),
    ("tempo: {period: [1, 3]}", "", 1, "needs a tempo"),
    ("tempo:", "order:\n - down\n - upp\ntempo:", 10, "order: unknown pose 'upp', did you mean 'up'"),
    ("tempo:", "arms: [hangin]\ntempo:", 8, "arms: unknown arm style 'hangin', did you mean 'hanging'"),
    ("tempo:", "arms: {crossed: 1,\n hangin: 2}\ntempo:", 9, "arms.hangin: unknown arm style 'hangin'"),
    ("[1, 3]}", "[1, 3], hold: {upp: 0}}", 8, "tempo.hold.upp: unknown pose 'upp', did you mean 'up'"),
    ("tempo:", "peak: upp\ntempo:", 8, "peak: unknown pose 'upp', did you mean 'up'"),
    ("tempo:", "faults: {low: {description: low,\n angle: kne, below: 3}}\ntempo:", 9, "unknown angle 'kne'"),
    ("[80, 110]", "[110, 80]", 7, "poses.up.shoulder: [110, 80] has the higher value first; write [80, 110]"),
    ("[1, 3]", "[3, 1]", 8, "tempo.period: [3, 1] has the higher value first"),
    ("[80, 110]", "high", 7, "poses.up.shoulder: 'high' is neither a number nor [low, high]"),
    ("[80, 110]", "[1, 2, 3]", 7, "poses.up.shoulder: '[1, 2, 3]' is neither a number nor [low, high]"),
    ("name: arm_wave", "name: other", 1, "'other' means what is none of the exercises; choose another name"),
    ("tempo:", "variants:\n - {name: a}\n - {name: a}\ntempo:", 10, "'a' is another variant already"),
    ("tempo:", "variants:\n - {name: plain}\ntempo:", 9, "'plain' is the form without a variant already"),
    ("tempo:", "variants:\n - name: a\n   poses:\n    upp: {}\ntempo:", 11,
     "variants.0.poses.upp: unknown pose 'upp', did you mean 'up'?; a new one must be in the variant's 'order'"),
    ("tempo:", "variants:\n - name: a\n   order: [up, dwn]\ntempo:", 10, "unknown pose 'dwn', did you mean 'down'"),
    ("tempo:", "looks_like:\n - squat\n - squatt\ntempo:", 10, "unknown exercise 'squatt', did you mean 'squat'"),
    ("tempo:", "looks_like:\n  zzz: odd\ntempo:", 9, "unknown exercise 'zzz'; name one that 'kinetag exercises' lists"),
    ("shoulder: 10}", "shoulder: 10, upper_arm: 3}", 6, "either 'shoulder' or 'upper_arm'"),
    ("shoulder: 10}", "shoulder: 10", 7, "not valid YAML"),
    ("family: arms", "title: again", 3, "'title' is said twice"),
    ("family: arms", "family: !!python/object/apply:os.system [ls]", 3, "could not determine a constructor"),
    ("family: arms", "support: foot", 3, "support is 'foot'"),
    ("family: arms", "equipment: [barbel]", 3, "barbel"),
    ("tempo:", "counting: {signal: knee, rest: 90, peak: 90, min_period: 1, max_period: 3}\ntempo:", 8, "must change"),
])  # fmt: skip
def test_mistakes_are_explained_by_line(write, old, new, line, words):
    path = write(MINIMAL.replace(old, new, 1))
    with pytest.raises(KinetagError, match=re.escape(words)) as caught:
        load_library([path])
    assert f"{path}:{line}:" in str(caught.value)
    assert "\n" not in str(caught.value)


WRONG = """name: arm wave
titel: Arm wave
poses:
  down: {sholder: 10}
  up: {shoulder: [110, 80]}
tempo: {perod: [1, 3]}
equipment: [barbel]
counting: {signal: shoulder, rest: 12, peak: 90}
"""


def test_all_mistakes_of_a_file_are_told_in_the_order_of_its_lines(write, capsys):
    path = write(WRONG)
    with pytest.raises(MistakesError) as caught:
        load_library([path])
    told = str(caught.value).splitlines()
    expected = [
        (1, "name is 'arm wave': "), (2, "unknown key 'titel', did you mean 'title'?"),
        (4, "unknown key 'poses.down.sholder', did you mean 'shoulder'?"), (5, "poses.up.shoulder: [110, 80] has the "),
        (6, "unknown key 'tempo.perod', did you mean 'period'?"), (7, "equipment.0 is 'barbel': "),
        (8, "'counting.min_period' is missing"), (8, "'counting.max_period' is missing"),
    ]  # fmt: skip
    for line, (number, words) in zip(told, expected, strict=True):
        assert line.startswith(f"{path}:{number}: {words}")
    assert main(["exercises", "--exercises", str(path)]) == 2
    assert capsys.readouterr().err == "".join(f"error: {line}\n" for line in told)


def test_mistakes_are_told_of_all_documents_and_some_of_very_many(write):
    with pytest.raises(MistakesError) as caught:
        load_library([write(f"{MINIMAL.replace('family', 'famly')}---\n{MINIMAL.replace('title', 'titel')}")])
    assert re.findall(r"yaml:(\d+): unknown key '(\w+)'", str(caught.value)) == [("3", "famly"), ("11", "titel")]
    with pytest.raises(MistakesError) as caught:
        load_library([write(MINIMAL + "".join(f"odd_{i}: 1\n" for i in range(30)))])
    *first, last = str(caught.value).splitlines()
    assert len(first) == 12
    assert last == f"{write(MINIMAL)}: and 18 more mistakes"


def test_mistakes_of_a_copy_are_told_of_the_users_file(write):
    path = write(WRONG)
    told = r"^s3://gym/mine\.yaml:1: .*\ns3://gym/mine\.yaml:2: "
    with pytest.raises(MistakesError, match=told), in_users_names({str(path): "s3://gym/mine.yaml"}):
        load_library([path])


def test_two_exercises_of_one_name_are_refused(write):
    write(MINIMAL, "a.yaml")
    second = write("# a copy\n" + MINIMAL, "b.yaml")
    with pytest.raises(KinetagError) as caught:
        load_library([second.parent])
    first = second.with_name("a.yaml")
    assert str(caught.value) == f"{second}:2: 'arm_wave' is the name of {first}:1 too; rename one or take it away"
    with pytest.raises(KinetagError, match=rf"two\.yaml:{2 + MINIMAL.count(chr(10))}: 'arm_wave' is the name of"):
        load_library([write(f"{MINIMAL}---\n{MINIMAL}", "two.yaml")])


def test_an_exercise_may_look_like_what_is_no_exercise_and_like_others_of_ones_own(write):
    path = write(MINIMAL + "looks_like: [lying_triceps_extension, my_other]\n", "a.yaml")
    other = write(MINIMAL.replace("arm_wave", "my_other"), "b.yaml")
    assert set(load_library([path, other])) > {"arm_wave", "my_other"}


def test_a_variant_may_bring_a_pose_of_its_own(write):
    variant = "variants:\n - name: a\n   poses: {half: {shoulder: 40}}\n   order: [down, half, up]\n"
    assert load_library([write(MINIMAL + variant)])["arm_wave"].variants[0].order == ["down", "half", "up"]


@pytest.mark.parametrize(("content", "words"), [
    (b"", "empty"), (b"- a\n- b\n", "expected 'key: value' lines"), (b"\xff\xfe\x00bad\xff", "not a YAML text file"),
    (b"x: 1\n" * 50_000, "at most"), (b"a: " + b"[" * 2000, "valid YAML|nested|depth"),
    (b"a: &a [1]\nb: [*a, *a]\n", "aliases"), (b"? [1, 2]\n: 3\n", "plain word"), (b"hello", "expected 'key: value'"),
])  # fmt: skip
def test_hostile_files(tmp_path, content, words):
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    with pytest.raises(KinetagError, match=words):
        load_library([path])


def test_missing_file_and_empty_folder(tmp_path):
    with pytest.raises(KinetagError, match="no exercise file or folder"):
        load_library([tmp_path / "none.yaml"])
    with pytest.raises(KinetagError, match="no exercise"):
        load_library([tmp_path])
