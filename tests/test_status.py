import json
import sys
from pathlib import Path

import numpy as np
import pytest

from kinetag.errors import KinetagError, OtherRunError
from kinetag.status import Status


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    for name in ("RANK", "LOCAL_RANK", "NODE_RANK"):
        monkeypatch.delenv(name, raising=False)


def lines(folder):
    return [json.loads(line) for line in (folder / "status.json").read_text("utf-8").splitlines()]


def test_a_run_that_succeeds(tmp_path):
    with Status(tmp_path / "train", "train") as status:
        status.running("epoch 1", kpi={"val_acc": np.float32(0.5), "loss": float("nan")}, categorical={"a": {"b": 1}})
        status.running("epoch 2", kpi={})
    records = lines(tmp_path / "train")
    assert [record["status"] for record in records] == ["STARTED", "RUNNING", "RUNNING", "SUCCESS"]
    assert records[1]["kpi"] == {"val_acc": 0.5, "loss": None}
    assert records[1]["categorical"] == {"a": {"b": 1}}
    assert "kpi" not in records[2]
    assert all(list(record)[:5] == ["date", "time", "status", "verbosity", "message"] for record in records)
    month, day, year = map(int, records[0]["date"].split("/"))
    assert 1 <= month <= 12
    assert 1 <= day <= 31
    assert year > 2000
    assert len(records[0]["time"].split(":")) == 3


@pytest.mark.parametrize(
    ("error", "message"),
    [(KinetagError("no such file\n'a'"), "no such file 'a'"), (ValueError(), "ValueError")],
)
def test_a_run_that_fails(tmp_path, error, message):
    with pytest.raises(type(error)), Status(tmp_path, "train"):
        raise error
    assert (lines(tmp_path)[-1]["status"], lines(tmp_path)[-1]["message"]) == ("FAILURE", message)


def test_a_run_that_is_interrupted_fails(tmp_path):
    with pytest.raises(KeyboardInterrupt), Status(tmp_path, "train"):
        raise KeyboardInterrupt
    assert lines(tmp_path)[-1]["status"] == "FAILURE"


def test_a_run_that_had_nothing_to_do(tmp_path):
    with Status(tmp_path, "train") as status:
        status.skipped("all epochs are done")
    assert [record["status"] for record in lines(tmp_path)] == ["STARTED", "SKIPPED"]


def test_earlier_lines_stay(tmp_path):
    for _ in range(2):
        with Status(tmp_path, "train"):
            pass
    assert len(lines(tmp_path)) == 4


def test_a_secret_is_never_written(tmp_path):
    secret = 'tlt"ü'
    with Status(tmp_path, "train", secret=secret) as status:
        status.running(f"key {secret}", kpi={secret: secret})
    with pytest.raises(KinetagError), Status(tmp_path, "train", secret=secret):
        raise KinetagError(f"wrong key {secret}")
    text = (tmp_path / "status.json").read_text("utf-8")
    assert secret not in text
    assert all(secret not in str(record) for record in lines(tmp_path))
    assert "***" in text


@pytest.mark.parametrize("rank", [{"RANK": "1"}, {"LOCAL_RANK": "1"}, {"NODE_RANK": "1", "LOCAL_RANK": "0"}])
def test_only_the_first_process_writes(tmp_path, monkeypatch, rank):
    for name, value in rank.items():
        monkeypatch.setenv(name, value)
    with Status(tmp_path / "train", "train"):
        pass
    assert not (tmp_path / "train").exists()


needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")


def run_on_a_disk_that_fills_up(folder, do=lambda status: None):
    with Status(folder, "train") as status:
        (folder / "status.json").unlink()
        (folder / "status.json").symlink_to("/dev/full")
        do(status)


def fail(error):
    raise error


@needs_full
@pytest.mark.parametrize("error", [KinetagError("the true one"), ValueError("the true one"), KeyboardInterrupt()])
def test_a_full_disk_hides_no_error(tmp_path, error):
    with pytest.raises(type(error)) as caught:
        run_on_a_disk_that_fills_up(tmp_path, lambda status: fail(error))
    assert caught.value is error


@needs_full
@pytest.mark.parametrize("do", [lambda status: None, lambda status: status.running("1"), lambda s: s.skipped("done")])
def test_a_full_disk_is_told_in_one_line(tmp_path, do):
    said = rf"^cannot write {tmp_path}/status.json: no space left on device; choose another results_dir$"
    with pytest.raises(KinetagError, match=said):
        run_on_a_disk_that_fills_up(tmp_path, do)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
def test_no_half_line_stays_where_the_disk_is_full(tmp_path):
    import resource
    import signal

    limit, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.getsignal(signal.SIGXFSZ)
    status, path = Status(tmp_path, "train"), tmp_path / "status.json"
    status.__enter__()
    whole = path.read_bytes()
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 30, limit[1]))
    try:
        with pytest.raises(KinetagError, match="cannot write "):
            status.running("epoch 1")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == whole
    status.__exit__(None, None, None)
    assert [record["status"] for record in lines(tmp_path)] == ["STARTED", "SUCCESS"]


def test_a_name_that_is_no_unicode_hides_no_error(tmp_path):
    with pytest.raises(Exception) as caught, Status(tmp_path, "train"):  # noqa: PT011 - whichever it is
        raise KinetagError("no such file: a\udcff.npy")
    assert caught.type is KinetagError
    assert ascii(lines(tmp_path)[-1]["message"]) == r"'no such file: a\udcff.npy'"


def test_what_is_held_back_is_written_later_or_never(tmp_path):
    with pytest.raises(OtherRunError), Status(tmp_path, "train", held=True):
        raise OtherRunError("of another run")
    assert not (tmp_path / "status.json").exists()
    with Status(tmp_path, "train", held=True) as status:
        status.running("looks")
        assert not (tmp_path / "status.json").exists()
        status.release()
        assert [line["status"] for line in lines(tmp_path)] == ["STARTED", "RUNNING"]
    with pytest.raises(KinetagError), Status(tmp_path, "train", held=True):
        raise KinetagError("no data")
    assert [line["status"] for line in lines(tmp_path)][-3:] == ["SUCCESS", "STARTED", "FAILURE"]
