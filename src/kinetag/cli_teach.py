"""`kinetag teach` on the command line: its options, and what it does with them."""

import argparse
import sys
from pathlib import Path

from kinetag.cli_options import count, network_options, place, positive, size
from kinetag.errors import KinetagError

PROFILE = Path("kinetag-profile.npz")


def teach_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", help="what the exercise or pose is called; of one that is taught, add clips")
    parser.add_argument(
        "clips", nargs="*", type=place, help="1 to 10 videos or files of poses (--finetune: to 200), or its YAML file"
    )
    parser.add_argument(
        "--profile", type=place, default=PROFILE, metavar="FILE", help=f"where it is kept (default: {PROFILE})"
    )
    parser.add_argument("--person", type=count, metavar="ID", help="learn from this person of the clips")
    parser.add_argument("--held", action="store_true", help="it is a pose that is held, whatever moves in the clips")
    parser.add_argument("--evaluate", action="store_true", help="how well everything taught is told apart")
    parser.add_argument("--list", action="store_true", help="what is taught")
    parser.add_argument("--remove", metavar="NAME", help="forget an exercise")
    parser.add_argument("--update", action="store_true", help="make the profile anew for this --model or kinetag")
    parser.add_argument(
        "--finetune",
        action="store_true",
        help="train the last layer on top: for more than 10 clips too (needs the extra 'train')",
    )
    network_options(parser)
    parser.add_argument("--frame-rate", type=positive, default=30.0, metavar="N", help="of poses without times (30)")
    parser.add_argument("--frame-size", type=size, metavar="WxH", help="of the video that poses come from")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def teach(args: argparse.Namespace) -> int:
    """Teach, or tell of, an exercise of one's own."""
    alone = [word for word in ("list", "remove", "update") if getattr(args, word)]
    if len(alone) > 1 or (alone and (args.name or args.evaluate)):
        raise KinetagError(f"--{alone[0]} goes with --profile alone; see: kinetag teach --help")
    if args.name and not args.clips:
        raise KinetagError(f"no clips for '{args.name}'; for example: kinetag teach {args.name} clip1.mp4 clip2.mp4")
    if not (args.name or args.evaluate or alone):
        raise KinetagError("teach what? kinetag teach NAME CLIP..., or --list, --evaluate, --remove NAME")
    if args.name:
        _lesson(args)
    elif alone:
        {"list": _list, "remove": _remove, "update": _update}[alone[0]](args)
    if args.evaluate:
        _evaluate(args)
    return 0


def _lesson(args: argparse.Namespace) -> None:
    from kinetag.cli import _console, _progress
    from kinetag.few_shot.teach import teach as run
    from kinetag.report.teaching import lesson_table

    with _progress("Learning", args.quiet) as update:
        lesson = run(
            args.name,
            args.clips,
            args.profile,
            person=args.person,
            held=True if args.held else None,
            finetune=args.finetune,
            model=args.model,
            pose=args.pose,
            detector=args.detector,
            frame_rate=args.frame_rate,
            frame_size=args.frame_size,
            progress=lambda name: update,
        )
    _console(args).print(lesson_table(lesson, args.profile))
    for reason in lesson.left_out:
        print(f"warning: left out {reason}", file=sys.stderr)
    for doubt in lesson.doubts:
        print(f"warning: {doubt}", file=sys.stderr)


def _list(args: argparse.Namespace) -> None:
    from kinetag.cli import _console
    from kinetag.few_shot.profile import load_profile
    from kinetag.report.teaching import profile_table

    _console(args).print(profile_table(load_profile(args.profile), args.profile))


def _remove(args: argparse.Namespace) -> None:
    from kinetag.few_shot.teach import remove

    left = remove(args.remove, args.profile, model=args.model)
    print(f"{args.profile}: forgot '{args.remove}'; left: {', '.join(left.exercises) or 'nothing'}")


def _update(args: argparse.Namespace) -> None:
    from kinetag.few_shot.teach import update

    made = update(args.profile, model=args.model, finetune=args.finetune)
    print(f"{args.profile}: made anew for this classifier: {', '.join(made.exercises) or 'nothing taught'}")


def _evaluate(args: argparse.Namespace) -> None:
    from kinetag.classifier import Classifier
    from kinetag.cli import _console
    from kinetag.cli_actions import _progress
    from kinetag.few_shot.evaluation import evaluate
    from kinetag.few_shot.profile import load_profile
    from kinetag.report.teaching import scores_table
    from kinetag.storage import local_copy

    profile = load_profile(args.profile)
    classifier = Classifier.load(None if args.model is None else local_copy(args.model))
    with _progress(args.quiet) as stages:
        found = evaluate(profile, classifier, str(args.profile), stages)
    _console(args).print(scores_table(found))
