"""How good a model is on labelled clips: accuracy in all its forms, confusion, calibration, and under occlusion."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kinetag import metrics
from kinetag.actions.confusion import confusion_picture, confusion_text, png
from kinetag.actions.nodes import ALONE, Nodes, joined
from kinetag.datasets.batches import Change, batches, counted, load_for, sampling_of
from kinetag.datasets.clips import too_few
from kinetag.encryption import write_file
from kinetag.predictor import Predictor, open_predictor
from kinetag.progress import Progress, silent
from kinetag.status import Status
from kinetag.storage import stored

if TYPE_CHECKING:
    from kinetag.datasets.clips import Clips
    from kinetag.spec import Spec

_CLASSES_SHOWN = 40  # in one line


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found; results.json holds all of it. Shares lie in [0, 1]."""

    clips: int
    accuracy: float
    mean_class_accuracy: float
    top_k: int
    top_k_accuracy: float
    macro_f1: float
    calibration_error: float
    occlusion: dict[str, float] = field(default_factory=dict)  # accuracy by protocol
    warnings: tuple[str, ...] = ()
    class_names: tuple[str, ...] = field(default=(), repr=False)
    confusion: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.int64), repr=False)
    probabilities: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)), repr=False)  # (N, K)


@stored("evaluate")
def evaluate(spec: "Spec", *, progress: Progress = silent) -> Evaluation:
    """Evaluate ``evaluate.checkpoint`` (a checkpoint, an .onnx file) or ``evaluate.trt_engine`` on labelled clips.

    Writes results.json, results.txt, confusion.png and status.json into the results folder.
    """
    folder = spec.results_folder("evaluate")
    status = Status(folder, "evaluate", secret=spec.secret(), shown=spec.shown)
    with status, joined("evaluate", spec.evaluate.num_nodes) as nodes:
        predictor, clips, notes = model_and_clips(spec, "evaluate", role="val", need_labels=True, progress=progress)
        notes = list(dict.fromkeys((*notes, *too_few(clips))))
        size = batch_size(spec, "evaluate")
        answer = partial(run, predictor, clips, size, nodes=nodes, progress=progress)
        probabilities = answer()
        occlusion = _occluded(answer, predictor, clips, spec.train.seed) if spec.evaluate.occlusion else {}
        found = _judge(clips, probabilities, spec.evaluate.top_k, occlusion, tuple(notes))
        if nodes.rank == 0:
            _write(found, predictor, clips, folder)
        status.running(
            "Evaluation metrics generated.", kpi=_kpi(found), categorical={"class_accuracy": _by_class(found)}
        )
    return found


def model_and_clips(
    spec: "Spec", action: str, *, role: str, need_labels: bool, progress: Progress
) -> tuple[Predictor, "Clips", list[str]]:
    """What ``action`` names: the model, the clips of its ``test_dataset``, and what is doubtful about them."""
    predictor = open_predictor(spec, action)
    clips, notes = load_for(
        predictor.card,
        spec,
        getattr(spec, action).test_dataset,
        section=f"{action}.test_dataset",
        role=role,
        need_labels=need_labels,
        progress=progress,
    )
    predictor = replace(predictor, name=spec.shown(predictor.name))
    clips = replace(clips, source=spec.shown(clips.source))
    return predictor, clips, [spec.shown(note) for note in notes]


def run(
    predictor: Predictor,
    clips: "Clips",
    size: int,
    *,
    change: Change | None = None,
    stage: str = "Clips",
    nodes: Nodes = ALONE,
    progress: Progress = silent,
) -> np.ndarray:
    """Class probabilities of all clips, (N, K)."""
    share = nodes.share(len(clips))
    inputs = batches(clips, predictor.card, size, change=change, chosen=share)
    outputs = counted(predictor.logits(inputs), lambda done: progress(stage, done, len(share)))
    logits = np.concatenate([np.zeros((0, len(predictor.card.labels)), np.float32), *outputs])
    return metrics.softmax(nodes.together(logits, len(clips)))


def batch_size(spec: "Spec", action: str) -> int:
    own = getattr(spec, action).batch_size
    return own if own > 0 else spec.dataset.batch_size


def _occluded(answer: Callable[..., np.ndarray], predictor: Predictor, clips: "Clips", seed: int) -> dict[str, float]:
    """Accuracy under each protocol of `augment.occlude`, the same joints and frames hidden in every run."""
    from kinetag.datasets.augment import OCCLUSIONS, occlude

    assert clips.labels is not None
    options, found = sampling_of(predictor.card), {}
    for protocol in OCCLUSIONS:

        def change(clip: np.ndarray, i: int, protocol: str = protocol) -> np.ndarray:
            rng = np.random.default_rng([seed, i])
            return occlude(clip, protocol, rng, options)

        probabilities = answer(change=change, stage=f"Occlusion: {protocol}")
        found[protocol] = metrics.accuracy(clips.labels, probabilities.argmax(axis=1))
    return found


def _judge(
    clips: "Clips", probabilities: np.ndarray, k: int, occlusion: dict[str, float], notes: tuple[str, ...]
) -> Evaluation:
    assert clips.labels is not None
    predictions, classes = probabilities.argmax(axis=1), len(clips.class_names)
    matrix = metrics.confusion(clips.labels, predictions, classes)
    k = min(k, classes)
    never = [name for name, column in zip(clips.class_names, matrix.T, strict=True) if not column.any()]
    if never:
        shown = ", ".join(never[:_CLASSES_SHOWN]) + (", ..." if len(never) > _CLASSES_SHOWN else "")
        notes = (*notes, f"no clip was taken for {shown}, so there is no precision of it")
    return Evaluation(
        clips=len(clips),
        accuracy=metrics.accuracy(clips.labels, predictions),
        mean_class_accuracy=metrics.mean_class_accuracy(matrix),
        top_k=k,
        top_k_accuracy=metrics.top_k(clips.labels, probabilities, k),
        macro_f1=metrics.macro_f1(matrix),
        calibration_error=metrics.calibration_error(clips.labels, probabilities),
        occlusion=occlusion,
        warnings=notes,
        class_names=clips.class_names,
        confusion=matrix,
        probabilities=probabilities,
    )


# --- what is written -------------------------------------------------------------------------------------------------


def _write(found: Evaluation, predictor: Predictor, clips: "Clips", folder: Path) -> None:
    record = json.dumps(_record(found, predictor.name, clips.source), indent=2, ensure_ascii=False, allow_nan=False)
    write_file(folder / "results.json", (record + "\n").encode())
    write_file(folder / "results.txt", results_text(found, predictor.name, clips.source).encode())
    title = f"Accuracy {100 * found.accuracy:.1f} % of {found.clips} clips"
    if len(found.class_names) <= 400:
        write_file(folder / "confusion.png", png(confusion_picture(found.confusion, found.class_names, title)))


def _kpi(found: Evaluation) -> dict[str, float]:
    hidden = {f"accuracy_{name.replace(' ', '_')}": value for name, value in found.occlusion.items()}
    return {
        "accuracy": found.accuracy,
        "mean_class_accuracy": found.mean_class_accuracy,
        f"top_{found.top_k}_accuracy": found.top_k_accuracy,
        "macro_f1": found.macro_f1,
        "calibration_error": found.calibration_error,
        **hidden,
    }


def _by_class(found: Evaluation) -> dict[str, float]:
    return dict(zip(found.class_names, map(float, metrics.per_class_accuracy(found.confusion)), strict=True))


def _record(found: Evaluation, model: str, data: str) -> dict[str, Any]:
    """The content of results.json; a number that does not exist is null."""
    columns = {
        "accuracy": metrics.per_class_accuracy(found.confusion),
        "precision": metrics.per_class_precision(found.confusion),
        "f1": metrics.per_class_f1(found.confusion),
        "clips": found.confusion.sum(axis=1),
    }
    per_class = {
        name: {key: _plain(values[i]) for key, values in columns.items()} for i, name in enumerate(found.class_names)
    }
    return {
        "model": model,
        "data": data,
        "clips": found.clips,
        "accuracy": _plain(found.accuracy),
        "mean_class_accuracy": _plain(found.mean_class_accuracy),
        "top_k": found.top_k,
        "top_k_accuracy": _plain(found.top_k_accuracy),
        "macro_f1": _plain(found.macro_f1),
        "calibration_error": _plain(found.calibration_error),
        "classes": per_class,
        "confusion": found.confusion.tolist(),
        "occlusion": {
            name: {"accuracy": _plain(value), "kept": _plain(value / found.accuracy if found.accuracy else np.nan)}
            for name, value in found.occlusion.items()
        },
        "warnings": list(found.warnings),
    }


def results_text(found: Evaluation, model: str, data: str) -> str:
    """The same for a reader."""
    lines = [f"{model} on {found.clips} clips of {data}", ""]
    numbers = {
        "accuracy": found.accuracy,
        "mean class accuracy": found.mean_class_accuracy,
        f"top-{found.top_k} accuracy": found.top_k_accuracy,
        "macro F1": found.macro_f1,
        "calibration error": found.calibration_error,
    }
    lines += [f"{name:<22}{_percent(value)}" for name, value in numbers.items()]
    width = max(8, *(len(name) for name in found.class_names)) + 2
    lines += ["", "class".ljust(width) + "accuracy precision       F1   clips"]
    table = zip(
        found.class_names,
        metrics.per_class_accuracy(found.confusion),
        metrics.per_class_precision(found.confusion),
        metrics.per_class_f1(found.confusion),
        found.confusion.sum(axis=1),
        strict=True,
    )
    lines += [f"{n.ljust(width)}{_percent(a)}  {_percent(p)} {_percent(f)} {c:7d}" for n, a, p, f, c in table]
    if found.occlusion:
        lines += ["", "occlusion".ljust(width) + "accuracy     kept"]
        for name, value in found.occlusion.items():
            kept = value / found.accuracy if found.accuracy else np.nan
            lines.append(f"{name.ljust(width)}{_percent(value)} {_percent(kept)}")
    lines += ["", "confusion (rows are the truth, columns the prediction)", ""]
    lines += [confusion_text(found.confusion, found.class_names)]
    lines += [f"\nnote: {note}" for note in found.warnings]
    return "\n".join(lines) + "\n"


def _percent(value: float) -> str:
    return f"{100 * value:6.1f} %" if np.isfinite(value) else "       -"


def _plain(value: Any) -> float | int | None:
    if isinstance(value, int | np.integer):
        return int(value)
    return round(float(value), 6) if np.isfinite(value) else None
