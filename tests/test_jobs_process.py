"""Processes: who they are, whether they still run, how they end, and who holds a lock."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from made_jobs import until

from kinetag.errors import KinetagError
from kinetag.jobs import process
from kinetag.jobs.process import Identity, end_group, held, is_held, start_detached, started_by_ps, unfinished

# What is started in the background of a shell ignores Ctrl-C, and its children do; this one does not.
SLEEP = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGINT, signal.SIG_DFL); print('on', flush=True); time.sleep(600)",
]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, subprocess, sys, time; signal.signal(signal.SIGINT, signal.SIG_IGN); "
    f"child = subprocess.Popen({SLEEP!r}); print(child.pid, flush=True); time.sleep(600)",
]


@pytest.fixture
def sleeper():
    child = subprocess.Popen(SLEEP, process_group=0, stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    yield child
    child.kill()
    child.wait()


def identity(child: "subprocess.Popen[bytes]") -> Identity:
    found = Identity.of(child.pid)
    assert found is not None
    return found


def test_a_process_is_itself_while_it_runs(sleeper):
    who = identity(sleeper)
    assert who.runs() is True
    assert Identity.from_text(who.to_text()) == who
    sleeper.kill()
    until(lambda: who.runs() is False)  # also as a zombie, which nobody has waited for
    assert sleeper.returncode is None
    sleeper.wait()
    assert who.runs() is False
    assert Identity.of(sleeper.pid) is None


def test_a_recycled_number_and_another_boot_are_another_process(sleeper):
    who = identity(sleeper)
    for other in (replace(who, started="1"), replace(who, boot="before")):
        assert other.runs() is False
        assert not other.end_group(signal.SIGKILL)
    assert who.runs()


def test_a_machine_that_was_renamed_is_the_same_until_it_is_booted(sleeper):
    renamed = replace(identity(sleeper), host="before")
    assert renamed.runs() is True
    assert replace(renamed, started="1").runs() is False


def test_of_another_machine_nothing_is_known_and_nothing_is_ended(sleeper):
    elsewhere = replace(identity(sleeper), host="another", boot="another")
    assert elsewhere.runs() is None
    assert not elsewhere.end_group(signal.SIGKILL)
    assert sleeper.poll() is None


@pytest.mark.skipif(shutil.which("ps") is None, reason="there is no ps here")
def test_ps_tells_the_same_where_there_is_no_proc(sleeper):
    started = started_by_ps(sleeper.pid)
    assert started
    assert started_by_ps(sleeper.pid) == started
    sleeper.kill()
    until(lambda: started_by_ps(sleeper.pid) is None)


def test_a_process_with_a_strange_name(tmp_path):
    program = tmp_path / "a) Z 1 (b"
    shutil.copy(shutil.which("sleep") or "sleep", program)
    child = subprocess.Popen([program, "60"])
    try:
        until(lambda: "a) Z 1" in Path(f"/proc/{child.pid}/comm").read_text())
        assert identity(child).runs()
    finally:
        child.kill()
        child.wait()


def test_a_group_is_ended_gently_then_hard():
    gentle = subprocess.Popen(SLEEP, process_group=0, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert gentle.stdout is not None
    gentle.stdout.readline()
    end_group(gentle, grace=30)
    assert gentle.returncode == -signal.SIGINT
    stubborn = subprocess.Popen(STUBBORN, process_group=0, stdout=subprocess.PIPE)
    assert stubborn.stdout is not None
    helper = Identity.of(int(stubborn.stdout.readline()))
    assert helper is not None
    start = time.monotonic()
    end_group(stubborn, grace=0.5)
    assert 0.4 < time.monotonic() - start < 10
    assert stubborn.returncode == -signal.SIGKILL
    until(lambda: not helper.runs())  # the helper in its group too
    end_group(stubborn, grace=0.5)  # once more does no harm


def test_looking_at_a_child_leaves_it_to_be_waited_for():
    child = subprocess.Popen([sys.executable, "-c", "raise SystemExit(7)"])
    until(lambda: not unfinished(child))
    assert not unfinished(child)
    assert child.wait() == 7


def test_a_lock_is_held_by_all_who_inherit_it(tmp_path):
    lock = tmp_path / "lock"
    assert not is_held(lock)
    with held(lock) as descriptor:
        assert is_held(lock)
        with pytest.raises(KinetagError, match="processes of an earlier attempt still hold"), held(lock, patience=0.2):
            pass
        child = subprocess.Popen(SLEEP, pass_fds=(descriptor,), stdout=subprocess.PIPE)
    assert is_held(lock)
    child.kill()
    child.wait()
    assert not is_held(lock)
    with held(lock, patience=0):
        pass


def test_a_detached_process_writes_into_the_log_and_loads_nothing_of_the_user_s(tmp_path):
    (tmp_path / "yaml.py").write_text("raise SystemExit('a file of the user stood in for a library')")
    start_detached("kinetag", ["schema", "train"], cwd=tmp_path, log=tmp_path / "log", env=dict(os.environ))
    said = until(lambda: (tmp_path / "log").read_text().endswith("}\n") and (tmp_path / "log").read_text())
    assert "stood in" not in said
    assert json.loads(said)["title"] == "kinetag train"


def test_without_file_locks_there_are_no_jobs(monkeypatch, tmp_path):
    (tmp_path / "lock").touch()
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with pytest.raises(KinetagError, match="jobs need Linux or macOS"):
        process.is_held(tmp_path / "lock")
