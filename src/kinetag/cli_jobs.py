"""`kinetag jobs` on the command line: its options, and what it does with them."""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinetag.errors import KinetagError
from kinetag.urls import hide_secrets

if TYPE_CHECKING:
    from kinetag.jobs import Job
    from kinetag.jobs.following import Standing

_NOT_DONE = 1  # exit code of `wait` when a job did not end as DONE
_SHOWN = 30  # jobs in a list
_REFRESH = 1.0  # s
_USAGE = "kinetag jobs create ACTION -e spec.yaml [key=value ...] [--parent ID]"


def jobs_options(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "Kept under KINETAG_HOME (~/.kinetag). 'create ... --dry-run' shows what follows from a parent."
    parser.set_defaults(do="list", format="table", state=[], all=False, watch=False)  # of `kinetag jobs` alone
    verbs = parser.add_subparsers(title="what to do (list)", dest="do", metavar="DO")
    create = _add(verbs, "create", "start an action as a job, which goes on without you")
    create.usage = _USAGE
    create.add_argument("action", metavar="ACTION", help="dataset_convert, train, evaluate, inference or export")
    create.add_argument("overrides", nargs="*", metavar="key=value", help="a value that wins over the spec's")
    create.add_argument(
        "-e", "--spec", "--experiment_spec_file", type=Path, metavar="FILE", help="the spec, a YAML file"
    )
    create.add_argument("--parent", metavar="ID", help="wait for this job, and take from it what the spec leaves empty")
    create.add_argument(
        "--train-data", metavar="DIR", help="a folder with train_data.npy, val_data.npy, ... (train_datasets)"
    )
    create.add_argument(
        "--dry-run", action="store_true", help="show the whole spec and where it comes from; start nothing"
    )
    create.add_argument("-q", "--quiet", action="store_true", help="print the id alone, for scripts")
    listing = _add(verbs, "list", "all jobs, and how far they are")
    listing.add_argument("--state", action="append", default=[], metavar="STATE", help="only these; may be repeated")
    listing.add_argument("-w", "--watch", action="store_true", help="keep the list up to date until Ctrl-C")
    listing.add_argument("--all", action="store_true", help=f"also those before the last {_SHOWN}")
    _add_ids(_add(verbs, "show", "everything about a job"))
    logs = _add_ids(_add(verbs, "logs", "what a job printed", formats=False))
    logs.add_argument("-f", "--follow", action="store_true", help="go on until the job is over")
    wait = _add_ids(_add(verbs, "wait", "wait until jobs are over; code 1 if one was not done"), many=True)
    wait.add_argument("--timeout", type=float, metavar="SECONDS", help="give up after this long")
    _add_ids(_add(verbs, "cancel", "end jobs"), many=True)
    _add_ids(_add(verbs, "retry", "start jobs again that ended badly, where they stopped"), many=True)
    _add_ids(_add(verbs, "delete", "forget jobs that are over, with their folders"), many=True)


def _add(verbs: Any, name: str, summary: str, *, formats: bool = True) -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=summary, description=summary, allow_abbrev=False)
    parser.set_defaults(parser=parser)
    if formats:
        parser.add_argument("--format", choices=("table", "json"), default="table", help="what is printed (table)")
    return parser


def _add_ids(parser: argparse.ArgumentParser, *, many: bool = False) -> argparse.ArgumentParser:
    parser.add_argument("ids", nargs="+" if many else 1, metavar="ID", help="a job, or the beginning of its id")
    return parser


def jobs(args: argparse.Namespace) -> int:
    """Do what the word behind `kinetag jobs` says."""
    return _VERBS[args.do or "list"](args)


def _create(args: argparse.Namespace) -> int:
    from kinetag.jobs import create_job, plan_job

    given = {"overrides": args.overrides, "train_data": args.train_data}
    if args.dry_run:
        plan = plan_job(args.action, args.spec, args.parent, **given)
        for note in plan.notes:
            print(f"note: {note}", file=sys.stderr)
        print(f"# kinetag jobs create {args.action}: nothing was started")
        print(hide_secrets(plan.to_yaml(whole=True)), end="")
        return 0
    job = create_job(args.action, args.spec, args.parent, **given)
    for note in job.notes:
        print(f"note: {note}", file=sys.stderr)
    if args.format == "json":
        return _print_json(_records([job])[0])
    if args.quiet:
        print(job.id)
        return 0
    state = f"{job.state}{f' ({job.reason})' if job.reason else ''}"
    print(f"{job.id}  {job.action}  {state}\nfollow it: kinetag jobs logs -f {job.id}")
    return 0


def _list(args: argparse.Namespace) -> int:
    from kinetag.cli import _console
    from kinetag.jobs import list_jobs
    from kinetag.jobs.store import STATES

    for state in args.state:
        if state not in STATES:
            raise KinetagError(f"'{state}' is no state of a job; known: {', '.join(STATES)}")
    if args.format == "json":
        return _print_json(_records(list_jobs(*args.state)))
    from kinetag.report.jobs import jobs_list, renewed

    most = None if args.all else _SHOWN
    if not args.watch:
        _console(args).print(jobs_list(list_jobs(*args.state), most))
        return 0
    with renewed(_console(args)) as show, suppress(KeyboardInterrupt):
        while True:
            show(jobs_list(list_jobs(*args.state), most))
            time.sleep(_REFRESH)
    return 0


def _show(args: argparse.Namespace) -> int:
    from kinetag.cli import _console
    from kinetag.jobs import get_job
    from kinetag.jobs.store import Store

    job = get_job(args.ids[0])
    if args.format == "json":
        return _print_json(_records([job])[0])
    from kinetag.report.jobs import job_page

    _console(args).print(job_page(job, Store().children(job.id)))
    return 0


def _logs(args: argparse.Namespace) -> int:
    from kinetag.jobs import job_logs

    for piece in job_logs(args.ids[0], follow=args.follow):
        sys.stdout.write(piece)
        sys.stdout.flush()
    return 0


def _wait(args: argparse.Namespace) -> int:
    from kinetag.cli import _console
    from kinetag.jobs import wait_for

    console = _console(args)
    if args.format == "table" and console.is_terminal:
        from kinetag.report.jobs import jobs_table, renewed

        with renewed(console) as show:
            found = wait_for(*args.ids, timeout=args.timeout, watch=lambda jobs: show(jobs_table(jobs)))
    else:
        found = wait_for(*args.ids, timeout=args.timeout)
    _tell(args, found)
    return 0 if all(job.state == "done" for job in found) else _NOT_DONE


def _cancel(args: argparse.Namespace) -> int:
    from kinetag.jobs import cancel_job

    done, failed = _each(args.ids, cancel_job)
    _tell(args, done)
    return failed


def _retry(args: argparse.Namespace) -> int:
    from kinetag.jobs import retry_job

    done, failed = _each(args.ids, retry_job)
    _tell(args, done)
    return failed


def _delete(args: argparse.Namespace) -> int:
    from kinetag.jobs import delete_job, get_job

    def delete(job_id: str) -> "Job":
        job = get_job(job_id)
        delete_job(job.id)
        return job

    done, failed = _each(args.ids, delete)
    if args.format == "json":
        _print_json([{"id": job.id, "state": "deleted"} for job in done])
    else:
        for job in done:
            print(f"{job.id}  {job.action}  deleted")
    return failed


def _each(words: "Sequence[str]", do: "Callable[[str], Job]") -> "tuple[list[Job], int]":
    """Do something with each of these jobs, whatever becomes of the others; those that it was done with, and the code.

    All are looked up first: a wrong id is told, and keeps none of the others from its turn.
    """
    from kinetag.jobs import get_job

    found, unknown = _tried(words, get_job)
    done, refused = _tried(list(dict.fromkeys(job.id for job in found)), do)
    return done, 2 if unknown or refused else 0


def _tried(words: "Sequence[str]", do: "Callable[[str], Job]") -> "tuple[list[Job], bool]":
    """What came of each, and whether one came to nothing, which is told in a line."""
    from kinetag.cli import complain

    done: list[Job] = []
    for word in words:
        try:
            done.append(do(word))
        except KinetagError as error:
            complain(str(error))
    return done, len(done) < len(words)


_VERBS = {
    "create": _create,
    "list": _list,
    "show": _show,
    "logs": _logs,
    "wait": _wait,
    "cancel": _cancel,
    "retry": _retry,
    "delete": _delete,
}


# --- what is shown ---------------------------------------------------------------------------------------------------


def _tell(args: argparse.Namespace, found: "list[Job]") -> int:
    if args.format == "json":
        return _print_json(_records(found))
    for job in found:
        state = "cancelling" if job.cancelling else job.state
        print(f"{job.id}  {job.action}  {state}{f': {job.reason}' if job.reason else ''}")
    return 0


def _records(jobs: "Sequence[Job]") -> list[dict[str, Any]]:
    """Jobs as programs get them."""
    from kinetag.jobs.following import standings

    return [_record(job, told) for job, told in zip(jobs, standings(jobs), strict=True)]


def _record(job: "Job", told: "Standing") -> dict[str, Any]:
    names = ("id", "action", "parent", "state", "reason", "created", "started", "ended", "attempts", "exit_code")
    record: dict[str, Any] = {name: getattr(job, name) for name in names}
    record |= {"results": job.results, "log": str(job.log), "spec": str(job.spec), "inferred": list(job.inferred)}
    record |= {"notes": list(job.notes), "message": told.message, "metrics": told.numbers}
    best = None if told.best is None else {"name": told.best[0], "value": told.best[1]}
    return record | {"best": best, "stage": told.stage, "share": told.share, "unreached": told.unreached}


def _print_json(value: Any) -> int:
    print(hide_secrets(json.dumps(value, indent=2, ensure_ascii=False)))
    return 0
