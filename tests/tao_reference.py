"""What is known of TAO's spec: a table of facts kept here, and its own files where they are."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FACTS = json.loads((Path(__file__).parent / "data" / "tao_spec.json").read_text("utf-8"))
KINDS = {"int": "integer", "float": "number", "bool": "boolean", "categorical": "string", "list_2": "array"}
KINDS |= {"string": "string", "collection": "object", "list": "array"}


def reference_folder() -> Path | None:
    """The folder with TAO's files, beside the folder that KINETAG_DATA names."""
    data = os.environ.get("KINETAG_DATA")
    folder = Path(data).parent / "reference" / "tao_pose_classification" if data else None
    return folder if folder is not None and folder.is_dir() else None


def options(schema: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every dotted key of a schema, theirs or ours, and what the schema says of it."""
    for name, entry in schema.get("properties", {}).items():
        if isinstance(entry, dict):  # one of theirs holds a list that is no option
            yield prefix + name, entry
            if isinstance(entry.get("properties"), dict):
                yield from options(entry, f"{prefix}{name}.")


def facts_of(entry: dict[str, Any]) -> dict[str, Any]:
    """One of their options, in the form of the table of facts."""
    fact: dict[str, Any] = {"type": KINDS[entry["type"]]}
    if fact["type"] != "object":
        fact["default"] = entry["default"]
    fact |= {bound: entry[bound] for bound in ("minimum", "maximum") if entry.get(bound, float("inf")) != float("inf")}
    marks = ("enum", "automl_enabled") if fact["type"] == "object" else ("enum", "automl_enabled", "popular")
    return fact | {mark: entry[mark] for mark in marks if mark in entry}
