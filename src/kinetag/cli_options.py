"""What the verbs that look at people take: their options, and the types of what is given."""

import argparse
from pathlib import Path

from kinetag.urls import is_remote

FORMATS = ("table", "json", "csv", "vtt")

# --- options of a verb -----------------------------------------------------------------------------------------------


def analyze_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source", help="video, image, folder of frames, camera number, stream address, or file of poses"
    )
    parser.add_argument("--format", choices=FORMATS, default="table", help="what is printed (default: table)")
    parser.add_argument("--start", type=seconds, metavar="TIME", help="begin here: seconds, or 1:30")
    parser.add_argument("--end", type=seconds, metavar="TIME", help="stop here: seconds, or 1:30")
    parser.add_argument(
        "--rate",
        type=positive,
        default=15.0,
        metavar="N",
        help="poses a second at most, half as many of who moves slowly (15)",
    )
    _person_options(parser)
    parser.add_argument(
        "--frame-rate",
        type=positive,
        default=30.0,
        metavar="N",
        help="of a folder of frames or of poses without times (30)",
    )
    parser.add_argument(
        "--frame-size",
        type=size,
        metavar="WxH",
        help="of the video that poses come from, where their file does not say",
    )
    _out_options(parser)
    parser.add_argument("--no-annotated", dest="annotated", action="store_false", help="leave out annotated.mp4")
    parser.add_argument("--no-report", dest="report", action="store_false", help="leave out report.html")


def live_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source", nargs="?", default="0", help="camera number, stream address or video file (default: camera 0)"
    )
    parser.add_argument("--no-window", dest="window", action="store_false", help="lines of JSON even with a display")
    _person_options(parser)
    _out_options(parser)
    parser.set_defaults(annotated=False, report=True)


def demo_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, default=Path("kinetag_demo"), metavar="DIR", help="default: kinetag_demo")
    parser.add_argument(
        "--scene", default="demo", metavar="NAME", help="demo, crossing, behind, pillar, return, class, single:EXERCISE"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="other bodies, clothes and tempo (0)")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def exercises_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", help="show this one, or list this family")
    parser.add_argument("--format", choices=("table", "json"), default="table", help="what is printed (default: table)")
    pictures = parser.add_mutually_exclusive_group()
    pictures.add_argument("--out", type=Path, metavar="FILE", help="write its picture (.png) or animation (.gif, .mp4)")
    pictures.add_argument("--animation", type=Path, metavar="FILE.gif", help="write one repetition as a loop")
    parser.add_argument("--sheet", type=Path, metavar="FILE.png", help="write stick figures of all its variants")
    _extra_exercises(parser)


def doctor_options(parser: argparse.ArgumentParser) -> None:
    """None: it checks everything."""


# --- options that several have --------------------------------------------------------------------------------------


def network_options(parser: argparse.ArgumentParser) -> None:
    """Which networks look at people."""
    parser.add_argument("--pose", default="blazepose", metavar="NAME", help="'blazepose', or an RTMPose or RTMO .onnx")
    parser.add_argument("--detector", metavar="FILE", help="a YOLOX .onnx that finds people for an RTMPose --pose")
    parser.add_argument("--model", type=place, metavar="NAME", help="'therapy', 'int8', or a classifier's .onnx file")


def _person_options(parser: argparse.ArgumentParser) -> None:
    network_options(parser)
    parser.add_argument("--profile", type=place, metavar="FILE", help="also recognise what kinetag teach put into it")
    parser.add_argument(
        "--only",
        type=names,
        default=[],
        metavar="NAMES",
        help="exercises or families that can occur, by commas: told apart more surely, all else is 'other'",
    )
    _extra_exercises(parser)
    parser.add_argument("--max-people", type=count, default=10, metavar="N", help="people followed at once (10)")


def _extra_exercises(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--exercises",
        action="append",
        default=[],
        metavar="FILE",
        help="a YAML file, or folder of them, with exercises of your own; may be repeated",
    )


def _out_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=place, metavar="DIR", help="write all outputs into this folder")
    parser.add_argument(
        "--overwrite", "--force", action="store_true", help="replace the outputs of another run in that folder"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar, no notes")


# --- types -----------------------------------------------------------------------------------------------------------


def place(text: str) -> str | Path:
    """A path of this machine, or an address."""
    return text if is_remote(text) else Path(text)


def names(text: str) -> list[str]:
    """'squat, push_up' -> both; none is a mistake, such as a variable of a script that is not set."""
    found = [name.strip() for name in text.split(",") if name.strip()]
    if not found:
        raise argparse.ArgumentTypeError("names nothing: give names, by commas, or leave it out")
    return found


def seconds(text: str) -> float:
    """'90', '1:30' or '1:02:03.5' -> seconds."""
    try:
        value = 0.0
        for part in text.split(":"):
            value = 60 * value + float(part)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a time: give seconds, or 1:30") from None
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is not a time from 0 up")
    return value


def positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number above 0")
    return value


def count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 1 up")
    return int(text)


def size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"'{text}' is not a size: give width and height, like 1280x720")
    return int(width), int(height)
