"""Check by machine what a run of an eval left behind: `python check.py ID FOLDER`; prints JSON, code 1 if one fails.

The expectations of evals.json, which need judgement, are not in it. A check has a `file` that must be there and not be
empty, or an `absent` path; `at` (a path into its JSON) with `is`, or with bounds `from` and `to`.
"""

import json
import sys
from pathlib import Path
from typing import Any


def grade(checks: list[dict[str, Any]], folder: Path) -> dict[str, Any]:
    """What holds and what does not, in the form of a grading.json."""
    results = []
    for check in checks:
        passed, evidence = judge(check, folder)
        results.append({"text": json.dumps(check), "passed": passed, "evidence": evidence})
    good = sum(result["passed"] for result in results)
    counts = {"passed": good, "failed": len(results) - good, "total": len(results)}
    return {"expectations": results, "summary": counts | {"pass_rate": good / len(results)}}


def judge(check: dict[str, Any], folder: Path) -> tuple[bool, str]:
    """Whether a check holds, and what was found."""
    if "absent" in check:
        path = folder / check["absent"]
        return not path.exists(), f"{path} {'exists' if path.exists() else 'is not there'}"
    path = folder / check["file"]
    if not path.is_file() or path.stat().st_size == 0:
        return False, f"{path} is not there, or empty"
    if "at" not in check:
        return True, f"{path}, {path.stat().st_size} bytes"
    try:
        value = json.loads(path.read_text("utf-8"))
        for part in check["at"].split("."):
            value = value[int(part)] if isinstance(value, list) else value[part]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        return False, f"{path} has no {check['at']} ({type(error).__name__})"
    if "is" in check:
        return value == check["is"], f"{check['at']} is {value!r}"
    return check["from"] <= value <= check["to"], f"{check['at']} is {value!r}"


def main(number: str, folder: str) -> int:
    evals = json.loads(Path(__file__).with_name("evals.json").read_text("utf-8"))["evals"]
    checks = next(one["checks"] for one in evals if one["id"] == int(number))
    graded = grade(checks, Path(folder))
    print(json.dumps(graded, indent=2))
    return int(graded["summary"]["failed"] > 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
