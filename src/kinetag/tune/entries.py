"""Whether what a schema from elsewhere says of an option can be read."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kinetag.errors import KinetagError
from kinetag.spec.errors import shown
from kinetag.tune.conditions import Bound, keys_of

Entry = Mapping[str, Any]


def options_of(schema: Entry, prefix: str = "") -> Iterator[tuple[str, Entry]]:
    """Every dotted key that holds a value, with what the schema says of it."""
    for name, entry in (schema.get("properties") or {}).items():
        if isinstance(entry, dict):
            if isinstance(entry.get("properties"), dict):
                yield from options_of(entry, f"{prefix}{name}.")
            else:
                yield prefix + name, entry


def check_schema(schema: Entry) -> None:
    """ValueError with the key and the reason of the first thing that a search could not go by."""
    for name in ("automl_default_parameters", "automl_disabled_parameters"):
        _strings(name, schema.get(name))
    for key, entry in options_of(schema):
        try:
            _check(entry)
        except (ValueError, KinetagError) as error:
            raise ValueError(f"{key}: {error}") from None


def _check(entry: Entry) -> None:
    for condition in _strings("conditions", entry.get("conditions")):
        _condition(condition)
    for searched in _list("automl_ranges", entry.get("automl_ranges")):
        if not isinstance(searched, dict):
            raise ValueError(f"automl_ranges holds {shown(searched)}; it takes minimum and maximum, or options")
        if searched.get("when"):
            _condition(searched["when"])
        if "options" in searched:
            if not _list("options of automl_ranges", searched["options"]):
                raise ValueError("options of automl_ranges are empty")
        else:
            _check_range("automl_ranges", searched, 0.0, 1.0)
    _check_range("its bounds", entry, -math.inf, math.inf)
    _list("enum", entry.get("enum"))
    for weight in _list("option_weights", entry.get("option_weights")):
        _number("option_weights", weight)
    if entry.get("math_cond"):
        Bound.read(str(entry["math_cond"]))
    if not isinstance(entry.get("depends_on") or "", str):
        raise ValueError(f"depends_on is {shown(entry['depends_on'])}; it takes the key of another option")


def _check_range(name: str, searched: Entry, low: float, high: float) -> None:
    """A number, a larger one, and above 0 where it is logarithmic."""
    given = [searched.get(end) for end in ("minimum", "maximum")]
    low, high = (usual if at is None else _number(name, at) for at, usual in zip(given, (low, high), strict=True))
    if low >= high:
        raise ValueError(f"{name}: minimum {low:g} is not below maximum {high:g}")
    if searched.get("log") and low <= 0:
        raise ValueError(f"{name}: minimum {low:g} is not above 0, as log needs it")


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise ValueError(f"{name}: {shown(value)} is no number")
    return float(value)


def _condition(text: Any) -> None:
    if not isinstance(text, str) or not keys_of(text):
        raise ValueError(f"condition {shown(text)} cannot be read; write KEY == VALUE, != , in A, B or not in A, B")


def _list(name: str, value: Any) -> Sequence[Any]:
    if value is None or value == "":
        return ()
    if not isinstance(value, list):
        raise ValueError(f"{name}: {shown(value)} is no list")
    return value


def _strings(name: str, value: Any) -> Sequence[str]:
    found = _list(name, value)
    if wrong := [item for item in found if not isinstance(item, str)]:
        raise ValueError(f"{name}: {shown(wrong[0])} is no text")
    return found
