"""A results folder that is kept the same as one in a store."""

import errno
import itertools
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

pytest.importorskip("s3fs")
from object_store import BUCKET, Trouble, answer, client, environment, proxy

from kinetag import storage
from kinetag.errors import KinetagError
from kinetag.status import Status
from kinetag.storage import mirror as mirrors
from kinetag.storage import store as stores
from kinetag.storage.mirror import Mirror

ROOT = f"s3://{BUCKET}"
RUN = f"{ROOT}/run"


def everything(name: str) -> bool:
    return True


@pytest.fixture
def machine(store, tmp_path):
    def make(name: str = "one", **options) -> Mirror:
        return Mirror(RUN, tmp_path / name / "files", tmp_path / name / "journal.json", recorded=True, **options)

    return make


@contextmanager
def through(store: int, trouble: Trouble, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Everything goes to the store through a proxy that makes ``trouble``."""
    with proxy(store, trouble) as port:
        for name, value in environment(port).items():
            monkeypatch.setenv(name, value)
        yield


def there(url: str = RUN) -> dict[str, bytes]:
    return {f.path.removeprefix(f"{url}/"): storage.local_copy(f.path).read_bytes() for f in storage.list_files(url)}


def test_what_is_made_changed_and_deleted_here_is_there(machine):
    mirror = machine()
    mirror.begin(everything)
    (mirror.folder / "deep").mkdir()
    (mirror.folder / "deep" / "a").write_bytes(b"a")
    (mirror.folder / "b").write_bytes(b"b")
    (mirror.folder / ".b.123.draft").write_bytes(b"half")
    (mirror.folder / "status.json").write_bytes(b"{}\n")
    mirror.send()
    assert there() == {"deep/a": b"a", "b": b"b", "status.json": b"{}\n"}
    (mirror.folder / "b").write_bytes(b"another")
    (mirror.folder / "deep" / "a").unlink()
    mirror.finish()
    assert there() == {"b": b"another", "status.json": b"{}\n"}
    assert not mirror.folder.exists()
    assert not mirror.journal.exists()


def test_a_status_never_tells_of_what_is_not_there_yet(store, machine, monkeypatch):
    """Whatever moment the store is looked at: each file that status.json names is there."""
    trouble = Trouble()
    with through(store, trouble, monkeypatch):
        monkeypatch.setattr(mirrors, "EVERY", 0.01)
        mirror = machine()
        mirror.begin(everything)
        mirror.start()
        s3, wrong, looks, stop = client(store), [], [0], threading.Event()

        def watch() -> None:
            while not stop.is_set():
                told = s3.get_object(Bucket=BUCKET, Key="run/status.json")["Body"].read().decode()
                names = {line.split("made ")[1].split('"')[0] for line in told.splitlines() if "made " in line}
                present = {i["Key"] for i in s3.list_objects_v2(Bucket=BUCKET, Prefix="run/")["Contents"]}
                looks[0] += 1
                time.sleep(0.02)
                if missing := {name for name in names if f"run/{name}" not in present}:
                    wrong.append(missing)

        watcher = threading.Thread(target=watch)
        watcher.start()
        with Status(mirror.folder, "train") as status:
            for i in range(10):
                (mirror.folder / f"model_{i}").write_bytes(bytes(100_000))
                status.running(f"made model_{i}")
                time.sleep(0.05)
        mirror.finish()
        stop.set()
        watcher.join()
        assert len(there()) == 11
    assert not wrong
    assert looks[0] > 5
    puts = [request.path.rpartition("/")[2].partition("?")[0] for request in trouble.seen if request.method == "PUT"]
    assert puts[-1] == "status.json"  # SUCCESS comes last of all
    assert puts.count("status.json") > 2  # and the bucket was told on the way


def test_what_cannot_be_sent_is_kept_and_sent_the_next_time(store, machine, monkeypatch):
    monkeypatch.setattr(stores, "ATTEMPTS", 2)
    trouble = Trouble()
    with through(store, trouble, monkeypatch):
        mirror = machine()
        mirror.begin(everything)
        (mirror.folder / "a").write_bytes(b"a")
        mirror.send()
        (mirror.folder / "b").write_bytes(b"b")
        with (mirror.folder / "status.json").open("a") as file:
            file.write('{"status": "SUCCESS"}\n')
        trouble.on_request = lambda request: answer("503 No", "ServiceUnavailable") if "/b" in request.path else None
        with pytest.raises(KinetagError, match=r"writing s3://bucket/run/b: tried 2 times") as caught:
            mirror.finish()
        assert f"the results are in {mirror.folder}, and the same command sends them" in str(caught.value)
        trouble.on_request = lambda request: None
        assert there() == {"a": b"a", "status.json": b""}  # no SUCCESS without the results
        again = machine()
        again.begin(everything)
        assert there() == {"a": b"a", "b": b"b", "status.json": b'{"status": "SUCCESS"}\n'}
        again.finish()
    assert not mirror.folder.exists()


def test_the_work_goes_on_while_the_store_is_away(store, machine, monkeypatch, caplog):
    monkeypatch.setattr(mirrors, "EVERY", 0.02)
    monkeypatch.setattr(mirrors, "_LONGEST_PAUSE", 0.05)
    monkeypatch.setattr(stores, "ATTEMPTS", 1)
    trouble = Trouble()
    with through(store, trouble, monkeypatch), caplog.at_level(logging.WARNING, "kinetag.storage"):
        mirror = machine()
        mirror.begin(everything)
        mirror.start()
        trouble.on_request = lambda request: "drop"
        (mirror.folder / "a").write_bytes(b"a")
        while not caplog.records:
            time.sleep(0.02)
        time.sleep(0.3)
        trouble.on_request = lambda request: None
        while "a" not in there():
            time.sleep(0.02)
        mirror.finish()
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == len(set(told)) <= 2  # a trouble is told once, though a lost connection has two faces
    assert "the work goes on" in caplog.text


def test_another_machine_goes_on_and_the_first_comes_back(machine, caplog):
    first = machine("one")
    first.begin(everything)
    (first.folder / "state").write_bytes(b"epoch 1")
    first.send()
    (first.folder / "state").write_bytes(b"epoch 2, never sent")  # killed here
    second = machine("two")
    second.begin(everything)
    assert (second.folder / "state").read_bytes() == b"epoch 1"
    (second.folder / "state").write_bytes(b"epoch 3 of the second")
    second.finish()
    back = machine("one")
    with caplog.at_level(logging.WARNING, "kinetag.storage"):
        back.begin(everything)
    assert (back.folder / "state").read_bytes() == b"epoch 3 of the second"
    aside = [path for path in back.folder.parent.iterdir() if path.name.startswith("files.")]
    assert (aside[0] / "state").read_bytes() == b"epoch 2, never sent"
    assert "was changed from elsewhere" in caplog.text


def test_a_killed_run_goes_on_with_what_it_had_not_sent(machine):
    first = machine()
    first.begin(everything)
    (first.folder / "state").write_bytes(b"epoch 1")
    first.send()
    (first.folder / "state").write_bytes(b"epoch 2")
    first._sent["state"].sending = True  # killed after the store had it, before the journal knew
    first._write_journal()
    storage.write_file(f"{RUN}/state", b"epoch 2")
    again = machine()
    again.begin(everything)
    assert (again.folder / "state").read_bytes() == b"epoch 2"
    assert there()["state"] == b"epoch 2"


def test_only_what_is_wanted_comes(machine):
    for name in ("model_epoch_001.pth", "pc_model_latest.pth"):
        storage.write_file(f"{RUN}/{name}", name.encode())
    mirror = machine()
    mirror.begin(lambda name: not name.startswith("model_epoch"))
    assert sorted(os.listdir(mirror.folder)) == ["pc_model_latest.pth", "status.json"]
    mirror.finish()
    assert set(there()) == {"model_epoch_001.pth", "pc_model_latest.pth", "status.json"}


def test_one_file_by_two_names_is_sent_once(store, machine, monkeypatch):
    trouble = Trouble()
    with through(store, trouble, monkeypatch):
        mirror = machine()
        mirror.begin(everything)
        (mirror.folder / "model_epoch_000.pth").write_bytes(b"m" * 1000)
        os.link(mirror.folder / "model_epoch_000.pth", mirror.folder / "pc_model_latest.pth")
        mirror.finish()
        assert there()["pc_model_latest.pth"] == b"m" * 1000
    puts = [request for request in trouble.seen if request.method == "PUT" and "status" not in request.path]
    assert [b"x-amz-copy-source" in request.head.lower() for request in puts] == [False, True]


def test_other_processes_of_a_run_only_take_the_state(store, machine):
    storage.write_file(f"{RUN}/state", b"epoch 1")
    mirror = machine(sends=False)
    mirror.begin(everything)
    assert (mirror.folder / "state").read_bytes() == b"epoch 1"
    (mirror.folder / "mine").write_bytes(b"scratch")
    mirror.start()
    mirror.finish()
    assert there() == {"state": b"epoch 1"}


def test_a_missing_right_to_write_shows_at_the_beginning(store, machine, monkeypatch):
    trouble = Trouble(lambda request: answer("403 No", "AccessDenied") if request.method == "PUT" else None)
    with through(store, trouble, monkeypatch):
        with pytest.raises(KinetagError, match=r"writing s3://bucket/run/status.json: refused"):
            machine().begin(everything)
        with (
            pytest.raises(KinetagError, match=r"writing s3://bucket/out/.kinetag-probe: refused"),
            storage.mirrored(f"{ROOT}/out", wanted=everything),
        ):
            pass


def test_a_full_disk_is_told_in_one_line(machine, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "big.pth").write_bytes(b"weights")
    stores.put(tmp_path / "big.pth", f"{RUN}/big.pth")
    monkeypatch.setattr(stores, "get", full)
    with pytest.raises(
        KinetagError,
        match=r"^no space left in .*files for s3://bucket/run/big\.pth .*: free some, or set KINETAG_CACHE",
    ):
        machine().begin(everything)


def test_two_runs_do_not_write_to_one_place(store):
    with (
        storage.mirrored(RUN, wanted=everything),
        pytest.raises(KinetagError, match=r"another run on this machine writes to s3://bucket/run"),
        storage.mirrored(RUN, wanted=everything),
    ):
        pass


def test_errors_name_the_place_that_was_given(store):
    with (
        pytest.raises(KinetagError, match=r"^s3://bucket/run/x is bad$"),
        storage.mirrored(RUN, wanted=everything) as f,
    ):
        raise KinetagError(f"{f}/x is bad")


def test_a_hostile_name_in_the_store_leads_nowhere(store, machine):
    client(store).put_object(Bucket=BUCKET, Key="run/a/../../../../tmp/evil", Body=b"evil")
    with pytest.raises(KinetagError, match="cannot be the name of a file"):
        machine().begin(everything)


def test_a_database_that_is_written_to_is_sent_as_it_was_committed(machine):
    """Whatever moment a copy is taken at: it is whole, and holds both rows of each change or neither."""
    mirror, stop = machine(), threading.Event()
    mirror.begin(everything)
    path = mirror.folder / "study.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE rows (change INTEGER, padding TEXT)")

    def write() -> None:
        with closing(sqlite3.connect(path, timeout=60)) as database:
            for change in itertools.count():
                if stop.wait(0.002):  # without a pause it would grow to gigabytes, which the server keeps in memory
                    return
                with database:
                    for _ in range(2):
                        database.execute("INSERT INTO rows VALUES (?, ?)", (change, "x" * 2_000))

    writer = threading.Thread(target=write)
    writer.start()
    found = []
    try:
        for _ in range(8):
            mirror.send()
            (mirror.folder.parent / "got.db").write_bytes(there()["study.db"])
            with closing(sqlite3.connect(mirror.folder.parent / "got.db")) as database:
                assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
                found.append(database.execute("SELECT COUNT(*), COUNT(DISTINCT change) FROM rows").fetchone())
    finally:
        stop.set()
        writer.join()
    assert all(rows == 2 * changes for rows, changes in found)
    assert found[-1][0] > found[0][0]
    assert set(there()) == {"study.db", "status.json"}  # no journal
    mirror.finish()
    assert set(there()) == {"study.db", "status.json"}


def test_what_processes_of_a_search_know_each_other_by_stays_here(machine):
    mirror = machine()
    mirror.begin(everything)
    for name in (".lock", ".working/here:1", "study.db-journal", "study.db-wal", "study.db-shm", ".study", "a.lock"):
        (mirror.folder / name).parent.mkdir(exist_ok=True)
        (mirror.folder / name).write_bytes(b"x")
    mirror.finish()
    assert set(there()) == {".study", "a.lock", "status.json"}


def test_records_of_trials_are_sent_after_what_they_tell_of(store, machine, monkeypatch):
    trouble = Trouble()
    with through(store, trouble, monkeypatch):
        mirror = machine()
        mirror.begin(everything)
        trial = mirror.folder / "trials" / "0"
        trial.mkdir(parents=True)
        for name in ("trials/0/status.json", "status.json", "trials/0/model.pth"):  # the oldest first
            (mirror.folder / name).write_bytes(b"{}")
            time.sleep(0.02)
        mirror.finish()
    puts = [request.path.partition("/run/")[2].partition("?")[0] for request in trouble.seen if request.method == "PUT"]
    assert puts[-3:] == ["trials/0/model.pth", "trials/0/status.json", "status.json"]
