"""Poses of videos, and their cache."""

import os
from pathlib import Path

import numpy as np
import pytest
from footage import video
from made_clips import person

from kinetag.datasets import extraction
from kinetag.datasets.extraction import (
    Extractor,
    content_key,
    default_cache,
    read_cached,
    video_poses,
    write_cached,
)
from kinetag.errors import KinetagError
from kinetag.sequence import PoseSequence


def same(a: PoseSequence, b: PoseSequence) -> None:
    for field in ("times", "keypoints", "confidence"):
        np.testing.assert_array_equal(getattr(a, field), getattr(b, field))
    assert (a.layout, a.frame_size, a.person, a.cuts) == (b.layout, b.frame_size, b.person, b.cuts)
    assert (a.world is None) == (b.world is None)
    if a.world is not None and b.world is not None:
        np.testing.assert_array_equal(a.world, b.world)


def test_what_is_cached_comes_back_exactly(tmp_path: Path) -> None:
    one, two = person(1), person(7, 1.0)
    one.keypoints[3, 2] = np.nan
    one.confidence[3, 2] = 0
    two.world = None
    two.cuts = (1.4, 2.0)
    file = tmp_path / "deep" / "x.npz"
    write_cached([one, two], file)
    back = read_cached(file)
    assert back is not None
    same(back[0], one)
    same(back[1], two)
    assert [path.name for path in file.parent.iterdir()] == ["x.npz"]
    write_cached([], file)
    assert read_cached(file) == []


def test_a_broken_entry_is_made_again(tmp_path: Path) -> None:
    file = tmp_path / "x.npz"
    assert read_cached(file) is None
    write_cached([person()], file)
    whole = file.read_bytes()
    damaged = [whole[:at] + bytes(200) + whole[at + 200 :] for at in range(100, 900, 20)]
    for content in (b"", b"nonsense", whole[:200], whole[:-30], *damaged):
        file.write_bytes(content)
        assert read_cached(file) is None
    np.savez(file, count=np.array(1), about_0=np.array([{}], object))  # a pickle inside is not read
    assert read_cached(file) is None


def test_the_key_follows_content_and_settings(tmp_path: Path) -> None:
    a, b = tmp_path / "a.mp4", tmp_path / "b.mp4"
    a.write_bytes(b"x" * 3_000_000)
    b.write_bytes(b"x" * 3_000_000)
    assert content_key(a, rate=15.0) == content_key(b, rate=15.0)
    assert content_key(a, rate=15.0) != content_key(a, rate=10.0)
    with open(b, "r+b") as stream:
        stream.seek(2_999_999)
        stream.write(b"y")
    assert content_key(a, rate=15.0) != content_key(b, rate=15.0)
    with pytest.raises(KinetagError, match="cannot be read"):
        content_key(tmp_path / "none", rate=15.0)


def test_of_a_large_file_beginning_end_and_size_count(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(extraction, "_WHOLE", 1 << 20)
    path = tmp_path / "a.mp4"
    path.write_bytes(bytes(3 << 20))
    keys = {content_key(path)}
    for at, content in ((0, b"x"), ((3 << 20) - 1, b"x"), (3 << 20, b"x")):
        with open(path, "r+b") as stream:
            stream.seek(at)
            stream.write(content)
        keys.add(content_key(path))
    assert len(keys) == 4


def test_no_video_is_looked_at_twice(tmp_path: Path) -> None:
    looked: list[str] = []

    def fake(path: Path, **_):
        looked.append(path.name)
        return [person()]

    path = tmp_path / "a.mp4"
    path.write_bytes(b"1")
    cache = tmp_path / "cache"
    first = video_poses(path, rate=15, cache=cache, extract=fake)
    path.rename(tmp_path / "b.mp4")
    second = video_poses(tmp_path / "b.mp4", rate=15, cache=cache, extract=fake)
    same(first[0], second[0])
    assert looked == ["a.mp4"]
    video_poses(tmp_path / "b.mp4", rate=10, cache=cache, extract=fake)
    (tmp_path / "b.mp4").write_bytes(b"2")
    video_poses(tmp_path / "b.mp4", rate=15, cache=cache, extract=fake)
    assert looked == ["a.mp4", "b.mp4", "b.mp4"]


def test_an_interrupt_leaves_nothing_half_done(tmp_path: Path) -> None:
    def interrupted(path: Path, **_):
        raise KeyboardInterrupt

    path = tmp_path / "a.mp4"
    path.write_bytes(b"1")
    with pytest.raises(KeyboardInterrupt):
        video_poses(path, rate=15, cache=tmp_path / "cache", extract=interrupted)
    assert not list(tmp_path.glob("cache/*"))


def test_a_cache_that_cannot_be_written_only_costs_time(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"1")
    (tmp_path / "file").write_bytes(b"")
    assert (
        len(video_poses(tmp_path / "a.mp4", rate=15, cache=tmp_path / "file", extract=lambda path, **_: [person()]))
        == 1
    )


def test_the_cache_is_in_the_user_s_cache_folder(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache() == tmp_path / "kinetag" / "poses"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    assert default_cache().parts[-3:] == (".cache", "kinetag", "poses")


def test_a_video_without_anybody(tmp_path: Path) -> None:
    told: list[tuple[float, float | None]] = []
    found = video_poses(
        video(tmp_path / "a.mp4", 20),
        rate=15,
        cache=tmp_path / "c",
        extract=Extractor(),
        progress=lambda t, d: told.append((t, d)),
    )
    assert found == []
    assert len(os.listdir(tmp_path / "c")) == 1
    assert told
    assert told[-1][0] <= (told[-1][1] or 0)


def test_a_video_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"not a video")
    with pytest.raises(KinetagError, match=r"a\.mp4"):
        video_poses(tmp_path / "a.mp4", rate=15, cache=tmp_path / "c", extract=Extractor())
    assert not (tmp_path / "c").exists()
