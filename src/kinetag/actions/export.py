"""A trained classifier as an ONNX file that says of itself how it is to be used, checked before it is written."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kinetag import metrics
from kinetag.datasets.batches import batches, load_for, usual_length
from kinetag.encryption import write_file
from kinetag.errors import KinetagError, missing_extra
from kinetag.models import onnx_export
from kinetag.models.card import METADATA_KEY, ModelCard
from kinetag.models.onnx_file import open_session
from kinetag.predictor import card_for
from kinetag.progress import Progress, silent
from kinetag.status import Status
from kinetag.storage import stored
from kinetag.timeline import OTHER

if TYPE_CHECKING:
    from onnx import ModelProto
    from torch import nn

    from kinetag.datasets.clips import Clips
    from kinetag.spec import Spec

# Largest difference of a logit from PyTorch's, as a share of the largest logit (at least 1), that is still the same
# network. What int8 costs is measured on
# clips instead, and only an answer that has nothing to do with the original's is refused.
TOLERANCE = {"fp32": 1e-4, "fp16": 2e-2}
_LEAST_AGREEMENT = 0.7
_CALIBRATION_CLIPS = 256
_LENGTH = 100  # frames to trace with when nothing is known of the clips
_SEED = 0


@dataclass(frozen=True)
class Exported:
    """The file written, and how its answers compare with PyTorch's. Accuracies are given where there are labels."""

    onnx_file: Path | str  # an address where it was put into a store
    megabytes: float
    precision: str
    opset: int
    any_length: bool  # whether the number of frames is open
    encrypted: bool
    largest_difference: float  # of a logit from PyTorch's, as a share of the largest
    same_class: float  # share of clips that get the same class
    accuracy: float | None = None  # of the file
    accuracy_before: float | None = None  # of the network in PyTorch
    fit_for_analyze: str = "yes"  # whether `kinetag analyze --model` can use it, or why not
    card: ModelCard | None = field(default=None, repr=False)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Comparison:
    largest_difference: float
    same_class: float
    accuracy: float | None = None
    accuracy_before: float | None = None


@stored("export")
def export(spec: "Spec", *, progress: Progress = silent) -> Exported:
    """Write ``export.checkpoint`` as ONNX: input (N, C, T, V, M) -> fc_pred (N, classes).

    The network is folded, the file's answers are compared with PyTorch's, and only then it is put in place; encrypted
    when there is an encryption key. A file that is there is replaced only with ``export.force``.
    """
    folder = spec.results_folder("export")
    with Status(folder, "export", secret=spec.secret(), shown=spec.shown) as status:
        path = _target(spec)
        progress("Reading the checkpoint", 0, 4)
        model, card = _network(spec)
        clips = _clips(spec, card)
        card = _completed(card, spec, clips)
        progress("Writing ONNX", 1, 4)
        proto, card = _graph(model, card, spec.export.opset)
        progress(f"Converting to {spec.export.precision}", 2, 4)
        proto = _converted(proto, spec.export.precision, clips, card)
        card = replace(card, precision=spec.export.precision)
        data = _with_card(proto, card)
        progress("Comparing with PyTorch", 3, 4)
        found = _compared(model, data, _trials(clips, card), card, clips)
        write_file(path, data, spec.secret())
        progress("Done", 4, 4)
        result = Exported(
            onnx_file=path,
            megabytes=round(len(data) / 1e6, 3),
            precision=card.precision,
            opset=spec.export.opset,
            any_length=card.any_length,
            encrypted=spec.secret() is not None,
            fit_for_analyze=card.why_not_live() or "yes",
            card=card,
            largest_difference=found.largest_difference,
            same_class=found.same_class,
            accuracy=found.accuracy,
            accuracy_before=found.accuracy_before,
            warnings=_warnings(card),
        )
        status.running(_message(result), kpi=vars(found))
        for warning in result.warnings:
            status.running(warning, verbosity="WARNING")
    return result


def _target(spec: "Spec") -> Path:
    """Where the file goes: beside the checkpoint when the spec says nothing."""
    spec.require("export.checkpoint")
    checkpoint = Path(spec.export.checkpoint)
    path = Path(spec.export.onnx_file) if spec.export.onnx_file else checkpoint.with_suffix(".onnx")
    if path.is_dir():
        path = path / checkpoint.with_suffix(".onnx").name
    if path.exists() and not spec.export.force:
        raise KinetagError(f"{path} exists: set export.force=true (or --force) to replace it, or export.onnx_file")
    return path


def _network(spec: "Spec") -> tuple["nn.Module", ModelCard]:
    try:
        import torch  # noqa: F401
    except ImportError:
        raise missing_extra("torch", "train", "exporting a checkpoint") from None
    from kinetag.checkpoint import build_from_checkpoint

    checkpoint = Path(spec.export.checkpoint)
    if checkpoint.suffix.lower() == ".onnx":
        raise KinetagError(f"export.checkpoint={checkpoint} is an ONNX file already: name the checkpoint it came from")
    model, header = build_from_checkpoint(checkpoint, spec=spec, secret=spec.secret())
    return model.fold().eval(), card_for(header, spec)  # pyright: ignore[reportCallIssue]


def _clips(spec: "Spec", card: ModelCard) -> "Clips | None":
    """Clips to calibrate and compare with: export.calibration_dataset, else the validation or training data.

    Only int8 cannot do without; a data set of the spec that is not on this machine is then no reason to stop.
    """
    sources = [
        ("export.calibration_dataset", spec.export.calibration_dataset, "train"),
        ("dataset.val_dataset", spec.dataset.val_dataset, "val"),
        ("dataset.train_dataset", spec.dataset.train_dataset, "train"),
    ]
    reasons = []
    for key, source, role in sources:
        if not source.data_path:
            continue
        try:
            return load_for(card, spec, source, role=role, need_labels=bool(source.label_path), section=key)[0]
        except KinetagError as error:
            if key.startswith("export."):
                raise
            reasons.append(f"{key}: {error}")
    if spec.export.precision == "int8":
        why = f" ({reasons[0]})" if reasons else ""
        raise KinetagError(f"int8 is fitted to clips: set export.calibration_dataset.data_path{why}")
    return None


def _completed(card: ModelCard, spec: "Spec", clips: "Clips | None") -> ModelCard:
    """The card with what the spec states and the data show, where the checkpoint leaves it open."""
    from kinetag.graph import get_graph

    known: dict[str, Any] = {"people": get_graph(card.layout).people}
    if clips is not None:
        known |= {"people": int(clips.arrays[0].shape[3]), "length": card.length or usual_length(clips)}
        known["rate"] = card.rate or clips.rate
        if card.coordinates == "array":
            known["coordinates"] = clips.coordinates
    if known.get("rate", card.rate) is None and "dataset.rate" in spec.explicit:
        known["rate"] = spec.dataset.rate
    if known.get("coordinates", card.coordinates) == "array" and spec.dataset.coordinates != "auto":
        known["coordinates"] = spec.dataset.coordinates
    return replace(card, **known)


def _graph(model: "nn.Module", card: ModelCard, opset: int) -> tuple["ModelProto", ModelCard]:
    """The network as ONNX with an open number of frames, or a fixed one where PyTorch cannot keep it open."""
    from kinetag.skeletons import get_layout

    frames = card.window or card.length or _LENGTH
    shape = (len(card.channels), frames, len(get_layout(card.layout)), card.people)
    try:
        return onnx_export.to_onnx(model, shape, opset=opset), replace(card, any_length=True)
    except KinetagError as error:
        if "set export.opset" in str(error):
            raise
        card = replace(card, any_length=False, window=frames)
        return onnx_export.to_onnx(model, shape, opset=opset, any_length=False), card


def _converted(proto: "ModelProto", precision: str, clips: "Clips | None", card: ModelCard) -> "ModelProto":
    if precision == "fp16":
        return onnx_export.to_fp16(proto)
    if precision == "int8":
        assert clips is not None
        chosen = np.linspace(0, len(clips) - 1, min(len(clips), _CALIBRATION_CLIPS)).astype(int)
        return onnx_export.to_int8(proto, list(batches(clips, card, 16, chosen=sorted(set(chosen.tolist())))))
    return proto


def _trials(clips: "Clips | None", card: ModelCard) -> list[np.ndarray]:
    """Made-up clips of several batch sizes, and lengths where these are open: (N, C, T, V, M) each."""
    from kinetag.skeletons import get_layout

    rng = np.random.default_rng(_SEED)
    usual = card.window or card.length or _LENGTH
    lengths = (usual, max(8, usual // 2 + 1), usual + 7) if card.any_length else (usual,)
    # Random joints of the size that the data have; a confidence lies in [0, 1].
    size = 1.0 if clips is None else max(1e-3, float(np.std(clips.arrays[0])))
    trials = []
    for count, frames in zip((1, 5, 2), lengths, strict=False):
        trial = size * rng.standard_normal(
            (count, len(card.channels), frames, len(get_layout(card.layout)), card.people)
        )
        if card.channels[-1] == "confidence":
            trial[:, -1] = rng.random(trial[:, -1].shape)
        trials.append(trial.astype(np.float32))
    return trials


def _compared(
    model: "nn.Module", data: bytes, trials: Sequence[np.ndarray], card: ModelCard, clips: "Clips | None"
) -> _Comparison:
    """The file's answers beside PyTorch's; a KinetagError when they are not the same network's."""
    session = open_session(data, "the exported network")
    expected, answered = _both(model, session, trials)
    difference = _largest(expected, answered)
    if card.precision in TOLERANCE and not difference <= TOLERANCE[card.precision]:
        raise KinetagError(
            f"the exported network's logits differ from PyTorch's by a share of {difference:.2g} (at most "
            f"{TOLERANCE[card.precision]:g} is allowed for {card.precision}); nothing was written: "
            "try another export.opset"
        )
    if clips is not None:
        expected, answered = _both(model, session, batches(clips, card, 32))
        difference = _largest(expected, answered)
    before, after = expected.argmax(axis=1), answered.argmax(axis=1)
    same = float(np.mean(before == after))
    if card.precision == "int8" and not same >= _LEAST_AGREEMENT:
        raise KinetagError(
            f"in int8 only {same:.0%} of the clips keep their class; nothing was written: calibrate with clips "
            "like those of use (export.calibration_dataset), or take export.precision=fp16"
        )
    if clips is None or clips.labels is None:
        return _Comparison(difference, same)
    return _Comparison(difference, same, metrics.accuracy(clips.labels, after), metrics.accuracy(clips.labels, before))


def _both(model: "nn.Module", session: Any, inputs: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Logits (N, K) of PyTorch and of onnxruntime."""
    import torch

    expected, answered = [], []
    with torch.inference_mode():
        for batch in inputs:
            batch = np.ascontiguousarray(batch, np.float32)
            expected.append(model(torch.from_numpy(batch)).numpy())
            answered.append(session.run([onnx_export.OUTPUT], {onnx_export.INPUT: batch})[0])
    return np.concatenate(expected), np.concatenate(answered)


def _largest(expected: np.ndarray, answered: np.ndarray) -> float:
    return float(np.abs(expected - answered).max() / max(1.0, np.abs(expected).max()))


def _with_card(proto: "ModelProto", card: ModelCard) -> bytes:
    """The file's bytes, with the card as metadata."""
    onnx = onnx_export.import_onnx()
    del proto.metadata_props[:]
    proto.producer_name = "kinetag"
    onnx.helper.set_model_props(proto, {METADATA_KEY: card.to_json()})
    onnx.checker.check_model(proto)
    return proto.SerializeToString()


def _warnings(card: ModelCard) -> tuple[str, ...]:
    """What surprises in `kinetag analyze --model`: without 'other' no answer is 'none of these'."""
    if card.why_not_live() or OTHER in card.labels:
        return ()
    return (
        f"no class is named '{OTHER}': analyze gives everybody one of the {len(card.labels)} classes with high "
        f"confidence, whatever they do; train with a class '{OTHER}' if people also do something else",
    )


def _message(result: Exported) -> str:
    text = f"Wrote {result.onnx_file} ({result.precision}, {result.megabytes:g} MB)"
    if result.accuracy is not None and result.accuracy_before is not None:
        text += f"; accuracy {result.accuracy:.2%}, before export {result.accuracy_before:.2%}"
    return text + "."
