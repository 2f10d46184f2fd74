"""Commented specs to start from, and docs/spec.md, both printed from the declared options.

``python -m kinetag.spec.template`` prints the page; docs/spec.md is its output.
"""

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

import yaml
from pydantic.fields import FieldInfo

from kinetag.datasets.augment import RECIPES
from kinetag.spec import SHORTHANDS, Section, Spec
from kinetag.spec.options import literal_choices, marks
from kinetag.spec.schema import bounds, default_of, is_section, sections_of, walk

_WIDTH = 110

# What a template for new work sets; every other option stands there as a comment with its default.
_NEW_WORK: dict[str, Any] = {
    "results_dir": "results",
    "model.model_type": "Fold-GCN",
    "model.graph_layout": "kinetag",
    "dataset.train_dataset.data_path": "???",
    "dataset.validation_split": 0.2,
    "train.recipe": "kinetag",
    "train.num_epochs": 60,
    "evaluate.checkpoint": "results/train/pc_model_best.pth",
    "evaluate.test_dataset.data_path": "???",
    "inference.checkpoint": "results/train/pc_model_best.pth",
    "inference.test_dataset.data_path": "???",
    "inference.output_format": "json",
    "export.checkpoint": "results/train/pc_model_best.pth",
    "export.onnx_file": "results/model.onnx",
    "dataset_convert.data": "???",
    "dataset_convert.keep_confidence": True,
}

# What a job takes from its parent, or from the folder of its data: its template leaves that open.
_OF_PARENTS = ("results_dir", "model.graph_layout", ".checkpoint", ".onnx_file", "_dataset.data_path")
_OF_JOBS = {"automl_policy": "auto"}

_RECIPE = RECIPES[_NEW_WORK["train.recipe"]]

# What such a template is made of. The checkpoint knows the model and how its clips are cut.
_NEW_SECTIONS = {
    "dataset_convert": ("results_dir", "dataset_convert"),
    "train": ("results_dir", "encryption_key", "model", "dataset", "train", "wandb"),
    "tune": ("results_dir", "encryption_key", "automl_settings", "model", "dataset", "train", "wandb"),
    "evaluate": ("results_dir", "encryption_key", "evaluate", "dataset"),
    "inference": ("results_dir", "encryption_key", "inference", "dataset"),
    "export": ("results_dir", "encryption_key", "export"),
}
_TRAINING_DATA = ("train_dataset", "val_dataset", "random_choose", "random_move", "window_size", "validation_split")
_LEFT_OUT = frozenset(f"dataset.{name}" for name in _TRAINING_DATA)

# Where TAO's templates differ from its defaults.
_TAO: dict[str, dict[str, Any]] = {
    "dataset_convert": {
        "model_name": "pose_classification",
        "wandb.enable": False,
        "wandb.name": "TAO Toolkit Dataset Convert",
    },
    "train": {"wandb.enable": False},
}
_TAO_LABELS = {"dataset.label_map": {f"class_{index}": index for index in range(6)}}


def template(action: str, *, tao: bool = False, job: bool = False) -> str:
    """A commented spec of an action (or of 'tune'): for new work, or with TAO's keys and defaults alone.

    ``job``: for one that takes from its parent what it leaves open, and whose training searches.
    """
    verb, parent = (f"jobs create {action}", " [--parent ID]") if job else (action, "")
    head = [f"# kinetag {verb} -e {action}.yaml{parent} [key=value ...]"]
    if tao:
        values = {key: default_of(field) for key, field in _options(Spec)} | _TAO_LABELS | _TAO.get(action, {})
        names, left_out, recipe = sections_of(action), frozenset(_own_keys(Spec)), {}
    else:
        values, names = (_for_jobs(), _sections_of_jobs(action)) if job else (_NEW_WORK, _NEW_SECTIONS[action])
        left_out, recipe = (frozenset(), _RECIPE) if action in ("train", "tune") else (_LEFT_OUT, {})
        head += [
            "# A key right behind a '#' has the default shown; take the '#' away to change it. Fill in what is ???."
        ]
    sections = [_lines(name, Spec.model_fields[name], values, recipe, left_out) for name in names]
    return "\n".join([*head, *(line for section in sections for line in ("", *section))]) + "\n"


def _for_jobs() -> dict[str, Any]:
    return {key: value for key, value in _NEW_WORK.items() if not key.endswith(_OF_PARENTS)} | _OF_JOBS


def _sections_of_jobs(action: str) -> tuple[str, ...]:
    return ("automl_policy", *_NEW_SECTIONS[action], "automl_settings") if action == "train" else _NEW_SECTIONS[action]


def _lines(
    key: str, field: FieldInfo, values: Mapping[str, Any], recipe: Mapping[str, Any], left_out: frozenset[str]
) -> Iterator[str]:
    """The lines of one option, or of a section with its options.

    An option without a value is commented out, and shows what it is then: the recipe's value, else the default.
    """
    if key in left_out:
        return
    name, indent = key.rpartition(".")[2], "  " * key.count(".")
    yield from textwrap.wrap(
        _prose(field),
        _WIDTH,
        initial_indent=f"{indent}# ",
        subsequent_indent=f"{indent}# ",
        break_on_hyphens=False,
        break_long_words=False,
    )
    if is_section(field):
        yield f"{indent}{name}:"
        for child, child_field in field.annotation.model_fields.items():  # type: ignore[union-attr]
            yield from _lines(f"{key}.{child}", child_field, values, recipe, left_out)
    elif key in values:
        yield f"{indent}{name}: {_inline(values[key])}"
    else:
        yield f"{indent}#{name}: {_inline(recipe.get(key, default_of(field)))}"


def _prose(field: FieldInfo) -> str:
    allowed = _allowed(field)
    return f"{field.description}{f' [{allowed}]' if allowed else ''}"


def _allowed(field: FieldInfo) -> str:
    """The choices or the bounds of an option, in words."""
    if choices := literal_choices(field.annotation):
        return ", ".join(choice or "''" for choice in choices)
    words = {
        "minimum": "from {:g}",
        "exclusiveMinimum": "above {:g}",
        "maximum": "to {:g}",
        "exclusiveMaximum": "below {:g}",
    }
    return " ".join(words[name].format(value) for name, value in bounds(field).items())


def _inline(value: Any) -> str:
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000).split("\n")[0]


def _options(kind: type[Section], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every dotted key that holds a value."""
    return ((key, field) for key, field in walk(kind, prefix) if not is_section(field))


def _own_keys(kind: type[Section]) -> Iterator[str]:
    """The dotted keys that TAO does not have."""
    return (key for key, field in walk(kind) if marks(field).get("ours"))


# --- the page --------------------------------------------------------------------------------------------------------

_INTRODUCTION = """\
# The spec

Every action is driven by one YAML file. `kinetag spec ACTION` prints a commented one to start from, `kinetag schema
ACTION` its JSON Schema (2020-12).

```
kinetag train -e train.yaml
kinetag train -e train.yaml train.num_epochs=20 model.graph_layout=coco
```

What stands behind the file as `key=value` wins over it. A value may refer to another one as `${results_dir}`, or to the
environment as `${oc.env:HOME}`. `???` stands for a value that is still to be filled in; a key without a value keeps its
default. An unknown key, a value out of its bounds and a wrong choice are refused, with the line and the remedy.

The keys and defaults are those of TAO's `pose_classification`; `kinetag spec ACTION --tao` prints its template. What
TAO does not have is marked **+**. A search (AutoML) varies what is marked **~**.
"""

_SEARCH = """\
## For a search

The JSON Schema says, beside type, default, bounds and choices, what a search needs to know: `automl_enabled` (varied,
or never), `option_weights` (how often each choice is drawn), `math_cond` with `depends_on` (what drawn values must
keep, such as `< depends_on`: below the other key's value), `conditions` (without which the option has no effect),
`popular` (what people change first); and for all of them together `automl_default_parameters` and
`automl_disabled_parameters`.
"""

_SHORT_NAMES = """\
## Short names

An override may call some keys by a short name.

| short | key |
|---|---|
"""


def page() -> str:
    """docs/spec.md: what every option means."""
    top = {name: field for name, field in Spec.model_fields.items() if not is_section(field)}
    parts = [_INTRODUCTION, _table("", top)]
    for name, field in Spec.model_fields.items():
        if is_section(field):
            parts.append(_chapter(name, field))
    parts.append(_SEARCH)
    parts.append(_SHORT_NAMES + "".join(f"| `{short}` | `{key}` |\n" for short, key in SHORTHANDS.items()))
    return "\n".join(parts)


def _chapter(key: str, field: FieldInfo) -> str:
    """A heading and a table for a section; the sections within it stand in the same table."""
    kind: Any = field.annotation
    return f"## {key}\n\n{field.description}\n\n{_table(f'{key}.', dict(_options(kind)))}"


def _table(prefix: str, fields: Mapping[str, FieldInfo]) -> str:
    own_keys = tuple(_own_keys(Spec))
    rows = ["| key | values | default | |", "|---|---|---|---|"]
    for name, field in fields.items():
        marked = marks(field)
        signs = ("**+** " if f"{prefix}{name}".startswith(own_keys) else "") + (
            "**~** " if marked.get("automl") else ""
        )
        values = _allowed(field) or _kind(field.annotation)
        if own := marked.get("our_choices"):
            values += f" (**+** {', '.join(own)})"
        default = _inline(default_of(field))
        remark = f"{_by_recipe(f'{prefix}{name}')}{_conditions(marked)}"
        rows.append(f"| `{name}` | {values} | `{default}` | {signs}{field.description}{remark} |")
    return "\n".join(rows) + "\n"


def _by_recipe(key: str) -> str:
    return f" With the recipe kinetag: `{_inline(_RECIPE[key])}`." if key in _RECIPE else ""


def _conditions(marked: Mapping[str, Any]) -> str:
    conditions = [f"`{condition}`" for condition in marked.get("conditions", ())]
    return f" With {' and '.join(conditions)} only." if conditions else ""


def _kind(kind: Any) -> str:
    names = {bool: "true, false", int: "whole number", float: "number", str: "text"}
    origin = get_origin(kind)
    if origin is list:
        return f"list of {'whole numbers' if get_args(kind)[0] is int else 'text'}"
    if origin is dict:
        return "class name: index" if get_args(kind)[1] is int else "key: range"
    return names[kind]


if __name__ == "__main__":
    print(page(), end="")
