"""Files in stores: the same everywhere, whole or not at all, and one clear line when it does not work."""

import os
import random
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("s3fs")
from object_store import BUCKET, Request, Trouble, answer, check_a_round_trip, client, environment, proxy

from kinetag import storage
from kinetag.errors import KinetagError
from kinetag.storage import store as stores

ROOT = f"s3://{BUCKET}"
SMALL = b"some poses" * 1000
LARGE = random.Random(0).randbytes(20 << 20)  # three parts


@pytest.fixture
def trouble(store, monkeypatch):
    """Everything that kinetag says to the store goes through a proxy that does as it is told."""
    made = Trouble()
    with proxy(store, made) as port:
        for name, value in environment(port).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(stores.random, "uniform", lambda low, high: 0.02)  # no long pauses
        made.direct = client(store)
        yield made


def put(trouble, key: str, data: bytes) -> str:
    trouble.direct.put_object(Bucket=BUCKET, Key=key, Body=data)
    return f"{ROOT}/{key}"


def first(times: int, what, method: str, words: str = ""):
    """Trouble for the first so many requests of a kind."""
    left = [times]

    def on_request(request: Request):
        if request.method == method and words in request.path and left[0] > 0:
            left[0] -= 1
            return what
        return None

    return on_request


def gets(trouble, key: str) -> int:
    return sum(request.method == "GET" and f"/{key}" in request.path for request in trouble.seen)


# --- as it should be -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", SMALL, LARGE], ids=["empty", "small", "large"])
def test_what_is_uploaded_comes_back(store, tmp_path, data):
    check_a_round_trip(ROOT, tmp_path, data)


def test_local_paths_do_the_same(tmp_path):
    storage.write_file(tmp_path / "sub" / "a.txt", "zwölf".encode())
    storage.upload(tmp_path / "sub" / "a.txt", str(tmp_path / "b.txt"))
    assert storage.read_text(f"file://{tmp_path}/b.txt") == "zwölf"
    assert storage.local_copy(tmp_path / "b.txt") == tmp_path / "b.txt"
    names = [os.path.relpath(file.path, tmp_path) for file in storage.list_files(tmp_path)]
    assert names == ["b.txt", "sub/a.txt"]
    storage.delete(tmp_path / "b.txt")
    assert not storage.exists(tmp_path / "b.txt")


def test_a_folder_comes_with_all_that_is_in_it(store):
    for name in ("one/a.txt", "one/deep/b.txt", "one-more/c.txt", "one/.hidden"):
        storage.write_file(f"{ROOT}/{name}", name.encode())
    folder = storage.local_copy(f"{ROOT}/one")
    files = {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}
    assert files == {"a.txt": "one/a.txt", "deep/b.txt": "one/deep/b.txt"}
    assert len(storage.list_files(f"{ROOT}/one")) == 3


def test_a_changed_file_is_fetched_anew_and_no_other(trouble):
    url = put(trouble, "a.bin", SMALL)
    assert storage.local_copy(url).read_bytes() == SMALL
    assert storage.local_copy(url).read_bytes() == SMALL
    assert gets(trouble, "a.bin") == 1
    put(trouble, "a.bin", SMALL[::-1])
    assert storage.local_copy(url).read_bytes() == SMALL[::-1]
    assert gets(trouble, "a.bin") == 2


# --- what passes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize(
    "what", [5000, "drop", answer("503 Slow Down", "SlowDown"), answer("500 Oh", "InternalError")],
    ids=["cut off", "dropped", "slow down", "server error"],
)  # fmt: skip
def test_reading_is_tried_again(trouble, data, what):
    url = put(trouble, "a.bin", data)
    trouble.on_request = first(2, what, "GET", "a.bin")
    assert storage.local_copy(url).read_bytes() == data


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("what", ["drop", answer("503 Slow Down", "SlowDown")], ids=["dropped", "slow down"])
def test_writing_is_tried_again(trouble, tmp_path, data, what):
    (tmp_path / "a.bin").write_bytes(data)
    trouble.on_request = first(2, what, "PUT")
    storage.upload(tmp_path / "a.bin", f"{ROOT}/a.bin")
    trouble.on_request = lambda request: None
    assert storage.local_copy(f"{ROOT}/a.bin").read_bytes() == data


def test_a_silent_store_is_given_up_in_bounded_time(trouble, monkeypatch):
    url = put(trouble, "a.bin", SMALL)
    monkeypatch.setattr(stores, "READ_TIMEOUT", 0.3)
    monkeypatch.setattr(stores, "PATIENCE", 1.0)
    stores._opened.cache_clear()
    trouble.on_request = lambda request: "hang"
    began = time.monotonic()
    with pytest.raises(
        KinetagError, match=r"looking at s3://bucket/a.bin: tried (once|\d times) in vain .*run it again"
    ):
        storage.local_copy(url)
    assert time.monotonic() - began < 25  # and not 5 times 30 s
    stores._opened.cache_clear()


# --- what does not ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [
        ("ExpiredToken", "400 Bad Request", "the credentials have expired"),
        ("AccessDenied", "403 Forbidden", "refused .*check the credentials"),
        ("InvalidAccessKeyId", "403 Forbidden", "refused"),
    ],
)
def test_a_refusal_is_told_at_once(trouble, tmp_path, code, status, words):
    url = put(trouble, "a.bin", SMALL)

    def refuse(request: Request):
        reply = answer(status, code, f"{code} it is")
        return reply if request.method != "HEAD" else reply.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"

    trouble.on_request = refuse
    with pytest.raises(KinetagError, match=f"looking at s3://bucket/a.bin: {words}") as caught:
        storage.local_copy(url)
    assert f"{code} it is" in str(caught.value)
    assert len(trouble.seen) <= 3  # the head, and why
    (tmp_path / "b").write_bytes(SMALL)
    with pytest.raises(KinetagError, match=f"writing s3://bucket/b: {words}"):
        storage.upload(tmp_path / "b", f"{ROOT}/b")


def test_wrong_names(store, tmp_path):
    (tmp_path / "a").write_bytes(SMALL)
    with pytest.raises(KinetagError, match=r"^no such file or folder: s3://bucket/nothing\.npy$"):
        storage.local_copy(f"{ROOT}/nothing.npy")
    for do in (
        lambda: storage.local_copy("s3://no-bucket/a"),
        lambda: storage.list_files("s3://no-bucket/a"),
        lambda: storage.upload(tmp_path / "a", "s3://no-bucket/a"),
    ):
        with pytest.raises(KinetagError, match=r"s3://no-bucket/a: there is no such bucket .*check its name"):
            do()
    with pytest.raises(KinetagError, match=r"'ftp://' is not known; known are s3://, gs://"):
        storage.local_copy("ftp://host/file")
    with pytest.raises(KinetagError, match="the web can only be read"):
        storage.upload(tmp_path / "a", "https://host/a")


def test_no_credentials(store, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(KinetagError, match=r"no credentials .*in the environment or the usual files"):
        storage.local_copy(f"{ROOT}/a")


def test_credentials_of_a_profile(store, monkeypatch, tmp_path):
    url = f"{ROOT}/a.bin"
    storage.write_file(url, SMALL)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name)
    (tmp_path / "credentials").write_text("[gym]\naws_access_key_id = test\naws_secret_access_key = test\n")
    (tmp_path / "config").write_text(f"[profile gym]\nendpoint_url = http://127.0.0.1:{store}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "gym")
    assert storage.local_copy(url).read_bytes() == SMALL


def test_nothing_of_an_upload_that_fails_is_to_be_seen(trouble, tmp_path):
    (tmp_path / "a.bin").write_bytes(LARGE)
    put(trouble, "a.bin", SMALL)
    trouble.on_request = first(1000, answer("500 Oh", "InternalError"), "PUT", "partNumber=2")
    with pytest.raises(KinetagError, match=r"writing s3://bucket/a.bin: tried 5 times in vain"):
        storage.upload(tmp_path / "a.bin", f"{ROOT}/a.bin")
    assert trouble.direct.get_object(Bucket=BUCKET, Key="a.bin")["Body"].read() == SMALL  # as it was
    assert not trouble.direct.list_multipart_uploads(Bucket=BUCKET).get("Uploads")  # and no parts to be paid for


def test_a_lost_answer_to_the_last_request_is_no_loss(trouble, tmp_path):
    (tmp_path / "a.bin").write_bytes(LARGE)
    done = [False]

    def lose(request: Request) -> int | None:
        if request.method == "POST" and "uploadId" in request.path and not done[0]:
            done[0] = True
            return 0  # the store does it, and nobody hears
        return None

    trouble.on_request = lose
    storage.upload(tmp_path / "a.bin", f"{ROOT}/a.bin")
    assert done[0]
    assert storage.local_copy(f"{ROOT}/a.bin").read_bytes() == LARGE


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
def test_a_file_that_changes_while_it_is_fetched_is_never_mixed(trouble, data):
    url, changed = put(trouble, "a.bin", data), data[::-1]
    seen = [0]

    def change(request: Request) -> None:
        if request.method == "GET" and "a.bin" in request.path:
            seen[0] += 1
            if seen[0] == 1:  # after the first part, or all, of the old one
                put(trouble, "a.bin", changed)

    trouble.before_reply = change
    assert storage.local_copy(url).read_bytes() == changed
    assert storage.local_copy(url).read_bytes() == changed
    again = [0]

    def always(request: Request) -> None:
        if request.method == "GET" and "a.bin" in request.path:
            again[0] += 1
            put(trouble, "a.bin", data + bytes([again[0]]))

    trouble.before_reply = always
    put(trouble, "a.bin", data)
    with pytest.raises(KinetagError, match="changes all the time"):
        storage.local_copy(url)


def test_no_secret_is_told(store, monkeypatch):
    signed = "https://user:geheim@127.0.0.1:1/clips/a.npy?X-Amz-Signature=geheim&X-Amz-Expires=1"
    monkeypatch.setattr(stores, "ATTEMPTS", 1)
    with pytest.raises(KinetagError, match=r"https://\*\*\*@127.0.0.1:1/clips/a.npy\?\*\*\*") as caught:
        storage.local_copy(signed)
    assert "geheim" not in str(caught.value)
    assert storage.hide_secrets(f"'{signed}' and s3://a/b") == (
        "'https://***@127.0.0.1:1/clips/a.npy?***' and s3://a/b"
    )


# --- gs:// and az://, as far as they go without these stores ---------------------------------------------------------


def test_google_storage_is_asked_for_with_the_users_own_credentials(monkeypatch):
    fsspec, gcsfs = pytest.importorskip("fsspec"), pytest.importorskip("gcsfs")
    asked = []
    monkeypatch.setattr(fsspec, "filesystem", lambda protocol, **options: asked.append((protocol, options)))
    stores._opened.cache_clear()
    stores.filesystem("gs://bucket/key")
    stores.filesystem("gcs://bucket/key")
    stores._opened.cache_clear()
    assert [protocol for protocol, _ in asked] == ["gs", "gs"]
    assert all("token" not in options for _, options in asked)
    assert issubclass(fsspec.get_filesystem_class("gs"), gcsfs.GCSFileSystem)


def test_azure_takes_its_credentials_from_the_environment(monkeypatch):
    adlfs = pytest.importorskip("adlfs")
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", "AccountName=a;AccountKey=Zm9v;EndpointSuffix=x.y")
    made = stores.filesystem("az://container/key")
    assert isinstance(made, adlfs.AzureBlobFileSystem)
    assert made.connection_string.startswith("AccountName=a")
    assert made._timeout_kwargs == {"connection_timeout": 10, "read_timeout": 30}


def test_any_store_that_fsspec_reaches_does(monkeypatch, tmp_path):
    """fsspec's own store in memory, whose files have times and no ETags, stands for those that are not here."""
    monkeypatch.setitem(stores.KINDS, "memory", stores.Kind("memory", "fsspec", dict))
    monkeypatch.setenv("KINETAG_CACHE", str(tmp_path / "cache"))
    (tmp_path / "large").write_bytes(LARGE)
    storage.upload(tmp_path / "large", "memory://bucket/some/large")
    assert storage.local_copy("memory://bucket/some/large").read_bytes() == LARGE
    assert [file.path for file in storage.list_files("memory://bucket/some")] == ["memory://bucket/some/large"]
    storage.write_file("memory://bucket/some/large", SMALL)
    assert storage.local_copy("memory://bucket/some/large").read_bytes() == SMALL
    storage.delete("memory://bucket/some/large")
    assert not storage.exists("memory://bucket/some/large")


def test_downloads_in_threads_do_not_mix(store):
    urls = [f"{ROOT}/{i}.bin" for i in range(8)]
    for i, url in enumerate(urls):
        storage.write_file(url, bytes([i]) * 1000)
    found: dict[str, bytes] = {}
    threads = [
        threading.Thread(target=lambda u=url: found.update({u: storage.local_copy(u).read_bytes()})) for url in urls
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {url: bytes([i]) * 1000 for i, url in enumerate(urls)}
    assert not list(Path(os.environ["KINETAG_CACHE"]).rglob("*.draft"))
