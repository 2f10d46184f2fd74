"""The classifier's ONNX file: the network, and as metadata everything needed to use it rightly."""

import json
import os
import tempfile
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from kinetag.errors import KinetagError, missing_extra
from kinetag.features import CHANNELS, LAYOUT, RATE, WINDOW

_KEY = "kinetag"  # the metadata entry, one JSON object


@dataclass(frozen=True)
class ModelCard:
    """What a classifier file says of itself. ``window`` is frames, ``rate`` frames a second.

    Probabilities are softmax((logits + other_bias for 'other') / temperature).
    """

    labels: tuple[str, ...]
    layout: str = LAYOUT
    window: int = WINDOW
    rate: float = RATE
    channels: tuple[str, ...] = CHANNELS
    temperature: float = 1.0
    other_bias: float = 0.0
    version: str = "1"
    data: str = ""
    licence: str = ""
    training: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_metadata(cls, metadata: dict[str, str], path: Path) -> "ModelCard":
        """Read the card from an ONNX file's metadata; a file without one raises a KinetagError."""
        if _KEY not in metadata:
            raise KinetagError(
                f"{path} is an ONNX file without kinetag's metadata (labels, layout, window, rate); "
                "export it with kinetag.training, or give the classifier that came with kinetag"
            )
        try:
            values = json.loads(metadata[_KEY])
            known: dict[str, Any] = {f.name: values[f.name] for f in fields(cls) if f.name in values}
            known |= {"labels": tuple(values["labels"]), "channels": tuple(values["channels"])}
            card = cls(**known)
            if not (card.temperature > 0 and card.rate > 0 and card.window > 0):
                raise ValueError("temperature, rate and window must be positive")
            return card
        except (ValueError, KeyError, TypeError) as error:
            raise KinetagError(f"the kinetag metadata of {path} cannot be read ({error!r}); export it again") from None


def export_onnx(model: Any, path: Path, card: ModelCard, *, tolerance: float = 1e-3) -> None:
    """Write a torch network (features, mask) -> logits as ONNX, and check that onnxruntime agrees with torch."""
    import torch

    model = model.eval()
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
            output_names=["logits"],
            dynamic_shapes=({0: windows}, {0: windows}),
            external_data=False,
            dynamo=True,
            verbose=False,
        )
        write_card(draft, card)
        with torch.no_grad():
            expected = model(features, mask).numpy()
        difference = float(abs(_run(draft, features.numpy(), mask.numpy()) - expected).max())
        if not difference <= tolerance:
            raise KinetagError(f"the exported {path.name} differs from torch by {difference:.2g}; it was not written")
        os.replace(draft, path)


def write_card(path: Path, card: ModelCard) -> None:
    """Put the card into an ONNX file, in place of the one it has."""
    try:
        import onnx
    except ImportError:
        raise missing_extra("onnx", "train", "writing an ONNX file") from None
    proto = onnx.load(str(path))
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, {_KEY: card.to_json()})
    onnx.checker.check_model(proto)
    draft = path.with_suffix(".draft")
    onnx.save(proto, str(draft))
    os.replace(draft, path)


def _joints(card: ModelCard) -> int:
    from kinetag.skeletons import get_layout

    return len(get_layout(card.layout))


def _run(path: Path, features: Any, mask: Any) -> Any:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {"features": features, "mask": mask})[0]
