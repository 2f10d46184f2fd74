"""Checkpoints: the weights of a network and everything that is needed to use them, in one file without pickle.

A checkpoint is a safetensors file whose metadata hold a JSON header (`CheckpointHeader`), encrypted when there is a
secret. `load_checkpoint` also reads `.pth` and `.ckpt` files that PyTorch or Lightning wrote, of the reference
ST-GCN among others, without running code from them.
"""

import dataclasses
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinetag.encryption import Secret, read_file, write_file
from kinetag.errors import KinetagError, missing_extra

if TYPE_CHECKING:
    from torch import Tensor, nn

    from kinetag.spec import Spec

LATEST, BEST = "pc_model_latest.pth", "pc_model_best.pth"  # of a training's folder

_FORMAT = 1
_TRAINING = "training/"  # prefix of the tensors that only a run that goes on needs
_STRATEGIES = {1: "uniform", 2: "distance", 3: "spatial"}  # by the number of adjacency matrices
_CHANNELS = {2: ("x", "y"), 3: ("x", "y", "z"), 4: ("x", "y", "z", "confidence")}


@dataclass(frozen=True)
class CheckpointHeader:
    """What the weights are for. A file of another program says little: then only the first five are sure."""

    model_type: str
    layout: str  # '' where a file of another program leaves it open
    strategy: str
    channels: tuple[str, ...]
    class_names: tuple[str, ...]  # () in a file of another program; `classes` counts them then
    window: int | None = None  # frames of the network's input; None: the clips' own length
    rate: float | None = None  # frames a second
    length: int | None = None  # frames of a usual clip without its padding
    coordinates: str = "array"  # how the numbers were made, see `kinetag.datasets.clips.Clips`
    recipe: str = "tao"
    dropout: float = 0.0
    edge_importance: bool = True
    metrics: Mapping[str, float] = field(default_factory=dict)
    epoch: int = 0  # epochs done
    step: int = 0  # updates done
    spec: Mapping[str, Any] = field(default_factory=dict)  # of the run, its secrets masked
    version: str = ""  # of kinetag; '' for a file of another program
    classes: int = 0  # outputs of the network

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(self.channels))
        object.__setattr__(self, "class_names", tuple(self.class_names))
        object.__setattr__(self, "classes", self.classes or len(self.class_names))

    def to_json(self) -> str:
        return json.dumps({"format": _FORMAT} | dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str, name: str) -> "CheckpointHeader":
        """Read a header; fields of later versions are left out. ``name`` is for messages."""
        try:
            values = json.loads(text)
            known = {f.name for f in dataclasses.fields(cls)}
            return cls(**{key: value for key, value in values.items() if key in known})
        except (ValueError, TypeError, AttributeError) as error:
            raise KinetagError(f"{name} has a damaged checkpoint header ({error}): take another copy of it") from None


def save_checkpoint(
    path: str | Path,
    state_dict: Mapping[str, "Tensor"],
    header: CheckpointHeader,
    *,
    secret: Secret | None = None,
    training: Any = None,
) -> None:
    """Write a checkpoint, whole or not at all; encrypted with ``secret`` (a passphrase, or a key derived from it).

    ``training``, of dicts, lists, tuples, plain values and tensors, is what a run needs to go on from here.
    """
    save = _import("safetensors.torch").save
    tensors = dict(state_dict)
    metadata = {"kinetag": header.to_json()}
    if training is not None:
        metadata["training"] = json.dumps(_pack(training, tensors))
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    write_file(path, save(tensors, metadata=metadata), secret)


def load_checkpoint(path: str | Path, *, secret: Secret | None = None) -> tuple[CheckpointHeader, dict[str, "Tensor"]]:
    """Header and weights of a checkpoint of kinetag's, or of a `.pth` or `.ckpt` of another program."""
    header, state, _ = load_training(path, secret=secret)
    return header, state


def load_training(
    path: str | Path, *, secret: Secret | None = None
) -> tuple[CheckpointHeader, dict[str, "Tensor"], Any]:
    """As `load_checkpoint`, and the training state that was saved with it, None when there is none."""
    if Path(path).is_dir():
        raise KinetagError(f"{path} is a folder, not a checkpoint: name the file in it")
    data = read_file(path, secret)
    if data[8:9] != b"{" and (data[:4] == b"PK\x03\x04" or data[:1] == b"\x80"):  # zip archive, or bare pickle
        return *_foreign(data, str(path)), None
    return _own(data, str(path))


def build_from_checkpoint(
    path: str | Path, *, spec: "Spec | None" = None, secret: Secret | None = None
) -> tuple["nn.Module", CheckpointHeader]:
    """The network of a checkpoint with its weights, in evaluation mode on the CPU.

    What ``spec`` says about the model must agree with the checkpoint; it completes the header of a file of another
    program, which knows neither its layout nor its classes.
    """
    from kinetag.models import build_model

    if spec is not None and secret is None:
        secret = spec.secret()
    header, state = load_checkpoint(path, secret=secret)
    header = complete_header(header, spec, str(path))
    model = build_model(
        header.model_type,
        classes=header.classes,
        layout=header.layout,
        strategy=header.strategy,
        channels=header.channels,
        dropout=header.dropout,
        edge_importance=header.edge_importance,
    )
    load_weights(model, state, str(path))
    return model.eval(), header


def complete_header(header: CheckpointHeader, spec: "Spec | None", name: str) -> CheckpointHeader:
    """The header with what is still open taken from the spec; where both speak they must agree."""
    if spec is None:
        if not header.layout:
            raise KinetagError(f"{name} does not say its joint layout: it needs a spec with model.graph_layout")
        return _named(header, ())
    if header.layout and "model.graph_layout" in spec.explicit and spec.model.graph_layout != header.layout:
        raise KinetagError(
            f"{name} was trained on the layout {header.layout}, and model.graph_layout is {spec.model.graph_layout}: "
            "set it to the checkpoint's, or take another checkpoint"
        )
    wanted = spec_class_names(spec)
    if header.class_names and wanted and tuple(wanted) != header.class_names:
        raise KinetagError(
            f"{name} was trained on other classes ({_some(header.class_names)}) than dataset.label_map names "
            f"({_some(wanted)}): leave label_map out, or take another checkpoint"
        )
    if wanted and len(wanted) != header.classes:
        raise KinetagError(
            f"{name} has {header.classes} classes, and dataset.label_map {len(wanted)} ({_some(wanted)}): "
            "set num_classes and label_map to the checkpoint's, or take another checkpoint"
        )
    if not header.layout:
        header = dataclasses.replace(header, layout=spec.model.graph_layout)
    return _named(header, wanted)


def spec_class_names(spec: "Spec") -> tuple[str, ...]:
    """The class names that the user wrote in dataset.label_map, in order of their index; () when there are none."""
    if not any(key == "dataset.label_map" or key.startswith("dataset.label_map.") for key in spec.explicit):
        return ()
    return tuple(sorted(spec.dataset.label_map, key=spec.dataset.label_map.__getitem__))


def load_weights(model: "nn.Module", state: Mapping[str, "Tensor"], name: str) -> None:
    """`load_state_dict` with one clear line when the weights belong to another network."""
    own = model.state_dict()
    missing, foreign = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    wrong = [key for key in own.keys() & state.keys() if own[key].shape != state[key].shape]
    if missing or foreign or wrong:
        detail = (
            f"{wrong[0]} is {tuple(state[wrong[0]].shape)} there and {tuple(own[wrong[0]].shape)} here"
            if wrong
            else f"it lacks {_some(missing)}"
            if missing
            else f"it has {_some(foreign)} besides"
        )
        raise KinetagError(f"the weights in {name} do not fit this network: {detail}; check the section model")
    model.load_state_dict(state)


def _own(data: bytes, name: str) -> tuple[CheckpointHeader, dict[str, "Tensor"], Any]:
    load = _import("safetensors.torch").load
    try:
        size = int.from_bytes(data[:8], "little")
        metadata = json.loads(data[8 : 8 + size])["__metadata__"]
        text = metadata["kinetag"]
        tensors = load(data)
        packed = json.loads(metadata["training"]) if "training" in metadata else None
        training = None if packed is None else _unpack(packed, tensors)
    except Exception:  # whatever a hostile file makes of the reader
        raise KinetagError(f"{name} is no checkpoint that kinetag can read (safetensors, .pth or .ckpt)") from None
    state = {key: tensor for key, tensor in tensors.items() if not key.startswith(_TRAINING)}
    return CheckpointHeader.from_json(text, name), state, training


def _pack(value: Any, tensors: dict[str, "Tensor"], name: str = "") -> Any:
    """A nested value as JSON knows it, its tensors moved to ``tensors``."""
    if isinstance(value, dict):
        return {"dict": [[key, _pack(item, tensors, f"{name}.{key}")] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        items = [_pack(item, tensors, f"{name}.{i}") for i, item in enumerate(value)]
        return {"tuple" if isinstance(value, tuple) else "list": items}
    if hasattr(value, "detach"):
        key = _TRAINING + name.lstrip(".")
        tensors[key] = value
        return {"tensor": key}
    return {"value": value}


def _unpack(value: Any, tensors: Mapping[str, "Tensor"]) -> Any:
    ((kind, content),) = value.items()
    if kind == "dict":
        return {key: _unpack(item, tensors) for key, item in content}
    if kind in ("list", "tuple"):
        items = [_unpack(item, tensors) for item in content]
        return tuple(items) if kind == "tuple" else items
    return tensors[content] if kind == "tensor" else content


def _foreign(data: bytes, name: str) -> tuple[CheckpointHeader, dict[str, "Tensor"]]:
    """A file of torch.save: a state dict, or one inside the usual wrappings."""
    torch = _import("torch")
    try:
        with torch.serialization.safe_globals(_harmless_globals()):
            content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:
        found = re.search(r"Unsupported global: GLOBAL (\S+)", str(error))
        reason = f"it wants to run {found[1]}" if found else "it is damaged, or holds more than tensors"
        raise KinetagError(f"{name} cannot be read as plain weights: {reason}; save its state dict alone") from None
    state = _state_dict(content)
    if "A" not in state or "fcn.weight" not in state or "data_bn.weight" not in state:
        raise KinetagError(
            f"{name} holds no ST-GCN weights (A, data_bn, st_gcn_networks, fcn): it has {_some(sorted(state))}"
        )
    matrices, joints, _ = state["A"].shape
    channels = state["data_bn.weight"].numel() // joints
    if matrices not in _STRATEGIES or channels not in _CHANNELS:
        raise KinetagError(f"{name} has {matrices} adjacency matrices and {channels} channels: neither is ST-GCN's")
    return CheckpointHeader(
        model_type="ST-GCN",
        layout=_layout_of(state["A"]),
        strategy=_STRATEGIES[matrices],
        channels=_CHANNELS[channels],
        class_names=(),
        edge_importance="edge_importance.0" in state,
        classes=state["fcn.weight"].shape[0],
    ), state


def _state_dict(content: Any) -> dict[str, "Tensor"]:
    """The tensors by name, without the wrappings and prefixes of Lightning and DataParallel."""
    torch = _import("torch")
    while isinstance(content, Mapping):
        inner = next((content[k] for k in ("state_dict", "model_state_dict", "model") if k in content), None)
        if not isinstance(inner, Mapping):
            break
        content = inner
    if not isinstance(content, Mapping):
        return {}
    state = {str(k): v for k, v in content.items() if isinstance(v, torch.Tensor)}
    for prefix in ("module.", "model.", "module."):
        if any(name.startswith(prefix) for name in state):
            state = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    return state


def _layout_of(adjacency: "Tensor") -> str:
    """The layout with this adjacency, or '' when none of ours has it."""
    from kinetag import graph, skeletons

    names = getattr(skeletons, "LAYOUTS", {})
    own = adjacency.numpy()
    for name, layout in names.items():
        if len(layout.joints) != own.shape[-1]:
            continue
        try:
            built = graph.adjacency(name, _STRATEGIES[len(own)])  # pyright: ignore
        except (KinetagError, TypeError):
            continue
        if built.shape == own.shape and abs(built - own).max() < 1e-4:
            return name
    return ""


def _harmless_globals() -> list:
    """Classes that training programs store beside the weights and that hold plain data."""
    import collections
    import typing

    harmless: list = [collections.defaultdict, collections.OrderedDict, dict, list, int, float, str, typing.Any]
    try:
        from omegaconf import DictConfig, ListConfig, base, nodes
    except ImportError:
        return harmless
    kinds = ("AnyNode", "StringNode", "IntegerNode", "FloatNode", "BooleanNode", "EnumNode", "PathNode", "BytesNode")
    harmless += [DictConfig, ListConfig, base.ContainerMetadata, base.Metadata]
    return harmless + [getattr(nodes, kind) for kind in kinds if hasattr(nodes, kind)]


def _named(header: CheckpointHeader, names: tuple[str, ...]) -> CheckpointHeader:
    names = header.class_names or names or tuple(f"class_{i}" for i in range(header.classes))
    return dataclasses.replace(header, class_names=names)


def _some(names: Any, most: int = 4) -> str:
    names = [str(n) for n in names]
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "") if names else "nothing"


def _import(module: str) -> Any:
    from importlib import import_module

    try:
        return import_module(module)
    except ImportError:
        raise missing_extra(module.split(".")[0], "train", "reading and writing checkpoints") from None
