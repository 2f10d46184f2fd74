"""The agent skill: well-formed, generated, true; its commands work one after the other."""

import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator
from object_store import BUCKET

from kinetag import __version__, storage
from kinetag.cli import _parser, main
from kinetag.datasets.augment import RECIPES
from kinetag.errors import KinetagError
from kinetag.jobs import contract
from kinetag.skill import NAME, skill_files, template_path, write_skill
from kinetag.spec import ACTIONS, load_spec
from kinetag.spec.schema import action_schema, manifest

ROOT = Path(__file__).parent.parent
SKILL = ROOT / "skill"
FILES = skill_files()
MAIN = FILES["SKILL.md"]
PAGES = ["SKILL.md", *(f"references/{name}.md" for name in ("timeline", "data", "training"))]  # as they are read
OPEN_FORMAT = {"name", "description", "license", "compatibility", "metadata", "allowed-tools"}
SHORT = {"num_epochs=60": "num_epochs=1", "automl_max_recommendations=20": "automl_max_recommendations=2"}


def head(text: str) -> dict:
    """The front matter."""
    return yaml.safe_load(re.match(r"---\n(.*?\n)---\n", text, re.DOTALL)[1])


def body(text: str) -> str:
    return text.split("\n---\n", 1)[1]


def commands(page: str) -> list[str]:
    """The shell blocks of a page."""
    return re.findall(r"```bash\n(.*?)```", FILES[page], re.DOTALL)


# --- what it is made of ----------------------------------------------------------------------------------------------


def test_the_committed_folder_is_what_is_generated():
    there = {
        path.relative_to(SKILL).as_posix(): path.read_text("utf-8")
        for path in SKILL.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert there == FILES, "run: kinetag skill --out skill"


def test_the_front_matter_keeps_the_rules_of_the_open_format():
    found = head(MAIN)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", found["name"])
    assert len(found["name"]) <= 64
    assert found["name"] == NAME
    assert 0 < len(found["description"]) <= 1024
    assert "Use when" in found["description"]
    assert len(re.findall(r'"[^"]+"', found["description"])) >= 5  # trigger phrases
    assert 0 < len(found["compatibility"]) <= 500
    assert found["license"] == "Apache-2.0"
    assert all(isinstance(part, str) for pair in found["metadata"].items() for part in pair)
    assert found["metadata"]["version"] == __version__
    assert isinstance(found["allowed-tools"], str)
    assert all(re.fullmatch(r"[A-Z][A-Za-z]*(\([a-z]+:\*\))?", tool) for tool in found["allowed-tools"].split())
    assert found["tags"]
    assert set(found) == OPEN_FORMAT | {"tags"}
    assert set(head(skill_files(standard=True)["SKILL.md"])) == OPEN_FORMAT
    assert body(skill_files(standard=True)["SKILL.md"]) == body(MAIN)


def test_the_instructions_are_short():
    assert len(MAIN.splitlines()) < 500
    assert len(body(MAIN)) / 4 < 5000  # tokens, roughly


@pytest.mark.parametrize("page", [name for name in FILES if name.endswith(".md")])
def test_links_lead_somewhere_and_no_deeper(page: str):
    for link in re.findall(r"\]\(([^)#]+)\)", FILES[page]):
        name = os.path.normpath(os.path.join(os.path.dirname(page), link))
        assert name in FILES
        assert name.count("/") <= 1
    for name in re.findall(r"`((?:references|schemas|evals)/[\w.]+)`", FILES[page]):
        assert name.replace("ACTION", "train") in FILES


def test_nothing_sends_the_reader_to_pages_that_are_not_in_the_folder(capsys):
    assert [name for name, text in FILES.items() if re.search(r"\bdocs/", text)] == []
    for words in (["jobs"], ["train"]):
        with pytest.raises(SystemExit):
            main([*words, "--help"])
        assert "docs/" not in capsys.readouterr().out


def test_the_spec_decides_what_is_trained(tmp_path: Path):
    """What SKILL.md says of `-e train.yaml`."""
    path = tmp_path / "train.yaml"
    path.write_text(FILES[template_path("train")])
    given = ["dataset.train_dataset.data_path=d"]
    found = [load_spec(source, given, action="train") for source in (path, None)]
    assert [spec.model.model_type for spec in found] == ["Fold-GCN", "ST-GCN"]
    assert [spec.train.recipe for spec in found] == ["kinetag", "tao"]
    filled = [spec.with_defaults(RECIPES[spec.train.recipe]) for spec in found]
    assert [spec.train.optim.optimizer_type for spec in filled] == ["torch.optim.AdamW", "torch.optim.SGD"]
    assert "Fold-GCN with AdamW and `recipe: kinetag`" in MAIN


def test_skill_info_tells_what_jobs_go_by():
    info = yaml.safe_load(FILES["references/skill_info.yaml"])
    assert info["network_arch"] == "pose_classification"
    assert info["automl_enabled"] is True
    assert info["data_sources"] == contract.DATA_SOURCES
    assert info["spec_params"] == contract.SPEC_PARAMS
    assert info["spec_shorthand_keys"] == contract.SPEC_SHORTHAND_KEYS
    assert set(info["actions"]) == set(ACTIONS)
    for action, about in info["actions"].items():
        assert about["command"] == f"kinetag {action} -e {{config_path}}"
        assert about["inputs"] == contract.INPUTS[action]
        assert about["outputs"] == contract.OUTPUTS[action]
        assert os.path.normpath(f"references/{info['spec_templates'][action]}") == template_path(action)
        assert template_path(action) in FILES


def test_it_has_the_keys_of_the_published_skill(data_folder):
    path = data_folder.parent / "reference/tao_pose_classification/skill_info.yaml"
    if not path.exists():
        pytest.skip("the published skill is not here")
    theirs, ours = yaml.safe_load(path.read_text()), yaml.safe_load(FILES["references/skill_info.yaml"])
    assert set(theirs) - set(ours) == {"container_image"}  # there is no container
    for action, about in theirs["actions"].items():
        for key, value in about.items():
            if key != "command":
                assert ours["actions"][action][key] == value
    for key in ("network_arch", "gpu_spec_key", "data_format", "data_sources", "spec_params", "spec_shorthand_keys"):
        assert ours[key] == theirs[key]


@pytest.mark.parametrize("action", ACTIONS)
def test_templates_fit_the_schemas_and_leave_open_what_a_parent_gives(action: str):
    schema = json.loads(FILES[f"schemas/{action}.schema.json"])
    assert schema == json.loads(json.dumps(action_schema(action)))
    Draft202012Validator.check_schema(schema)
    text = FILES[template_path(action)]
    values = {key: value for key, value in _given(yaml.safe_load(text)) if value is not None}
    for key in (*contract.SPEC_PARAMS[action], *contract.DATA_SOURCES.get(action, {}), "model.graph_layout"):
        assert key not in values
    opened = re.sub(r"^( *)#(?=\w+: )", r"\1", text, flags=re.MULTILINE)  # every '#' taken away
    for tree in (yaml.safe_load(opened), _without_empty(yaml.safe_load(text))):
        Draft202012Validator(schema).validate(tree)


@pytest.mark.parametrize("action", ACTIONS)
def test_a_template_runs_with_nothing_but_what_it_needs(action: str, tmp_path: Path):
    path = tmp_path / f"{action}.yaml"
    path.write_text(FILES[template_path(action)])
    needed = {"train": ["dataset.train_dataset.data_path=d"], "dataset_convert": ["dataset_convert.data=d"]}
    tested = [f"{action}.test_dataset.data_path=d"] if action in ("evaluate", "inference") else []
    given = needed.get(action, [f"{action}.checkpoint=c", *tested])
    spec = load_spec(path, given, action=action)
    for word in given:
        key, _, value = word.partition("=")
        assert spec.get(key) == value
    assert spec.automl_policy == ("auto" if action == "train" else "off")


def _given(tree: dict, prefix: str = ""):
    for key, value in tree.items():
        yield from _given(value, f"{prefix}{key}.") if isinstance(value, dict) else [(prefix + key, value)]


def _without_empty(tree: dict) -> dict:
    kept = {key: _without_empty(value) if isinstance(value, dict) else value for key, value in tree.items()}
    return {key: value for key, value in kept.items() if value is not None}


def test_the_manifest_names_files_that_are_there():
    found = json.loads(FILES["schemas/manifest.json"])
    assert found == json.loads(json.dumps(manifest()))
    for about in found["actions"].values():
        assert {about["path"], about["spec_template"]} <= set(FILES)


def test_what_the_table_of_errors_quotes_is_what_the_program_says():
    sources = "\n".join(path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py"))
    sources = re.sub(r"\"\s*\n\s*f?\"", "", sources)  # messages that are written in several lines
    sources = re.sub(r"\{[^{}]*\}", "{}", sources)
    rows = re.findall(r"^\| (`.*?) \|", FILES["references/errors.md"], re.MULTILINE)
    assert len(rows) > 15
    for quoted in (part for row in rows for part in re.findall(r"`([^`]+)`", row)):
        for fragment in re.split(r"\.\.\.|\b(?:KEY|VALUE)\b", quoted):
            assert fragment.strip(" ,:") in sources, quoted


# --- writing it ------------------------------------------------------------------------------------------------------


def test_writing_it_again_changes_nothing_and_clears_what_is_old(tmp_path: Path, capsys):
    folder = tmp_path / "skills" / NAME
    assert main(["skill", "--out", str(folder)]) == 0
    assert capsys.readouterr().err == ""
    (folder / "references" / "old.md").write_text("of an earlier version")
    (folder / "mine.txt").write_text("the user's")
    write_skill(folder)
    there = {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}
    assert there == {**FILES, "mine.txt": "the user's"}


@pytest.mark.parametrize("other", ["---\nname: another\n---\n", None])
def test_another_s_folder_is_left_alone(tmp_path: Path, other: str | None, capsys):
    (tmp_path / "notes.md").write_text("mine")
    if other is not None:
        (tmp_path / "SKILL.md").write_text(other)
    before = sorted(tmp_path.iterdir())
    assert main(["skill", "--out", str(tmp_path)]) == 2
    assert "holds something else than a kinetag skill" in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before
    with pytest.raises(KinetagError, match="is a file"):
        write_skill(tmp_path / "notes.md")


def test_without_a_folder_it_prints_the_instructions(tmp_path: Path, capsys):
    assert main(["skill"]) == 0
    assert capsys.readouterr().out == MAIN
    assert main(["skill", "--out", str(tmp_path / "elsewhere")]) == 0
    assert "a folder named kinetag" in capsys.readouterr().err


# --- AutoML ----------------------------------------------------------------------------------------------------------


def test_a_search_goes_by_the_skill_and_says_so_when_it_cannot(tmp_path: Path):
    pytest.importorskip("optuna")
    from kinetag.tune.schema import NOT_RUNNABLE, read_schema

    write_skill(tmp_path / NAME)
    assert read_schema(str(tmp_path / NAME)) == json.loads(FILES["schemas/train.schema.json"])
    for name, content in {
        "schemas/train.schema.json": "{ broken",
        "references/spec_template_train.yaml": "{ broken: [",
    }.items():
        path = tmp_path / NAME / name
        kept = path.read_text()
        for damage in (lambda path=path, content=content: path.write_text(content), path.unlink):
            damage()
            with pytest.raises(KinetagError, match=NOT_RUNNABLE):
                read_schema(str(tmp_path / NAME))
            path.write_text(kept)
    assert NOT_RUNNABLE in MAIN


def test_the_answer_comes_where_a_job_is_created_and_where_a_search_begins(tmp_path: Path, monkeypatch, capsys):
    pytest.importorskip("optuna")
    from made_search import FakeNursery
    from made_training import write_spec

    from kinetag.tune import search
    from kinetag.tune.schema import NOT_RUNNABLE

    monkeypatch.setattr(search, "Nursery", type("Fake", (FakeNursery,), {"jobs": []}))
    monkeypatch.setenv("KINETAG_HOME", str(tmp_path / "home"))
    write_skill(tmp_path / NAME)
    by_skill = ["-e", str(write_spec(tmp_path)), f"automl_settings.search_schema={tmp_path / NAME}"]
    few = ["automl_policy=auto", "automl_settings.automl_max_recommendations=2"]
    assert main(["train", *by_skill, *few, f"results_dir={tmp_path / 'one'}"]) == 0
    assert len(json.loads((tmp_path / "one/train/automl.json").read_text())["trials"]) == 2
    assert main(["jobs", "create", "train", *by_skill, "--dry-run"]) == 0
    assert "automl_policy: auto" in capsys.readouterr().out

    (tmp_path / NAME / "schemas/train.schema.json").unlink()
    assert main(["jobs", "create", "train", *by_skill, "--dry-run"]) == 2
    assert NOT_RUNNABLE in capsys.readouterr().err
    assert main(["jobs", "create", "train", *by_skill, "automl_policy=off", "--dry-run"]) == 0
    capsys.readouterr()
    assert main(["train", *by_skill, *few, f"results_dir={tmp_path / 'two'}"]) == 2
    assert NOT_RUNNABLE in capsys.readouterr().err
    assert NOT_RUNNABLE in (tmp_path / "two/train/status.json").read_text().splitlines()[-1]


# --- its commands ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """The files that the commands and the evals speak of."""
    folder = tmp_path_factory.mktemp("skill")
    runpy.run_path(str(SKILL / "evals/prepare.py"))["prepare"](folder)
    for number in (1, 2):
        shutil.copy(folder / f"clips/squat/{number}.mp4", folder / f"clip{number}.mp4")
    shutil.copytree(folder / "clips", folder / "other_clips")
    (folder / "new_clips").mkdir()
    shutil.copy(folder / "workout.mp4", folder / "new_clips")
    return folder


@pytest.fixture
def workplace(prepared: Path, tmp_path: Path) -> Path:
    shutil.copytree(prepared, tmp_path / "work")
    return tmp_path / "work"


def shell(script: str, folder: Path) -> str:
    """Run a script of commands as an agent does; what it printed."""
    programs = folder.parent / "bin"
    programs.mkdir(exist_ok=True)
    (programs / "kinetag").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m kinetag "$@"\n')
    (programs / "kinetag").chmod(0o755)
    for long, short in SHORT.items():
        script = script.replace(long, short)
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "src"),
        "KINETAG_HOME": str(folder.parent / "home"),
    }
    ended = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", script], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    return ended.stdout


def check(number: int, folder: Path) -> dict:
    ran = [sys.executable, str(SKILL / "evals/check.py"), str(number), str(folder)]
    return json.loads(subprocess.run(ran, capture_output=True, text=True, check=False).stdout)["summary"]


def test_the_commands_for_a_timeline_work(workplace: Path):
    quick = [block for block in commands("SKILL.md") if "kinetag jobs" not in block and "results" not in block]
    assert len(quick) == 2
    printed = shell("".join([*quick, *commands("references/timeline.md")]), workplace)
    assert '"label": "squat"' in printed
    assert json.loads((workplace / "timeline.json").read_text())["people"][0]["segments"][0]["repetitions"] == 3
    assert "pistol squat" in printed


@pytest.mark.slow
def test_all_commands_work_one_after_the_other(workplace: Path, store):
    pytest.importorskip("lightning")
    for path in sorted((workplace / "data").iterdir()):
        storage.upload(path, f"s3://{BUCKET}/data/{path.name}")
    printed = shell("".join(block for page in PAGES for block in commands(page)), workplace)
    assert check(2, workplace)["failed"] == 0
    assert len(json.loads((workplace / "results/train/automl.json").read_text())["trials"]) == 2
    assert json.loads((workplace / "results/inference/predictions.json").read_text())["clips"]
    assert "s3://bucket/data/val_label.pkl" in printed
    assert not (workplace / "results/plain/train/automl.json").exists()


@pytest.mark.parametrize("page", [name for name in FILES if name.endswith(".md")])
def test_the_commands_in_the_text_are_ones_that_the_program_takes(page: str):
    """One that is a verb alone, as in 'what `kinetag tune` does', needs its help to be there."""
    text = re.sub(r"```.*?```", "", FILES[page], flags=re.DOTALL)
    for command in re.findall(r"`kinetag ([^`]+)`", text):
        words = shlex.split(command.replace("ACTION", "train"))
        if len(words) > 1:
            assert callable(_parser(words).parse_args(words).run), command
        else:
            with pytest.raises(SystemExit, match=r"^0$"):
                _parser(words).parse_args([*words, "--help"])


def test_commands_in_the_text_are_found():
    found = [command for name in FILES for command in re.findall(r"`(kinetag [^`]+)`", FILES[name])]
    assert {"kinetag doctor", "kinetag jobs retry ID", "kinetag jobs wait --timeout 300 ID"} <= set(found)
    with pytest.raises(KinetagError):
        _parser(["jobs", "retry"]).parse_args(["jobs", "retry"])


# --- evals -----------------------------------------------------------------------------------------------------------


def test_evals_have_the_form_that_tools_read():
    found = json.loads(FILES["evals/evals.json"])
    assert found["skill_name"] == NAME
    assert [one["id"] for one in found["evals"]] == list(range(1, len(found["evals"]) + 1))
    for one in found["evals"]:
        assert set(one) == {"id", "prompt", "expected_output", "files", "expectations", "checks"}
        assert one["checks"]
        assert one["expectations"]
    queries = json.loads(FILES["evals/triggers.json"])
    assert {one["should_trigger"] for one in queries} == {True, False}
    assert len({one["query"] for one in queries}) == len(queries)


def test_checks_tell_a_good_run_from_none(workplace: Path):
    assert check(1, workplace) == {"passed": 0, "failed": 4, "total": 4, "pass_rate": 0.0}
    shell("kinetag analyze workout.mp4 --out out", workplace)
    shell("kinetag dataset_convert dataset_convert.data=poses.json results_dir=results", workplace)
    assert check(1, workplace)["failed"] == 0
    assert check(4, workplace)["failed"] == 0
    (workplace / "out/timeline.json").write_text('{"people": []}')
    assert check(1, workplace)["failed"] == 2
    assert check(5, workplace)["failed"] == 1  # somebody made a timeline of a broken file


def test_the_files_of_the_evals_are_made(workplace: Path):
    for one in json.loads(FILES["evals/evals.json"])["evals"]:
        for name in one["files"]:
            assert (workplace / name).exists()
    assert main(["analyze", str(workplace / "broken.mp4")]) == 2
