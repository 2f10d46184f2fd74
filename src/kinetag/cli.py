"""The command line. A verb is one entry in VERBS and one function; its work is imported only when it runs.

Exit codes: 0 done, 1 `doctor` found something broken, 2 bad input, 130 interrupted.
"""

import argparse
import difflib
import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from kinetag import __version__
from kinetag.cli_actions import action_options, run_action, schema, schema_options, spec, spec_options, tune
from kinetag.cli_jobs import jobs, jobs_options
from kinetag.cli_options import analyze_options, demo_options, doctor_options, exercises_options, live_options
from kinetag.cli_skill import skill, skill_options
from kinetag.cli_teach import teach, teach_options
from kinetag.errors import KinetagError, MistakesError
from kinetag.urls import hide_secrets, is_remote

if TYPE_CHECKING:
    from kinetag.timeline import Timeline

INTERRUPTED = 130

_WELCOME = f"""\
kinetag {__version__}: who in a video is doing which exercise, when, and how many times

  kinetag demo                             see it work, without a video of your own
  kinetag analyze workout.mp4              a table of what everybody does
  kinetag analyze workout.mp4 --out DIR    with report, subtitles, tables and an annotated video
  kinetag live                             the camera, as it happens
  kinetag exercises                        what it knows
  kinetag teach NAME CLIP...               an exercise of your own, from a few clips of it
  kinetag doctor                           what works on this machine, and how to mend what does not

A classifier of your own, from labelled videos or poses:

  kinetag spec train > train.yaml          a commented spec (kinetag schema: its JSON Schema)
  kinetag tune -e train.yaml               search for good options of it (AutoML)
  kinetag train -e train.yaml              then: kinetag evaluate, kinetag inference, kinetag export
  kinetag dataset_convert -e convert.yaml  DeepStream's poses as arrays to train on
  kinetag jobs create train -e train.yaml  as a job, which goes on without you: kinetag jobs list
  kinetag skill --out DIR                  a folder from which a coding agent learns all of this

'kinetag VERB --help' shows the options of a verb."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a file name that is not valid UTF-8 must not break the output
            stream.reconfigure(errors="backslashreplace")
    if not argv:
        print(_WELCOME)
        return 0
    try:
        args = _parser(argv).parse_args(argv)
        code = args.run(args)
        sys.stdout.flush()
        return code
    except KinetagError as error:
        for line in str(error).splitlines() if isinstance(error, MistakesError) else [str(error)]:
            complain(line)
        return 2
    except KeyboardInterrupt as stop:
        complain(str(stop) or "interrupted")
        return INTERRUPTED
    except BrokenPipeError:  # `kinetag ... | head`: the reader has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


# --- verbs -----------------------------------------------------------------------------------------------------------


def analyze(args: argparse.Namespace) -> int:
    """Analyse a source, print the timeline and write the outputs."""
    if args.start is not None and args.end is not None and args.start >= args.end:
        raise KinetagError(f"--start {args.start:g} is not before --end {args.end:g}")
    with _out_here(args):
        return _analyze(args)


def _analyze(args: argparse.Namespace) -> int:
    from kinetag.pose_log import FOLDER, forget
    from kinetag.report import check_output_folder

    if args.out is not None:  # outputs beside kept poses are of a run that was stopped: to go on is to replace them
        args.overwrite = args.overwrite or (Path(args.out) / FOLDER).is_dir()
        check_output_folder(args.out, overwrite=args.overwrite)
    from kinetag import analyzer
    from kinetag.cli_actions import _progress as _stages
    from kinetag.storage import local_source

    source = _source(args.source)
    with _stages(args.quiet, None) as stages:
        local_source(source, progress=stages)  # the bar of the analysis counts seconds of video, not bytes
    with _progress("Reading", args.quiet) as progress:
        timeline = analyzer.analyze(
            source,
            start=args.start,
            end=args.end,
            rate=args.rate,
            pose=args.pose,
            detector=args.detector,
            model=args.model,
            exercises=args.exercises,
            profile=args.profile,
            only=args.only,
            max_people=args.max_people,
            frame_rate=args.frame_rate,
            frame_size=args.frame_size,
            progress=progress,
            keep_partial=True,
            snapshots=args.out is not None and args.report and not args.annotated,
            resume_in=None if args.out is None else Path(args.out),
            keep_resume=True,
        )
    interrupted = any(warning.startswith("stopped by the user") for warning in timeline.warnings)
    _print_timeline(timeline, args)
    if args.out is not None:
        _write(timeline, source, args)
        if not interrupted:
            forget(Path(args.out))
    if interrupted:
        kept = f"what was seen is in '{args.place}'" if args.out else "the timeline above covers what was seen"
        again = "; the same command goes on from there" if args.out and (Path(args.out) / FOLDER).is_dir() else ""
        complain(f"interrupted; {kept}{again}")
    return INTERRUPTED if interrupted else 0


def live(args: argparse.Namespace) -> int:
    """Say what everybody does, as it happens."""
    with _out_here(args):
        return _live(args)


def _live(args: argparse.Namespace) -> int:
    from kinetag.live import live as run
    from kinetag.report import check_output_folder

    if args.out is not None:
        check_output_folder(args.out, overwrite=args.overwrite)
    timeline = run(
        _source(args.source),
        pose=args.pose,
        detector=args.detector,
        model=args.model,
        exercises=args.exercises,
        profile=args.profile,
        only=args.only,
        max_people=args.max_people,
        window=args.window,
        snapshots=args.out is not None,
    )
    if sys.stdout.isatty():
        args.format = "table"
        _print_timeline(timeline, args)
    if args.out is not None:
        args.start = args.end = None
        _write(timeline, None, args)
    return 0


def demo(args: argparse.Namespace) -> int:
    """Render people who exercise, analyse the video, compare with the truth."""
    from kinetag.demo import demo as run

    result = run(args.out, scene=args.scene, seed=args.seed, stage=lambda name: _progress(name, args.quiet))
    _console(args).print(result.table())
    return 0


def exercises(args: argparse.Namespace) -> int:
    """List the exercise library or a family of it, or show one exercise."""
    from kinetag.classifier import Classifier
    from kinetag.exercises.library import library_with, read_written
    from kinetag.exercises.travel import unmoved
    from kinetag.report.exercise import exercise_facts, exercise_table, find_exercise, find_family, show_exercise

    own = [written for path in args.exercises for written in read_written(Path(path))]
    library = library_with(own)
    name: str = args.name or ""
    listed = find_family(library, name) if name else library
    for option in ("out", "animation", "sheet"):
        file = getattr(args, option)
        if file and listed:
            example = f"kinetag exercises {next(iter(listed)) if name else 'squat'} --{option} {file}"
            raise KinetagError(f"--{option} needs the name of an exercise, for example: {example}")
        if file and args.format == "json":
            raise KinetagError(f"--{option} does not go with --format json: leave out one of them")
    if args.format == "json":
        labels = Classifier.load().labels
        facts = [exercise_facts(exercise, labels) for exercise in listed.values()]
        print(json.dumps(facts or exercise_facts(find_exercise(library, name), labels), indent=2))
    elif listed:
        _console(args).print(exercise_table(listed, Classifier.load().labels))
    else:
        _console(args).print(show_exercise(library, name, args.animation or args.out, args.sheet))
    shown = None if listed else find_exercise(library, name)
    for problem in [unmoved(written) for written in own if written.exercise is shown]:
        if problem:
            print(f"warning: {problem}", file=sys.stderr)
    return 0


def doctor(args: argparse.Namespace) -> int:
    """Check the installation."""
    from kinetag.doctor import checks_table, run_checks

    checks = run_checks()
    _console(args).print(checks_table(checks))
    return 0 if all(check.ok or not check.needed for check in checks) else 1


# --- options ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verb:
    """A verb: what it does in one line, its options, its function."""

    summary: str
    options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


VERBS = {
    "analyze": Verb("who does what in a video, when, and how many times", analyze_options, analyze),
    "live": Verb("the same for a camera or stream, as it happens", live_options, live),
    "demo": Verb("render two people, analyse them, compare with the truth", demo_options, demo),
    "exercises": Verb("list what kinetag knows, or show one exercise", exercises_options, exercises),
    "teach": Verb("an exercise of your own from a few clips, without training", teach_options, teach),
    "doctor": Verb("what works on this machine, and how to mend what does not", doctor_options, doctor),
    "train": Verb("train a classifier from a spec", action_options("train"), run_action),
    "tune": Verb("search for good options of a training (AutoML)", action_options("tune"), tune),
    "evaluate": Verb("how good a classifier is on labelled data", action_options("evaluate"), run_action),
    "inference": Verb("the classes of clips of poses", action_options("inference"), run_action),
    "export": Verb("a trained classifier as an ONNX file", action_options("export"), run_action),
    "dataset_convert": Verb("DeepStream's poses as arrays to train on", action_options("dataset_convert"), run_action),
    "jobs": Verb("actions that go on without you and hand on their results", jobs_options, jobs),
    "spec": Verb("print a commented spec to start from", spec_options, spec),
    "schema": Verb("print the JSON Schema of a spec", schema_options, schema),
    "skill": Verb("what a coding agent needs to know to use kinetag", skill_options, skill),
}

_OTHER_WORDS = {"analyse": "analyze", "webcam": "live", "camera": "live", "list": "exercises", "check": "doctor"}
_OTHER_WORDS |= {"test": "evaluate", "eval": "evaluate", "infer": "inference", "predict": "inference"}
_OTHER_WORDS |= {"convert": "dataset_convert", "template": "spec", "job": "jobs"}
_OTHER_WORDS |= dict.fromkeys(("automl", "hpo", "optimize", "search"), "tune")


class _Parser(argparse.ArgumentParser):
    """Errors become a KinetagError, with the nearest right word for a wrong one."""

    def error(self, message: str) -> NoReturn:
        raise KinetagError(f"{message}; see: {self.prog} --help")

    def parse_args(self, args: Sequence[str] | None = None, namespace=None):  # type: ignore[override]
        parsed, unknown = self.parse_known_args(args, namespace)
        if hasattr(parsed, "overrides"):  # argparse takes them in one run only: `train a=1 -e spec.yaml b=2`
            parsed.overrides += [word for word in unknown if not word.startswith("-")]
            unknown = [word for word in unknown if word.startswith("-")]
        if unknown:
            self._unknown(unknown[0], parsed.parser)
        return parsed

    def _unknown(self, word: str, verb: argparse.ArgumentParser) -> NoReturn:
        if not word.startswith("-"):
            raise KinetagError(f"one argument too many: '{word}'; see: {verb.prog} --help")
        known = [option for action in verb._actions for option in action.option_strings]
        verb.error(f"unknown option '{word}'{_nearest(word.partition('=')[0], known)}")


def _parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    """The parser for this command line: options of the other verbs are not built."""
    parser = _Parser(
        prog="kinetag",
        description=_WELCOME,
        usage="kinetag VERB ...",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"kinetag {__version__}")
    word = next((word for word in argv if not word.startswith("-")), None)
    if word is not None and argv[0] == word and word not in VERBS:
        raise KinetagError(_unknown_verb(word))
    verbs = parser.add_subparsers(title="verbs", prog="kinetag", metavar="VERB", required=True, parser_class=_Parser)
    for name, verb in VERBS.items():
        child = verbs.add_parser(name, help=verb.summary, description=verb.summary, allow_abbrev=False)
        child.set_defaults(run=verb.run, parser=child)
        verb.options(child)
    return parser


def _unknown_verb(word: str) -> str:
    if Path(word).exists():
        return f"'{word}' is a file, not a verb; did you mean: kinetag analyze {word}"
    hint = f"; did you mean '{_OTHER_WORDS[word]}'?" if word in _OTHER_WORDS else _nearest(word, list(VERBS))
    return f"unknown verb '{word}'{hint or '; known: ' + ', '.join(VERBS)}"


def _nearest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else ""


# --- what is printed -------------------------------------------------------------------------------------------------


def _source(text: str) -> str | int:
    """A number is a camera, unless a file has that name."""
    return int(text) if text.isdecimal() and not Path(text).exists() else text


@contextmanager
def _out_here(args: argparse.Namespace) -> Iterator[None]:
    """Make --out a folder of this machine; one in a store is sent there, and ``args.place`` is what it is called."""
    from kinetag.report import output_folder

    if args.out is None:
        yield
        return
    args.place = args.out.rstrip("/") if is_remote(args.out) else args.out
    with output_folder(args.out, overwrite=args.overwrite) as args.out:
        yield


def _print_timeline(timeline: "Timeline", args: argparse.Namespace) -> None:
    if args.format == "table":
        from kinetag.report.table import timeline_table

        _console(args).print(timeline_table(timeline))
        return
    text = {"json": timeline.to_json, "csv": timeline.to_csv, "vtt": timeline.to_vtt}[args.format]()
    print(text.rstrip("\n"), flush=True)


def _write(timeline: "Timeline", source: str | int | None, args: argparse.Namespace) -> None:
    from kinetag.report import OUTPUT_FILES, write_outputs

    try:
        with _progress("Writing", args.quiet) as progress:
            written = write_outputs(
                timeline,
                args.out,
                source,
                start=args.start,
                end=args.end,
                annotated=args.annotated,
                report=args.report,
                overwrite=args.overwrite,
                progress=progress,
            )
    except KeyboardInterrupt:
        kept = ", ".join(name for name in OUTPUT_FILES if (args.out / name).exists())
        raise KeyboardInterrupt(f"interrupted; complete in '{args.place}': {kept or 'nothing'}") from None
    if not args.quiet:
        print(f"\nwritten to {args.place}{os.sep}: {', '.join(path.name for path in written)}", file=sys.stderr)


def _console(args: argparse.Namespace):
    """A terminal on stdout; lines are not folded at 80 columns when the output goes to a file."""
    from rich.console import Console

    console = Console(highlight=False, emoji=False)
    return console if console.is_terminal else Console(highlight=False, emoji=False, width=120)


@contextmanager
def _progress(verb: str, quiet: bool) -> Iterator[Callable[[float, float | None], None]]:
    """A progress bar on stderr in seconds of video, only where somebody can see it."""
    if quiet or not sys.stderr.isatty():
        yield lambda time, duration: None
        return
    from kinetag.report.progress import progress_bar

    with progress_bar(verb) as update:
        yield update


def complain(message: str) -> None:
    """An error as one line, whatever a file name holds."""
    red, plain = ("\033[31m", "\033[0m") if sys.stderr.isatty() and "NO_COLOR" not in os.environ else ("", "")
    line = hide_secrets(" ".join(message.split()))
    print(f"{red}error: {line}{plain}", file=sys.stderr)
