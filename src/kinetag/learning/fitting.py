"""A training put together: data, network, state to go on from, Lightning's Trainer.

Lightning sees a run as one long epoch of the steps that are left, because its own way to go on within an epoch
depends on when a checkpoint was written; ours (`Learner.training_state`) is the same at every step.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import DDPStrategy
from torch import nn

from kinetag import __version__
from kinetag.checkpoint import BEST, LATEST, CheckpointHeader
from kinetag.datasets import load_clips
from kinetag.datasets.augment import Sampling, mirror_is_safe, sample_clip
from kinetag.datasets.batches import usual_length
from kinetag.datasets.clips import Clips, split
from kinetag.learning.behaviour import determinism, interruptible, quiet
from kinetag.learning.devices import DeviceChoice, choose_devices
from kinetag.learning.keeping import Emit, Habits, Keeper, Record
from kinetag.learning.learner import Learner, LearningOptions, balanced_weights
from kinetag.learning.loaders import Plan, training_loader, validation_loader
from kinetag.learning.loggers import make_loggers
from kinetag.learning.pretrained import load_pretrained
from kinetag.learning.resuming import Found, find_state, identity_of
from kinetag.learning.schedules import Schedule
from kinetag.models import build_model
from kinetag.spec import Spec, masked

_CLASSES_SHOWN = 40  # in one line
_SETTLED = ("dataset.batch_size", "train.mirror")  # what the data may change of a recipe
_EPOCH, _SMALLEST = 4, 4  # steps that an epoch should have, and the fewest clips that a batch is cut down to for it
_FEW_STEPS = 200  # with fewer in all, a network has hardly moved from where it began


@dataclass(frozen=True)
class Data:
    training: Clips
    validation: Clips | None
    sampling: Sampling


def fit(spec: Spec, emit: Emit, *, seed_drawn: bool = False, stop_after: int = 0) -> dict[str, Any]:
    """Train; returns the plain content of a TrainResult, and whether there was ``nothing_to_do``.

    ``spec`` has its recipe filled in. ``seed_drawn``: its seed is this start's own, a state's takes its place.
    ``stop_after``: leave off after so many epochs of the run, ready to go on; 0: train to the end.
    """

    def note(message: str) -> None:
        emit({"event": "note", "message": message})

    folder = spec.results_folder("train")
    devices = choose_devices(spec)
    data = read_data(spec, note, lambda *stage: emit(_progress(*stage)))
    world = devices.count * spec.train.num_nodes
    spec = _with_small_batches(spec, len(data.training), world, note)
    plan = Plan(len(data.training), spec.dataset.batch_size, spec.train.seed, world)
    identity = identity_of(spec, data.training.class_names, plan, seed_drawn=seed_drawn)
    found = find_state(spec, folder, identity)
    emit({"event": "accepted", "settled": {key: spec.get(key) for key in _SETTLED}})
    if found is not None:
        plan = Plan(plan.clips, plan.batch, found.identity["train.seed"], world)
        identity["train.seed"] = plan.seed
        note(f"going on from {found.path}, step {found.done}")
    habits = _habits(spec, plan, validates=data.validation is not None, stop_after=stop_after)
    if found is not None and (found.done >= habits.end or found.record.stopped_early):
        note(_finished(found, habits))
        return _result(folder, found.header.metrics, found.record, found.done, habits, nothing_to_do=True)
    if few := _few_steps(plan, spec.train.num_epochs):
        emit({"event": "note", "message": few, "warning": True})
    learner = _learner(spec, data, plan, habits, note, found)
    record = found.record if found else Record()
    with quiet(), determinism(spec, devices.accelerator):
        keeper = _run(spec, devices, data, plan, habits, learner, record, identity, emit)
    return _result(folder, learner.metrics, keeper.record, learner.done, habits, nothing_to_do=False)


def _with_small_batches(spec: Spec, clips: int, world: int, note: Callable[[str], None]) -> Spec:
    """The spec with a recipe's batch cut down for few clips, which would make one step of an epoch."""
    usual = spec.dataset.batch_size
    batch = min(usual, max(_SMALLEST, clips // (_EPOCH * world)))
    if spec.train.recipe != "kinetag" or "dataset.batch_size" in spec.explicit or batch == usual:
        return spec
    note(f"{clips} clips are few: batches of {batch} instead of the recipe's {usual} (dataset.batch_size sets it)")
    return spec.with_defaults({"dataset.batch_size": batch})


def _few_steps(plan: Plan, epochs: int) -> str:
    """What to say when a run has too few steps to learn anything; '' when it has enough."""
    each, total = plan.steps_per_epoch, plan.steps_per_epoch * epochs
    if total >= _FEW_STEPS:
        return ""
    return (
        f"{plan.clips} clips in batches of {plan.batch * plan.world} are {each} step{'s' if each > 1 else ''} an "
        f"epoch, {total} in all, which is little to learn from: more train.num_epochs or a smaller dataset.batch_size"
    )


def read_data(spec: Spec, note: Callable[[str], None], progress: Callable[[str, float, float | None], None]) -> Data:
    """Clips to train and to validate on, and how they are sampled."""
    data = spec.dataset
    training = load_clips(data.train_dataset, data, spec.model, role="train", progress=progress)
    validation: Clips | None = None
    if data.val_dataset.data_path:
        names = training.class_names
        validation = load_clips(data.val_dataset, data, spec.model, role="val", class_names=names, progress=progress)
    elif data.validation_split:
        training, validation = split(training, data.validation_split, spec.train.seed)
    else:
        note("no dataset.val_dataset and no dataset.validation_split: nothing watches val_acc, the last epoch is kept")
    counts = training.counts()
    shown = ", ".join(f"{name} {count}" for name, count in list(counts.items())[:_CLASSES_SHOWN])
    note(f"training clips: {shown}{', ...' if len(counts) > _CLASSES_SHOWN else ''}")
    empty = [name for name, count in counts.items() if not count]
    if empty:
        note(f"no training clips of {', '.join(empty[:8])}{', ...' if len(empty) > 8 else ''}")
    for message in dict.fromkeys((*training.warnings, *(validation.warnings if validation else ()))):
        note(message)
    if spec.train.mirror and "train.mirror" not in spec.explicit and not mirror_is_safe(training.class_names):
        note("classes are told apart by left and right: clips are not mirrored (train.mirror: true would)")
        spec.train.mirror = False
    return Data(training, validation, Sampling.from_spec(spec, training.channels, layout=training.layout))


def _learner(
    spec: Spec, data: Data, plan: Plan, habits: Habits, note: Callable[[str], None], found: Found | None
) -> Learner:
    """The network and how it learns, as new or as it was left."""
    train, clips = spec.train, data.training
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        network = _network(spec, clips)
    if found is None and spec.model.pretrained_model_path:
        path = spec.model.pretrained_model_path
        note(load_pretrained(network, path, clips.class_names, secret=spec.secret()))
    assert clips.labels is not None
    weights = balanced_weights(clips.labels, len(clips.class_names)) if train.class_weights == "balanced" else None
    options = LearningOptions(
        schedule=_schedule(spec, plan, habits.total),
        optim=train.optim,
        seed=plan.seed,
        label_smoothing=train.label_smoothing,
        ema=train.ema,
        class_weights=weights,
    )
    learner = Learner(network, options)
    if found is not None:
        learner.restore(found.weights, found.training)
    return learner


def _network(spec: Spec, clips: Clips) -> nn.Module:
    return build_model(
        spec.model.model_type,
        classes=len(clips.class_names),
        layout=clips.layout,
        strategy=spec.model.graph_strategy,
        channels=clips.channels,
        dropout=spec.model.dropout,
        edge_importance=spec.model.edge_importance_weighting,
    )


def _schedule(spec: Spec, plan: Plan, total: int) -> Schedule:
    optim, train = spec.train.optim, spec.train
    warmup = train.warmup_epochs * plan.steps_per_epoch
    if "train.warmup_epochs" not in spec.explicit:
        warmup = min(warmup, total // 5)  # a recipe's, on a short run
    return Schedule(
        kind=optim.lr_scheduler,
        rate=optim.lr,
        steps_per_epoch=plan.steps_per_epoch,
        total=total,
        warmup=warmup,
        milestones=tuple(sorted(optim.lr_steps)),
        decay=optim.lr_decay,
        lowest=optim.min_lr,
    )


def _habits(spec: Spec, plan: Plan, *, validates: bool, stop_after: int = 0) -> Habits:
    train, per_epoch = spec.train, plan.steps_per_epoch
    total = train.num_epochs * per_epoch
    by_step = train.checkpoint_interval_unit == "step"
    plateau = train.optim.lr_monitor if train.optim.lr_scheduler == "AutoReduce" else ""
    if plateau == "val_loss" and not validates:
        plateau = "train_loss"
    return Habits(
        total=min(total, train.max_steps) if train.max_steps else total,
        steps_per_epoch=per_epoch,
        save_every=train.checkpoint_interval * (1 if by_step else per_epoch),
        by_step=by_step,
        validate_every=train.validation_interval * per_epoch if validates else 0,
        patience=train.early_stopping_patience,
        plateau=plateau,
        until=stop_after * per_epoch,
    )


def _run(
    spec: Spec,
    devices: DeviceChoice,
    data: Data,
    plan: Plan,
    habits: Habits,
    learner: Learner,
    record: Record,
    identity: dict[str, Any],
    emit: Emit,
) -> Keeper:
    """The steps that are left, by Lightning."""
    trainer = _trainer(spec, devices, habits)
    rank, workers = trainer.global_rank, spec.dataset.num_workers
    loggers = make_loggers(spec, spec.results_folder("train")) if rank == 0 else []
    keeper = Keeper(
        spec.results_folder("train"),
        _header(spec, data),
        habits,
        record,
        identity,
        emit=emit if rank == 0 else lambda event: None,
        loggers=loggers,
        secret=spec.secret(),
        writes=rank == 0,
    )
    trainer.callbacks.append(keeper)  # pyright: ignore[reportAttributeAccessIssue]
    train_prepare = partial(prepare, options=data.sampling, training=True)
    batches = training_loader(
        data.training, train_prepare, plan, first=learner.done, last=habits.end, rank=rank, workers=workers
    )
    checks = None
    if data.validation is not None:
        val_prepare = partial(prepare, options=data.sampling, training=False)
        checks = validation_loader(data.validation, val_prepare, plan, rank=rank, workers=workers)
    # Lightning counts validations and steps from the run's first step
    trainer.fit_loop.epoch_loop.batch_progress.total.ready = learner.done
    try:
        with interruptible():
            trainer.fit(learner, batches, checks)
    except BaseException:
        for logger in loggers:
            logger.finalize("failed")
        raise
    for logger in loggers:
        logger.finalize("success")
    return keeper


def prepare(clip: np.ndarray, rng: np.random.Generator, *, options: Sampling, training: bool) -> np.ndarray:
    """A clip as the network sees it; for loaders."""
    return sample_clip(clip, options, rng, training=training)


def _trainer(spec: Spec, devices: DeviceChoice, habits: Habits) -> Trainer:
    several = devices.count * spec.train.num_nodes > 1
    backend = "nccl" if devices.accelerator == "cuda" else "gloo"
    validates = habits.validate_every > 0
    return Trainer(
        accelerator=devices.accelerator,
        devices=devices.for_lightning,
        num_nodes=spec.train.num_nodes,
        strategy=DDPStrategy(process_group_backend=backend) if several else "auto",
        precision=spec.train.precision if spec.train.precision != "32" else "32-true",  # type: ignore[arg-type]
        max_epochs=1,
        val_check_interval=habits.validate_every if validates else 1.0,
        check_val_every_n_epoch=None if validates else 1,
        limit_val_batches=1.0 if validates else 0,
        gradient_clip_val=spec.train.grad_clip or None,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=spec.results_folder("train"),
    )


def _header(spec: Spec, data: Data) -> CheckpointHeader:
    clips, length = data.training, data.sampling.length
    return CheckpointHeader(
        model_type=spec.model.model_type,
        layout=clips.layout,
        strategy=spec.model.graph_strategy,
        channels=clips.channels,
        class_names=clips.class_names,
        window=length if length > 0 else None,
        rate=clips.rate,
        length=usual_length(clips),
        coordinates=clips.coordinates,
        recipe=spec.train.recipe,
        dropout=spec.model.dropout,
        edge_importance=spec.model.edge_importance_weighting,
        spec=masked(spec),
        version=__version__,
    )


def _result(
    folder: Path, metrics: Any, record: Record, done: int, habits: Habits, *, nothing_to_do: bool
) -> dict[str, Any]:
    best = folder / BEST
    return {
        "checkpoint": str(best if record.best and best.exists() else folder / LATEST),
        "latest": str(folder / LATEST),
        "epochs": habits.epoch(done),
        "steps": done,
        "metrics": dict(record.best or metrics),
        "nothing_to_do": nothing_to_do,
    }


def _finished(found: Found, habits: Habits) -> str:
    if found.record.stopped_early:
        return f"{found.path} is of a run that stopped early; use another results_dir to train anew"
    if found.done < habits.total:
        return f"{found.path} has come to epoch {habits.epoch(found.done)} already"
    return (
        f"{found.path} has done all {habits.epochs} epochs: raise train.num_epochs to go on, or use another "
        "results_dir to train anew"
    )


def _progress(stage: str, done: float, total: float | None = None) -> dict[str, Any]:
    return {"event": "progress", "stage": stage, "done": done, "total": total}
