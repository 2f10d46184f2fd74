"""Fixtures that several test files share: rendered clips whose truth is known."""

import os
from pathlib import Path

# Tests run side by side: threads of one that wait for each other would only stand in the way of the other's.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from kinetag.exercises.scenes import make_scene


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real clips; tests that need it are skipped where it is not there."""
    folder = os.environ.get("KINETAG_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("real clips are not here: set KINETAG_DATA to their folder")
    return Path(folder)


@pytest.fixture(scope="session")
def squat_clip(tmp_path_factory: pytest.TempPathFactory):
    """A rendered clip (path) of one person who squats three times, and its truth."""
    path = tmp_path_factory.mktemp("clips") / "squat.mp4"
    return path, make_scene("single:squat", width=480, height=360, frame_rate=15.0).write(path)


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a small Fold-GCN that tells three made-up movements apart (see made_models)."""
    pytest.importorskip("torch")
    from made_models import trained

    return trained(tmp_path_factory.mktemp("model") / "small.safetensors")
