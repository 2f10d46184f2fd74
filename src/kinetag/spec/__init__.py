"""The spec of an action: a YAML file with dotted overrides, checked against the declared options.

spec = load_spec("spec.yaml", ["train.num_epochs=20"], action="train")
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import PrivateAttr, ValidationError

from kinetag.errors import KinetagError
from kinetag.spec.automl import AutomlSettings, Policy
from kinetag.spec.errors import explain, nearest, shown
from kinetag.spec.file import SpecSource, read_spec
from kinetag.spec.options import (
    ACTIONS,
    SHORTHANDS,
    Dataset,
    DatasetConvert,
    Devices,
    Evaluate,
    Export,
    Inference,
    Model,
    Section,
    Source,
    Train,
    Wandb,
    marks,
    option,
    section,
)
from kinetag.storage.names import Names
from kinetag.urls import MASK, is_remote, join, split_password
from kinetag.whole_file import whole_file

__all__ = ["ACTIONS", "SHORTHANDS", "Source", "Spec", "load_spec", "save_spec", "to_yaml"]

MISSING = "???"
EMPTY = (None, "", MISSING)  # what a user left for others to fill in
KEY_VARIABLE = "KINETAG_ENCRYPTION_KEY"
PASSWORD_VARIABLE = "PGPASSWORD"  # where PostgreSQL's own programs look, too


class Spec(Section):
    """All options of all actions. An action reads its own section and those of the model and the data."""

    model_name: str = option("", "Model name", "The name of the task, for services that run several.")
    encryption_key: str = option(
        "",
        "Encryption key",
        f"Checkpoints and exported models are encrypted with it; also taken from the variable {KEY_VARIABLE}.",
        secret=True,
    )
    results_dir: str = option(
        "", "Results folder", "Every action writes into a subfolder of its own name here; empty: ./results."
    )
    wandb: Wandb = section(Wandb, "Weights & Biases", "Where runs are tracked when asked.")
    automl_policy: Policy = option(
        "off",
        "AutoML",
        "auto: 'kinetag train' searches for good options (as 'kinetag tune' does); off: one plain training. The skill "
        "and the job service take auto where nothing is written.",
        ours=True,
    )
    automl_settings: AutomlSettings = section(
        AutomlSettings, "Search", "How 'kinetag tune' searches for good options.", ours=True
    )
    model: Model = section(Model, "Model", "The network and the skeleton it reads.")
    dataset: Dataset = section(Dataset, "Data", "The data to train and validate on, and how a clip is cut.")
    train: Train = section(Train, "Training", "How the network is trained.")
    evaluate: Evaluate = section(Evaluate, "Evaluation", "How good a model is on labelled data.")
    inference: Inference = section(Inference, "Inference", "The classes of unlabelled data.")
    export: Export = section(Export, "Export", "A model as an ONNX file.")
    dataset_convert: DatasetConvert = section(
        DatasetConvert, "Conversion", "Body poses of DeepStream, or labelled videos, as arrays to train on."
    )
    _names: Names = PrivateAttr(default_factory=Names)

    _overridden: frozenset[str] = PrivateAttr(default=frozenset())

    def __eq__(self, other: object) -> bool:
        """Whether all options are the same, wherever they were written."""
        return isinstance(other, Spec) and self.model_dump() == other.model_dump()

    @property
    def overridden(self) -> frozenset[str]:
        """The dotted keys that were given as overrides, beside the file. A search does not vary them."""
        return self._overridden

    @property
    def explicit(self) -> frozenset[str]:
        """The dotted keys that the user wrote. A recipe's defaults give way to these."""
        return frozenset(_written(self))

    @property
    def names(self) -> Names:
        """What the local copies that stand in this spec for addresses are called; see `kinetag.storage.staged`."""
        return self._names

    def rename(self, names: Names) -> None:
        """Say what the local copies in this spec stand for."""
        self._names = names

    def shown(self, text: str) -> str:
        """Text to be written or said: local copies by the addresses that the user gave, no passwords in these."""
        return self._names.shown(text)

    def results_place(self, action: str) -> str:
        """Where an action writes, a path or an address: its own results_dir, else results_dir/<action>."""
        return _place(getattr(self, action).results_dir, self.results_dir or "results", action)

    def results_folder(self, action: str) -> Path:
        """The same as a folder of this machine; for one in a store see `kinetag.storage.staged`."""
        place = self.results_place(action)
        if is_remote(place):
            raise KinetagError(f"{self.shown(place)} is not a folder of this machine: stage the spec first")
        return Path(place)

    def secret(self) -> str | None:
        """The encryption key, of the spec or else of the environment; never write it anywhere."""
        key = os.environ.get(KEY_VARIABLE) or None
        if self.encryption_key != MASK:
            return self.encryption_key or key
        if key is None:
            raise KinetagError(
                f"encryption_key is hidden in this spec ({MASK}): give it in the variable {KEY_VARIABLE}"
            )
        return key

    def get(self, key: str) -> Any:
        """The value of a dotted key."""
        value: Any = self
        for part in key.split("."):
            value = getattr(value, part)
        return value

    def require(self, *keys: str) -> None:
        """Raise a KinetagError that names the first of these dotted keys that is empty."""
        for key in keys:
            if self.get(key) in ("", None):
                raise _is_missing(key)

    def with_defaults(self, defaults: Mapping[str, Any]) -> "Spec":
        """A copy where the dotted keys that the user did not write have these values, such as a recipe's."""
        spec = self.model_copy(deep=True)
        for key, value in defaults.items():
            if key not in self.explicit:
                parent, _, name = key.rpartition(".")
                _settle(spec.get(parent) if parent else spec, name, value)
        return spec


def load_spec(path: str | Path | None, overrides: Sequence[str] = (), *, action: str) -> Spec:
    """Read and check the spec of an action.

    ``overrides`` are ``dotted.key=value`` (or a shorthand, such as ``num_epochs=5``); they win over the file. Values
    may refer to others as ``${results_dir}``. An action that lacks a value written as ``???`` is refused. Every mistake
    is a KinetagError of one line with the key, the value found and the remedy.
    """
    if action not in ACTIONS:
        raise KinetagError(f"unknown action '{action}'{nearest(action, ACTIONS)}; known: {', '.join(ACTIONS)}")
    return check_spec(read_spec(Path(path) if path is not None else None, overrides, SHORTHANDS), action)


def check_spec(source: SpecSource, action: str) -> Spec:
    """The spec of an action from values that were read; errors as `load_spec`."""
    values, missing = _without_missing(source.values)
    try:
        spec = Spec.model_validate(values)
    except ValidationError as error:
        key, mistake = explain(error, Spec)
        raise KinetagError(f"{source.where(key)}: {mistake}") from None
    spec._overridden = frozenset(source.overrides)
    _settle_classes(spec, source)
    _settle_devices(spec, action, source)
    _refuse_missing(spec, action, missing)
    return spec


def value_at(tree: Mapping[str, Any], key: str) -> Any:
    """The value of a dotted key in plain data; None when it is not there."""
    value: Any = tree
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def put_at(tree: dict[str, Any], key: str, value: Any) -> None:
    """Set the value of a dotted key in plain data, unless something other than a group stands in the way."""
    *parts, name = key.split(".")
    for part in parts:
        tree = tree.setdefault(part, {})
        if not isinstance(tree, dict):
            return
    tree[name] = value


def results_place_in(path: str | Path | None, overrides: Sequence[str], action: str) -> str | None:
    """Where a spec that cannot be used says that results go, when it says so at all: for the record of the failure."""
    try:
        values = read_spec(Path(path) if path is not None else None, overrides, SHORTHANDS).values
    except KinetagError:
        return None
    group = values.get(action)
    own = group.get("results_dir") if isinstance(group, dict) else None
    shared = values.get("results_dir")
    if isinstance(own, str) and own not in ("", MISSING):
        return own
    return _place("", shared, action) if isinstance(shared, str) and shared not in ("", MISSING) else None


def _place(own: str, shared: str, action: str) -> str:
    if own or not is_remote(shared):
        return own or str(Path(shared) / action)
    return join(shared, action)


def to_yaml(spec: Spec) -> str:
    """The whole spec as YAML, secrets masked."""
    return yaml.safe_dump(masked(spec), sort_keys=False, allow_unicode=True)


def save_spec(spec: Spec, path: str | Path) -> Path:
    """Write the whole spec as YAML, secrets masked, in one stroke."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as draft:
        draft.write_text(to_yaml(spec), "utf-8")
    return path


def masked(spec: Spec) -> dict[str, Any]:
    """The whole spec as plain data that means the same when it is read again, secrets masked."""
    data = _each_text(spec.model_dump(), spec.shown)
    if data["encryption_key"]:
        data["encryption_key"] = MASK
    data["automl_settings"]["storage"] = split_password(spec.automl_settings.storage)[0]
    data["wandb"]["enable"] &= "wandb.enable" in spec.explicit  # nobody is logged where nobody asked for it
    for name in ("num_classes", "label_map"):  # what was not written follows from the data, not from the default
        if f"dataset.{name}" not in spec.explicit:
            del data["dataset"][name]
    return data


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {key: _each_text(item, change) for key, item in value.items()}
    if isinstance(value, list):
        return [_each_text(item, change) for item in value]
    return change(value) if isinstance(value, str) else value


# --- what was written, and what follows from it ----------------------------------------------------------------------


def _without_missing(tree: dict[str, Any], prefix: str = "") -> tuple[dict[str, Any], list[str]]:
    """The tree without the keys that hold ``???``, and the names of those."""
    kept: dict[str, Any] = {}
    missing: list[str] = []
    for key, value in tree.items():
        if isinstance(value, dict):
            kept[key], more = _without_missing(value, f"{prefix}{key}.")
            missing += more
        elif value == MISSING:
            missing.append(prefix + key)
        else:
            kept[key] = value
    return kept, missing


def _written(section: Section, prefix: str = "") -> Iterator[str]:
    """The dotted keys that were set in a section and the sections within."""
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from _written(value, f"{prefix}{name}.")
        elif name in section.model_fields_set:
            yield prefix + name


def _settle(section: Section, name: str, value: Any) -> None:
    """Set a value that follows from others, so that it does not count as written by the user."""
    written = name in section.model_fields_set
    setattr(section, name, value)
    if not written:
        section.model_fields_set.discard(name)


def _settle_classes(spec: Spec, source: SpecSource) -> None:
    """num_classes and label_map tell the same; the one that was not given follows from the other."""
    data, names = spec.dataset, spec.dataset.label_map
    if names == {f"class_{index}": index for index in range(len(names))}:  # a template's placeholder
        data.label_map = {}
        data.model_fields_set.discard("label_map")
        return
    if sorted(names.values()) != list(range(len(names))):
        raise KinetagError(
            f"{source.where('dataset.label_map')}: dataset.label_map has the indices {shown(sorted(names.values()))}; "
            f"{len(names)} classes are counted 0 to {len(names) - 1}, each once"
        )
    if "dataset.num_classes" in spec.explicit and data.num_classes != len(names):
        raise KinetagError(
            f"{source.where('dataset.num_classes')}: dataset.num_classes is {data.num_classes} but dataset.label_map "
            f"names {len(names)} classes; make them agree"
        )
    _settle(data, "num_classes", len(names))


def _settle_devices(spec: Spec, action: str, source: SpecSource) -> None:
    """gpu_ids are as many as num_gpus; the one that was not given follows from the other."""
    devices = getattr(spec, action)
    if not isinstance(devices, Devices):
        return
    count, ids = devices.num_gpus, devices.gpu_ids
    if len(set(ids)) != len(ids) or any(index < 0 for index in ids):
        where = source.where(f"{action}.gpu_ids")
        raise KinetagError(f"{where}: {action}.gpu_ids is {shown(ids)}; ids are different numbers from 0 up")
    if f"{action}.num_gpus" not in spec.explicit and ids:
        _settle(devices, "num_gpus", len(ids))
    elif ids in ([], [0]):  # left as it was: the first cards
        _settle(devices, "gpu_ids", list(range(count)))
    elif len(ids) != count:
        raise KinetagError(
            f"{source.where(f'{action}.num_gpus')}: {action}.num_gpus is {count} but {action}.gpu_ids is {shown(ids)}; "
            "make them agree"
        )


def _refuse_missing(spec: Spec, action: str, missing: list[str]) -> None:
    """``???`` of this action, and what the action cannot do without, must be filled in."""
    needed = getattr(spec, action)
    required = [name for name, field in type(needed).model_fields.items() if marks(field).get("required")]
    if getattr(needed, "trt_engine", ""):
        required, missing = [], [key for key in missing if key != f"{action}.checkpoint"]
    unused = {f"{name}." for name in ACTIONS if name != action}
    unused |= set() if action == "train" else {"dataset.train_dataset.", "dataset.val_dataset."}
    for key in missing:
        if not key.startswith(tuple(unused)):
            raise _is_missing(key)
    spec.require(*(f"{action}.{name}" for name in required))


def _is_missing(key: str) -> KinetagError:
    return KinetagError(f"{key} is needed and empty: write it in the spec, or add {key}=VALUE to the command")
