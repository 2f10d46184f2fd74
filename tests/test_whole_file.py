"""A file is there as it should be, or as it was."""

import pytest

from kinetag.whole_file import whole_file


def test_it_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "a.json"
    with whole_file(path) as draft:
        draft.write_text("new")
        assert not path.exists()
        assert draft.parent == tmp_path
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def write_half(path):
    with whole_file(path) as draft:
        draft.write_text("half")
        raise OSError("the disk is full")


def test_what_was_there_stays_when_writing_fails(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(OSError, match="full"):
        write_half(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_two_writers_with_one_process_number_do_not_meet(tmp_path, monkeypatch):
    """Two containers on a shared folder: each is process 1."""
    monkeypatch.setattr("os.getpid", lambda: 1)
    path = tmp_path / "a.json"
    with whole_file(path) as first:
        first.write_text("first")
        with whole_file(path) as second:
            second.write_text("second")
        assert path.read_text() == "second"
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]
    for draft in (first, second):
        assert draft.name.startswith(".")
        assert draft.name.endswith(".draft")
