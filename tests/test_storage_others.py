"""Google's and Azure's stores do what S3's does, and go wrong in the same words."""

import json
import random
import uuid

import pytest

pytest.importorskip("gcsfs")
pytest.importorskip("adlfs")
pytest.importorskip("gcp_storage_emulator")
from object_store import BUCKET, Trouble, check_a_round_trip, proxy
from other_stores import azure_environment, azure_server, azurite, google_environment, google_server

from kinetag import cli, storage
from kinetag.errors import KinetagError
from kinetag.storage import store as stores

SMALL = b"some poses" * 1000
LARGE = random.Random(0).randbytes(20 << 20)  # three parts
STORES = {"gs": (google_server, google_environment), "az": (azure_server, azure_environment)}


@pytest.fixture(scope="module", params=STORES)
def server(request, tmp_path_factory):
    """The scheme, and the port of its store."""
    if request.param == "az" and azurite() is None:
        pytest.skip("azurite is not on the PATH (npm install -g azurite)")
    with STORES[request.param][0](tmp_path_factory.mktemp("server")) as port:
        yield request.param, port


@pytest.fixture
def place(server, monkeypatch, tmp_path):
    """An empty folder of the store."""
    scheme, port = server
    for name, value in STORES[scheme][1](port).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("KINETAG_CACHE", str(tmp_path / "cache"))
    return f"{scheme}://{BUCKET}/{uuid.uuid4().hex}"


@pytest.fixture
def trouble(server, place, monkeypatch):
    """The store through a proxy that does as it is told."""
    scheme, port = server
    made = Trouble()
    monkeypatch.setattr(stores.random, "uniform", lambda low, high: 0.02)  # no long pauses
    with proxy(port, made) as between:
        for name, value in STORES[scheme][1](between).items():
            monkeypatch.setenv(name, value)
        yield made


@pytest.mark.parametrize("data", [b"", SMALL, LARGE], ids=["empty", "small", "large"])
def test_what_is_uploaded_comes_back(place, tmp_path, data):
    check_a_round_trip(place, tmp_path, data)


def test_a_changed_file_is_fetched_anew_and_no_other(trouble, place):
    url = f"{place}/a.bin"
    storage.write_file(url, SMALL)
    for content in (SMALL, SMALL[::-1]):
        storage.write_file(url, content)
        assert storage.local_copy(url).read_bytes() == content
        trouble.seen.clear()
        assert storage.local_copy(url).read_bytes() == content
        reads = [request for request in trouble.seen if request.method == "GET" and _whole(request.path)]
        assert not reads


def _whole(path: str) -> bool:
    """Whether a request reads an object, and does not only ask what it is."""
    return "alt=media" in path or (path.endswith("/a.bin") and "comp=" not in path)


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("what", ["drop", 5000, b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"])
def test_reading_is_tried_again(server, trouble, place, data, what):
    if server[0] == "az":
        pytest.skip("its client waits for a quarter of a minute before it tries again")
    storage.write_file(f"{place}/a.bin", data)
    left = [1]

    def once(request):
        if request.method == "GET" and _whole(request.path) and left[0]:
            left[0] -= 1
            return what
        return None

    trouble.on_request = once
    assert storage.local_copy(f"{place}/a.bin").read_bytes() == data
    assert left == [0]


def test_a_broken_upload_is_never_seen(server, trouble, place, tmp_path):
    if server[0] == "az":
        pytest.skip("its client waits for a quarter of a minute before it tries again")
    url = f"{place}/a.bin"
    storage.write_file(url, SMALL)
    (tmp_path / "a.bin").write_bytes(LARGE)
    seen, sent = [], []

    def drop_the_second_part(request):
        if request.method in ("PUT", "POST") and b"content-range" in request.head.lower():
            trouble.on_request = lambda request: None
            found = stores.look(url)
            seen.append(found and found.size)
            sent.append(request)
            trouble.on_request = drop_the_second_part
            return "drop" if len(sent) == 2 else None
        return None

    trouble.on_request = drop_the_second_part
    storage.upload(tmp_path / "a.bin", url)
    assert set(seen) == {len(SMALL)}
    assert storage.local_copy(url).read_bytes() == LARGE


def test_what_is_not_there_is_one_line(place, caplog):
    with pytest.raises(KinetagError, match=f"^no such file or folder: {place}/none.bin$"):
        storage.local_copy(f"{place}/none.bin")
    nowhere = place.replace(BUCKET, "nowhere")
    with pytest.raises(KinetagError, match=f"^writing {nowhere}/a.bin: there is no such bucket"):
        storage.write_file(f"{nowhere}/a.bin", SMALL)
    assert not caplog.records  # what clients log is no business of the user


def test_refused_is_said_so(server, place, trouble, monkeypatch):
    if server[0] == "az":
        for name, value in azure_environment(server[1], "A" * 86 + "==").items():
            monkeypatch.setenv(name, value)
    else:
        words = json.dumps({"error": {"code": 403, "message": "no right to read"}}).encode()
        head = f"HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: {len(words)}\r\n\r\n"
        trouble.on_request = lambda request: head.encode() + words
    with pytest.raises(KinetagError, match=f"^looking at {place}/a.bin: refused .*; check the credentials"):
        storage.local_copy(f"{place}/a.bin")


def test_azure_without_an_account_is_one_line(monkeypatch):
    for name in ("AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_ACCOUNT_NAME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(KinetagError, match=r"^az://: no account; set AZURE_STORAGE_CONNECTION_STRING"):
        storage.local_copy(f"az://{BUCKET}/a.bin")


def test_a_training_with_everything_in_the_store(place, tmp_path, capsys):
    pytest.importorskip("lightning")
    import yaml
    from made_training import write_arrays, write_spec

    values = yaml.safe_load(write_spec(tmp_path).read_text())
    write_arrays(tmp_path / "data", clips=7, prefix="test", seed=2)
    for path in sorted((tmp_path / "data").iterdir()):
        storage.upload(path, f"{place}/data/{path.name}")
    for part in ("train_dataset", "val_dataset"):
        values["dataset"][part]["data_path"] = f"{place}/data"
    storage.write_file(f"{place}/train.yaml", yaml.safe_dump(values).encode())
    assert cli.main(["train", "-e", f"{place}/train.yaml", f"results_dir={place}/run", "--quiet"]) == 0
    model, test = f"{place}/run/train/pc_model_best.pth", f"evaluate.test_dataset.data_path={place}/data"
    same = ["dataset.num_classes=3", "model.graph_layout=coco", f"results_dir={place}/run", "--quiet"]
    assert cli.main(["evaluate", f"evaluate.checkpoint={model}", test, *same]) == 0
    assert f"{place}/run/evaluate" in capsys.readouterr().out
    for action in ("train", "evaluate"):
        lines = storage.read_text(f"{place}/run/{action}/status.json").splitlines()
        assert json.loads(lines[-1])["status"] == "SUCCESS"
    names = {file.path.rpartition("/")[2] for file in storage.list_files(f"{place}/run")}
    assert not [name for name in names if "part" in name or "tmp" in name]
