"""The cache of stored files: bounded, shared by processes, and never in the way of who uses a file."""

import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("s3fs")
from object_store import BUCKET, Trouble, client, environment, proxy

from kinetag import storage
from kinetag.errors import KinetagError
from kinetag.storage import cache as caches
from kinetag.storage import store as stores
from kinetag.storage.cache import Cache

ROOT = f"s3://{BUCKET}"


def put(port: int, key: str, data: bytes) -> str:
    client(port).put_object(Bucket=BUCKET, Key=key, Body=data)
    return f"{ROOT}/{key}"


def kept(cache: Cache) -> list[bytes]:
    return sorted(path.read_bytes() for path in cache.folder.glob("objects/*/*"))


def fetched(cache: Cache, url: str) -> bytes:
    file = stores.look(url)
    assert file is not None
    with cache.lease() as lease:
        lease.add(file, lease.folder / "it")
        return (lease.folder / "it").read_bytes()


@pytest.fixture
def cache(store, tmp_path):
    return Cache(tmp_path / "cache", 250)


def test_the_longest_unused_goes_first(cache, store):
    urls = [put(store, f"{i}", bytes([65 + i]) * 100) for i in range(3)]
    fetched(cache, urls[0])
    fetched(cache, urls[1])
    fetched(cache, urls[0])
    fetched(cache, urls[2])
    assert kept(cache) == [b"A" * 100, b"C" * 100]


def test_a_new_version_takes_the_place_of_the_old(cache, store):
    url = put(store, "a", b"old")
    assert fetched(cache, url) == b"old"
    put(store, "a", b"new")
    assert fetched(cache, url) == b"new"
    assert kept(cache) == [b"new"]


def test_nothing_in_use_goes(cache, store):
    urls = [put(store, f"{i}", bytes([65 + i]) * 100) for i in range(5)]
    with cache.lease() as lease:
        paths = []
        for i, url in enumerate(urls):
            file = stores.look(url)
            assert file is not None
            lease.add(file, lease.folder / str(i))
            paths.append(lease.folder / str(i))
        assert [path.read_bytes()[:1] for path in paths] == [b"A", b"B", b"C", b"D", b"E"]
        put(store, "0", b"changed")  # another user gets it, this one keeps what he had
        assert fetched(cache, urls[0]) == b"changed"
        assert paths[0].read_bytes() == b"A" * 100
    assert sum(map(len, kept(cache))) <= 250
    assert not list(cache.folder.glob("leases/*"))


def test_a_file_larger_than_the_cache_can_be_used_and_is_not_kept(cache, store):
    assert fetched(cache, put(store, "a", b"x" * 1000)) == b"x" * 1000
    assert kept(cache) == []


def test_two_processes_fetch_a_file_once(store, tmp_path):
    data = os.urandom(12 << 20)  # two parts
    url = put(store, "a.bin", data)
    trouble = Trouble()
    code = f"from kinetag import storage; import hashlib; p = storage.local_copy('{url}'); "
    code += "print(hashlib.sha256(p.read_bytes()).hexdigest())"
    with proxy(store, trouble) as port:
        env = {**os.environ, **environment(port)}
        command = [sys.executable, "-c", code]
        children = [subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) for _ in range(3)]
        said = {child.communicate(timeout=60)[0] for child in children}
    assert len(said) == 1
    assert sum(request.method == "GET" and "a.bin" in request.path for request in trouble.seen) == 2
    folder = Path(os.environ["KINETAG_CACHE"])
    assert [path.stat().st_size for path in folder.glob("objects/*/*")] == [len(data)]
    assert not list(folder.glob("leases/*"))


def test_a_process_that_is_killed_leaves_nothing_in_the_way(store):
    url = put(store, "a.bin", b"poses")
    code = f"from kinetag import storage; storage.local_copy('{url}'); print('have it', flush=True); input()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    child = subprocess.Popen([sys.executable, "-c", code], text=True, **pipes)
    assert child.stdout is not None
    assert child.stdout.readline() == "have it\n"
    folder = Path(os.environ["KINETAG_CACHE"])
    with Cache().lease():  # one who lives is left alone
        assert len(list(folder.glob("leases/*"))) == 2
    child.send_signal(signal.SIGKILL)
    child.communicate()
    with Cache().lease():
        assert len(list(folder.glob("leases/*"))) == 1


def test_a_full_disk_makes_room_and_then_says_so(cache, store, monkeypatch):
    fetched(cache, put(store, "old", b"o" * 200))
    free = [50]

    def usage(path):
        used = sum(map(len, kept(cache)))
        return shutil._ntuple_diskusage(1000, used, free[0] + 200 - used)

    monkeypatch.setattr(caches.shutil, "disk_usage", usage)
    assert fetched(cache, put(store, "new", b"n" * 100)) == b"n" * 100
    assert kept(cache) == [b"n" * 100]
    with pytest.raises(KinetagError, match=r"no space left in .*cache for s3://bucket/big .*set KINETAG_CACHE"):
        fetched(cache, put(store, "big", b"b" * 900))
    assert not list(cache.folder.rglob("*.draft"))


def test_a_disk_that_fills_up_on_the_way_leaves_no_half_file(cache, store, monkeypatch):
    def get(file, target, *, progress):
        target.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(caches, "get", get)
    with pytest.raises(KinetagError, match="no space left in"):
        fetched(cache, put(store, "a", b"whole"))
    assert not [path for path in cache.folder.rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_a_disk_without_hard_links_copies(cache, store, monkeypatch):
    def link(source, target):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(caches.os, "link", link)
    url = put(store, "a", b"poses")
    assert fetched(cache, url) == b"poses"
    assert fetched(cache, url) == b"poses"
    assert kept(cache) == [b"poses"]


@pytest.mark.parametrize(
    ("text", "size"),
    [("500M", 500 << 20), ("1.5 GiB", 3 << 29), ("20g", 20 << 30), ("7", 7), ("", caches.DEFAULT_SIZE)],
)
def test_the_size_of_the_cache(monkeypatch, text, size):
    monkeypatch.setenv("KINETAG_CACHE_SIZE", text)
    assert caches.cache_size() == size


def test_settings_that_cannot_be(monkeypatch, tmp_path, store):
    monkeypatch.setenv("KINETAG_CACHE_SIZE", "lots")
    with pytest.raises(KinetagError, match=r"KINETAG_CACHE_SIZE is 'lots', but must be a size such as"):
        storage.local_copy(put(store, "a", b"x"))
    monkeypatch.delenv("KINETAG_CACHE_SIZE")
    (tmp_path / "file").touch()
    monkeypatch.setenv("KINETAG_CACHE", str(tmp_path / "file"))
    with pytest.raises(KinetagError, match=r"the cache .*file cannot be used .*set KINETAG_CACHE"):
        storage.local_copy(put(store, "a", b"x"))


@pytest.mark.parametrize("name", ["../up", "a/../../up", "/etc/passwd", "a//b", "a\\b", "x" * 300, "a\0b"])
def test_no_name_leads_out_of_a_folder(name):
    from kinetag.urls import safe_relative

    with pytest.raises(KinetagError, match="cannot be the name of a file"):
        safe_relative(name, ROOT)
