"""`kinetag doctor`: what is installed, what works, and the line that mends what does not."""

import hashlib
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distributions, requires, version
from pathlib import Path

from rich.table import Table
from rich.text import Text

from kinetag import __version__

WEIGHTS = Path(__file__).parent / "weights"
CHECKSUMS = "SHA256SUMS"  # made by: cd src/kinetag/weights && sha256sum *.onnx > SHA256SUMS

_EXTRAS = {
    "train": "train a classifier",
    "tune": "search for better training options",
    "cloud": "read from and write to object stores",
    "parquet": "poses.parquet",
    "dataframe": "Timeline.to_dataframe",
}
# Distribution name -> the module that it gives, where they differ.
_MODULES = {"opencv-python-headless": "cv2", "pyyaml": "yaml"}
_SPACE_NEEDED = 500 << 20  # bytes: room for an annotated video


@dataclass(frozen=True)
class Check:
    """One thing that was tried. ``needed``: kinetag does not work without it. ``mend``: what to type when not ok."""

    name: str
    ok: bool
    found: str
    mend: str = ""
    needed: bool = True


def run_checks() -> list[Check]:
    """Try everything; a check that fails says so, and never stops the others."""
    checks = [_python(), *_packages(), _opencv(), _mediapipe(), *_weights()]
    trials: list[tuple[str, Callable[[], str], str, bool]] = [
        ("pose estimator", _try_pose, _REINSTALL, True),
        ("classifier", _try_classifier, _REINSTALL, True),
        ("exercise library", _try_library, _REINSTALL, True),
        ("video in and out (H.264)", _try_video, "pip install --upgrade av", True),
    ]
    checks += [_attempt(*trial) for trial in trials]
    return [*checks, _disk(), _camera(), _window(), *_extras()]


def checks_table(checks: list[Check]) -> Table:
    """The checks for the terminal, and a verdict."""
    broken = [check for check in checks if not check.ok and check.needed]
    verdict = (
        f"{len(broken)} {'thing' if len(broken) == 1 else 'things'} to mend"
        if broken
        else "everything that is needed works"
    )
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0), title_justify="left")
    table.title, table.title_style = f"kinetag {__version__}: {verdict}\n", "bold red" if broken else "bold"
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in checks:
        state = Text("ok", "green") if check.ok else Text("missing", "red" if check.needed else "dim")
        found = Text(check.found)
        if not check.ok and check.mend:
            found.append(f"{'; ' if check.found else ''}to mend: ", "dim").append(check.mend, "bold")
        table.add_row(state, Text(check.name), found)
    return table


_REINSTALL = "install kinetag again, from its folder: pip install --force-reinstall --no-deps ."


def _attempt(name: str, trial: Callable[[], str], mend: str, needed: bool) -> Check:
    try:
        return Check(name, True, trial(), needed=needed)
    except Exception as error:  # whatever is broken must be reported, not crash the report
        reason = " ".join(str(error).split()) or type(error).__name__
        return Check(name, False, reason[:200], mend, needed)


def _python() -> Check:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    return Check("python", sys.version_info >= (3, 11), found, "install Python 3.11 or newer")


def _packages() -> list[Check]:
    """The base packages: installed, and importable (a broken binary fails only when it is imported)."""
    checks = []
    for name in _requirements(extra=None):
        module = _MODULES.get(name, name)

        def trial(module: str = module, name: str = name) -> str:
            import_module(module)
            return _version(name) or getattr(import_module(module), "__version__", "")

        checks.append(_attempt(name, trial, f"pip install --force-reinstall {name}", True))
    return checks


def _requirements(extra: str | None) -> list[str]:
    """Names of the packages that kinetag itself needs, or that one of its extras adds."""
    names = []
    try:
        lines = requires("kinetag") or []
    except PackageNotFoundError:  # run from a source folder
        lines = ["numpy", "scipy", "onnxruntime", "av", "opencv-python-headless", "pydantic", "pyyaml", "rich"]
    for line in lines:
        requirement, _, marker = line.partition(";")
        wanted = f"'{extra}'" in marker.replace('"', "'") if extra else "extra" not in marker
        if wanted:
            name = requirement
            for symbol in "<>=!~[ (":
                name = name.partition(symbol)[0]
            names.append(name.strip())
    return names


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _opencv() -> Check:
    """Two builds of OpenCV write into the same folder and break each other."""
    installed = {str(d.metadata["Name"]).lower() for d in distributions() if d.metadata["Name"]}
    builds = sorted(name for name in installed if name.startswith("opencv-"))
    mend = f"pip uninstall -y {' '.join(builds)} && pip install opencv-python-headless"
    return Check("one opencv only", len(builds) == 1, ", ".join(builds) or "none", mend, needed=False)


def _mediapipe() -> Check:
    """Old mediapipe pins numpy below 2; kinetag does not need it, but the clash breaks whatever imports both."""
    found = _version("mediapipe")
    if found is None:
        return Check("no numpy clash", True, "mediapipe is not installed, and not needed", needed=False)
    numpy = _version("numpy") or "0"
    clash = (
        any("numpy" in line and "<2" in line for line in requires("mediapipe") or []) and int(numpy.split(".")[0]) >= 2
    )
    mend = "pip uninstall mediapipe (kinetag does not need it), or keep the two in environments of their own"
    return Check("no numpy clash", not clash, f"mediapipe {found} beside numpy {numpy}", mend, needed=False)


def _weights() -> list[Check]:
    """Each shipped network against its checksum: a damaged download is found before it gives strange results."""
    sums = WEIGHTS / CHECKSUMS
    if not sums.exists():
        return [Check("weights", False, f"no {sums}", _REINSTALL)]
    bad, count = [], 0
    for line in sums.read_text("utf-8").splitlines():
        expected, _, name = line.partition("  ")
        path = WEIGHTS / name
        count += 1
        if not path.exists():
            bad.append(f"{name} is missing")
        elif hashlib.sha256(path.read_bytes()).hexdigest() != expected:
            bad.append(f"{name} is damaged")
    return [Check("weights", not bad, "; ".join(bad) or f"{count} files as released", _REINSTALL)]


def _try_pose() -> str:
    import numpy as np

    from kinetag.pose import open_estimator
    from kinetag.sequence import Frame

    estimator = open_estimator("blazepose")
    grey = np.full((240, 320, 3), 128, np.uint8)
    people = estimator.estimate([Frame(grey, 0.0, 0)])[0]
    if people:
        raise RuntimeError("finds people in an empty grey picture")
    return "blazepose loads and runs"


def _try_classifier() -> str:
    import numpy as np

    from kinetag.classifier import Classifier
    from kinetag.sequence import PoseSequence
    from kinetag.skeletons import get_layout

    classifier = Classifier.load()
    times = np.arange(60) / 15.0
    places = np.random.default_rng(0).uniform(50, 200, (1, len(get_layout("kinetag")), 2))
    keypoints = np.repeat(places, len(times), axis=0)
    poses = PoseSequence(times, keypoints, np.ones(keypoints.shape[:2]), "kinetag", (320, 240))
    _, probabilities = classifier.predict(poses)
    if not np.allclose(probabilities.sum(axis=1), 1, atol=1e-3):
        raise RuntimeError("its probabilities do not sum to 1")
    return f"knows {len(classifier.labels)} labels, loads and runs"


def _try_library() -> str:
    from kinetag.exercises.library import load_library

    return f"{len(load_library())} exercises"


def _try_video() -> str:
    import numpy as np

    from kinetag.video import VideoWriter, open_source

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "try.mp4"
        with VideoWriter(path, 64, 48, 10.0) as writer:
            for index in range(5):
                writer.write(np.full((48, 64, 3), 40 * index, np.uint8), index / 10)
        with open_source(path) as frames:
            count = sum(1 for _ in frames)
    if count != 5:
        raise RuntimeError(f"5 frames written, {count} read back")
    return "a small video was written and read back"


def _disk() -> Check:
    folder = Path.cwd()
    free = shutil.disk_usage(folder).free
    return Check(
        "disk space", free >= _SPACE_NEEDED, f"{free / 1e9:.1f} GB free in {folder}", "free some space", needed=False
    )


def _camera() -> Check:
    mend = "plug one in, or give a video file or a stream address to 'kinetag live'"
    if sys.platform.startswith("linux"):
        devices = sorted(str(path) for path in Path("/dev").glob("video*"))
        usable = [device for device in devices if os.access(device, os.R_OK | os.W_OK)]
        if devices and not usable:
            return Check("camera", False, f"{devices[0]} may not be read", "sudo usermod -aG video $USER", False)
        return Check("camera", bool(usable), ", ".join(usable) or "none found", mend, needed=False)
    return Check("camera", True, "not tried: try 'kinetag live'", needed=False)


def _window() -> Check:
    from kinetag.live import why_no_window

    reason = why_no_window()
    mend = "a display and Python's tkinter (Debian: apt install python3-tk); without, 'kinetag live' prints JSON lines"
    return Check("window for live", reason is None, reason or "yes", mend if reason else "", needed=False)


def _extras() -> list[Check]:
    checks = []
    for extra, purpose in _EXTRAS.items():
        missing = [name for name in _requirements(extra) if _version(name) is None]
        found = f"{purpose}: {'needs ' + ', '.join(missing) if missing else 'installed'}"
        checks.append(Check(f"extra {extra}", not missing, found, f"pip install 'kinetag[{extra}]'", needed=False))
    return checks
