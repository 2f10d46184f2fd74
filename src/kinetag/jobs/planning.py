"""From what the user gave to the spec that a job runs with, and how that is written down."""

import copy
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from kinetag.errors import KinetagError
from kinetag.jobs.contract import INPUTS
from kinetag.jobs.inferring import Case, Inferred, Parent, infer
from kinetag.jobs.store import DONE, Job, Store
from kinetag.spec import (
    ACTIONS,
    EMPTY,
    KEY_VARIABLE,
    MASK,
    PASSWORD_VARIABLE,
    SHORTHANDS,
    Section,
    Spec,
    check_spec,
    masked,
    put_at,
    value_at,
)
from kinetag.spec.errors import nearest
from kinetag.spec.file import SpecSource, dotted, read_spec
from kinetag.urls import is_remote, local_path, split_password

_MOST_ANCESTORS = 100
_FOLLOWING = ("automl_max_epochs", "automl_max_recommendations")  # unwritten, they follow from other options
_SHORTEST_SECRET = 6  # characters; a shorter one is found in other values by chance


@dataclass(frozen=True)
class Given:
    """What the user gave, with the encryption key and the password of a study's database taken out, and these."""

    source: SpecSource
    secret: str | None
    password: str | None = None
    overrides: tuple[str, ...] = ()  # the dotted keys that were given beside the spec


@dataclass(frozen=True)
class Plan:
    """What a job will do. ``results`` is the folder that its action writes into."""

    action: str
    values: dict[str, Any]  # what the user gave and what was filled in
    inferred: tuple[Inferred, ...]
    notes: tuple[str, ...]
    results: str
    spec: Spec

    def to_yaml(self, *, whole: bool = False) -> str:
        """The spec as YAML, a comment at every option that was filled in; ``whole``: with the action's defaults."""
        tree = _ordered(_whole(self.values, self.spec, self.action) if whole else self.values, Spec)
        return "\n".join(_commented(tree, {one.key: one.source for one in self.inferred})) + "\n"


def read_given(action: str, specs: str | Path | Mapping[str, Any] | None, overrides: Sequence[str] = ()) -> Given:
    """Read what the user gave for an action: a YAML file, or values (nested, or by dotted key), and overrides.

    The key is the spec's, else that of the variable KINETAG_ENCRYPTION_KEY. Raises a KinetagError for what cannot be
    read, and where the key stands in another option too.
    """
    if action not in ACTIONS:
        raise KinetagError(f"unknown action '{action}'{nearest(action, ACTIONS)}; known: {', '.join(ACTIONS)}")
    path, beside = None, tuple(dict(dotted(override, SHORTHANDS) for override in overrides))
    if isinstance(specs, Mapping):
        overrides = [*_as_overrides(specs), *overrides]
    elif specs is not None:
        path = Path(specs)
    source = read_spec(path, overrides, SHORTHANDS)
    written = source.values.pop("encryption_key", None)
    secret = str(written) if written not in (*EMPTY, MASK) else os.environ.get(KEY_VARIABLE) or None
    if written == MASK and secret is None:
        raise KinetagError(f"encryption_key is hidden in this spec ({MASK}): give it in the variable {KEY_VARIABLE}")
    if secret and len(secret) >= _SHORTEST_SECRET:
        for key, value in leaves(source.values):
            if secret in str(value):
                raise KinetagError(f"{key} holds the encryption key, which is to be written nowhere: take it out")
    password = None
    if isinstance(storage := value_at(source.values, "automl_settings.storage"), str):
        hidden, password = split_password(storage)
        put_at(source.values, "automl_settings.storage", hidden)
    return Given(source, secret, password, tuple(key for key in beside if key != "encryption_key"))


def missing_password(values: Mapping[str, Any]) -> bool:
    """Whether a study's database was given with a password that is nowhere now."""
    storage = value_at(values, "automl_settings.storage")
    hidden = isinstance(storage, str) and MASK in storage
    return hidden and not os.environ.get(PASSWORD_VARIABLE)


def make_plan(
    store: Store,
    action: str,
    source: SpecSource,
    *,
    parent: Job | None,
    own_results: Path,
    cwd: str,
    has_key: bool,
    train_data: str = "",
    attempt: int = 1,
) -> Plan:
    """Complete what the user gave from the job graph, and check it as the action itself would."""
    values = copy.deepcopy(source.values)
    case = Case(action, values, str(own_results), _ancestors(store, parent), attempt, has_key, train_data)
    infer(case)
    _refuse_without_model(case)
    spec = check_spec(replace(source, values=values), action)
    spec.require(next(iter(INPUTS[action])))
    _check_addresses(spec, action)
    notes = list(case.notes)
    model = f"{action}.checkpoint"
    if parent is not None and parent.action in ("train", "export") and value_at(source.values, model) not in EMPTY:
        notes.append(f"{model} is the spec's own: the model of job {parent.id} is not used")
    return Plan(action, values, tuple(case.filled), tuple(notes), absolute(case.folder(), cwd), spec)


def check_search(plan: Plan) -> None:
    """Raise a KinetagError for a search that would refuse its settings or data, as `kinetag tune` says it.

    What fits on this machine's cards is left to the job: torch, which knows them, takes long to load.
    """
    if plan.action != "train" or plan.spec.automl_policy != "auto":
        return
    from kinetag.datasets.augment import RECIPES
    from kinetag.tune.plan import search_space  # needs neither Optuna nor torch

    try:
        search_space(plan.spec.with_defaults(RECIPES[plan.spec.train.recipe]))
    except KinetagError as error:
        unasked = any(one.key == "automl_policy" for one in plan.inferred)
        raise KinetagError(f"{error}{'; or train once, with automl_policy=off' if unasked else ''}") from None


def _check_addresses(spec: Spec, action: str) -> None:
    """Raise a KinetagError for an address of a kind that cannot be read, or not be written to. No network is needed."""
    from kinetag.storage.staging import output_keys, remote_keys
    from kinetag.storage.store import kind_of, need_writable

    for key in remote_keys(spec, action):
        url = spec.get(key)
        if key == "dataset.cache_dir":
            raise KinetagError(f"{key} must be a folder of this machine: poses are kept there between runs")
        try:
            kind_of(url)
        except KinetagError as error:
            raise KinetagError(f"{key}: {error}") from None
        if key in output_keys(action):
            need_writable(url, key)


def missing_input(store: Store, action: str, values: Mapping[str, Any], parent: Job | None, cwd: str) -> str:
    """What to say of the first path in a spec, as the user gave it, that is not there; '' when all are.

    Addresses are not looked at, and neither is what an ancestor that is not done may yet write.
    """
    coming: list[Path] = []
    while parent is not None and len(coming) < _MOST_ANCESTORS:
        coming += [Path(parent.results)] if parent.state != DONE and parent.results else []
        parent = store.find(parent.parent) if parent.parent else None
    for key in (*INPUTS[action], f"{action}.trt_engine"):
        given = value_at(values, key)
        if not isinstance(given, str) or given in EMPTY or is_remote(given):
            continue
        path = Path(absolute(str(local_path(given)), cwd))
        if not path.exists() and not any(path.is_relative_to(folder) for folder in coming):
            return f"{key}: no such file or folder: {given} (from {cwd}); mend the path, or put it there first"
    return ""


def absolute(path: str, cwd: str | Path) -> str:
    """A path from a folder on; addresses stay as they are."""
    return path if "://" in path else os.path.normpath(os.path.join(cwd, path))


def read_values(path: Path) -> dict[str, Any]:
    """The values of a spec that a job wrote."""
    try:
        return yaml.safe_load(path.read_text("utf-8")) or {}
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise KinetagError(
            f"{path} cannot be read ({' '.join(str(error).split())[:200]}): create the job anew"
        ) from None


def changed(values: Mapping[str, Any], action: str) -> list[tuple[str, Any, Any]]:
    """The options that differ from their defaults: (dotted key, value, default), without other actions' sections."""
    defaults, own = dict(leaves(Spec().model_dump())), []
    others = tuple(f"{name}." for name in ACTIONS if name != action)
    for key, value in leaves(values):
        default = defaults.get(key)
        if value not in EMPTY and value != default and not key.startswith(others):
            own.append((key, value, default))
    return own


def _refuse_without_model(case: Case) -> None:
    """Say where a model comes from; of a parent that it was to come from, that there is none."""
    key = f"{case.action}.checkpoint"
    if key not in INPUTS[case.action] or case.given(key) or case.given(f"{case.action}.trt_engine"):
        return
    if not case.parents:
        if not isinstance(case.values.get(case.action, {}), Mapping):
            return  # a mistake of its own
        raise KinetagError(
            f"{key} is needed and empty: name the job that makes the model with --parent ID (parent_job_id), or write "
            f"{key} in the spec"
        )
    parent = case.parents[0]
    raise KinetagError(
        f"the parent {parent.id} is a job of {parent.action} and has no model: name a job of train or export as the "
        f"parent, or write {key}"
    )


# --- ancestors -------------------------------------------------------------------------------------------------------


def _ancestors(store: Store, parent: Job | None) -> list[Parent]:
    found: list[Parent] = []
    while parent is not None and len(found) < _MOST_ANCESTORS:
        written = parent.spec if parent.spec.exists() else parent.given
        values = read_values(written)
        _make_absolute(values, parent.action, parent.cwd)
        found.append(Parent(parent.id, parent.action, parent.state == DONE, parent.results, values, parent.train_data))
        parent = store.find(parent.parent) if parent.parent else None
    return found


def _make_absolute(values: dict[str, Any], action: str, cwd: str) -> None:
    """Paths of a spec of another folder."""
    for key in (*INPUTS[action], "export.onnx_file"):
        path = value_at(values, key)
        if isinstance(path, str) and path not in EMPTY:
            put_at(values, key, absolute(path, cwd))


# --- values and YAML -------------------------------------------------------------------------------------------------


def _as_overrides(specs: Mapping[str, Any]) -> list[str]:
    """Values as overrides; JSON is YAML, and a reference within it stays one."""
    return [f"{key}={json.dumps(value, ensure_ascii=False, default=str)}" for key, value in specs.items()]


def leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every dotted key that holds a value, and the value."""
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _whole(values: Mapping[str, Any], spec: Spec, action: str) -> dict[str, Any]:
    """The values with the defaults of the action's own options beside them.

    Model and data of the other actions are those of the checkpoint, so there a default would say what is not so.
    """
    from kinetag.datasets.augment import RECIPES

    data = masked(spec.with_defaults(RECIPES[spec.train.recipe]) if action == "train" else spec)
    names = ("model", "dataset", "train") if action == "train" else (action,)
    whole = {**values, **{name: data[name] for name in names}}
    if action == "train" and spec.automl_policy == "auto":
        searched = data["automl_settings"]
        for name in _FOLLOWING:
            if f"automl_settings.{name}" not in spec.explicit:
                del searched[name]
        whole["automl_settings"] = searched
    return whole


def _ordered(tree: Mapping[str, Any], kind: type[Section]) -> dict[str, Any]:
    """The tree with its keys in the order in which the options are declared."""
    out: dict[str, Any] = {}
    for name, option in kind.model_fields.items():
        if name in tree:
            value, within = tree[name], option.annotation
            if isinstance(value, Mapping) and isinstance(within, type) and issubclass(within, Section):
                value = _ordered(value, within)
            out[name] = value
    return out


def _commented(tree: Mapping[str, Any], comments: Mapping[str, str], prefix: str = "") -> Iterator[str]:
    """Lines of YAML, the comment of a key right above it."""
    indent = "  " * prefix.count(".")
    for name, value in tree.items():
        key = f"{prefix}{name}"
        if key in comments:
            yield f"{indent}# inferred: {_printable(comments[key])}"
        if isinstance(value, Mapping) and value:
            yield f"{indent}{_inline(name)}:"
            yield from _commented(value, comments, f"{key}.")
        else:
            yield f"{indent}{_inline(name)}: {_inline(value)}"


def _inline(value: Any) -> str:
    """A value in one line of YAML; what a terminal would not show is escaped."""
    plain = yaml.safe_dump([value], default_flow_style=True, allow_unicode=True, width=100_000).strip()
    if not plain.isprintable():
        plain = yaml.dump([value], Dumper=_Quoting, default_flow_style=True, width=100_000).strip()
    return plain[1:-1]


class _Quoting(yaml.SafeDumper):
    """Writes text in double quotes: there alone a line break can be escaped."""


_Quoting.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)
