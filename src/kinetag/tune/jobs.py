"""What is done in a process of its own: one training, up to an epoch; and judging a checkpoint."""

import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from kinetag.checkpoint import BEST, LATEST
from kinetag.errors import KinetagError
from kinetag.whole_file import whole_file

INHERITED = "inherited.pth"  # in a trial's folder: the weights that it began with

Emit = Callable[[dict[str, Any]], None]


def do(work: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Do one job; ``emit`` hears how it goes. Returns its result as plain data."""
    return {"train": _train, "judge": _judge}[work["kind"]](work, emit)


def _train(work: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """Train a trial up to ``stop_after`` epochs, from where it stands."""
    from kinetag.actions.train import spec_of, train

    spec = spec_of(work)
    folder = spec.results_folder("train")

    def on_epoch(kpi: Mapping[str, float]) -> None:
        if work["tidy"]:
            _tidy(folder)
        emit({"event": "epoch", "kpi": dict(kpi)})

    def progress(stage: str, done: float, total: float | None) -> None:
        emit({"event": "progress", "message": stage, "done": done, "total": total})

    result = train(spec, progress=progress, stop_after=work["stop_after"], on_epoch=on_epoch)
    if work["tidy"]:
        _tidy(folder)
    return {"epochs": result.epochs, "metrics": result.metrics}


def _tidy(folder: Path) -> None:
    """Remove the checkpoints of single epochs; the latest and the best stay."""
    for path in folder.glob("model_epoch_*.pth"):
        path.unlink(missing_ok=True)


def _judge(work: dict[str, Any], emit: Emit) -> dict[str, Any]:
    """val_acc and val_loss of a checkpoint on the validation data of a spec, as a training would measure them."""
    import torch
    from torch.nn.functional import cross_entropy

    from kinetag.actions.train import spec_of
    from kinetag.checkpoint import build_from_checkpoint
    from kinetag.learning.fitting import prepare, read_data
    from kinetag.learning.loaders import Plan, validation_loader

    spec = spec_of(work)
    data = read_data(spec, lambda note: None, lambda *stage: None)
    if data.validation is None:
        raise KinetagError("there is no validation data to judge a checkpoint on")
    model, header = build_from_checkpoint(work["checkpoint"], secret=spec.secret())
    if header.class_names != data.training.class_names and header.classes != len(data.training.class_names):
        raise KinetagError(f"{work['checkpoint']} has {header.classes} other classes than the data")
    plan = Plan(len(data.training), spec.dataset.batch_size, spec.train.seed)
    sampling = partial(prepare, options=data.sampling, training=False)
    loss = right = count = 0.0
    with torch.no_grad():
        for clips, labels in validation_loader(data.validation, sampling, plan):
            logits = model(clips)
            loss += float(cross_entropy(logits, labels, reduction="sum"))
            right += float((logits.argmax(1) == labels).sum())
            count += len(labels)
    return {"metrics": {"val_acc": right / count, "val_loss": loss / count}, "clips": int(count)}


def inherit(parent: Path, child: Path) -> None:
    """Give a new trial the weights that another one has now, with all that is needed to go on from them."""
    child.mkdir(parents=True, exist_ok=True)
    for source, target in ((LATEST, INHERITED), (BEST, BEST)):
        if (parent / source).exists():
            with whole_file(child / target) as draft:
                shutil.copyfile(parent / source, draft)
