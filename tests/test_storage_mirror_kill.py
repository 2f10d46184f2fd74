"""Whatever moment a run is killed at: the next one loses nothing that was in the store, and nothing that was not yet.

The store is in memory here. A kill is an exception before some step that changes a disk or the store, after which
nothing changes any more, whatever is written in a `finally`.
"""

import itertools
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from kinetag.storage import mirror as mirrors
from kinetag.storage.mirror import Mirror
from kinetag.storage.store import StoredFile

RUN = "s3://bucket/run"
STEPS = ("replace", "unlink", "rmdir", "mkdir")  # of os


class KilledError(BaseException):
    pass


class Bucket:
    """A store in memory, in place of the functions of `kinetag.storage.store`."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.before = lambda: None  # each change

    def look(self, url: str) -> StoredFile | None:
        data = self.files.get(url.removeprefix(f"{RUN}/"))
        return None if data is None else StoredFile(url, len(data), 0, f"etag of {data!r}")

    def list_folder(self, url: str) -> list[StoredFile]:
        return [file for name in sorted(self.files) if (file := self.look(f"{RUN}/{name}"))]

    def put(self, source: Path, url: str, **_: object) -> StoredFile:
        self.before()
        self.files[url.removeprefix(f"{RUN}/")] = Path(source).read_bytes()
        return self.look(url)

    def copy(self, source: str, url: str) -> StoredFile:
        self.before()
        self.files[url.removeprefix(f"{RUN}/")] = self.files[source.removeprefix(f"{RUN}/")]
        return self.look(url)

    def get(self, file: StoredFile, target: Path, **_: object) -> None:
        Path(target).write_bytes(self.files[file.path.removeprefix(f"{RUN}/")])

    def remove(self, url: str) -> None:
        self.before()
        self.files.pop(url.removeprefix(f"{RUN}/"), None)


@pytest.fixture
def bucket(monkeypatch):
    made = Bucket()
    for name in ("look", "list_folder", "put", "copy", "get", "remove"):
        monkeypatch.setattr(mirrors.store, name, getattr(made, name))
    return made


@pytest.fixture
def kill(bucket, monkeypatch):
    """Do something that is killed before its n-th step; whether it was, for it may end before."""
    left, mkdir, replace, unlink = [-1], os.mkdir, os.replace, os.unlink

    def step() -> None:
        if left[0] == 0:
            raise KilledError
        left[0] -= 1

    def stepping(real: Callable) -> Callable:
        def do(path, *args, **options):
            there = bool(options) or os.path.exists(path)  # options: relative to an open folder, as rmtree does it
            if there == (real is not mkdir):  # else it changes nothing
                step()
            if real is replace and os.path.isfile(args[0]):
                unlink(args[0])  # some file systems take milliseconds to put one file in the place of another
            return real(path, *args, **options)

        return do

    bucket.before = step
    for name in STEPS:
        monkeypatch.setattr(os, name, stepping(getattr(os, name)))

    def run(do: Callable[[], None], number: int) -> bool:
        left[0] = number
        try:
            do()
        except KilledError:
            return True
        finally:
            left[0] = -1
        return False

    return run


def everything(name: str) -> bool:
    return True


def record(name: str) -> bool:
    return name == "status.json"


def training(name: str) -> bool:
    return not name.startswith("model_epoch_")


def machine(tmp_path: Path) -> Mirror:
    return Mirror(RUN, tmp_path / "files" / "run", tmp_path / "journal.json", recorded=True)


def here(mirror: Mirror) -> dict[str, bytes]:
    return {name: (mirror.folder / name).read_bytes() for name in mirror._names()}


def work(mirror: Mirror, deleted: set[str]) -> None:
    """What an action does between `begin` and `finish`: makes, changes and deletes files."""
    status = mirror.folder / "status.json"
    for epoch in range(2):
        (mirror.folder / f"model_epoch_{epoch}").write_bytes(b"state %d" % epoch)
        (mirror.folder / "latest").unlink(missing_ok=True)
        os.link(mirror.folder / f"model_epoch_{epoch}", mirror.folder / "latest")
        status.write_bytes(status.read_bytes() + b"epoch\n")
        if epoch == 1:
            deleted.add("model_epoch_0")
            (mirror.folder / "model_epoch_0").unlink()
        mirror.send()
    (mirror.folder / "deep").mkdir(exist_ok=True)
    (mirror.folder / "deep" / "best").write_bytes(b"the best")


@pytest.mark.parametrize(
    ("before", "wanted"),
    [
        ("nothing", everything),
        ("a run that ended", everything),
        ("a run that ended", record),
        ("a run that was killed", training),
    ],
)
def test_a_kill_at_any_step_loses_nothing(tmp_path, bucket, kill, caplog, wanted, before):
    earlier = {} if before == "nothing" else {"status.json": b"earlier\n", "best": b"b", "deep/old": b"o", "z": b"z"}
    for number in itertools.count():
        place = tmp_path / str(number)
        bucket.files = dict(earlier)
        deleted: set[str] = set()
        mirror = machine(place)
        if before == "a run that was killed":
            mirror.begin(wanted)
            (mirror.folder / "unsent").write_bytes(b"unsent")
            mirror = machine(place)

        def whole_run(mirror=mirror, deleted=deleted) -> None:
            mirror.begin(wanted)
            work(mirror, deleted)
            mirror.finish()

        killed = kill(whole_run, number)
        promised = bucket.files | here(mirror)
        again = machine(place)
        again.begin(everything if number % 2 else wanted)
        again.finish()
        for name, data in promised.items():
            if name not in deleted or name in bucket.files:
                assert bucket.files.get(name) == data, f"{name}, killed before step {number}"
        assert not mirror.folder.exists()
        assert not any("aside" in r.getMessage() for r in caplog.records), f"killed before step {number}"
        if not killed:
            break
    assert number > 50
    assert "model_epoch_0" not in bucket.files  # a deletion reaches the store
    assert set(bucket.files) == {*earlier, "status.json", "latest", "model_epoch_1", "deep/best"} | (
        {"unsent"} if before == "a run that was killed" else set()
    )


@pytest.mark.parametrize("taken", ["", "status.json", "latest", "deep"])
@pytest.mark.parametrize("wanted", [everything, record])
def test_what_a_cleaner_took_between_two_runs_is_no_deletion(tmp_path, bucket, wanted, taken):
    mirror = machine(tmp_path)
    mirror.begin(everything)
    work(mirror, set())
    mirror.send()  # killed here
    whole = dict(bucket.files)
    target = mirror.folder / taken
    shutil.rmtree(target) if target.is_dir() else target.unlink()
    again = machine(tmp_path)
    again.begin(wanted)
    if wanted is everything:
        assert here(again) == whole
    assert (again.folder / "status.json").read_bytes() == whole["status.json"]
    (again.folder / "model_epoch_1").unlink() if (again.folder / "model_epoch_1").exists() else None
    again.finish()
    assert set(whole) - set(bucket.files) <= {"model_epoch_1"}
    assert bucket.files.items() <= whole.items()


def test_a_folder_that_is_gone_during_a_run_was_not_emptied_by_it(tmp_path, bucket):
    mirror = machine(tmp_path)
    mirror.begin(everything)
    work(mirror, set())
    mirror.send()
    whole = dict(bucket.files)
    shutil.rmtree(mirror.folder)
    mirror.finish()
    assert bucket.files == whole


def test_a_deletion_that_a_kill_cut_off_is_not_taken_for_another_machines(tmp_path, bucket, kill, caplog):
    """The store had deleted it, and the journal did not know yet: what was never sent must not be put aside."""
    for number in range(12):
        bucket.files = {}
        mirror = machine(tmp_path / str(number))
        mirror.begin(everything)
        for name in ("a", "b"):
            (mirror.folder / name).write_bytes(b"1")
        mirror.send()
        (mirror.folder / "a").unlink()
        kill(mirror.send, number)
        (mirror.folder / "b").write_bytes(b"2, never sent")
        again = machine(tmp_path / str(number))
        with caplog.at_level(logging.WARNING, "kinetag.storage"):
            again.begin(everything)
        assert bucket.files["b"] == b"2, never sent"
    assert not caplog.records


def test_what_was_put_aside_is_so_at_any_kill(tmp_path, bucket, kill):
    for number in itertools.count():
        place = tmp_path / str(number)
        bucket.files = {}
        mirror = machine(place)
        mirror.begin(everything)
        (mirror.folder / "state").write_bytes(b"epoch 1")
        mirror.send()
        (mirror.folder / "state").write_bytes(b"epoch 2, never sent")  # killed here
        bucket.files = {"other": b"from elsewhere"}  # where the store was emptied meanwhile, and written to anew
        killed = kill(lambda place=place: machine(place).begin(everything), number)
        again = machine(place)
        again.begin(everything)
        assert bucket.files == {"other": b"from elsewhere", "status.json": b""}
        kept = [path.read_bytes() for path in place.rglob("state")]
        assert kept == [b"epoch 2, never sent"]
        if not killed:
            break
    assert number > 8
