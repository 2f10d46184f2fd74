"""How fast are files sent to a store and fetched, and with how much memory? Beside plain boto3, in the same run.

    python bench/stores.py                 1 GB to moto, a real S3 server on this machine, and back, in turns
    python bench/stores.py --megabytes 200 --rounds 1 --from moto

moto reads a whole object for each part of it that is asked for, which takes minutes at 1 GB, whoever asks. So the way
back is measured from a small server that reads only the part, unless --from says moto.

Each transfer is a process of its own, whose peak of resident memory is told beside what it had before the transfer.
The server runs on the same machine and takes most of the time: the ratio is what counts, not the MB/s. Exits with 1
when kinetag takes more than --limit (200 MB) for a transfer.
"""

import argparse
import http.server
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from common import save, show

_BUCKET, _CHUNK, _HOST, _PYTHON = "bench", 8 << 20, "127.0.0.1", sys.executable


def main() -> int:
    parser = argparse.ArgumentParser(description="Transfers to and from an object store.")
    parser.add_argument("--megabytes", type=int, default=1000, help="size of the file (1000)")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median counts (3)")
    parser.add_argument("--limit", type=float, default=200.0, help="megabytes that a transfer may take (200)")
    parser.add_argument("--from", dest="server", choices=("plain", "moto"), default="plain", help="server of downloads")
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--transfer", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.transfer:
        print(json.dumps(_transfer(*args.transfer)))
        return 0
    if args.serve:
        _serve(int(args.serve[0]), Path(args.serve[1]))
    rows = _measured(args.megabytes, args.rounds, args.server)
    show(f"{args.megabytes} MB to moto and back (downloads: {args.server}), median of {args.rounds}", rows)
    save("stores", megabytes=args.megabytes, rounds=args.rounds, server_of_downloads=args.server, rows=rows)
    return 0 if all(row["MB of memory"] <= args.limit for row in rows if row["by"] == "kinetag") else 1


def _measured(megabytes: int, rounds: int, server: str) -> list[dict[str, Any]]:
    found: dict[tuple[str, str], list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as name, _server([_PYTHON, "-m", "moto.server", "-H", _HOST, "-p"]) as moto:
        file = Path(name) / "file.bin"
        _write(file, megabytes)
        code = f"import boto3; boto3.client('s3').create_bucket(Bucket='{_BUCKET}')"
        subprocess.run([_PYTHON, "-c", code], env=moto, check=True)
        with _server([_PYTHON, __file__, "--serve"], str(file)) as plain:
            sources = {"upload": moto, "download": moto if server == "moto" else plain}
            for what, by in [(what, by) for what in sources for by in ("boto3", "kinetag")] * rounds:
                command = [_PYTHON, __file__, "--transfer", by, what, name]
                said = subprocess.run(command, env=sources[what], capture_output=True, text=True, check=True).stdout
                found.setdefault((what, by), []).append(json.loads(said))
    rows = []
    for (what, by), runs in found.items():
        seconds = statistics.median(run["seconds"] for run in runs)
        plain = statistics.median(run["seconds"] for run in found[what, "boto3"])
        row: dict[str, Any] = {"transfer": what, "by": by, "MB/s": round(megabytes / seconds, 1)}
        row["speed beside boto3"] = round(plain / seconds, 2)
        row["MB of memory"] = round(max(run["memory"] for run in runs), 1)
        rows.append(row)
    return rows


def _write(path: Path, megabytes: int) -> None:
    with open(path, "wb") as stream:
        for _ in range(megabytes):
            stream.write(os.urandom(1_000_000))


@contextmanager
def _server(command: list[str], *more: str) -> Iterator[dict[str, str]]:
    """A server that is told its port behind ``command``; the environment that leads to it."""
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port = probe.getsockname()[1]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    environment |= {"AWS_ENDPOINT_URL": f"http://{_HOST}:{port}", "AWS_DEFAULT_REGION": "us-east-1"}
    environment |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    quiet: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen([*command, str(port), *more], **quiet)
    try:
        for _ in range(300):
            time.sleep(0.1)
            with socket.socket() as probe:
                if probe.connect_ex((_HOST, port)) == 0:
                    break
        yield environment
    finally:
        server.kill()
        server.wait()


def _serve(port: int, file: Path) -> NoReturn:
    """A server that has one object in one bucket, and gives any part of it."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            if not self.path.startswith(f"/{_BUCKET}/file.bin"):
                empty = b"<ListBucketResult><KeyCount>0</KeyCount></ListBucketResult>"
                self._head(200, len(empty))
                self.wfile.write(empty)
                return
            size, asked = file.stat().st_size, self.headers.get("Range", "")
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, end = int(first or 0), min(size - 1, int(last or size - 1))
            self._head(206 if asked else 200, end + 1 - start, f"bytes {start}-{end}/{size}" if asked else "")
            if self.command == "GET":
                with open(file, "rb") as stream:
                    self.wfile.flush()
                    self.connection.sendfile(stream, start, end + 1 - start)

        def _head(self, status: int, length: int, part: str = "") -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(length))
            self.send_header("ETag", '"the-one"')
            self.send_header("Last-Modified", "Mon, 02 Jan 2023 10:00:00 GMT")
            if part:
                self.send_header("Content-Range", part)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    http.server.ThreadingHTTPServer((_HOST, port), Handler).serve_forever()
    raise SystemExit


def _transfer(by: str, what: str, folder: str) -> dict[str, float]:
    """One transfer in this process: seconds, and how much the peak of memory rose (MB)."""
    local, fetched = Path(folder) / "file.bin", Path(folder) / "fetched.bin"
    with tempfile.TemporaryDirectory(dir=folder) as cache:
        os.environ["KINETAG_CACHE"] = cache
        do = (_by_boto3 if by == "boto3" else _by_kinetag)(what, local, fetched)
        before, began = _peak(), time.perf_counter()
        path = do()
        seconds, memory = time.perf_counter() - began, _peak() - before
        if not _same(local, path):
            raise SystemExit(f"{by} {what}: the copy is not the same")
    fetched.unlink(missing_ok=True)
    return {"seconds": seconds, "memory": memory}


def _by_boto3(what: str, local: Path, fetched: Path):
    import boto3

    s3: Any = boto3.client("s3")
    s3.list_objects_v2(Bucket=_BUCKET)  # connected, and all that it needs imported

    def do() -> Path:
        if what == "upload":
            s3.upload_file(str(local), _BUCKET, "file.bin")
            return local
        s3.download_file(_BUCKET, "file.bin", str(fetched))
        return fetched

    return do


def _by_kinetag(what: str, local: Path, fetched: Path):
    from kinetag import storage

    url = f"s3://{_BUCKET}/file.bin"
    storage.list_files(f"s3://{_BUCKET}")

    def do() -> Path:
        if what == "upload":
            storage.upload(local, url)
            return local
        return storage.local_copy(url)

    return do


def _same(one: Path, two: Path) -> bool:
    with open(one, "rb") as a, open(two, "rb") as b:
        while True:
            left, right = a.read(_CHUNK), b.read(_CHUNK)
            if left != right:
                return False
            if not left:
                return True


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
