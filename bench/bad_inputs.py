"""What the user sees for bad and odd inputs: runs `kinetag analyze` on each and writes docs/bad_inputs.md.

    python bench/bad_inputs.py            every case, about two minutes
    python bench/bad_inputs.py --only gap

Exits with 1 when a case does not end as it should, or anything is left half-written.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import hostile  # type: ignore[import-not-found]  # noqa: E402  (tests/hostile.py: the cases)
from common import save, show  # noqa: E402

from kinetag.errors import KinetagError  # noqa: E402
from kinetag.pose_log import FOLDER  # noqa: E402

# As another user than the administrator, whom no permission stops; imports come before, for they read files too.
_RUN = """
import os, sys
import av.error, kinetag.analyzer, kinetag.classifier, kinetag.cli, kinetag.pose.blazepose, kinetag.report
if os.environ.get("LOCKED") and os.geteuid() == 0:
    os.seteuid(65534)
model = os.environ.get("KINETAG_BENCH_MODEL")
sys.exit(kinetag.cli.main(sys.argv[1:] + (["--model", model] if model else [])))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description="What the user sees for bad and odd inputs.")
    parser.add_argument("--only", help="cases whose name holds this")
    parser.add_argument("--model", help="a classifier in place of the shipped one")
    args = parser.parse_args()
    if args.model:
        os.environ["KINETAG_BENCH_MODEL"] = args.model
    rows = [run(case) for case in hostile.CASES if not args.only or args.only in case.name]
    for extra in (disk_full, interrupt, output_is_a_file):
        if not args.only or args.only in extra.__name__:
            rows.append(extra())
    show("Bad inputs", rows)
    wrong = [row["input"] for row in rows if row["verdict"] != "as it should be"]
    if not args.only:
        save("bad_inputs", cases=len(rows), wrong=wrong, rows=rows)
        write_page(rows)
    if wrong:
        print("not as they should be:", ", ".join(wrong))
    return int(bool(wrong))


def run(case: hostile.Case) -> dict:
    """One case: `kinetag analyze SOURCE`, its exit code and its line."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        try:
            source = case.make(folder)
        except KinetagError as error:
            return row(case.name, -1, f"the input could not be made: {error}", False, 0.0)
        before = listing(folder)
        began = time.monotonic()
        code, text = analyze(str(source), *case.arguments, locked=case.locked)
        seconds = time.monotonic() - began
        line = tidy(text, folder)
        good = code == case.code and case.sees in text and "Traceback" not in text and listing(folder) == before
    return row(case.name, code, line, good, seconds)


def analyze(*arguments: str, locked: bool = False) -> tuple[int, str]:
    environment = {**os.environ, "LOCKED": "1" if locked else ""}
    command = [sys.executable, "-c", _RUN, "analyze", *arguments, "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
    return done.returncode, done.stdout + done.stderr


def disk_full() -> dict:
    """Outputs that no longer fit: files may not grow beyond 2 kB."""
    import resource

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = hostile.video(folder / "clip.mp4", 60, size=(320, 240), draw=hostile.noise)
        command = [sys.executable, "-c", _RUN, "analyze", str(source), "--out", str(folder / "out"), "--quiet"]
        began = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, preexec_fn=limit)
        text = done.stdout + done.stderr
        left = [p for p in folder.rglob("*") if p.suffix == ".tmp" or p.name.startswith(".")]
        good = done.returncode == 2 and "disk is full" in text and not left and "Traceback" not in text
        line = tidy(text, folder)
    return row("disk full while writing", done.returncode, line, good, time.monotonic() - began)


def interrupt() -> dict:
    """Ctrl-C in the middle of a long video."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = hostile.video(folder / "long.mp4", 6000, size=(640, 360), draw=hostile.numbered)
        command = [sys.executable, "-c", _RUN, "analyze", str(source), "--out", str(folder / "out"), "--quiet"]
        began = time.monotonic()
        running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        time.sleep(8)
        running.send_signal(signal.SIGINT)
        text, _ = running.communicate(timeout=120)
        # Only the poses to go on from may be left, and those whole.
        left = [p for p in folder.rglob("*") if p.suffix in (".tmp", ".draft") or p.name.startswith(".")]
        left = [p for p in left if p.name != FOLDER]
        good = running.returncode == 130 and "interrupted" in text and not left and "Traceback" not in text
        line = tidy(text, folder)
    return row("interrupt in the middle", running.returncode, line, good, time.monotonic() - began)


def output_is_a_file() -> dict:
    """--out names a file."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = hostile.video(folder / "clip.mp4", 5)
        (folder / "out").write_text("precious")
        began = time.monotonic()
        code, text = analyze(str(source), "--out", str(folder / "out"))
        good = code == 2 and (folder / "out").read_text() == "precious" and "Traceback" not in text
        line = tidy(text, folder)
    return row("output folder is a file", code, line, good, time.monotonic() - began)


def row(name: str, code: int, line: str, good: bool, seconds: float) -> dict:
    verdict = "as it should be" if good else "WRONG"
    return {"input": name, "exit": code, "the user sees": line, "seconds": round(seconds, 1), "verdict": verdict}


def tidy(text: str, folder: Path) -> str:
    """The lines that speak of errors and warnings, without the temporary folder's name."""
    lines = [line.strip() for line in text.replace(f"{folder}/", "").replace(str(folder), ".").splitlines()]
    telling = [line for line in lines if line.startswith(("error", "warning", "note", "interrupted"))]
    return " / ".join(telling or [line for line in lines if line][-1:])[:400]


def listing(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*"))


def write_page(rows: list[dict]) -> None:
    lines = [
        "# Bad inputs: what you see",
        "",
        "kinetag answers every input it cannot use with one line and exit code 2. From a damaged input it takes what",
        "can be taken, says what was missing in the timeline's `warnings`, and exits with 0. An interrupt exits with",
        "130 and keeps what was seen so far. Outputs are written whole or not at all.",
        "",
        "This table is made by `python bench/bad_inputs.py`, which builds each input and runs `kinetag analyze` on it.",
        "",
        "| input | exit code | what you see |",
        "|---|---:|---|",
    ]
    lines += [f"| {r['input']} | {r['exit']} | {r['the user sees'].replace('|', chr(92) + '|')} |" for r in rows]
    page = ROOT / "docs" / "bad_inputs.md"
    temporary = page.with_suffix(".tmp")
    temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    os.replace(temporary, page)


if __name__ == "__main__":
    sys.exit(main())
