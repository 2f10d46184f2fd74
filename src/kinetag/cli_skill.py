"""`kinetag skill` on the command line."""

import argparse
import sys
from pathlib import Path


def skill_options(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "Without --out it prints SKILL.md. docs/skill.md says more."
    parser.add_argument("--out", type=Path, metavar="DIR", help="write the folder, such as .claude/skills/kinetag")
    parser.add_argument("--standard", action="store_true", help="only fields of the open format, for strict validators")


def skill(args: argparse.Namespace) -> int:
    """Print the instructions of the agent skill, or write the whole folder."""
    from kinetag.skill import MAIN, NAME, skill_files, write_skill

    if args.out is None:
        print(skill_files(standard=args.standard)[MAIN], end="")
        return 0
    write_skill(args.out, standard=args.standard)
    print(f"written to {args.out}: {MAIN}, references, schemas, evals")
    if args.out.resolve().name != NAME:
        print(f"note: agents look for a folder named {NAME}, such as .claude/skills/{NAME}", file=sys.stderr)
    return 0
