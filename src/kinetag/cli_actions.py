"""The verbs that a spec drives: train, evaluate, inference, export, dataset_convert; and those that print the spec."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import fields, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinetag.errors import KinetagError

_REMARKS = ("notes", "warnings")  # fields of a result that are told line by line

_NEEDED = {
    "dataset_convert": "dataset_convert.data",
    "train": "dataset.train_dataset.data_path",
    "evaluate": "evaluate.test_dataset.data_path",
    "inference": "inference.test_dataset.data_path",
    "export": "export.checkpoint",
}

# Written again, because the command line must not load pydantic to show its help; a test compares.
ACTIONS = ("dataset_convert", "train", "evaluate", "inference", "export")

if TYPE_CHECKING:
    from kinetag.progress import Progress
    from kinetag.spec import Spec


def run_action(args: argparse.Namespace) -> int:
    """Run the action of this verb's name with a spec, and print what came of it."""
    action = args.action
    spec = _load(args, action)
    if action == "train":
        from kinetag.status import is_first_process
        from kinetag.tune import policy, policy_line

        if policy(spec)[0] == "auto":
            return _search(spec, quiet=args.quiet, file=args.progress_file)
        if not args.quiet and is_first_process():
            print(policy_line(spec, searches=False), file=sys.stderr, flush=True)
    function = getattr(import_module(f"kinetag.actions.{action}"), action)
    with _progress(args.quiet, args.progress_file) as progress:
        result = function(spec, progress=progress)
    _print_result(action, spec, result)
    return 0


def tune(args: argparse.Namespace) -> int:
    """Search for good options of a training, and print what came of it."""
    return _search(_load(args, "train"), quiet=args.quiet, file=args.progress_file)


def _load(args: argparse.Namespace, action: str) -> "Spec":
    """The spec that a command names, with its overrides."""
    from kinetag.spec import load_spec
    from kinetag.storage import in_users_names, local_copy

    overrides = list(args.overrides)
    if args.results_dir is not None:
        overrides.append(f"{action}.results_dir={args.results_dir}")
    if getattr(args, "force", False):
        overrides.append("export.force=true")
    path = None if args.spec is None else local_copy(args.spec)
    with in_users_names({str(path): str(args.spec)}), _failure_on_record(path, overrides, action):
        spec = load_spec(path, overrides, action=action)
        spec.require(_NEEDED[action])
    return spec


def _search(spec: "Spec", *, quiet: bool, file: Path | None) -> int:
    from kinetag.tune import tune

    try:
        if quiet:
            result = tune(spec)
        elif file is not None:
            with _progress(quiet, file) as progress:
                result = tune(spec, progress=progress, tell=lambda line: print(line, file=sys.stderr, flush=True))
        elif sys.stderr.isatty():
            from kinetag.report.trials import live_trials

            with live_trials() as (watch, tell):
                result = tune(spec, watch=watch, tell=tell)
        else:
            result = tune(spec, tell=lambda line: print(line, file=sys.stderr, flush=True))
    except KeyboardInterrupt:
        raise KeyboardInterrupt("interrupted; the same command goes on from here") from None
    _print_result("train", spec, result if quiet else replace(result, notes=()))  # which were told as it began
    return 0


def spec(args: argparse.Namespace) -> int:
    """Print a commented spec to start from."""
    from kinetag.spec.template import template

    action = "train" if args.action == "tune" and (args.tao or args.job) else args.action
    print(template(action, tao=args.tao, job=args.job), end="")
    return 0


def schema(args: argparse.Namespace) -> int:
    """Print the JSON Schema of an action's spec, or write them all into a folder."""
    import json

    from kinetag.spec.schema import action_schema, write_schemas

    if args.out is not None:
        actions = [args.action] if args.action else None
        for path in write_schemas(args.out, actions):
            print(path)
        return 0
    print(json.dumps(action_schema(args.action), indent=2, ensure_ascii=False))
    return 0


# --- options ---------------------------------------------------------------------------------------------------------


def action_options(action: str) -> Callable[[argparse.ArgumentParser], None]:
    """The options of the verb of an action."""

    def add(parser: argparse.ArgumentParser) -> None:
        parser.usage = f"kinetag {action} -e spec.yaml [key=value ...]"
        parser.epilog = f"'kinetag spec {action}' prints a spec to start from, which explains every key."
        parser.add_argument(
            "overrides",
            nargs="*",
            metavar="key=value",
            help="a value that wins over the spec's, like train.optim.lr=0.05",
        )
        parser.add_argument("-e", "--spec", "--experiment_spec_file", metavar="FILE", help="the spec, a YAML file")
        parser.add_argument(
            "-r",
            "--results-dir",
            "--results_dir",
            metavar="DIR",
            help="write here instead of the spec's folder",
        )
        parser.add_argument("--quiet", action="store_true", help="no progress")
        parser.add_argument(
            "--progress-file", type=Path, metavar="FILE", help="keep how far it is in this file, as JSON, for programs"
        )
        if action == "export":
            parser.add_argument(
                "--force", "--overwrite", action="store_true", help="replace an ONNX file that is there"
            )
        parser.set_defaults(action=action)

    return add


def spec_options(parser: argparse.ArgumentParser) -> None:
    _add_action(parser, "tune")
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("--tao", action="store_true", help="with the keys and defaults of TAO alone")
    kinds.add_argument("--job", action="store_true", help="for 'kinetag jobs create': open where a parent fills in")


def schema_options(parser: argparse.ArgumentParser) -> None:
    _add_action(parser, optional=True)
    parser.add_argument("--out", type=Path, metavar="DIR", help="write ACTION.schema.json and manifest.json there")


def _add_action(parser: argparse.ArgumentParser, *more: str, optional: bool = False) -> None:
    choices = (*ACTIONS, *more)
    help_text = ", ".join(choices) + (" (all, when left out)" if optional else "")
    parser.add_argument("action", metavar="ACTION", choices=choices, nargs="?" if optional else None, help=help_text)


# --- what is shown ---------------------------------------------------------------------------------------------------


@contextmanager
def _failure_on_record(path: Path | None, overrides: list[str], action: str) -> Iterator[None]:
    """A spec that is refused also ends as FAILURE in status.json, where the spec says which folder that is in."""
    from kinetag.spec import results_place_in
    from kinetag.status import STATUS_FILE, Status
    from kinetag.storage import is_remote, mirrored

    try:
        yield
    except KinetagError as error:
        place = results_place_in(path, overrides, action)
        if place is not None:
            remote = is_remote(place)
            folder = (
                mirrored(place, wanted=lambda name: name == STATUS_FILE, recorded=True)
                if remote
                else nullcontext(Path(place))
            )
            with suppress(OSError, KinetagError), folder as local, Status(local, action):
                raise error from None
        raise


@contextmanager
def _progress(quiet: bool, file: Path | None = None) -> "Iterator[Progress]":
    """A bar on stderr for each stage, only where somebody can see it; or a file that programs look at."""
    from kinetag.progress import into_file, silent

    if file is not None:
        yield into_file(file)
        return
    if quiet or not sys.stderr.isatty():
        yield silent
        return
    from kinetag.report.progress import stage_bars

    with stage_bars() as update:
        yield update


def _print_result(action: str, spec: "Spec", result: Any) -> None:
    """The result of an action, a small dataclass, as lines of names and values; remarks one by one below."""
    values = {field.name: getattr(result, field.name) for field in fields(result) if field.repr}
    remarks = [remark for name in _REMARKS for remark in values.pop(name, ())]
    lines = {name.replace("_", " "): _shown(value) for name, value in values.items()}
    place = spec.shown(spec.results_place(action))
    if (file := values.get("onnx_file")) is not None:  # it need not be in the results folder
        lines["written to"] = str(file.absolute() if isinstance(file, Path) else file)
        lines["record in"] = place
    else:
        lines["written to"] = place
    width = max(map(len, lines))
    for name, text in lines.items():
        if text is not None:
            print(f"{name:<{width}}  {text}")
    for remark in remarks:
        print(f"note: {remark}")


def _shown(value: Any) -> str | None:
    """A value of a result in one line, or None for what a table has no room for."""
    if isinstance(value, bool | int | str | Path):
        return str(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        parts = [f"{key} {_shown(item)}" for key, item in value.items() if _shown(item) is not None]
        return ", ".join(parts[:12]) + (", ..." if len(parts) > 12 else "") if parts else None
    if isinstance(value, list | tuple) and all(isinstance(item, bool | int | float | str | Path) for item in value):
        parts = [str(_shown(item)) for item in value[:12]]
        return ", ".join(parts) + (", ..." if len(value) > 12 else "") if parts else None
    return None
