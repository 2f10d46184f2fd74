"""JSON Schema (2020-12) of the spec of each action, made from the declared options, with what a search needs to know.

Beside the standard keywords a property has, where they apply: ``automl_enabled`` (a search varies it, or must not),
``automl_ranges`` (where a search draws from, the first whose ``when`` holds), ``option_weights`` (how often a search
draws each choice of the enum), ``math_cond`` with ``depends_on`` (a condition
that drawn values keep, ``depends_on`` in it standing for the other key's value), ``conditions`` (the option has an
effect only while these hold) and ``popular``; an object has the lists ``automl_default_parameters`` and
``automl_disabled_parameters`` of the keys right within it, and the root those of the whole spec.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from kinetag.spec import ACTIONS, MISSING, Section, Spec
from kinetag.spec.options import Range, literal_choices, marks
from kinetag.whole_file import whole_file

DIALECT = "https://json-schema.org/draft/2020-12/schema"
SCHEMA_VERSION = 1
_BOUNDS = {Ge: ("ge", "minimum"), Gt: ("gt", "exclusiveMinimum"), Le: ("le", "maximum"), Lt: ("lt", "exclusiveMaximum")}
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
_PASSED_ON = ("option_weights", "math_cond", "depends_on", "conditions", "popular")
_NULLABLE: dict[Any, dict[str, Any]] = {
    float | None: {"type": ["number", "null"]},
    list[Any] | None: {"type": ["array", "null"]},
    list[float] | None: {"type": ["array", "null"], "items": {"type": "number"}},
}
# Options that an action reads besides those of its own section.
_SHARED = ("model_name", "encryption_key", "results_dir", "wandb")
_SEARCH = ("automl_policy", "automl_settings")
_TRAINING = ("model", "dataset", "train")


def sections_of(action: str) -> tuple[str, ...]:
    """The keys at the top of an action's spec, in the order in which they are shown."""
    if action == "dataset_convert":
        return (*_SHARED, action)
    return (*_SHARED, *_SEARCH, *_TRAINING) if action == "train" else (*_SHARED, *_TRAINING, action)


def action_schema(action: str | None = None) -> dict[str, Any]:
    """The JSON Schema of the spec of an action; of all of them together when that is None.

    A spec may hold the sections of several actions, so those of the others are let pass unread.
    """
    names = sections_of(action) if action else tuple(Spec.model_fields)
    properties = {name: _property(Spec.model_fields[name], name) for name in names}
    every = dict(walk(Spec))
    schema = {
        "$schema": DIALECT,
        "$id": f"urn:kinetag:spec:{action or 'all'}:{SCHEMA_VERSION}",
        "title": f"kinetag {action}" if action else "kinetag",
        "description": f"The spec of 'kinetag {action}'." if action else "The spec of all actions of kinetag.",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "default": {name: default_of(Spec.model_fields[name]) for name in names},
        "automl_default_parameters": [key for key, field in every.items() if marks(field).get("automl")],
        "automl_disabled_parameters": [key for key, field in every.items() if marks(field).get("automl") is False],
        "popular": popular(),
    }
    if action:
        del schema["additionalProperties"]
        others = [name for name in Spec.model_fields if name not in names]
        schema["propertyNames"] = {"enum": [*names, *others]}
    return schema


def manifest() -> dict[str, Any]:
    """What there is for each action, for services that look before they ask."""
    every = action_schema()
    shared = {key: every[key] for key in ("automl_default_parameters", "automl_disabled_parameters", "popular")}
    return {
        "model": "pose-classification",
        "network_arch": "pose_classification",
        "schema_version": SCHEMA_VERSION,
        "automl_enabled": True,
        "actions": {
            action: {
                "schema_action": action,
                "path": f"schemas/{action}.schema.json",
                "spec_template": f"references/spec_template_{action}.yaml",
                **shared,
            }
            for action in ACTIONS
        },
        "failures": {},
    }


def write_schemas(folder: Path, actions: Sequence[str] | None = None) -> list[Path]:
    """Write ``<action>.schema.json`` of each action and ``manifest.json`` into a folder; the paths written."""
    folder.mkdir(parents=True, exist_ok=True)
    return [_write(folder / name, text) for name, text in schema_files(actions).items()]


def schema_files(actions: Sequence[str] | None = None) -> dict[str, str]:
    """The files that `write_schemas` writes: name -> JSON."""
    files = {f"{action}.schema.json": action_schema(action) for action in actions or ACTIONS}
    if actions is None:
        files["manifest.json"] = manifest()
    return {
        name: json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        for name, content in files.items()
    }


def popular() -> dict[str, Any]:
    """The options that people change first, with their defaults, by section."""
    groups: dict[str, Any] = {}
    for key, field in walk(Spec):
        if marks(field).get("popular"):
            group, _, name = key.rpartition(".")
            groups.setdefault(group, {})[name] = default_of(field)
    return groups


# --- one option ------------------------------------------------------------------------------------------------------


def _property(field: FieldInfo, key: str) -> dict[str, Any]:
    """The schema of one option, or of a section with its options."""
    marked = marks(field)
    kind: Any = field.annotation
    schema: dict[str, Any] = {"title": field.title, "description": field.description}
    if is_section(field):
        schema |= {"type": "object", "additionalProperties": False} | _search_lists(kind, key)
        schema["properties"] = {name: _property(child, f"{key}.{name}") for name, child in kind.model_fields.items()}
    else:
        schema |= _type(kind) | bounds(field) | {"default": default_of(field)}
        if marked.get("secret"):
            schema["writeOnly"] = True
    if "automl" in marked:
        schema["automl_enabled"] = marked["automl"]
    if "search" in marked:
        schema["automl_ranges"] = [_range(searched) for searched in marked["search"]]
    return schema | {name: _plain(marked[name]) for name in _PASSED_ON if name in marked}


def _range(searched: Range) -> dict[str, Any]:
    """A range of a search as plain data, what it leaves open left out."""
    given = {name: _plain(value) for name, value in vars(searched).items() if value or isinstance(value, float)}
    return {
        "minimum" if name == "low" else "maximum" if name == "high" else name: value for name, value in given.items()
    }


def _search_lists(kind: type[Section], key: str) -> dict[str, Any]:
    """The keys right within a section that a search varies, must not vary, and that people change first."""
    marked = {name: marks(field) for name, field in kind.model_fields.items()}
    lists = {
        "automl_default_parameters": [f"{key}.{name}" for name, mark in marked.items() if mark.get("automl")],
        "automl_disabled_parameters": [f"{key}.{name}" for name, mark in marked.items() if mark.get("automl") is False],
        "popular": [name for name, mark in marked.items() if mark.get("popular")],
    }
    return {name: entries for name, entries in lists.items() if entries}


def _type(kind: Any) -> dict[str, Any]:
    if choices := literal_choices(kind):
        return {"type": "string", "enum": list(choices)}
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        fields = {name: _NULLABLE[field.annotation] for name, field in kind.model_fields.items()}
        return {"type": "object", "additionalProperties": False, "properties": fields}
    origin, inner = get_origin(kind), get_args(kind)
    schema: dict[str, Any] = {"type": _TYPES[origin or kind]}
    if origin is list:
        schema["items"] = _type(inner[0])
    elif origin is dict:
        schema["additionalProperties"] = _type(inner[1])
    return schema


def bounds(field: FieldInfo) -> dict[str, float]:
    """The bounds of an option under their names in JSON Schema."""
    return {
        keyword: getattr(bound, name)
        for bound in field.metadata
        for kind, (name, keyword) in _BOUNDS.items()
        if isinstance(bound, kind)
    }


def default_of(field: FieldInfo) -> Any:
    """The default of an option as it is shown: ``???`` where the action cannot do without a value."""
    if marks(field).get("required"):
        return MISSING
    value = field.get_default(call_default_factory=True)
    if isinstance(value, Section):
        return {name: default_of(child) for name, child in type(value).model_fields.items()}
    return value


def walk(kind: type[Section], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every dotted key with its declaration, sections included."""
    for name, field in kind.model_fields.items():
        yield prefix + name, field
        if is_section(field):
            yield from walk(field.annotation, f"{prefix}{name}.")  # type: ignore[arg-type]


def is_section(field: FieldInfo) -> bool:
    """Whether a field holds a group of options."""
    return isinstance(field.annotation, type) and issubclass(field.annotation, Section)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _write(path: Path, text: str) -> Path:
    with whole_file(path) as draft:
        draft.write_text(text, "utf-8")
    return path
