"""What happens around training: checkpoints, the best one, the curves, early stopping, going on after a stop.

A training folder holds `pc_model_latest.pth` (the newest, from which a run goes on), `pc_model_best.pth` (highest
val_acc) and `model_epoch_NNN.pth` (one an interval, epochs counted from 0, as the reference names them).
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import Logger

from kinetag.checkpoint import BEST, LATEST, CheckpointHeader, save_checkpoint
from kinetag.encryption import Key, Secret
from kinetag.learning.learner import Learner
from kinetag.whole_file import whole_file

SAVE_EVERY = 60.0  # s between savings of the latest, beside those that the spec asks for
_TELL_EVERY = 0.1  # s between looks at the progress bar

Emit = Callable[[dict[str, Any]], None]  # {"event": "note" | "progress" | "epoch", ...}


@dataclass
class Record:
    """How a run stands, saved with it. ``best`` is empty before the first validation."""

    best: dict[str, float] = field(default_factory=dict)  # val_acc, val_loss, epoch
    waited: int = 0  # validations since the best
    stopped_early: bool = False


@dataclass(frozen=True)
class Habits:
    """When to save, validate and stop. Intervals are in steps, ``patience`` in validations (0: never)."""

    total: int
    steps_per_epoch: int
    save_every: int
    by_step: bool  # name checkpoints by step
    validate_every: int  # 0: there is nothing to validate on
    patience: int = 0
    plateau: str = ""  # the loss that AutoReduce watches; '' without it
    until: int = 0  # the step that this start ends with, though the run has more; 0: with the last

    @property
    def end(self) -> int:
        """The step that this start ends with."""
        return min(self.until or self.total, self.total)

    def epoch(self, done: int) -> int:
        """The epoch that step number ``done`` (counted from 1) belongs to, counted from 1."""
        return -(-done // self.steps_per_epoch)

    @property
    def epochs(self) -> int:
        return self.epoch(self.total)


class Keeper(Callback):
    """Writes what is to be kept. Only the process with ``writes`` touches the disk; all come to the same decisions."""

    def __init__(
        self,
        folder: Path,
        header: CheckpointHeader,
        habits: Habits,
        record: Record,
        identity: dict[str, Any],
        *,
        emit: Emit,
        loggers: list[Logger],
        secret: str | None = None,
        writes: bool = True,
    ) -> None:
        self.folder, self.header, self.habits, self.record, self.identity = folder, header, habits, record, identity
        self.emit, self.loggers, self.writes = emit, loggers, writes
        self.key: Secret | None = Key.derive(secret) if secret and writes else None
        self.saved = self.told = time.monotonic()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if _learner(pl_module).done + 1 == self.habits.end and self.habits.validate_every:
            trainer.val_check_batch = 1  # the last step is always judged, whatever the interval

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        learner, habits = _learner(pl_module), self.habits
        done = learner.done
        self._tell(learner)
        if done % habits.steps_per_epoch == 0 or done == habits.end:
            learner.end_epoch()
            if not self._validates(done):
                self._end_epoch(trainer, learner, validated=False)
        elif habits.by_step and done % habits.save_every == 0:
            self._save_interval(learner)
        elif time.monotonic() - self.saved > SAVE_EVERY:
            self._save_latest(learner)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._end_epoch(trainer, _learner(pl_module), validated=True)

    def _validates(self, done: int) -> bool:
        every = self.habits.validate_every
        return every > 0 and (done % every == 0 or done == self.habits.end)

    def _end_epoch(self, trainer: Trainer, learner: Learner, *, validated: bool) -> None:
        """Decide with all metrics of an epoch at hand, then save a state from which the next step follows."""
        habits, done = self.habits, learner.done
        if habits.plateau == "train_loss" or (habits.plateau and validated):
            learner.update_plateau()
        improved = validated and self._judge(learner)
        if habits.patience and self.record.waited >= habits.patience and done < habits.total:
            self.record.stopped_early = trainer.should_stop = True
        self._report(learner)
        if not self.writes:
            return
        if improved:
            self._save(BEST, learner, whole=False)
        over = done == habits.end or trainer.should_stop
        if done % habits.save_every == 0:
            self._save_interval(learner)
        elif over or time.monotonic() - self.saved > SAVE_EVERY:
            self._save_latest(learner)

    def _judge(self, learner: Learner) -> bool:
        """Whether this validation is the best: the highest val_acc, among equals the lowest val_loss."""
        new, best = learner.metrics, self.record.best
        improved = not best or (new["val_acc"], -new["val_loss"]) > (best["val_acc"], -best["val_loss"])
        risen = not best or new["val_acc"] > best["val_acc"]
        self.record.waited = 0 if risen else self.record.waited + 1
        if improved:
            epoch = self.habits.epoch(learner.done)
            self.record.best = {"val_acc": new["val_acc"], "val_loss": new["val_loss"], "epoch": epoch}
        return improved

    # --- what is written ---------------------------------------------------------------------------------------------

    def _save_interval(self, learner: Learner) -> None:
        """A checkpoint with the epoch (and step) in its name, which is the latest as well."""
        if not self.writes:
            return
        name = f"model_epoch_{self.habits.epoch(learner.done) - 1:03d}"
        name += f"_step_{learner.done:05d}.pth" if self.habits.by_step else ".pth"
        self._save(name, learner, whole=True)
        _link(self.folder / name, self.folder / LATEST)
        self.saved = time.monotonic()

    def _save_latest(self, learner: Learner) -> None:
        if self.writes:
            self._save(LATEST, learner, whole=True)
            self.saved = time.monotonic()

    def _save(self, name: str, learner: Learner, *, whole: bool) -> None:
        """Write a checkpoint; ``whole``: with all that a run needs to go on."""
        epochs = learner.done // self.habits.steps_per_epoch
        header = replace(self.header, metrics=dict(learner.metrics), epoch=epochs, step=learner.done)
        training = None
        if whole:
            training = {"learner": learner.training_state(), "record": vars(self.record), "identity": self.identity}
        weights = learner.exported.state_dict()
        save_checkpoint(self.folder / name, weights, header, secret=self.key, training=training)

    # --- what is told ------------------------------------------------------------------------------------------------

    def _tell(self, learner: Learner) -> None:
        """Move the progress bar, at most ten times a second."""
        if time.monotonic() - self.told < _TELL_EVERY:
            return
        self.told = time.monotonic()
        habits, best = self.habits, self.record.best
        epoch = habits.epoch(learner.done)
        stage = f"Epoch {epoch} of {habits.epochs}" + (f", best val_acc {best['val_acc']:.3f}" if best else "")
        done = learner.done - (epoch - 1) * habits.steps_per_epoch
        self.emit({"event": "progress", "stage": stage, "done": done, "total": habits.steps_per_epoch})

    def _report(self, learner: Learner) -> None:
        """An epoch's numbers, for status.json and the loggers."""
        rate = learner.options.schedule.at(learner.done - 1, learner.plateau)  # of the step just made
        kpi = {name: learner.metrics[name] for name in sorted(learner.metrics)} | {"lr": rate}
        epoch = self.habits.epoch(learner.done)
        text = ", ".join(f"{name} {value:.4g}" for name, value in kpi.items())
        message = f"Epoch {epoch} of {self.habits.epochs}, step {learner.done}: {text}"
        self.emit({"event": "epoch", "message": message, "kpi": kpi | {"epoch": epoch, "step": learner.done}})
        for logger in self.loggers:
            logger.log_metrics(kpi | {"epoch": epoch}, step=learner.done)


def _learner(module: LightningModule) -> Learner:
    assert isinstance(module, Learner)
    return module


def _link(source: Path, target: Path) -> None:
    """Make ``target`` the same file as ``source`` in one stroke; a copy where the file system knows no hard links."""
    with whole_file(target) as draft:
        draft.unlink(missing_ok=True)
        try:
            os.link(source, draft)
        except OSError:
            draft.write_bytes(source.read_bytes())
