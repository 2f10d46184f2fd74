"""Fixtures that several test files share: rendered clips whose truth is known."""

import os
from collections.abc import Iterator
from pathlib import Path

# Tests run side by side: threads of one that wait for each other would only stand in the way of the other's.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import settings

from kinetag.exercises.scenes import make_scene

# The same examples in every run, so that what fails has been changed; `--hypothesis-profile=random` draws new ones.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("random", deadline=None)
settings.load_profile("repeatable")


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


@pytest.fixture(scope="session")
def s3_port() -> Iterator[int]:
    """A real S3 server in a process of its own; its port."""
    pytest.importorskip("moto")
    from object_store import s3_server

    with s3_server() as port:
        yield port


@pytest.fixture
def store(s3_port: int, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> int:
    """An empty bucket on that server, the environment that leads there, and an empty cache."""
    from object_store import BUCKET, client, environment

    s3 = client(s3_port)
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
        for item in page.get("Contents", []):
            s3.delete_object(Bucket=BUCKET, Key=item["Key"])
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in environment(s3_port).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("KINETAG_CACHE", str(tmp_path_factory.mktemp("cache")))
    return s3_port
