"""The process that forks trials: nothing of a trial outlives it."""

import json
import os
import signal

import pytest

pytest.importorskip("psutil")
import made_helpers

NURSERY = """
import kinetag.tune.nursery as nursery
def do(work, emit):
    emit({"event": "here", "trial": os.getpid(), "helper": helper()})
    time.sleep(60)
nursery._do, nursery._load = do, lambda: None
nursery._main()
"""


@pytest.mark.parametrize("end", ["the search ends", "the nursery is killed", "the trial is killed"])
def test_those_that_load_a_trials_data_end_with_it(end):
    process = made_helpers.start(NURSERY, start_new_session=True)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps({"name": "0", "work": {}}) + "\n")
    process.stdin.flush()
    here = json.loads(process.stdout.readline())
    if end == "the search ends":
        process.stdin.close()
    elif end == "the nursery is killed":
        process.kill()
    else:
        os.kill(here["trial"], signal.SIGKILL)
        assert json.loads(process.stdout.readline()) == {"name": "0", "event": "ended", "code": -signal.SIGKILL}
    try:
        assert made_helpers.ends(here["helper"])
        assert made_helpers.ends(here["trial"])
    finally:
        process.kill()
        process.wait()
