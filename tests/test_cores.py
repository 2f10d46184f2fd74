"""How many cores are ours, and who asks."""

import os
from types import SimpleNamespace

import pytest

from kinetag import predictor
from kinetag.cores import core_count
from kinetag.learning import processes


def test_the_cores_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.delattr(os, "process_cpu_count", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3, 5, 7, 9}, raising=False)
    assert core_count() == 4
    assert predictor._threads(SimpleNamespace(num_gpus=2)) == 2
    assert processes._threads(2) == {"OMP_NUM_THREADS": "2"}
    monkeypatch.setattr(os, "process_cpu_count", lambda: 3, raising=False)
    assert core_count() == 3
    monkeypatch.delattr(os, "process_cpu_count")
    monkeypatch.delattr(os, "sched_getaffinity")
    assert core_count() == 64
