"""A real S3 server (moto) in a process of its own, and a proxy before it that makes trouble on demand."""

import os
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from kinetag import storage

BUCKET = "bucket"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def s3_server() -> Iterator[int]:
    """The port of a moto server with an empty `BUCKET`."""
    port = free_port()
    with running([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], port):
        client(port).create_bucket(Bucket=BUCKET)
        yield port


@contextmanager
def running(command: list[str], port: int, folder: Path | None = None) -> Iterator[None]:
    """A server's process, without anybody's credentials, from when its port answers."""
    own = ("AWS_", "AZURE_", "GOOGLE_", "STORAGE_")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(own)}
    quiet = subprocess.DEVNULL
    server = subprocess.Popen(command, env=environment, cwd=folder, stdout=quiet, stderr=quiet)
    try:
        for _ in range(300):
            assert server.poll() is None, f"{command[0]} has ended"
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield
    finally:
        server.kill()
        server.wait()


def check_a_round_trip(place: str, folder: Path, data: bytes) -> None:
    """What is uploaded to a store comes back, is listed, and is gone when it was deleted."""
    (folder / "a b.bin").write_bytes(data)
    url = f"{place}/some folder/a b.bin"
    storage.upload(folder / "a b.bin", url)
    copy = storage.local_copy(url)
    assert copy.read_bytes() == data
    assert copy.name == "a b.bin"
    assert [(file.path, file.size) for file in storage.list_files(f"{place}/some folder")] == [(url, len(data))]
    assert storage.exists(url)
    assert storage.exists(f"{place}/some folder")
    storage.delete(url)
    storage.delete(url)
    assert not storage.exists(url)
    assert not storage.exists(f"{place}/some folder")
    assert storage.list_files(f"{place}/some folder") == []


def client(port: int):
    """A plain boto3 client, to look at the server past kinetag."""
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        region_name="us-east-1",
    )


def environment(port: int) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@dataclass
class Request:
    method: str
    path: str  # with its query
    head: bytes


@dataclass
class Trouble:
    """What the proxy does: `on_request` may answer itself (bytes), or be asked to cut the answer after so many bytes.

    Return None to let a request pass, bytes to answer with, an int to cut the answer off there, 'hang' for silence.
    """

    on_request: Callable[[Request], bytes | int | str | None] = lambda request: None
    before_reply: Callable[[Request], None] = lambda request: None  # the store has done it, the client waits
    seen: list[Request] = field(default_factory=list)


@contextmanager
def proxy(target: int, trouble: Trouble) -> Iterator[int]:
    """The port of a proxy to 127.0.0.1:target. One request a connection, which keeps it simple."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                line = self.rfile.readline()
                if not line:
                    return
                head += line
            method, path, _ = head.split(b" ", 2)
            request = Request(method.decode(), path.decode(), head)
            trouble.seen.append(request)
            what = trouble.on_request(request)
            fields = {k.strip().lower(): v.strip() for k, _, v in (x.partition(b":") for x in head.split(b"\r\n")[1:])}
            if b"100-continue" in fields.get(b"expect", b""):
                self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            length = int(fields.get(b"content-length", 0))
            if what == "hang":
                stop.wait(30)
                return
            if what == "drop":
                return
            body = self.rfile.read(length)
            if isinstance(what, bytes):
                self.wfile.write(what)
                return
            with socket.create_connection(("127.0.0.1", target)) as upstream:
                lines = [x for x in head.split(b"\r\n")[:-2] if not x.lower().startswith((b"connection:", b"expect:"))]
                upstream.sendall(b"\r\n".join([*lines, b"Connection: close", b"", b""]) + body)
                with upstream.makefile("rb") as stream:
                    reply = stream.read()
            trouble.before_reply(request)
            self.wfile.write(reply[:what] if isinstance(what, int) else reply)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

        def handle_error(self, request, client_address) -> None:
            pass  # a client that gives up is what is tested

    stop = threading.Event()
    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            stop.set()
            server.shutdown()


def answer(status: str, code: str, message: str = "told to") -> bytes:
    """An error of S3."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
    return head.encode() + b"\r\n" + body
