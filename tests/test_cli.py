"""The command line as a user meets it."""

import io
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from made_timelines import timeline

from kinetag import cli, cli_options
from kinetag.errors import KinetagError

HEAVY = ("torch", "cv2", "av", "onnxruntime", "scipy", "numpy", "rich", "pydantic")


def run(*words, **options):
    return subprocess.run([sys.executable, "-m", "kinetag", *words], capture_output=True, text=True, **options)


@pytest.fixture
def analysed(monkeypatch):
    """`kinetag.analyzer.analyze` replaced by one that knows the answer; gives the calls it got."""
    calls = []

    def analyze(source, **options):
        calls.append((source, options))
        options["progress"](1.0, 2.0)
        return timeline(source=str(source))

    monkeypatch.setattr("kinetag.analyzer.analyze", analyze)
    return calls


def test_importing_is_fast_and_free():
    took = []
    for _ in range(3):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import kinetag"], check=True)
        took.append(time.perf_counter() - begin)
    assert min(took) < 0.3


def test_help_is_fast():
    took = []
    for _ in range(3):
        begin = time.perf_counter()
        assert run("--help").returncode == 0
        took.append(time.perf_counter() - begin)
    assert min(took) < 0.5


@pytest.mark.parametrize(
    "code",
    ["import kinetag", "import kinetag.cli", "from kinetag.cli import main; main([])"],
    ids=["import", "cli", "welcome"],
)
def test_nothing_heavy_is_imported(code):
    script = f"{code}\nimport sys\nprint('HEAVY', [m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("HEAVY []\n")


def test_analysing_never_imports_torch(tmp_path):
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import kinetag.analyzer; from made_timelines import timeline\n"
        "kinetag.analyzer.analyze = lambda source, **options: timeline()\n"
        "from kinetag.cli import main\n"
        "code = main(['analyze', 'x.mp4', '--out', sys.argv[2], '--no-annotated'])\n"
        "assert 'torch' not in sys.modules and code in (0, 2), code"
    )
    tests = str(Path(__file__).parent)
    subprocess.run([sys.executable, "-c", script, tests, str(tmp_path)], check=True, capture_output=True)


def test_help_of_every_verb(capsys):
    for verb in cli.VERBS:
        with pytest.raises(SystemExit) as ended:
            cli.main([verb, "--help"])
        assert ended.value.code == 0
        assert f"kinetag {verb}" in capsys.readouterr().out


def test_no_arguments_welcome(capsys):
    assert cli.main([]) == 0
    said = capsys.readouterr().out
    assert all(f"kinetag {verb}" in said for verb in cli.VERBS)
    assert max(map(len, said.splitlines())) <= 100


def test_version(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert re.fullmatch(r"kinetag \d+\.\d+\.\d+\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["analyse", "x.mp4"], "did you mean 'analyze'"),
        (["anlyze"], "did you mean 'analyze'"),
        (["webcam"], "did you mean 'live'"),
        (["zzzz"], "known: analyze, live, demo, exercises, teach, doctor"),
        (["analyze"], "required: source"),
        (["analyze", "x.mp4", "--formt", "json"], "did you mean '--format'"),
        (["analyze", "x.mp4", "--formt=json"], "did you mean '--format'"),
        (["analyze", "x.mp4", "y.mp4"], "one argument too many: 'y.mp4'"),
        (["analyze", "x.mp4", "--format", "xml"], "xml"),
        (["analyze", "x.mp4", "--rate", "0"], "'0' is not a number above 0"),
        (["analyze", "x.mp4", "--rate", "nan"], "'nan' is not a number above 0"),
        (["analyze", "x.mp4", "--max-people", "0"], "'0' is not a whole number"),
        (["analyze", "x.mp4", "--only", " , "], "names nothing: give names"),
        (["analyze", "x.mp4", "--start", "soon"], "'soon' is not a time"),
        (["analyze", "x.mp4", "--start", "5", "--end", "5"], "--start 5 is not before --end 5"),
        (["analyze", "does/not/exist.mp4"], "does/not/exist.mp4"),
    ],
)
def test_bad_input_is_one_line_and_code_2(words, said, capsys):
    assert cli.main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert said in captured.err


def test_a_file_in_place_of_a_verb(tmp_path, capsys):
    (tmp_path / "gym.mp4").write_text("")
    assert cli.main([str(tmp_path / "gym.mp4")]) == 2
    assert f"did you mean: kinetag analyze {tmp_path / 'gym.mp4'}" in capsys.readouterr().err


def test_json_and_nothing_else_on_stdout(analysed, capsys):
    assert cli.main(["analyze", "gym.mp4", "--format", "json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == timeline(source="gym.mp4").to_dict()
    assert captured.err == ""


def test_json_stays_alone_when_files_are_written(analysed, capsys, tmp_path):
    made = ["analyze", str(tmp_path / "poses.csv"), "--format", "json", "--out", str(tmp_path / "out")]
    assert cli.main(made) == 0
    captured = capsys.readouterr()
    json.loads(captured.out)
    assert "written to" in captured.err
    assert (tmp_path / "out" / "timeline.json").read_text("utf-8") == captured.out


@pytest.mark.parametrize(
    ("kind", "begins"), [("csv", "person,label,start"), ("vtt", "WEBVTT\n\n00:"), ("table", "gym")]
)
def test_formats(kind, begins, analysed, capsys):
    assert cli.main(["analyze", "gym.mp4", "--format", kind]) == 0
    assert capsys.readouterr().out.startswith(begins)


def test_the_table_says_who_what_and_how_many(analysed, capsys):
    cli.main(["analyze", "gym.mp4"])
    said = capsys.readouterr().out
    for words in ("2 people", "squat", "jumping jack", "0:10.0", "93%", "Person 1: squat ×3", "warning: 2 damaged"):
        assert words in said


def test_options_reach_the_analysis(analysed):
    words = ["--start", "1:30", "--end", "1:02:03.5", "--rate", "20", "--max-people", "3", "--exercises", "a.yaml"]
    cli.main(["analyze", "gym.mp4", *words, "--exercises", "b.yaml", "--pose", "p.onnx", "--model", "m.onnx"])
    source, options = analysed[0]
    assert source == "gym.mp4"
    assert (options["start"], options["end"], options["rate"]) == (90.0, 3723.5, 20.0)
    assert (options["max_people"], options["exercises"]) == (3, ["a.yaml", "b.yaml"])
    assert (options["pose"], options["model"]) == ("p.onnx", Path("m.onnx"))


def test_a_number_is_a_camera_unless_a_file_is_called_so(analysed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cli.main(["analyze", "0"])
    (tmp_path / "1").write_text("")
    cli.main(["analyze", "1"])
    assert [source for source, _ in analysed] == [0, "1"]


def test_another_run_is_refused_before_the_work(analysed, tmp_path, capsys):
    (tmp_path / "timeline.json").write_text("{}")
    assert cli.main(["analyze", "gym.mp4", "--out", str(tmp_path)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert analysed == []
    assert (tmp_path / "timeline.json").read_text() == "{}"


def test_ctrl_c_keeps_what_was_seen(monkeypatch, tmp_path, capsys):
    def analyze(source, **options):
        made = timeline(source=source)
        made.warnings.append("stopped by the user at 4.0 s; the rest was not looked at")
        return made

    monkeypatch.setattr("kinetag.analyzer.analyze", analyze)
    source = str(tmp_path / "poses.csv")
    assert cli.main(["analyze", source, "--out", str(tmp_path / "out"), "--format", "json"]) == 130
    captured = capsys.readouterr()
    json.loads(captured.out)
    assert (tmp_path / "out" / "timeline.json").exists()
    assert "what was seen is in" in captured.err


def test_ctrl_c_elsewhere_is_no_traceback(monkeypatch, capsys):
    def stop(source, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("kinetag.analyzer.analyze", stop)
    assert cli.main(["analyze", "gym.mp4"]) == 130
    assert capsys.readouterr().err.count("\n") == 1


def test_ctrl_c_while_writing_says_what_is_complete(analysed, monkeypatch, tmp_path, capsys):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("kinetag.report.html.report_html", stop)
    assert cli.main(["analyze", str(tmp_path / "poses.csv"), "--out", str(tmp_path / "out")]) == 130
    said = capsys.readouterr().err
    assert "complete in" in said
    assert "timeline.json" in said
    assert "report.html" not in said


def test_an_error_with_line_breaks_stays_one_line(monkeypatch, capsys):
    def fail(source, **options):
        raise KinetagError("cannot read 'a\nb.mp4'")

    monkeypatch.setattr("kinetag.analyzer.analyze", fail)
    assert cli.main(["analyze", "gym.mp4"]) == 2
    assert capsys.readouterr().err == "error: cannot read 'a b.mp4'\n"


def test_an_undecodable_name_does_not_break_the_json(analysed, monkeypatch):
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", out)
    assert cli.main(["analyze", "a\udcffb.mp4", "--format", "json"]) == 0
    assert json.loads(out.buffer.getvalue())["source"] == "a\udcffb.mp4"


@pytest.mark.skipif(os.name == "nt", reason="pipes end differently on Windows")
def test_a_reader_that_has_enough_is_no_error():
    done = subprocess.run(f"{sys.executable} -m kinetag --help | head -1", shell=True, capture_output=True, text=True)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("1:30", 90), ("0:00.5", 0.5), ("1:00:00", 3600)])
def test_times(text, seconds):
    assert cli_options.seconds(text) == seconds
