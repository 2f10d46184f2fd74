"""A trained network ready to answer, whatever it is kept in: a checkpoint, an exported ONNX file, a TensorRT engine."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kinetag.cores import core_count
from kinetag.encryption import read_file
from kinetag.errors import KinetagError, missing_extra
from kinetag.models.card import ModelCard, card_of
from kinetag.models.onnx_export import INPUT
from kinetag.models.onnx_file import card_in, check_inputs, open_session

if TYPE_CHECKING:
    from kinetag.checkpoint import CheckpointHeader
    from kinetag.spec import Spec

Network = Callable[[np.ndarray], np.ndarray]  # clips (N, C, T, V, M) float32 -> logits (N, classes)

_AHEAD = 2  # batches under way on each device, so that it never waits for the next


@dataclass(frozen=True)
class Predictor:
    """One network on one or more devices. ``name`` is for messages."""

    name: str
    card: ModelCard
    networks: Sequence[Network]  # one a device

    def logits(self, batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Logits (N, classes) of each batch (N, C, T, V, M), in order. The devices take turns."""
        with ExitStack() as stack:
            pools = [stack.enter_context(ThreadPoolExecutor(1)) for _ in self.networks]
            waiting: deque[Future[np.ndarray]] = deque()
            try:
                for i, batch in enumerate(batches):
                    device = i % len(pools)
                    waiting.append(pools[device].submit(self.networks[device], batch))
                    if len(waiting) >= _AHEAD * len(pools):
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()


def open_predictor(spec: "Spec", action: str) -> Predictor:
    """The network that ``evaluate`` or ``inference`` of a spec names, on the devices that it names.

    ``checkpoint`` is a checkpoint or an exported .onnx file, ``trt_engine`` a TensorRT engine in its place.
    """
    part = getattr(spec, action)
    if part.trt_engine:
        return _open_engine(spec, action)
    path, secret = Path(part.checkpoint), spec.secret()
    if path.is_dir():
        raise KinetagError(f"{action}.checkpoint={path} is a folder: name the file in it")
    if path.suffix.lower() == ".onnx":
        data = read_file(path, secret)
        return _open_onnx(data, str(path), spec, part)
    return _open_checkpoint(path, spec, part, secret)


def _open_onnx(data: bytes, name: str, spec: "Spec", part: Any) -> Predictor:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        sessions = [
            open_session(data, name, providers=[("CUDAExecutionProvider", {"device_id": i}), "CPUExecutionProvider"])
            for i in part.gpu_ids
        ]
    else:
        sessions = [open_session(data, name, threads=_threads(part)) for _ in range(part.num_gpus)]
    card = card_in(sessions[0], name)
    if card.kind != "clips":
        raise KinetagError(
            f"{name} takes windows of kinetag's own features, not clips: give a model that `kinetag train` made"
        )
    check_inputs(sessions[0], card, name)
    _check_spec(card, spec, name)
    return Predictor(name, card, [_session_network(session) for session in sessions])


def _open_checkpoint(path: Path, spec: "Spec", part: Any, secret: str | None) -> Predictor:
    try:
        import torch
    except ImportError:
        raise missing_extra("torch", "train", f"running the checkpoint {path}") from None
    from copy import deepcopy

    from kinetag.checkpoint import build_from_checkpoint

    model, header = build_from_checkpoint(path, spec=spec, secret=secret)
    model = model.fold().eval()  # pyright: ignore[reportCallIssue]
    card = card_for(header, spec)
    _check_spec(card, spec, str(path))
    if not torch.cuda.is_available():
        return Predictor(str(path), card, [_torch_network(model, "cpu") for _ in range(part.num_gpus)])
    missing = [i for i in part.gpu_ids if i >= torch.cuda.device_count()]
    if missing:
        raise KinetagError(
            f"gpu_ids names card {missing[0]}, but this machine has {torch.cuda.device_count()}, from 0 up"
        )
    devices = [f"cuda:{i}" for i in part.gpu_ids]
    return Predictor(str(path), card, [_torch_network(deepcopy(model).to(device), device) for device in devices])


def card_for(header: "CheckpointHeader", spec: "Spec") -> ModelCard:
    """The card of a checkpoint; a window that the user wrote wins over the one it was trained with."""
    if "dataset.window_size" not in spec.explicit:
        return card_of(header)
    return card_of(header, window=spec.dataset.window_size if spec.dataset.window_size > 0 else None)


def _open_engine(spec: "Spec", action: str) -> Predictor:
    """A TensorRT engine through onnxruntime's TensorRT provider; an .onnx file is built into one on the spot."""
    import onnxruntime

    part = getattr(spec, action)
    path = Path(part.trt_engine)
    if not path.is_file():
        raise KinetagError(f"{action}.trt_engine={path} does not exist")
    if "TensorrtExecutionProvider" not in onnxruntime.get_available_providers():
        raise KinetagError(
            f"{action}.trt_engine={path} needs an NVIDIA card and an onnxruntime with TensorRT, and this one has only "
            f"{', '.join(onnxruntime.get_available_providers())}: pip install onnxruntime-gpu tensorrt, or set "
            f"{action}.checkpoint to the .onnx file"
        )
    data, card = read_file(path, spec.secret()), None
    if path.suffix.lower() != ".onnx":
        card = _card_of_spec(spec)
        data = engine_as_onnx(data, card)
    sessions = [
        open_session(data, str(path), providers=[("TensorrtExecutionProvider", {"device_id": i})]) for i in part.gpu_ids
    ]
    card = card or card_in(sessions[0], str(path))
    return Predictor(str(path), card, [_session_network(session) for session in sessions])


def engine_as_onnx(engine: bytes, card: ModelCard) -> bytes:
    """A TensorRT engine wrapped as the ONNX file that onnxruntime's TensorRT provider loads: one EPContext node."""
    try:
        from onnx import TensorProto, helper
    except ImportError:
        raise missing_extra("onnx", "train", "loading a TensorRT engine") from None
    from kinetag.models.onnx_export import OUTPUT
    from kinetag.skeletons import get_layout

    shape = ["clips", len(card.channels), card.window or "frames", len(get_layout(card.layout)), card.people]
    node = helper.make_node(
        "EPContext", [INPUT], [OUTPUT], name="engine", domain="com.microsoft", main_context=1, embed_mode=1,
        ep_cache_context=engine, source="TensorrtExecutionProvider",
    )  # fmt: skip
    graph = helper.make_graph(
        [node],
        "engine",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["clips", len(card.labels)])],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def _card_of_spec(spec: "Spec") -> ModelCard:
    """What the spec says of an engine, which says nothing of itself."""
    from kinetag.datasets import class_names_of
    from kinetag.datasets.arrays import guess_channels

    window = spec.dataset.window_size
    return ModelCard(
        kind="clips",
        labels=class_names_of(spec.dataset),
        layout=spec.model.graph_layout,
        channels=guess_channels(spec.model.input_channels, spec.model.graph_layout, True),
        window=window if window > 0 else None,
        rate=None,
        coordinates="array",
    )


def _check_spec(card: ModelCard, spec: "Spec", name: str) -> None:
    """Where the user wrote something about the model, the file must agree."""
    if "model.graph_layout" in spec.explicit and spec.model.graph_layout != card.layout:
        raise KinetagError(
            f"model.graph_layout is '{spec.model.graph_layout}', but {name} was trained on '{card.layout}': "
            "leave it out, or set it to that"
        )
    if "model.input_channels" in spec.explicit and spec.model.input_channels != len(card.channels):
        raise KinetagError(
            f"model.input_channels is {spec.model.input_channels}, but {name} was trained on {len(card.channels)} "
            f"({', '.join(card.channels)}): leave it out, or set it to that"
        )
    if "dataset.num_classes" in spec.explicit and spec.dataset.num_classes != len(card.labels):
        raise KinetagError(
            f"dataset.num_classes is {spec.dataset.num_classes}, but {name} tells {len(card.labels)} classes apart "
            f"({', '.join(card.labels[:5])}): leave it out, or take another model"
        )
    wanted = tuple(sorted(spec.dataset.label_map, key=spec.dataset.label_map.__getitem__))
    if "dataset.label_map" in spec.explicit and wanted and wanted != card.labels:
        raise KinetagError(
            f"dataset.label_map names the classes {', '.join(wanted[:5])}, but {name} was trained on "
            f"{', '.join(card.labels[:5])} ({len(wanted)} and {len(card.labels)}): leave it out, or take another model"
        )


def _threads(part: Any) -> int:
    """Threads for each of the sessions that share the processor."""
    return max(1, core_count() // part.num_gpus)


def _session_network(session: Any) -> Network:
    def run(batch: np.ndarray) -> np.ndarray:
        return session.run(None, {INPUT: np.ascontiguousarray(batch, np.float32)})[0]

    return run


def _torch_network(model: Any, device: str) -> Network:
    import torch

    def run(batch: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return model(torch.from_numpy(np.ascontiguousarray(batch, np.float32)).to(device)).float().cpu().numpy()

    return run
