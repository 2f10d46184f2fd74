"""What the ONNX networks that users bring have in common: loading, running, placing a picture, removing duplicates."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime as ort

from kinetag.errors import KinetagError

PADDING = 114  # the grey that YOLOX and all that follow it are trained with
# ImageNet's mean and standard deviation of R, G, B: OpenMMLab's convention.
MEAN = np.array([123.675, 116.28, 103.53], np.float32)
STD = np.array([58.395, 57.12, 57.375], np.float32)
_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}


class Model:
    """An ONNX network with one picture as its input, (N, 3, height, width)."""

    def __init__(self, path: str | Path, *, default_size: tuple[int, int]) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise KinetagError(f"no such file: {self.path}")
        self._session = _load(self.path)
        inputs = self._session.get_inputs()
        shape = list(inputs[0].shape)
        if len(inputs) != 1 or len(shape) != 4 or shape[1] != 3 or inputs[0].type not in _TYPES:
            raise self.misfit("its input must be one picture of shape (N, 3, height, width)")
        self._name, self._type = inputs[0].name, _TYPES[inputs[0].type]
        self.batches = not isinstance(shape[0], int)
        width, height = default_size  # for a network that takes any size
        self.width = shape[3] if isinstance(shape[3], int) else width
        self.height = shape[2] if isinstance(shape[2], int) else height

    def __call__(self, pictures: np.ndarray) -> list[np.ndarray]:
        """(N, 3, height, width) -> the network's outputs; pictures go in one at a time if the network asks for it."""
        runs = [pictures] if self.batches else [picture[None] for picture in pictures]
        try:
            outputs = [self._session.run(None, {self._name: run.astype(self._type)}) for run in runs]
        except Exception as error:  # ONNX Runtime raises a class of its own for every fault
            raise KinetagError(f"{self.path}: the network fails ({_first_line(error)})") from None
        arrays = [
            [np.atleast_1d(np.asarray(part, np.float32)) for part in parts] for parts in zip(*outputs, strict=True)
        ]
        return [parts[0] if len(parts) == 1 else np.concatenate(parts) for parts in arrays]

    def probe(self) -> list[np.ndarray]:
        """Outputs for one black picture: their true shapes, where the file only has symbols."""
        return self(np.zeros((1, 3, self.height, self.width), np.float32))

    def output_names(self) -> list[str]:
        return [output.name for output in self._session.get_outputs()]

    def misfit(self, why: str) -> KinetagError:
        """The error for a network of another kind, which says what was found in it."""
        inputs = ", ".join(f"{i.name} {_shape(i.shape)}" for i in self._session.get_inputs())
        outputs = ", ".join(f"{o.name} {_shape(o.shape)}" for o in self._session.get_outputs())
        return KinetagError(f"{self.path}: {why}; found inputs: {inputs}; outputs: {outputs}")


def place(
    image: np.ndarray, scale: float, offset: tuple[float, float], size: tuple[int, int], border: int
) -> np.ndarray:
    """The picture point x goes to scale * x + offset in a picture of ``size`` (width, height), float32 (H, W, 3)."""
    matrix = np.array([[scale, 0, offset[0]], [0, scale, offset[1]]], np.float64)
    placed = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR, borderValue=(border,) * 3)
    return placed.astype(np.float32)


def letterbox(image: np.ndarray, model: Model) -> tuple[np.ndarray, float]:
    """The whole picture at the upper left of the network's input, and its scale."""
    scale = min(model.width / image.shape[1], model.height / image.shape[0])
    return place(image, scale, (0, 0), (model.width, model.height), PADDING), scale


def channels_first(image: np.ndarray, *, bgr: bool) -> np.ndarray:
    """(H, W, 3) -> (3, H, W)."""
    return np.ascontiguousarray((image[..., ::-1] if bgr else image).transpose(2, 0, 1))


def suppress(boxes: np.ndarray, scores: np.ndarray, overlap: float) -> list[int]:
    """Non-maximum suppression: indices of boxes (N, 4: x1, y1, x2, y2) to keep, best first."""
    areas = np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 0), axis=1)
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(order):
        best, order = int(order[0]), order[1:]
        kept.append(best)
        inner = np.minimum(boxes[best, 2:], boxes[order, 2:]) - np.maximum(boxes[best, :2], boxes[order, :2])
        shared = np.prod(np.maximum(inner, 0), axis=1)
        union = areas[best] + areas[order] - shared
        order = order[shared <= overlap * np.maximum(union, 1e-9)]
    return kept


def _load(path: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
    providers = [name for name in wanted if name in ort.get_available_providers()]
    try:
        return ort.InferenceSession(str(path), options, providers=providers)
    except Exception as error:
        raise KinetagError(f"{path}: not an ONNX file that can be run ({_first_line(error)})") from None


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]


def _shape(shape: list[Any]) -> str:
    return "(" + ", ".join("?" if side is None else str(side) for side in shape) + ")"
