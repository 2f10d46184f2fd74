"""Locks that the system frees when their holder is gone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kinetag.errors import KinetagError
from kinetag.locks import take

HOLD = """
import sys, time
from kinetag.locks import take
file = open(sys.argv[1], "a")
print(take(file, "tests"), flush=True)
time.sleep(60)
"""


def test_a_lock_is_one_process_s_until_it_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, path], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == "True"
        with path.open("a") as file:
            assert not take(file, "tests")
            assert not take(file, "tests", shared=True)
            holder.kill()
            holder.wait()
            assert take(file, "tests", wait=True)


def test_those_who_share_go_together(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first, second, third = (os.open(path, os.O_RDWR | os.O_CREAT) for _ in range(3))
    try:
        assert take(first, "tests", shared=True)
        assert take(second, "tests", shared=True)
        assert not take(third, "tests")
    finally:
        for descriptor in (first, second, third):
            os.close(descriptor)


def test_where_there_are_none_one_line_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with (tmp_path / "lock").open("a") as file, pytest.raises(KinetagError, match="searches need Linux or macOS"):
        take(file, "searches")
