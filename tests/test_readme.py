"""What the README tells people to type, works."""

import re
import shlex
from pathlib import Path

import pytest

from kinetag.cli import main
from kinetag.video import open_source

README = (Path(__file__).parent.parent / "README.md").read_text()
COMMANDS = [
    line.split("  #")[0].strip()
    for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("kinetag ")
]
CODE = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def workplace(tmp_path, monkeypatch, squat_clip) -> Path:
    """A folder with a workout.mp4 in it, where the commands run."""
    (tmp_path / "workout.mp4").write_bytes(squat_clip[0].read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_there_are_commands_and_code() -> None:
    assert len(COMMANDS) >= 5
    assert len(CODE) >= 2


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
    assert main(words) == 0


@pytest.mark.parametrize("code", CODE)
def test_code_works(code: str, workplace: Path, capsys) -> None:
    with open_source("workout.mp4", rate=15.0) as video:
        camera = [(frame.image, frame.time) for frame in video]
    exec(compile(code, "README.md", "exec"), {"camera": camera})
    assert "squat" in capsys.readouterr().out


@pytest.mark.parametrize("link", re.findall(r"\]\((?!https?:)([^)#]+)\)", README))
def test_link_leads_somewhere(link: str) -> None:
    assert (Path(__file__).parent.parent / link).exists()
