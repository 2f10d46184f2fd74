"""What is wrong with a spec, in one line: the key, the value found, the remedy."""

import difflib
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel, ValidationError

from kinetag.urls import hide_secrets

# pydantic's name of a type mismatch -> what the option takes.
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "text",
    "list": "a list",
    "dict": "a mapping",
    "model": "a group of options",
    "finite": "a finite number",
}


def explain(error: ValidationError, root: type[BaseModel]) -> tuple[str, str]:
    """The dotted key and the first mistake of a ValidationError. Unknown keys come first: they cause the others."""
    mistake = min(error.errors(include_url=False), key=lambda mistake: mistake["type"] != "extra_forbidden")
    key = ".".join(" ".join(str(part).split()) for part in mistake["loc"])
    if mistake["type"] == "extra_forbidden":
        return key, f"unknown key '{key}'{_nearest_key(key, root)}"
    found = "of another kind" if "encryption_key" in key else shown(mistake["input"])
    return key, f"{key} is {found}; {_expected(mistake)}"


def nearest(word: str, known: Iterable[str]) -> str:
    """ ", did you mean 'x'?" when a known word is near, whatever its case, else nothing."""
    by_lower = {word.lower(): word for word in known}
    close = difflib.get_close_matches(str(word).lower(), by_lower, 1, 0.6)
    return f", did you mean '{by_lower[close[0]]}'?" if close else ""


def option_keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every dotted key of a model, groups included."""
    for name, field in model.model_fields.items():
        yield prefix + name
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from option_keys(field.annotation, f"{prefix}{name}.")


def _nearest_key(key: str, root: type[BaseModel]) -> str:
    """The right key: the same name in another group first, then the nearest spelling, in the same group if possible."""
    known = list(option_keys(root))
    group, _, name = key.rpartition(".")
    if elsewhere := [other for other in known if other.rpartition(".")[2] == name]:
        return f", did you mean '{difflib.get_close_matches(key, elsewhere, 1, 0.0)[0]}'?"
    siblings = [other.rpartition(".")[2] for other in known if other.rpartition(".")[0] == group]
    if close := difflib.get_close_matches(name, siblings, 1, 0.6):
        return f", did you mean '{f'{group}.' if group else ''}{close[0]}'?"
    by_name = {other.rpartition(".")[2]: other for other in reversed(known)}
    if close := difflib.get_close_matches(name, by_name, 1, 0.75):
        return f", did you mean '{by_name[close[0]]}'?"
    if siblings:
        return f"; known in {group or 'a spec'}: {', '.join(siblings)}"
    return "; 'kinetag spec train' prints all"


def _expected(mistake: Any) -> str:
    kind, context = mistake["type"], mistake.get("ctx", {})
    bounds = {"greater_than_equal": ("ge", "at least"), "greater_than": ("gt", "above")}
    bounds |= {"less_than_equal": ("le", "at most"), "less_than": ("lt", "below")}
    if kind in bounds:
        name, words = bounds[kind]
        return f"it must be {words} {context[name]:g}"
    if kind == "literal_error":
        choices = context["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        return f"choose one of {', '.join(choice for choice in choices if choice)}{nearest(mistake['input'], choices)}"
    if kind == "int_from_float":
        return "it takes a whole number"
    word = kind.split("_")[0]
    return f"it takes {_KINDS[word]}" if word in _KINDS else mistake["msg"].removeprefix("Value error, ")


def shown(value: Any) -> str:
    """A value as a message shows it: short, on one line, text in quotes, addresses without what is secret in them."""
    text = hide_secrets(" ".join(str(value).split()))  # before it is cut: half an address would not be known for one
    text = text if len(text) <= 60 else f"{text[:57]}..."
    return f"'{text}'" if isinstance(value, str) else text
