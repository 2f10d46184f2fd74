"""Every bad input gives one clear line, or what could be read of it with a warning; never a traceback or a hang."""

import os
import sys
import tempfile
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
from hostile import CASES, NOBODY, Case

from kinetag.errors import KinetagError
from kinetag.pose.files import is_pose_source, read_pose_file
from kinetag.video import open_source

HERE = [case for case in CASES if not case.slow]


def look(case: Case, source) -> tuple[int, str]:
    """Exit code and what is said, as far as reading the input goes."""
    start = float(case.arguments[1]) if "--start" in case.arguments else None
    try:
        if is_pose_source(source):
            read_pose_file(source)
            return 0, ""
        with open_source(str(source), start=start, rate=15) as video:
            frames = list(video)
    except KinetagError as error:
        return 2, str(error)
    assert frames
    assert all(frame.image.shape == (video.height, video.width, 3) for frame in frames)
    return 0, "\n".join(video.warnings)


@contextmanager
def ordinary_user():
    """A folder of a user whom permissions stop: the tests may run as the administrator."""
    administrator = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as name:
        if administrator:
            os.chown(name, 65534, 65534)
            os.seteuid(65534)
        try:
            yield Path(name)
        finally:
            if administrator:
                os.seteuid(0)


@pytest.mark.parametrize("case", HERE, ids=lambda case: case.name)
def test_bad_input(tmp_path, case):
    if case.locked and sys.platform == "win32":
        pytest.skip("permissions are Unix's")
    if "camera" in case.name and not sys.platform.startswith("linux"):
        pytest.skip("device files are Linux's")
    with ordinary_user() if case.locked else nullcontext(tmp_path) as folder:
        code, said = look(case, case.make(folder))
    assert code == case.code, said
    if case.code == 2:
        assert "\n" not in said
    if case.sees != NOBODY:
        assert case.sees in said


def test_there_are_enough():
    assert len(CASES) >= 20
    assert len({case.name for case in CASES}) == len(CASES)
