"""`kinetag jobs`: what it prints, and that what docs/jobs.md tells people to type works."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from made_jobs import TRAINING, arrays, deepstream, home, write_spec  # noqa: F401
from rich.console import Console

from kinetag.cli import main
from kinetag.jobs import create_job, get_job, wait_for
from kinetag.jobs.store import STATES, Store
from kinetag.report.jobs import job_page, jobs_table

pytestmark = pytest.mark.usefixtures("home")
PAGE = (Path(__file__).parent.parent / "docs" / "jobs.md").read_text("utf-8")


def run(capsys, *words: str) -> str:
    assert main(["jobs", *words]) == 0, capsys.readouterr().err
    return capsys.readouterr().out


def shown(renderable, width: int = 120) -> str:
    console = Console(width=width, file=open(os.devnull, "w"), record=True)  # noqa: SIM115
    console.print(renderable)
    return console.export_text()


def test_from_creation_to_deletion(tmp_path, capsys):
    deepstream(tmp_path)
    words = ["create", "dataset_convert", "dataset_convert.data=poses.json"]
    assert "follow it: kinetag jobs logs -f" in run(capsys, *words)
    job_id = run(capsys, *words, "-q").strip()
    assert run(capsys, "wait", job_id[:4], "--timeout", "60") == f"{job_id}  dataset_convert  done\n"
    record = json.loads(run(capsys, "show", job_id, "--format", "json"))
    assert (record["state"], record["attempts"], record["metrics"]) == ("done", 1, {"Number of objects": 2})
    assert "object_1.npy" in os.listdir(record["results"])
    page = run(capsys, "show", job_id)
    assert all(word in page for word in ("dataset_convert", "this job's own folder", "poses.json", "done"))
    assert "attempt 1" in run(capsys, "logs", "-f", job_id)
    assert len(json.loads(run(capsys, "list", "--format", "json"))) == 2
    assert job_id in run(capsys)
    assert job_id in run(capsys, "list", "--state", "done")
    assert run(capsys, "cancel", job_id) == f"{job_id}  dataset_convert  done\n"
    assert "deleted" in run(capsys, "delete", job_id)
    assert job_id not in run(capsys, "list")


def test_a_dry_run_says_so_and_starts_nothing(tmp_path, capsys):
    arrays(tmp_path / "data")
    out = run(capsys, "create", "train", "--train-data", "data", "num_epochs=3", "--dry-run")
    assert out.startswith("# kinetag jobs create train: nothing was started\n")
    assert "    # inferred: the data folder of this job\n    data_path: " in out
    assert "num_epochs: 3" in out
    assert run(capsys, "list").startswith("no jobs; ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["foo"], "invalid choice: 'foo'"),
        (["show", "zzz"], "no job 'zzz'"),
        (["cancel"], "ID"),
        (["create", "trane"], "did you mean 'train'?"),
        (["create", "train", "--parnt", "a"], "did you mean '--parent'?"),
        (["create", "train", "-e", "nowhere.yaml"], "'nowhere.yaml' does not exist"),
        (["create", "train", "train.num_epoch=3"], "did you mean"),
        (["list", "--state", "doing"], "'doing' is no state of a job"),
        (["logs", "abc", "def"], "one argument too many"),
    ],
)
def test_a_mistake_is_one_line_and_code_2(words, message, capsys, tmp_path):
    assert main(["jobs", *words]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "home").exists()


def test_a_list_is_renewed_until_ctrl_c(tmp_path, capsys, monkeypatch):
    running(tmp_path)
    seen = []

    def sleep(seconds: float) -> None:
        seen.append(seconds)
        if len(seen) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("kinetag.cli_jobs.time.sleep", sleep)
    assert "abc234" in run(capsys, "list", "-w")
    assert len(seen) == 2


def test_an_input_that_is_not_there_is_one_line_and_code_2(capsys):
    assert main(["jobs", "create", "dataset_convert", "dataset_convert.data=nosuch"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "dataset_convert.data: no such file or folder: nosuch" in err


@pytest.mark.parametrize(
    ("verb", "state", "after"), [("cancel", "blocked", "cancelled: by the user"), ("delete", "failed", "deleted")]
)
def test_a_wrong_id_keeps_no_job_from_its_turn(verb, state, after, capsys):
    for job_id in ("abc234", "abd234"):
        Store().add(id=job_id, action="train", state=state, cwd="/")
    assert main(["jobs", verb, "abc", "wrong", "abd", "abc234"]) == 2
    out, err = capsys.readouterr()
    assert out == f"abc234  train  {after}\nabd234  train  {after}\n"
    assert err.count("\n") == 1
    assert "no job 'wrong'" in err


def test_of_several_jobs_to_try_again_each_is_told(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("kinetag.jobs.api.launch", lambda *_: None)
    for job_id, state in (("abc234", "done"), ("abd234", "failed")):
        job = Store().add(id=job_id, action="train", state=state, cwd=str(tmp_path), launched=time.time())
        job.folder.mkdir(parents=True)
        write_spec(job.given, {})
    assert main(["jobs", "retry", "wrong", "abc", "abd"]) == 2
    out, err = capsys.readouterr()
    assert out == "abd234  train  queued\n"
    assert [line.split("'")[0] for line in err.splitlines()] == [
        "error: no job ", "error: job abc234 is done; only a job that ended badly can be tried again"
    ]  # fmt: skip


def test_waiting_for_a_job_that_fails_is_code_1(capsys, tmp_path):
    (tmp_path / "nowhere").mkdir()
    job_id = run(capsys, "create", "dataset_convert", "dataset_convert.data=nowhere", "-q").strip()
    assert main(["jobs", "wait", job_id]) == 1
    assert capsys.readouterr().out.startswith(f"{job_id}  dataset_convert  failed: nowhere")
    page = run(capsys, "show", job_id)
    assert "The end of the log" in page


def test_help_and_lists_load_neither_torch_nor_pydantic():
    code = (
        "import sys\nfrom kinetag.cli import main\n"
        "try: main({words!r})\nexcept SystemExit: pass\n"
        "print([name for name in {names!r} if name in sys.modules])"
    )
    heavy = ("torch", "pydantic", "omegaconf", "optuna", "fsspec", "numpy")
    for words, names in ((["jobs", "--help"], heavy), (["jobs", "list", "--format", "json"], heavy)):
        text = code.format(words=words, names=names)
        result = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
        assert result.stdout.splitlines()[-1] == "[]"


# --- how it looks ----------------------------------------------------------------------------------------------------


def running(tmp_path: Path):
    """A job that has told of two epochs and is in the third."""
    results = tmp_path / "results"
    results.mkdir()
    kpis = [{"epoch": 1, "val_acc": 0.5}, {"epoch": 2, "val_acc": 0.25}]
    lines = [json.dumps({"message": f"Epoch {kpi['epoch']}", "kpi": kpi}) for kpi in kpis]
    (results / "status.json").write_text("earlier\n" + "\n".join(lines) + "\nnot json\n")
    job = Store().add(
        id="abc234", action="train", state="running", cwd="/", results=str(results), started=time.time() - 90,
        status_offset=8, inferred=[{"key": "results_dir", "value": "x", "source": "somewhere", "function": "f"}],
    )  # fmt: skip
    job.folder.mkdir(parents=True)
    write_spec(job.given, {"train": {"num_epochs": 3}, "model": {"pretrained_model_path": "s3://me:secret@host/a"}})
    job.progress.write_text('{"stage": "Epoch 3 of 5, best val_acc 0.5", "done": 1, "total": 4}')
    return job


def test_the_table_shows_bar_best_and_age(tmp_path):
    text = shown(jobs_table([running(tmp_path)]))
    assert re.search(r"abc234 +train +running +1 min +val_acc 0.5 +━{12} 45%  Epoch 3 of 5 *$", text, re.MULTILINE)


@pytest.mark.parametrize("width", [76, 100, 200])
def test_in_any_width_ids_and_states_stay_whole(tmp_path, width):
    store = Store()
    made = [
        store.add(id=f"{'abcdefg'[i]}c2345", action="dataset_convert", state=state, cwd="/", reason="why " * 30)
        for i, state in enumerate(STATES)
    ]
    text = shown(jobs_table(made), width)
    assert all(job.id in text and job.state in text for job in made)


def test_a_long_reason_is_one_line_in_the_list_and_whole_on_the_page(tmp_path):
    reason = "it went wrong\n" + "word " * 60 + "end"
    job = Store().add(id="abc234", action="train", state="failed", cwd="/", reason=reason)
    job.folder.mkdir(parents=True)
    write_spec(job.given, {})
    lines = [line for line in shown(jobs_table([job]), 100).splitlines() if line.strip()]
    assert len(lines) == 3
    assert "it went wrong word" in lines[-1]
    assert lines[-1].rstrip().endswith("…")
    assert "end" in shown(job_page(job, []), 100)


def test_an_inference_has_no_best(tmp_path):
    (tmp_path / "status.json").write_text('{"kpi": {"clips": 9}}\n{"kpi": {"accuracy": 0.5}}\n')
    job = Store().add(id="abc234", action="inference", state="done", cwd="/", results=str(tmp_path), attempts=1)
    job.folder.mkdir(parents=True)
    write_spec(job.given, {})
    assert "clips" not in shown(jobs_table([job]))
    page = shown(job_page(job, []))
    assert re.search(r"^result +accuracy 0.5", page, re.MULTILINE)
    assert not re.search(r"^best ", page, re.MULTILINE)


def test_the_page_shows_what_is_yours_and_no_password(tmp_path):
    job = running(tmp_path)
    text = shown(job_page(job, []))
    assert re.search(r"train.num_epochs +3 +10", text)
    assert "somewhere" in text
    assert "s3://***@host/a" in text
    assert "secret" not in text


def test_a_job_with_strange_files_is_still_shown(tmp_path):
    job = running(tmp_path)
    job.progress.write_bytes(b"\xff")
    (Path(job.results) / "status.json").write_bytes(b'\xff\n[]\n{"kpi": {"val_acc": "high"}}\n{"message": ["x"]}')
    assert "abc234" in shown(jobs_table([job]))
    assert "abc234" in shown(job_page(job, [job]))


# --- the page --------------------------------------------------------------------------------------------------------

SHELL = "\n".join(re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL))
CODE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_what_the_page_tells_people_to_type_works(tmp_path):
    pytest.importorskip("lightning")
    arrays(tmp_path / "data")
    write_spec(tmp_path / "train.yaml", TRAINING)
    shim = f'kinetag() {{ "{sys.executable}" -P -m kinetag "$@"; }}\nset -e\n'
    result = subprocess.run(["bash", "-c", shim + SHELL], capture_output=True, text=True, check=False, timeout=300)
    assert result.returncode == 0, result.stderr + result.stdout
    assert "inference  done" in result.stdout
    assert "# inferred: job" in result.stdout
    assert SHELL.count("kinetag jobs") == 9


@pytest.mark.slow
@pytest.mark.parametrize("code", CODE)
def test_the_page_s_python_works(code, tmp_path, capsys):
    pytest.importorskip("lightning")
    arrays(tmp_path / "data")
    write_spec(tmp_path / "train.yaml", TRAINING)
    exec(compile(code, "jobs.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1:3] for line in lines] == [["train", "done"], ["evaluate", "done"]]


def test_the_page_names_every_command_and_state():
    for word in (*STATES, "create", "list", "show", "logs", "wait", "cancel", "retry", "delete", "KINETAG_HOME"):
        assert f"`{word}" in PAGE or f"{word}`" in PAGE, word


def test_a_job_that_waits_for_its_parent_is_listed_with_it(tmp_path, capsys):
    deepstream(tmp_path, 1)
    first = create_job("dataset_convert", {"dataset_convert.data": "poses.json"})
    (tmp_path / "m").touch()
    second = create_job("inference", {"inference.checkpoint": "m"}, first.id)
    wait_for(second.id, timeout=60)
    assert get_job(second.id).parent == first.id
    assert second.id in run(capsys, "show", first.id)
