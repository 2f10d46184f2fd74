"""Find the state that a run goes on from, and make sure that it is of the same run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from kinetag.checkpoint import LATEST, CheckpointHeader, load_training
from kinetag.errors import KinetagError, OtherRunError
from kinetag.learning.keeping import Record
from kinetag.learning.loaders import Plan
from kinetag.spec import Spec, masked, value_at

# What may change from one start of a run to the next, because no step of the past depends on it.
_FREE = (
    "model.pretrained_model_path",
    "dataset.num_workers",
    "dataset.num_classes",  # the classes themselves are compared
    "dataset.cache_dir",
    "train.num_gpus",
    "train.gpu_ids",
    "train.num_nodes",
    "train.num_epochs",
    "train.max_steps",
    "train.checkpoint_interval",
    "train.checkpoint_interval_unit",
    "train.resume_training_checkpoint_path",
    "train.results_dir",
    "train.early_stopping_patience",
    "train.logger",
    "train.accelerator",
)
_STRUCTURE = ("model.", "classes", "clips", "steps_per_epoch")  # without these a state cannot be used at all


@dataclass(frozen=True)
class Found:
    """A state to go on from."""

    path: Path
    header: CheckpointHeader
    weights: dict[str, Tensor]
    training: dict[str, Any]  # of the Learner
    record: Record
    identity: dict[str, Any]

    @property
    def done(self) -> int:
        return self.training["done"]


def identity_of(spec: Spec, class_names: tuple[str, ...], plan: Plan, *, seed_drawn: bool) -> dict[str, Any]:
    """What makes a run this run: its options by dotted key, classes and size of the data."""
    data = masked(spec)
    flat = {key: value for part in ("model", "dataset", "train") for key, value in _flat(data[part], f"{part}.")}
    identity = {key: value for key, value in flat.items() if key not in _FREE and not key.startswith("dataset.label")}
    identity |= {"classes": list(class_names), "clips": plan.clips, "steps_per_epoch": plan.steps_per_epoch}
    return identity | {"seed_drawn": seed_drawn}


def find_state(spec: Spec, folder: Path, identity: dict[str, Any]) -> Found | None:
    """The state that the spec names, else the latest in the results folder, else None.

    A state in the folder must be of the very same run; one that the spec names may have been trained with other
    options, but on a network, classes and batches of the same sizes. Raises an OtherRunError otherwise.
    """
    named = spec.train.resume_training_checkpoint_path
    path = Path(named) if named else folder / LATEST
    if path.is_dir():
        path = path / LATEST
    if not named and not path.exists():
        return None
    header, weights, state = load_training(path, secret=spec.secret())
    if state is None:
        raise KinetagError(
            f"{path} holds weights alone, no training to go on with: set model.pretrained_model_path to start from them"
        )
    try:
        found = Found(path, header, weights, state["learner"], Record(**state["record"]), state["identity"])
    except (KeyError, TypeError) as error:
        raise KinetagError(f"{path} holds a training state that this kinetag does not know ({error})") from None
    _same_run(found, identity, named=bool(named))
    return found


def _same_run(found: Found, identity: dict[str, Any], *, named: bool) -> None:
    drawn = found.identity.get("seed_drawn") and identity["seed_drawn"]
    defaults = Spec().model_dump()  # what holds of a run that was begun before an option existed
    for key in sorted(identity.keys() | found.identity.keys()):
        theirs, ours = found.identity.get(key, value_at(defaults, key)), identity.get(key)
        if theirs == ours or (drawn and key == "train.seed"):
            continue
        if not named:
            said = f", but the spec says {ours}" if "." in key else f", but here it is {ours}"
            back = f", or set it back with {key}={theirs} to go on" if "." in key and theirs is not None else ""
            raise OtherRunError(f"{found.path} is of a run with {key} {theirs}{said}: use another results_dir{back}")
        if key.startswith(_STRUCTURE) and key != "model.dropout":
            raise OtherRunError(
                f"cannot go on from {found.path}: it was trained with {key} {theirs}, but here it is {ours}; "
                "set model.pretrained_model_path to start from its weights"
            )


def _flat(tree: dict[str, Any], prefix: str) -> list[tuple[str, Any]]:
    items: list[tuple[str, Any]] = []
    for key, value in tree.items():
        items += _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [(prefix + key, value)]
    return items
