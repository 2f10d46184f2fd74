"""Files on the web: read, kept while they do not change, and never written."""

import http.server
import threading
from dataclasses import dataclass, field

import numpy as np
import pytest

pytest.importorskip("aiohttp")
pytest.importorskip("lightning")
from made_training import write_spec

from kinetag import cli, storage
from kinetag.actions.train import train
from kinetag.errors import KinetagError
from kinetag.spec import load_spec
from kinetag.storage import store as stores


@dataclass
class Web:
    port: int
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)  # method, path with query
    users: list[str] = field(default_factory=list)
    head: bool = True
    etags: bool = True
    failures: int = 0

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port}/{name}"


@pytest.fixture
def web(monkeypatch, tmp_path):
    monkeypatch.setenv("KINETAG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(stores.random, "uniform", lambda low, high: 0.01)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked.append((self.command, self.path))
            made.users.append(self.headers.get("Authorization", ""))
            data = made.files.get(self.path.partition("?")[0].lstrip("/"))
            if made.failures and self.command == "GET":
                made.failures -= 1
                self.send_error(503)
                return
            if data is None or (self.command == "HEAD" and not made.head):
                self.send_error(404 if data is None else 501)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            if made.etags:
                self.send_header("ETag", f'"{hash(data)}"')
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(data)

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, format, *args) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made = Web(server.server_address[1])
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield made
        server.shutdown()


def gets(web: Web) -> int:
    return sum(method == "GET" for method, _ in web.asked)


def test_a_file_is_fetched_once_until_it_changes(web):
    web.files["data/poses.csv"] = b"x" * 20_000_000  # more than a part: the web gives it in one piece
    url = web.url("data/poses.csv")
    assert storage.local_copy(url).read_bytes() == web.files["data/poses.csv"]
    assert storage.local_copy(url).name == "poses.csv"
    assert gets(web) == 1
    web.files["data/poses.csv"] = b"new"
    assert storage.read_text(url) == "new"


def test_a_server_that_tells_little(web):
    web.files["a"], web.head, web.etags = b"first", False, False
    assert storage.local_copy(web.url("a")).read_bytes() == b"first"
    web.files["a"] = b"other"
    assert storage.local_copy(web.url("a")).read_bytes() == b"other"  # nothing tells that a copy is true: asked anew


def test_trouble_that_passes_and_that_does_not(web):
    web.files["a"], web.failures = b"there", 2
    assert storage.local_copy(web.url("a")).read_bytes() == b"there"
    with pytest.raises(KinetagError, match=r"^no such file or folder: http://127.0.0.1:\d+/b$"):
        storage.local_copy(web.url("b"))
    web.failures = 1000
    web.files["a"] = b"new"
    with pytest.raises(KinetagError, match=r"reading http://127.0.0.1:\d+/a: tried 5 times in vain \(503"):
        storage.local_copy(web.url("a"))


def test_a_signed_address_is_used_and_not_told(web, tmp_path, capsys):
    """A training on arrays behind signatures: they go to the server and into no message and no file."""
    spec = write_spec(tmp_path)
    for path in (tmp_path / "data").iterdir():
        web.files[f"clips/{path.name}"] = path.read_bytes()
    base = web.url("clips").replace("//", "//user:geheim@")
    options = [
        f"dataset.train_dataset.data_path='{base}/train_data.npy?sig=geheim'",
        f"dataset.val_dataset.data_path='{base}/val_data.npy?sig=geheim'",
    ]
    result = train(load_spec(spec, options, action="train"))
    assert ("GET", "/clips/train_label.pkl?sig=geheim") in web.asked
    assert any(user.startswith("Basic ") for user in web.users)
    shown = f"http://***@127.0.0.1:{web.port}/clips/train_data.npy?***"
    assert shown in (tmp_path / "out/train/experiment.yaml").read_text()
    for path in (tmp_path / "out").rglob("*"):
        assert path.is_dir() or b"geheim" not in path.read_bytes(), path
    again = [option.replace("geheim", "erneut") for option in options]  # signed anew: still the same run
    more = train(load_spec(spec, [*again, "train.num_epochs=4"], action="train"))
    assert more.steps > result.steps
    assert cli.main(["train", "-e", str(spec), options[0].replace("train_data", "nothing")]) == 2
    assert "geheim" not in capsys.readouterr().err


def test_a_folder_of_arrays_and_a_place_to_write(web, tmp_path):
    write_spec(tmp_path)
    for path in (tmp_path / "data").iterdir():
        web.files[f"clips/{path.name}"] = path.read_bytes()
    options = [f"dataset.{part}_dataset.data_path={web.url('clips')}" for part in ("train", "val")]
    assert train(load_spec(tmp_path / "out.yaml", options, action="train")).epochs == 3
    with pytest.raises(KinetagError, match="the web can only be read"):
        train(load_spec(tmp_path / "out.yaml", [f"results_dir={web.url('out')}"], action="train"))


def test_poses_on_the_web_are_analysed(web, tmp_path):
    from kinetag.analyzer import analyze
    from kinetag.pose.files import write_poses
    from kinetag.sequence import PoseSequence

    times = np.arange(60) / 15
    points = np.random.default_rng(0).uniform(50, 200, (60, 17, 2))
    made = PoseSequence(times, points, np.ones((60, 17)), "coco", (320, 240))
    write_poses([made], tmp_path / "p.csv")
    web.files["p.csv"] = (tmp_path / "p.csv").read_bytes()
    assert len(analyze(web.url("p.csv")).people) == 1
