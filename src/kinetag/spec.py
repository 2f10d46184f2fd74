"""The spec of an action: a YAML file with dotted overrides, checked against the declared options.

spec = load_spec("spec.yaml", ["train.num_epochs=20"], action="train")
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from kinetag.errors import KinetagError, missing_extra
from kinetag.spec_errors import explain, nearest
from kinetag.spec_options import (
    ACTIONS,
    SHORTHANDS,
    Dataset,
    DatasetConvert,
    Evaluate,
    Export,
    Inference,
    Model,
    Section,
    Source,
    Train,
    Wandb,
    option,
    section,
)

__all__ = ["ACTIONS", "SHORTHANDS", "Source", "Spec", "load_spec", "save_spec", "to_yaml"]

MASK = "***"
MISSING = "???"
KEY_VARIABLE = "KINETAG_ENCRYPTION_KEY"
_MAX_BYTES = 1_000_000
_MAX_DEPTH = 20
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


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
    model: Model = section(Model, "Model", "The network and the skeleton it reads.")
    dataset: Dataset = section(Dataset, "Data", "The data to train and validate on, and how a clip is cut.")
    train: Train = section(Train, "Training", "How the network is trained.")
    evaluate: Evaluate = section(Evaluate, "Evaluation", "How good a model is on labelled data.")
    inference: Inference = section(Inference, "Inference", "The classes of unlabelled data.")
    export: Export = section(Export, "Export", "A model as an ONNX file.")
    dataset_convert: DatasetConvert = section(
        DatasetConvert, "Conversion", "DeepStream's body poses as arrays to train on."
    )

    @property
    def explicit(self) -> frozenset[str]:
        """The dotted keys that the user wrote. A recipe's defaults give way to these."""
        return frozenset(_written(self))

    def results_folder(self, action: str) -> Path:
        """Where an action writes: its own results_dir, else results_dir/<action>, else results/<action>."""
        own = getattr(self, action).results_dir
        return Path(own) if own else Path(self.results_dir or "results") / action

    def secret(self) -> str | None:
        """The encryption key, of the spec or else of the environment; never write it anywhere."""
        return self.encryption_key or os.environ.get(KEY_VARIABLE) or None

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
    where = str(path) if path is not None else "the overrides"
    given = _merged(Path(path) if path is not None else None, overrides)
    given = _without_blanks(given)
    missing = _take_missing(given)
    try:
        spec = Spec.model_validate(given)
    except ValidationError as error:
        raise explain(error, Spec, where, given) from None
    _settle_classes(spec, where)
    _settle_devices(spec, action, where)
    _refuse_missing(spec, action, missing)
    return spec


def to_yaml(spec: Spec) -> str:
    """The whole spec as YAML, secrets masked."""
    return yaml.safe_dump(masked(spec), sort_keys=False, allow_unicode=True)


def save_spec(spec: Spec, path: str | Path) -> Path:
    """Write the whole spec as YAML, secrets masked, in one stroke."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(to_yaml(spec), "utf-8")
    os.replace(partial, path)
    return path


def masked(spec: Spec) -> dict[str, Any]:
    """The whole spec as plain data, secrets masked."""
    data = spec.model_dump()
    if data["encryption_key"]:
        data["encryption_key"] = MASK
    return data


# --- reading ---------------------------------------------------------------------------------------------------------


def _merged(path: Path | None, overrides: Sequence[str]) -> dict[str, Any]:
    """The file and the overrides as one tree of plain data, references resolved."""
    try:
        from omegaconf import OmegaConf
        from omegaconf.errors import OmegaConfBaseException
    except ImportError:
        raise missing_extra("omegaconf", "train", "reading a spec") from None
    where = str(path) if path is not None else "the overrides"
    try:
        config = OmegaConf.create(_read(path) if path is not None else {})
        for override in overrides:
            config.merge_with_dotlist([_dotted(override)])
        plain = OmegaConf.to_container(config, resolve=True)
    except (OmegaConfBaseException, yaml.YAMLError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise KinetagError(f"{where}: {' '.join(str(error).split())}") from None
    assert isinstance(plain, dict)
    return plain  # type: ignore[return-value]


def _read(path: Path) -> dict[str, Any]:
    """A YAML file that holds one mapping, without what an attacker would use: aliases that multiply and deep nests."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise KinetagError(f"{path} has {path.stat().st_size} bytes; a spec has at most {_MAX_BYTES}")
        text = path.read_text("utf-8")
        _refuse_tricks(path, text)
        data = yaml.load(text, _LOADER)
    except FileNotFoundError:
        raise KinetagError(f"spec '{path}' does not exist; 'kinetag spec train' prints one to start from") from None
    except OSError as error:
        raise KinetagError(f"spec '{path}' cannot be read: {error.strerror or error}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise KinetagError(f"{path}:{mark.line + 1 if mark else 1}: not valid YAML: {error.problem}") from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        raise KinetagError(f"{path}: not a YAML text file: {' '.join(str(error).split())}") from None
    if not isinstance(data, dict | None):
        raise KinetagError(f"{path} holds a {type(data).__name__}, not keys and values; see: kinetag spec train")
    return data or {}


def _refuse_tricks(path: Path, text: str) -> None:
    depth = 0
    for event in yaml.parse(text, _LOADER):
        if isinstance(event, yaml.AliasEvent):
            line = event.start_mark.line + 1
            raise KinetagError(f"{path}:{line}: aliases (*name) are not understood here; write ${{other.key}} instead")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise KinetagError(f"{path}:{event.start_mark.line + 1}: nested too deeply for a spec")


def _dotted(override: str) -> str:
    """An override with its shorthand spelled out."""
    key, equals, value = override.partition("=")
    key = key.strip().lstrip("+-")
    if not equals or not key:
        raise KinetagError(f"'{override}' is not an override; write dotted.key=value, such as train.num_epochs=20")
    return f"{SHORTHANDS.get(key, key)}={value.strip()}"


def _without_blanks(value: Any) -> Any:
    """The tree without keys whose value was left blank: those keep their defaults."""
    if isinstance(value, dict):
        return {str(key): _without_blanks(item) for key, item in value.items() if item is not None}
    return value


def _take_missing(tree: dict[str, Any], prefix: str = "") -> list[str]:
    """Take the keys that hold ``???`` out of the tree, and name them."""
    missing = []
    for key, value in list(tree.items()):
        if isinstance(value, dict):
            missing += _take_missing(value, f"{prefix}{key}.")
        elif value == MISSING:
            missing.append(prefix + key)
            del tree[key]
    return missing


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


# --- what must agree -------------------------------------------------------------------------------------------------


def _settle_classes(spec: Spec, where: str) -> None:
    """num_classes and label_map tell the same; the one that was not given follows from the other."""
    data, names = spec.dataset, spec.dataset.label_map
    if names == {f"class_{index}": index for index in range(len(names))}:  # a template's placeholder
        data.label_map = {}
        data.model_fields_set.discard("label_map")
        return
    count = data.num_classes if "dataset.num_classes" in spec.explicit else len(names)
    if sorted(names.values()) != list(range(len(names))):
        raise KinetagError(
            f"{where}: dataset.label_map has the indices {sorted(names.values())}; {len(names)} classes are counted "
            f"0 to {len(names) - 1}, each once"
        )
    if count != len(names):
        raise KinetagError(
            f"{where}: dataset.num_classes is {count} but dataset.label_map names {len(names)} classes; make them agree"
        )
    _settle(data, "num_classes", count)


def _settle_devices(spec: Spec, action: str, where: str) -> None:
    """gpu_ids are as many as num_gpus; the one that was not given follows from the other."""
    devices = getattr(spec, action)
    if "num_gpus" not in type(devices).model_fields:
        return
    count, ids = devices.num_gpus, devices.gpu_ids
    if len(set(ids)) != len(ids) or any(index < 0 for index in ids):
        raise KinetagError(f"{where}: {action}.gpu_ids is {ids}; device ids are different numbers from 0 up")
    if f"{action}.num_gpus" not in spec.explicit and ids:
        _settle(devices, "num_gpus", len(ids))
    elif ids in ([], [0]):  # left as it was: the first cards
        _settle(devices, "gpu_ids", list(range(count)))
    elif len(ids) != count:
        raise KinetagError(
            f"{where}: {action}.num_gpus is {count} but {action}.gpu_ids names {len(ids)} ({ids}); make them agree"
        )


def _refuse_missing(spec: Spec, action: str, missing: list[str]) -> None:
    """``???`` of this action, and what the action cannot do without, must be filled in."""
    needed = getattr(spec, action)
    required = [name for name, field in type(needed).model_fields.items() if _mark(field, "required")]
    if getattr(needed, "trt_engine", ""):
        required, missing = [], [key for key in missing if key != f"{action}.checkpoint"]
    for key in missing:
        if key.split(".")[0] in {action, "model", "dataset", "results_dir", "encryption_key"}:
            raise _is_missing(key)
    spec.require(*(f"{action}.{name}" for name in required))


def _mark(field: Any, name: str) -> Any:
    return (field.json_schema_extra or {}).get(name)


def _is_missing(key: str) -> KinetagError:
    return KinetagError(f"{key} is needed and empty: write it in the spec, or add {key}=VALUE to the command")
