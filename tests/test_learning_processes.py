"""The processes of one training on several devices."""

import pytest

pytest.importorskip("psutil")
import made_helpers


def test_those_that_load_data_end_with_a_process_whose_parent_is_gone():
    code = "from kinetag.learning.processes import _end_with_parent; print(helper(), flush=True); _end_with_parent(0)"
    process = made_helpers.start(code, start_new_session=True)
    assert process.stdin is not None
    assert process.stdout is not None
    helper = int(process.stdout.readline())
    process.stdin.close()
    process.wait(10)
    assert made_helpers.ends(helper)
