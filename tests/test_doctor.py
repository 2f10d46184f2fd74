import hashlib
import io
from importlib.metadata import metadata

import pytest
from rich.console import Console

from kinetag import cli, doctor
from kinetag.doctor import CHECKSUMS, WEIGHTS, Check, checks_table, run_checks


def by_name(checks):
    return {check.name: check for check in checks}


def test_shipped_weights_match_their_checksums():
    lines = [line.split("  ") for line in (WEIGHTS / CHECKSUMS).read_text("utf-8").splitlines()]
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in WEIGHTS.glob("*.onnx")}
    assert {name: digest for digest, name in lines} == found, (
        "run: cd src/kinetag/weights && sha256sum *.onnx > SHA256SUMS"
    )


def test_everything_that_is_needed_works_here():
    broken = [check for check in run_checks() if check.needed and not check.ok]
    assert broken == []


def test_the_extras_are_those_of_the_package():
    listed = set(metadata("kinetag").get_all("Provides-Extra") or [])
    assert set(doctor._EXTRAS) == listed - {"all", "bench", "test"}


def test_every_missing_thing_has_a_line_that_mends_it():
    assert all(check.mend for check in run_checks() if not check.ok)


def test_damaged_and_missing_weights_are_told_apart(tmp_path, monkeypatch):
    (tmp_path / "a.onnx").write_bytes(b"changed")
    digest = hashlib.sha256(b"original").hexdigest()
    (tmp_path / CHECKSUMS).write_text(f"{digest}  a.onnx\n{digest}  b.onnx\n")
    monkeypatch.setattr(doctor, "WEIGHTS", tmp_path)
    (check,) = doctor._weights()
    assert not check.ok
    assert check.found == "a.onnx is damaged; b.onnx is missing"
    (tmp_path / "a.onnx").write_bytes(b"original")
    (tmp_path / CHECKSUMS).write_text(f"{digest}  a.onnx\n")
    assert doctor._weights()[0].ok


def test_two_opencv_builds_are_found(monkeypatch):
    class Distribution:
        def __init__(self, name):
            self.metadata = {"Name": name}

    names = ["numpy", "opencv-python", "opencv-python-headless"]
    monkeypatch.setattr(doctor, "distributions", lambda: [Distribution(name) for name in names])
    check = doctor._opencv()
    assert not check.ok
    assert check.mend.startswith("pip uninstall -y opencv-python opencv-python-headless && pip install")


@pytest.mark.parametrize(("numpy", "ok"), [("1.26.4", True), ("2.1.0", False)])
def test_an_old_mediapipe_beside_a_new_numpy(numpy, ok, monkeypatch):
    monkeypatch.setattr(doctor, "_version", {"mediapipe": "0.10.21", "numpy": numpy}.get)
    monkeypatch.setattr(doctor, "requires", lambda name: ["numpy<2", "protobuf<5"])
    assert doctor._mediapipe().ok is ok


def test_a_broken_package_is_named_and_stops_nothing(monkeypatch):
    real = doctor.import_module

    def broken(name):
        if name == "yaml":
            raise ImportError("no module named 'yaml'")
        return real(name)

    monkeypatch.setattr(doctor, "import_module", broken)
    check = by_name(doctor._packages())["pyyaml"]
    assert not check.ok
    assert check.mend == "pip install --force-reinstall pyyaml"


@pytest.mark.parametrize(
    ("checks", "code"),
    [
        ([Check("a", True, "fine")], 0),
        ([Check("a", True, "fine"), Check("b", False, "", "plug it in", needed=False)], 0),
        ([Check("a", False, "gone", "pip install a")], 1),
    ],
)
def test_the_exit_code_says_whether_the_base_works(checks, code, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "run_checks", lambda: checks)
    assert cli.main(["doctor"]) == code
    assert checks[-1].mend in capsys.readouterr().out


def test_the_table_shows_names_and_mending_lines_literally():
    out = io.StringIO()
    Console(file=out, width=120).print(checks_table([Check("extra", False, "[x]", "pip install 'kinetag[train]'")]))
    assert "[x]; to mend: pip install 'kinetag[train]'" in out.getvalue()


def test_requirements_are_those_of_the_package():
    assert {"numpy", "onnxruntime", "av", "opencv-python-headless", "rich"} <= set(doctor._requirements(None))
    assert "pyarrow" in doctor._requirements("parquet")
    assert "torch" not in doctor._requirements(None)
