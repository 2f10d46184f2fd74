"""The process that does a job's action."""

import os

import pytest

pytest.importorskip("psutil")
import made_helpers


def test_those_that_load_data_end_with_the_action_when_its_runner_is_killed():
    """They hold the job's lock: a retry would have to wait for them."""
    read_end, write_end = os.pipe()
    code = (
        f"from kinetag.jobs.worker import _end_with_runner; print(helper(), flush=True); _end_with_runner({read_end})"
    )
    process = made_helpers.start(code, process_group=0, pass_fds=(read_end,))
    os.close(read_end)
    assert process.stdout is not None
    helper = int(process.stdout.readline())
    os.close(write_end)
    process.wait(10)
    assert made_helpers.ends(helper)
