"""Classifiers as ONNX files: opening any, and writing the shipped one."""

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from kinetag.errors import KinetagError, missing_extra
from kinetag.metrics import softmax
from kinetag.models.card import METADATA_KEY, ModelCard
from kinetag.models.onnx_export import import_onnx
from kinetag.whole_file import whole_file

_LARGE = 256  # numbers from which on a weight is worth keeping in 16 bits
CPU = ("CPUExecutionProvider",)
OUTPUTS = ("logits", "variants", "frames", "embedding", "progress")  # of the shipped one; see models/multi_branch.py
VARIANTS = OUTPUTS[1]
EMBEDDING = OUTPUTS[3]  # what the last layer decides by: teaching works on it
PROGRESS = OUTPUTS[4]  # how far into a repetition each frame is: counting works on it


def open_session(model: bytes, name: str, *, providers: Sequence[Any] = CPU, threads: int = 1) -> Any:
    """An onnxruntime session of a model in memory; a KinetagError with ``name`` for bytes that are none."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(model, options, providers=list(providers))
    except Exception as error:  # onnxruntime raises many types of its own
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise KinetagError(f"{name} cannot be read as an ONNX file ({first})") from None


def card_in(session: Any, name: str) -> ModelCard:
    """The card in a session's metadata; a KinetagError with ``name`` when there is none."""
    return ModelCard.from_metadata(session.get_modelmeta().custom_metadata_map, name)


def check_inputs(session: Any, card: ModelCard, name: str) -> None:
    """A network that takes or gives something else than its card says raises a KinetagError."""
    wanted = _inputs(card)
    found = {value.name: tuple(value.shape) for value in session.get_inputs()}
    for key, shape in wanted.items():
        sizes = found.get(key, ())
        fits = len(sizes) == len(shape) and all(
            not isinstance(size, int) or known in (None, size) for size, known in zip(sizes, shape, strict=True)
        )
        if not fits or len(found) != len(wanted):
            raise KinetagError(
                f"{name} does not take what its metadata say: {key} {_shown(shape)}, but {_shown_all(found)}; "
                "export it again"
            )
    classes = session.get_outputs()[0].shape[-1]
    if isinstance(classes, int) and classes != len(card.labels):
        raise KinetagError(f"{name} has {classes} outputs, but its metadata name {len(card.labels)} labels")


def _inputs(card: ModelCard) -> dict[str, tuple[int | None, ...]]:
    """The network's inputs by name and shape; None is any size."""
    joints = _joints(card)
    if card.kind == "clips":
        return {"input": (None, len(card.channels), None, joints, card.people)}
    return {"features": (None, card.window, joints, len(card.channels)), "mask": (None, card.window)}


def _shown(shape: Sequence[Any]) -> str:
    return "(" + ", ".join("any" if size is None else str(size) for size in shape) + ")"


def _shown_all(inputs: Mapping[str, Sequence[Any]]) -> str:
    return " and ".join(f"{key} {_shown(shape)}" for key, shape in inputs.items())


def export_onnx(model: Any, path: Path, card: ModelCard, *, tolerance: float = 1e-3) -> None:
    """Write a torch network (features, mask) -> `OUTPUTS` as ONNX, and check that onnxruntime agrees with torch."""
    import torch

    model = model.eval()
    assert card.window is not None
    features = torch.randn(3, card.window, _joints(card), len(card.channels))
    mask = torch.ones(3, card.window, dtype=torch.bool)
    mask[1, 30:] = False
    windows = torch.export.Dim("windows", min=1)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        draft = Path(folder) / path.name
        torch.onnx.export(
            model,
            (features, mask),
            str(draft),
            input_names=["features", "mask"],
            output_names=list(OUTPUTS),
            dynamic_shapes=({0: windows}, {0: windows}),
            external_data=False,
            dynamo=True,
            verbose=False,
        )
        write_card(draft, card)
        with torch.no_grad():
            expected = [output.numpy() for output in model(features, mask)]
        found = _run(draft, features.numpy(), mask.numpy())
        difference = max(float(abs(a - b).max()) for a, b in zip(found, expected, strict=True))
        if not difference <= tolerance:
            raise KinetagError(f"the exported {path.name} differs from torch by {difference:.2g}; it was not written")
        os.replace(draft, path)


def write_int8(path: Path, target: Path) -> None:
    """A quarter of the size and faster: the same network with 8-bit weights, products taken in 8 bits.

    Dynamic quantisation (onnxruntime): ranges of what flows through are those of each window. The sum over a class's
    variants stays as it is, since its terms span many powers of ten.
    """
    try:
        import onnx
        from onnxruntime.quantization import QuantType, quantize_dynamic
        from onnxruntime.quantization.shape_inference import quant_pre_process
    except ImportError:
        raise missing_extra("onnx", "train", "writing an ONNX file") from None
    card = card_in(open_session(path.read_bytes(), path.name), path.name)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        ready, small = Path(folder) / "ready.onnx", Path(folder) / target.name
        quant_pre_process(str(path), str(ready), skip_symbolic_shape=True)  # merges batch norms
        sums = [node.name for node in onnx.load(str(ready)).graph.node if "belongs" in node.input]
        quantize_dynamic(str(ready), str(small), weight_type=QuantType.QInt8, per_channel=True, nodes_to_exclude=sums)
        write_card(small, replace(card, precision="int8"))
        os.replace(small, target)


def halve_weights(path: Path, *, tolerance: float = 0.01) -> None:
    """Half of the size, and the same network but for rounding: weights are kept in 16 bits.

    Loading makes them 32 again, in which everything is computed. Raises KinetagError, and leaves the file as it was,
    when probabilities of random windows change by more than ``tolerance``.
    """
    onnx = import_onnx()
    proto = onnx.load(str(path))
    made = []
    for tensor in proto.graph.initializer:
        name, values = tensor.name, onnx.numpy_helper.to_array(tensor)
        if tensor.data_type == onnx.TensorProto.FLOAT and values.size >= _LARGE:
            tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
            made.append(onnx.helper.make_node("Cast", [f"{name}_half"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*made, *proto.graph.node]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    del proto.graph.value_info[:]  # told of the weights as they were
    card = card_in(open_session(path.read_bytes(), path.name), path.name)
    rng = np.random.default_rng(0)
    shape = (16, card.window or 0, _joints(card), len(card.channels))
    windows = rng.standard_normal(shape).astype(np.float32), np.ones(shape[:2], bool)
    with whole_file(path) as draft:
        onnx.save(proto, str(draft))
        before, after = (softmax(_run(file, *windows)[0]) for file in (path, draft))
        if not (difference := float(np.abs(after - before).max())) <= tolerance:
            raise KinetagError(f"in 16 bits, {path.name} gives probabilities that differ by {difference:.2g}")


def write_card(path: Path, card: ModelCard) -> None:
    """Put the card into an ONNX file, in place of the one it has."""
    onnx = import_onnx()
    proto = onnx.load(str(path))
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, {METADATA_KEY: card.to_json()})
    onnx.checker.check_model(proto)
    with whole_file(path) as draft:
        onnx.save(proto, str(draft))


def _joints(card: ModelCard) -> int:
    from kinetag.skeletons import get_layout

    return len(get_layout(card.layout))


def _run(path: Path, features: Any, mask: Any) -> list[Any]:
    return open_session(path.read_bytes(), path.name).run(None, {"features": features, "mask": mask})
