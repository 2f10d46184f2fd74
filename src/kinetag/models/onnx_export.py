"""A trained network as ONNX: clips `input` (N, C, T, V, M) -> logits `fc_pred` (N, classes), in fp32, fp16 or int8.

N is always open, and T where the network takes any. Everything happens in memory; `kinetag.actions.export` checks the
result against PyTorch and writes it.
"""

import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kinetag.errors import KinetagError, missing_extra

if TYPE_CHECKING:
    from onnx import ModelProto
    from torch import nn

INPUT, OUTPUT = "input", "fc_pred"
FIRST_DYNAMO_OPSET = 18  # PyTorch's newer exporter starts here; what is older comes from the older one
_HEAVY = ["Conv", "MatMul", "Gemm"]  # where the work is; all else stays in float32


def to_onnx(model: "nn.Module", shape: Sequence[int], *, opset: int, any_length: bool = True) -> "ModelProto":
    """The network as an ONNX graph, traced with clips of ``shape`` (C, T, V, M).

    With ``any_length`` T stays open. Raises KinetagError when PyTorch cannot write the network that way.
    """
    import torch

    onnx = import_onnx()
    clips = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    open_axes = {0: "clips", 2: "frames"} if any_length else {0: "clips"}
    with tempfile.TemporaryDirectory(prefix="kinetag_") as folder, _quiet():
        path = str(Path(folder) / "draft.onnx")
        names: dict[str, Any] = {"input_names": [INPUT], "output_names": [OUTPUT], "opset_version": opset}
        try:
            if opset < FIRST_DYNAMO_OPSET:
                axes = {INPUT: open_axes, OUTPUT: {0: "clips"}}
                torch.onnx.export(model, (clips,), path, dynamo=False, dynamic_axes=axes, **names)
            else:
                dims = {axis: torch.export.Dim(name, min=1 if axis == 0 else 4) for axis, name in open_axes.items()}
                torch.onnx.export(
                    model, (clips,), path, dynamo=True, dynamic_shapes=(dims,), external_data=False, verbose=False,
                    **names,
                )  # fmt: skip
        except Exception as error:  # the exporters raise many types of their own
            reason = str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
            raise KinetagError(f"PyTorch cannot write this network as ONNX with opset {opset}: {reason}") from None
        proto = onnx.load(path)
    written = proto.opset_import[0].version
    if written != opset:
        raise KinetagError(f"PyTorch writes this network with opset {written}, not {opset}: set export.opset={written}")
    del proto.metadata_props[:]
    proto.producer_name = "kinetag"
    return proto


def to_fp16(proto: "ModelProto") -> "ModelProto":
    """The same graph with its weights, and the convolutions and products with them, in float16.

    All else stays in float32, as in PyTorch's autocast: centring pixels, batch norms, softmax and sums over time need
    the range or the digits. Input and output are float32.
    """
    onnx = import_onnx()
    half, single = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    graph = proto.graph
    _constants_to_weights(graph)
    weights = {tensor.name: tensor for tensor in graph.initializer if _is_weight(tensor)}
    for tensor in weights.values():
        small = onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor).astype(np.float16), tensor.name)
        tensor.CopyFrom(small)
    nodes: list[Any] = []
    cast: dict[tuple[str, int], str] = {}  # (value, type) -> the value in that type

    def as_type(value: str, kind: int) -> str:
        if (value, kind) not in cast:
            cast[value, kind] = f"{value}_{'half' if kind == half else 'single'}"
            nodes.append(onnx.helper.make_node("Cast", [value], [cast[value, kind]], name=cast[value, kind], to=kind))
        return cast[value, kind]

    for node in graph.node:
        heavy = node.op_type in _HEAVY and any(name in weights for name in node.input)
        for i, name in enumerate(node.input):
            if name and heavy != (name in weights):
                node.input[i] = as_type(name, half if heavy else single)
        nodes.append(node)
        if heavy:
            output = node.output[0]
            node.output[0] = f"{output}_from_half"
            nodes.append(onnx.helper.make_node("Cast", [node.output[0]], [output], name=f"{output}_single", to=single))
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.value_info[:]  # told of float32 throughout
    return proto


def to_int8(proto: "ModelProto", batches: Sequence[np.ndarray]) -> "ModelProto":
    """The same graph with 8-bit weights (one scale a channel) and activations whose range ``batches`` showed.

    Static quantisation in QDQ form (Jacob et al., CVPR 2018), which every onnxruntime provider reads. ``batches`` are
    clips (N, C, T, V, M) as the network takes them. The first layer stays in float32: coordinates need its digits.
    """
    onnx = import_onnx()
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    if not batches:
        raise KinetagError("int8 needs clips to fit its ranges to: set export.calibration_dataset.data_path")
    with tempfile.TemporaryDirectory(prefix="kinetag_") as folder, _quiet():
        draft, ready, small = (Path(folder) / name for name in ("draft.onnx", "ready.onnx", "small.onnx"))
        onnx.save(proto, str(draft))
        quant_pre_process(str(draft), str(ready), skip_symbolic_shape=True)  # merges batch norms
        quantize_static(
            str(ready),
            str(small),
            _Feed(batches),  # pyright: ignore[reportArgumentType] - it wants its own base class
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=_HEAVY,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=entrance(onnx.load(str(ready))),
            reduce_range=True,  # 7 bits: with 8 the sums overflow on processors without VNNI
            calibrate_method=CalibrationMethod.MinMax,
        )
        return onnx.load(str(small))


def entrance(proto: "ModelProto") -> list[str]:
    """Names of the nodes up to and with the first convolution or product with weights on every way from the input."""
    _constants_to_weights(proto.graph)
    weights = {tensor.name for tensor in proto.graph.initializer if _is_weight(tensor)}
    behind: set[str] = set()  # values that depend on weights
    names = []
    for node in proto.graph.node:
        after = any(name in behind for name in node.input)
        heavy = node.op_type in _HEAVY and any(name in weights for name in node.input)
        if not after:
            names.append(node.name)
        if heavy or after:
            behind.update(node.output)
    return names


def import_onnx() -> Any:
    try:
        import onnx
    except ImportError:
        raise missing_extra("onnx", "train", "writing an ONNX file") from None
    return onnx


def _is_weight(tensor: Any) -> bool:
    """A float matrix that is large enough to be a weight rather than a scale."""
    return tensor.data_type == import_onnx().TensorProto.FLOAT and len(tensor.dims) >= 2 and np.prod(tensor.dims) > 64


def _constants_to_weights(graph: Any) -> None:
    """Make initializers of the weights that the exporter wrote as Constant nodes."""
    kept = []
    for node in graph.node:
        value = next((a.t for a in node.attribute if a.name == "value"), None)
        if node.op_type == "Constant" and value is not None and _is_weight(value):
            value.name = node.output[0]
            graph.initializer.append(value)
        else:
            kept.append(node)
    if len(kept) < len(graph.node):
        del graph.node[:]
        graph.node.extend(kept)


class _Feed:
    """What onnxruntime's calibration reads: one batch after the other, then None."""

    def __init__(self, batches: Sequence[np.ndarray]) -> None:
        self.batches = list(batches)
        self.rewind()

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self._rest, None)
        return None if batch is None else {INPUT: np.ascontiguousarray(batch, np.float32)}

    def rewind(self) -> None:
        self._rest = iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


@contextmanager
def _quiet() -> Iterator[None]:
    """Exporters and quantiser talk about themselves; what matters is checked by their result."""
    loggers = [logging.getLogger(name) for name in ("", "torch.onnx", "onnxruntime")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
