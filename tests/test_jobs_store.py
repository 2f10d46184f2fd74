"""The store: what is committed stays, and of several who want the same one gets it."""

import multiprocessing
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kinetag.errors import KinetagError
from kinetag.jobs.process import Identity
from kinetag.jobs.store import BLOCKED, DONE, ENDED_BADLY, FAILED, QUEUED, RUNNING, Store


def add(store: Store, **values):
    return store.add(**{"id": store.new_id(), "action": "train", "state": QUEUED, "cwd": "/"} | values)


def gone() -> Identity:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    identity = Identity.of(child.pid)
    child.communicate(b"\n")
    assert identity is not None
    return identity


def test_a_job_is_what_was_added(tmp_path):
    store = Store(tmp_path)
    job = add(
        store, action="export", parent="abc", reason="why", train_data="data", notes=["a"], inferred=[{"key": "k"}]
    )
    assert store.get(job.id) == job
    assert (job.action, job.parent, job.reason, job.notes, job.inferred) == (
        "export",
        "abc",
        "why",
        ("a",),
        ({"key": "k"},),
    )
    assert job.folder == tmp_path / "jobs" / job.id
    assert not job.is_over


def test_only_the_user_can_read_it(tmp_path):
    store = Store(tmp_path / "home")
    add(store)
    for path in (store.home, store.path):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077


def test_reading_makes_nothing(tmp_path):
    store = Store(tmp_path / "home")
    assert store.jobs() == []
    with pytest.raises(KinetagError, match="no job 'x'"):
        store.get("x")
    assert not store.home.exists()


def test_ids_are_short_typable_and_found_by_their_beginning(tmp_path):
    store = Store(tmp_path)
    one, two = add(store, id="abc222"), add(store, id="abd333")
    assert store.get("ABC2 ").id == one.id
    assert store.get("abd333") == two
    with pytest.raises(KinetagError, match=r"beginning of several jobs \(abc222, abd333\)"):
        store.get("ab")
    add(store, id="abc")
    assert store.get("abc").id == "abc"
    for bad in ("", "%", "a_c", "abc222x", "'; DROP TABLE jobs; --"):
        with pytest.raises(KinetagError, match="no job"):
            store.get(bad)


def test_a_change_states_what_it_expects(tmp_path):
    store = Store(tmp_path)
    job, me = add(store), Identity.own()
    assert not store.change(job, RUNNING, state=DONE)
    assert not store.change_own(job, me, state=RUNNING)
    assert store.attach(job.id, me) is not None
    assert store.attach(job.id, me) is None
    assert store.change_own(job, me, state=RUNNING)
    assert store.change(job, (QUEUED, RUNNING), state=FAILED)
    assert not store.change_own(job, me, state=DONE)  # it is over
    assert store.get(job.id).state == FAILED
    assert store.remove(job)
    assert store.find(job.id) is None


def test_a_runner_that_is_gone_is_followed_by_another(tmp_path):
    store = Store(tmp_path)
    job = add(store, runner=gone())
    taken = store.attach(job.id, Identity.own())
    assert taken is not None
    assert taken.runner == Identity.own()
    assert not store.lose(job, state=FAILED)  # what was seen of the old runner says nothing of the new one
    assert store.lose(taken, state=FAILED)


def test_a_runner_on_another_machine_keeps_its_job(tmp_path):
    store = Store(tmp_path)
    job = add(store, runner=Identity("another", "boot", 1, "1"))
    assert store.attach(job.id, Identity.own()) is None


def test_two_that_are_not_over_never_write_into_one_folder(tmp_path):
    store = Store(tmp_path)
    first = add(store, results="/r/train")
    with pytest.raises(KinetagError, match=f"job {first.id} writes into /r/train"):
        add(store, results="/r/train")
    add(store, results="/r/evaluate")
    add(store)
    add(store)
    store.change(first, QUEUED, state=DONE)
    second = add(store, results="/r/train")
    with pytest.raises(KinetagError, match=second.id):
        store.refuse_writers("/r/train", first.id)


def test_descendants_come_behind_their_parents(tmp_path):
    store = Store(tmp_path)
    first = add(store)
    second = add(store, parent=first.id, state=BLOCKED)
    third = add(store, parent=second.id)
    add(store)
    assert [job.id for job in store.descendants(first.id)] == [second.id, third.id]
    assert [job.id for job in store.children(first.id)] == [second.id]
    assert [job.id for job in store.jobs(*ENDED_BADLY)] == [second.id]


def _attach(home: Path, ids: list[str], together, got) -> None:
    store, me = Store(home), Identity.own()
    together.wait()
    for job_id in ids:
        if store.attach(job_id, me) is not None:
            got.put((job_id, os.getpid()))
    together.wait()  # the job of a runner that is gone would be free again


def test_of_many_processes_one_gets_the_job(tmp_path):
    store = Store(tmp_path)
    ids = [add(store).id for _ in range(20)]
    context = multiprocessing.get_context("spawn")
    together, got = context.Barrier(4), context.Queue()
    children = [context.Process(target=_attach, args=(tmp_path, ids, together, got)) for _ in range(4)]
    for child in children:
        child.start()
    found = [got.get(timeout=60) for _ in ids]
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    assert sorted(job_id for job_id, _ in found) == sorted(ids)
    assert got.empty()


def test_threads_that_make_the_store_at_once(tmp_path):
    barrier = threading.Barrier(8)

    def work(number: int) -> str:
        barrier.wait()
        return add(Store(tmp_path / "home"), reason=str(number)).id

    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(work, range(8)))
    assert len(set(ids)) == len(Store(tmp_path / "home").jobs()) == 8


def test_a_launch_is_one_client_s(tmp_path):
    store = Store(tmp_path)
    job = add(store)
    assert store.take_launch(job, before=1e12)
    assert not store.take_launch(job, before=job.created)


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\0" + bytes(200)])
def test_a_file_that_is_no_store(tmp_path, content):
    (tmp_path / "jobs.sqlite").write_bytes(content)
    with pytest.raises(KinetagError, match="KINETAG_HOME") as caught:
        Store(tmp_path).jobs()
    assert "\n" not in str(caught.value)
    assert (tmp_path / "jobs.sqlite").read_bytes()[: len(content)] == content


def test_a_store_of_a_later_version_is_left_alone(tmp_path):
    store = Store(tmp_path)
    add(store)
    with sqlite3.connect(store.path) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(KinetagError, match="version 99"):
        store.jobs()


def test_a_home_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(KinetagError, match="KINETAG_HOME"):
        add(Store(tmp_path / "file" / "home"))


def test_what_was_committed_survives_a_kill(tmp_path):
    code = (
        "import sys; from kinetag.jobs.store import Store; store = Store(sys.argv[1])\n"
        "while True: print(store.add(id=store.new_id(), action='train', state='queued', cwd='/').id, flush=True)"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    told = [child.stdout.readline().strip() for _ in range(30)]
    child.kill()
    told += [line.strip() for line in child.stdout if line.endswith("\n")]
    child.wait()
    kept = {job.id for job in Store(tmp_path).jobs()}
    assert set(told) <= kept
    with sqlite3.connect(Store(tmp_path).path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_an_id_that_leads_elsewhere(tmp_path):
    store = Store(tmp_path)
    job = add(store)
    with sqlite3.connect(store.path) as connection:
        connection.execute("UPDATE jobs SET id = '../../away' WHERE id = ?", (job.id,))
    with pytest.raises(KinetagError, match="tampered"):
        store.jobs()
