"""How jobs stand whose results are in a store, whether it answers or not."""

import json
import re
import subprocess
import sys
import time

import pytest
from made_jobs import home, write_spec  # noqa: F401
from object_store import environment, free_port

from kinetag.cli import main
from kinetag.jobs import afar
from kinetag.jobs.following import standing, standings
from kinetag.jobs.runner import _keep_standing
from kinetag.jobs.store import Job, Store
from kinetag.storage.staging import mirror_folder

pytestmark = pytest.mark.usefixtures("home")
TOLD = "".join(json.dumps({"message": f"Epoch {n}", "kpi": {"epoch": n, "val_acc": n / 4}}) + "\n" for n in (1, 2))


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KINETAG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(afar, "_looks", {})


def stored_job(job_id: str, state: str = "done", **more) -> Job:
    more = {"attempts": 1, **more}
    job = Store().add(
        id=job_id, action="train", state=state, cwd="/", results=f"s3://bucket/{job_id}/train", started=1.0, **more
    )
    job.folder.mkdir(parents=True)
    write_spec(job.given, {})
    return job


def never(url: str) -> bytes:
    raise AssertionError(f"{url} was asked for")


def test_a_store_that_refuses_holds_up_neither_the_list_nor_the_page(monkeypatch, capsys):
    pytest.importorskip("s3fs")
    for name, value in environment(free_port()).items():
        monkeypatch.setenv(name, value)
    for number in range(4):
        stored_job(f"abc23{number + 2}")
    for words, said in ((["list"], 4), (["show", "abc232"], 1)):
        began = time.monotonic()
        result = subprocess.run([sys.executable, "-m", "kinetag", "jobs", *words], capture_output=True, text=True)
        assert time.monotonic() - began < 20  # all but two seconds of it are the program's start on a busy machine
        assert (result.returncode, result.stderr) == (0, "")
        assert result.stdout.count("store not reached") == said
    assert main(["jobs", "list", "--format", "json"]) == 0
    assert all(record["unreached"] for record in json.loads(capsys.readouterr().out))


def test_all_stores_together_get_one_limit_and_are_not_asked_again_at_once(monkeypatch):
    asked = []

    def slow(url: str) -> bytes:
        asked.append(url)
        time.sleep(2)
        return b""

    monkeypatch.setattr(afar, "PATIENCE", 0.2)
    monkeypatch.setattr(afar, "_read", slow)
    jobs = [stored_job(f"abc23{number}") for number in range(2, 6)]
    began = time.monotonic()
    for _ in range(2):  # as a list that is kept up to date
        assert [told.unreached for told in standings(jobs)] == ["no answer within 0.2 s"] * 4
    assert time.monotonic() - began < 1.5
    assert len(asked) == 4


def test_what_a_job_told_that_has_ended_is_asked_for_once(monkeypatch):
    job = stored_job("abc234", status_offset=8)
    monkeypatch.setattr(afar, "_read", lambda url: b"earlier\n" + TOLD.encode())
    told = standing(job)
    assert (told.best, told.message, told.numbers["epoch"]) == (("val_acc", 0.5), "Epoch 2", 2.0)
    monkeypatch.setattr(afar, "_read", never)
    monkeypatch.setattr(afar, "_looks", {})
    assert standing(job) == told
    Store().change(job, "done", state="failed", attempts=2)  # another attempt tells other things
    monkeypatch.setattr(afar, "_read", lambda url: b'earlier\n{"message": "again"}')
    assert standing(Store().get(job.id)).message == "again"
    job.standing.write_text("broken")
    assert standing(Store().get(job.id)).message == "again"


def test_the_runner_keeps_it_at_the_end(monkeypatch):
    job = stored_job("abc234")
    monkeypatch.setattr(afar, "_read", lambda url: TOLD.encode())
    _keep_standing(Store(), job)
    assert json.loads(job.standing.read_text())["best"] == ["val_acc", 0.5]


def test_of_a_run_on_this_machine_the_folder_here_is_read(monkeypatch):
    monkeypatch.setattr(afar, "_read", never)
    job = stored_job("abc234", "running")
    here = mirror_folder(job.results)
    here.mkdir(parents=True)
    (here / "status.json").write_text(TOLD)
    assert standing(job).best == ("val_acc", 0.5)
    assert not job.standing.exists()
    assert standing(stored_job("abc235", "queued", attempts=0)).unreached == ""  # nothing was told yet


def test_the_stores_own_word_is_on_the_page(monkeypatch, capsys):
    def refuse(url: str) -> bytes:
        raise PermissionError("Access Denied")

    monkeypatch.setattr(afar, "_read", refuse)
    stored_job("abc234")
    assert main(["jobs", "show", "abc234"]) == 0
    assert re.search(r"store not reached \(Access Denied\)", capsys.readouterr().out)
