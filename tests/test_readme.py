"""What the README tells people to type, works."""

import re
import shlex
import sys
from dataclasses import make_dataclass
from pathlib import Path
from types import ModuleType

import pytest

from kinetag.classifier import Classifier
from kinetag.cli import main
from kinetag.errors import KinetagError
from kinetag.exercises.scenes import make_scene
from kinetag.spec import ACTIONS
from kinetag.spec.template import template
from kinetag.video import open_source

Predicted = make_dataclass("Predicted", [])

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAGES = (
    "docs/train.md",
    "docs/datasets.md",
    "docs/spec.md",
    "docs/stores.md",
)  # their commands are read as specs, not run


def blocks(page: str) -> list[list[str]]:
    """The kinetag commands of each block of a page."""
    fenced = re.findall(r"```(\w*)\n(.*?)```", page.replace("\\\n", ""), re.DOTALL)
    shell = [text for language, text in fenced if language in ("", "bash")]
    commands = [[line.split("  #")[0].strip() for line in text.splitlines()] for text in shell]
    return [kept for block in commands if (kept := [line for line in block if line.startswith("kinetag ")])]


EXERCISES = (ROOT / "docs" / "exercises.md").read_text()
ARM_RAISE = next(text for text in re.findall(r"```yaml\n(.*?)```", EXERCISES, re.DOTALL) if "name: arm_raise" in text)
TRAINING = next(block for block in blocks(README) if block[0].startswith("kinetag spec "))
COMMANDS = [command for block in blocks(README) if block != TRAINING for command in block]
CODE = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def workplace(tmp_path, monkeypatch, squat_clip) -> Path:
    """A folder with a workout.mp4 in it, where the commands run."""
    (tmp_path / "workout.mp4").write_bytes(squat_clip[0].read_bytes())
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "arm_raise.yaml").write_text(ARM_RAISE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_there_are_commands_and_code() -> None:
    assert len(COMMANDS) >= 5
    assert len(CODE) >= 2


def teachable() -> bool:
    """Whether the shipped classifier can be taught."""
    try:
        return Classifier.load().embedding_width > 0
    except KinetagError:
        return False


@pytest.mark.parametrize("command", COMMANDS)
def test_command_works(command: str, workplace: Path, capsys) -> None:
    words = shlex.split(command)[1:]
    if words[0] == "demo":
        pytest.skip("tested by itself in test_demo.py")
    if words[0] == "live":
        words += ["workout.mp4", "--no-window"]  # there is no camera here
    if words[0] == "doctor":
        assert main(words) in (0, 1)
        return
    if words[-1] == "mine/arm_raise.yaml":
        assert main(words) == 0
        return
    if words[0] == "teach" or "--profile" in words:
        if not teachable():
            pytest.skip("the shipped classifier gives no embedding yet")
        assert main(["teach", "pistol squat", "workout.mp4"]) == 0  # the clip that is here
        if words[0] == "teach":
            return
    assert main(words) == 0


def test_the_page_on_writing_an_exercise_tells_the_same(workplace: Path) -> None:
    drawn, *others = (command for block in blocks(EXERCISES) for command in block)
    assert set(others) <= set(COMMANDS)
    assert main(shlex.split(drawn)[1:]) == 0
    assert Path("sheet.png").stat().st_size > 1000


def run(command: str, capsys, *more: str) -> str:
    """Run a command, write what it prints where its '>' says, and give it back."""
    words = shlex.split(command)[1:]
    words, target = (words[: words.index(">")], Path(words[-1])) if ">" in words else (words, None)
    capsys.readouterr()
    assert main([*words, *more]) == 0, capsys.readouterr().err
    printed = capsys.readouterr().out
    if target is not None:
        target.write_text(printed, "utf-8")
    return printed


@pytest.mark.slow
def test_training_commands_work_one_after_the_other(workplace: Path, squat_clip, capsys) -> None:
    pytest.importorskip("lightning")
    for number in range(4):
        for name in ("squat", "jumping_jack"):
            path = workplace / "clips" / name / f"{number}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            if name == "squat":
                path.write_bytes((workplace / "workout.mp4").read_bytes())
            else:
                make_scene(f"single:{name}", width=320, height=240, frame_rate=10.0).write(path)
    for command in TRAINING:
        more = ["num_epochs=1"] if command.startswith("kinetag train ") else []
        printed = run(command, capsys, *more)
    assert "Person" in printed


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_a_page_are_specs(page: str, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    for name, action in (("experiment", "train"), ("train", "train")):
        (tmp_path / f"{name}.yaml").write_text(template(action, tao=name == "experiment"))
    seen = []
    for action in ACTIONS:
        module = ModuleType(action)
        setattr(module, action, lambda spec, progress: seen.append(spec) or Predicted())
        monkeypatch.setitem(sys.modules, f"kinetag.actions.{action}", module)
    commands = [command for block in blocks((ROOT / page).read_text()) for command in block]
    driven = [command for command in commands if command.split()[1] in (*ACTIONS, "spec")]
    assert driven
    for command in driven:
        more = ["dataset.train_dataset.data_path=here"] if command.split()[1] == "train" else []
        run(command, capsys, *more)
    assert len(seen) == len([command for command in driven if command.split()[1] in ACTIONS])


@pytest.mark.parametrize("code", CODE)
def test_code_works(code: str, workplace: Path, capsys) -> None:
    with open_source("workout.mp4", rate=15.0) as video:
        camera = [(frame.image, frame.time) for frame in video]
    exec(compile(code, "README.md", "exec"), {"camera": camera})
    assert "squat" in capsys.readouterr().out


@pytest.mark.parametrize("link", re.findall(r"\]\((?!https?:)([^)#]+)\)", README))
def test_link_leads_somewhere(link: str) -> None:
    assert (ROOT / link).exists()
