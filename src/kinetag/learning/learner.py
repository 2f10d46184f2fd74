"""What is learned, and how: loss, optimiser, learning rate, averaged weights and accuracies, as a LightningModule.

Everything random follows from the seed and the step, and the module's `training_state` holds all that a step depends
on, so training that goes on from a saved state repeats what an unbroken run does, number for number.
"""

import copy
import dataclasses
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from kinetag.errors import KinetagError
from kinetag.learning.schedules import Plateau, Schedule
from kinetag.spec.options import Optim

_LOSS, _RIGHT, _COUNT = range(3)  # of the running sums


@dataclasses.dataclass(frozen=True)
class LearningOptions:
    """How to learn. ``class_weights`` (classes,) multiply a clip's loss; their mean over the clips should be 1."""

    schedule: Schedule
    optim: Optim
    seed: int = 0
    label_smoothing: float = 0.0
    ema: float = 0.0  # decay of the averaged weights, 0: no averaging
    class_weights: tuple[float, ...] | None = None


class DivergedError(KinetagError):
    """The loss is no number any more: these options are no good, whatever the data."""


class Learner(LightningModule):
    """Trains a network on batches (clips (N, C, T, V, M), labels (N,)); validates the averaged one where there is one.

    ``done`` counts steps over the whole run. After each validation `metrics` holds val_acc and val_loss, after each
    epoch train_acc and train_loss.
    """

    class_weights: Tensor | None

    def __init__(self, network: nn.Module, options: LearningOptions) -> None:
        super().__init__()
        self.network = network
        self.average = copy.deepcopy(network).requires_grad_(False).eval() if options.ema else None
        self.options = options
        self.done = 0
        self.metrics: dict[str, float] = {}
        optim, schedule = options.optim, options.schedule
        self.plateau = Plateau(optim.patience, optim.lr_decay, optim.min_lr, schedule.rate)
        weights = torch.tensor(options.class_weights) if options.class_weights else None
        self.register_buffer("class_weights", weights, persistent=False)
        # No buffers, which DDP would overwrite with the first process's: each process sums up what it saw itself.
        self.train_sums = torch.zeros(3)  # loss, right answers, clips of the epoch so far
        self.val_sums = torch.zeros(3)
        self._optimizer_state: dict | None = None
        self._precision_state: dict = {}
        self._follower: Follower | None = None

    @property
    def exported(self) -> nn.Module:
        """The network to validate, keep and use: the averaged one where there is one."""
        return self.network if self.average is None else self.average

    # --- a step ------------------------------------------------------------------------------------------------------

    def on_fit_start(self) -> None:
        self.train_sums, self.val_sums = self.train_sums.to(self.device), self.val_sums.to(self.device)
        if self.global_rank:
            self.train_sums.zero_()  # a restored state holds what the first process saw
        if self._precision_state:  # the loss scale of 16-mixed; without it the first steps would be thrown away again
            self.trainer.precision_plugin.load_state_dict(self._precision_state)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        entropy = np.random.SeedSequence([self.options.seed, self.done, self.global_rank])
        seed_step(int(entropy.generate_state(1, np.uint64)[0]), self.device)  # dropout is the same after a resume
        for group in self._optimizer().param_groups:
            group["lr"] = self.options.schedule.at(self.done, self.plateau)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        clips, labels = batch
        logits = self.network(clips)
        loss = self.loss(logits, labels)
        self._add(self.train_sums, loss, logits, labels)
        return loss

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean cross entropy of a batch; weights multiply each clip's, so that processes average to the whole."""
        smoothing = self.options.label_smoothing
        if self.class_weights is None:
            return cross_entropy(logits, labels, label_smoothing=smoothing)
        each = cross_entropy(logits, labels, label_smoothing=smoothing, reduction="none")
        return (each * self.class_weights[labels]).mean()

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        super().optimizer_step(*args, **kwargs)
        self.done += 1
        if self.average is not None:
            self._follower = self._follower or Follower(self.average, self.network)
            self._follower.follow(min(self.options.ema, (1 + self.done) / (10 + self.done)))

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the norm. Lightning's own refuses a fused optimiser in bf16-mixed, where no gradient is scaled."""
        if gradient_clip_val:
            nn.utils.clip_grad_norm_(self.network.parameters(), gradient_clip_val)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        optim = self.options.optim
        parameters = [p for p in self.network.parameters() if p.requires_grad]
        kind = getattr(torch.optim, optim.optimizer_type.rpartition(".")[2])
        extra: dict[str, Any] = {}
        if kind is torch.optim.SGD:
            extra = {"momentum": optim.momentum, "nesterov": optim.nesterov and optim.momentum > 0}
        if kind is not torch.optim.Adamax and parameters[0].device.type == "cpu":
            extra["fused"] = True  # one pass over the weights, several times faster there
        optimizer = kind(parameters, lr=optim.lr, weight_decay=optim.weight_decay, **extra)
        if self._optimizer_state is not None:
            optimizer.load_state_dict(self._optimizer_state | {"param_groups": optimizer.state_dict()["param_groups"]})
            self._optimizer_state = None
        return optimizer

    # --- validation --------------------------------------------------------------------------------------------------

    def on_validation_epoch_start(self) -> None:
        self.val_sums.zero_()

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        clips, labels = batch
        logits = self.exported(clips)
        self._add(self.val_sums, cross_entropy(logits, labels), logits, labels)

    def on_validation_epoch_end(self) -> None:
        sums = self._over_processes(self.val_sums)
        self.metrics |= {"val_acc": sums[_RIGHT] / sums[_COUNT], "val_loss": sums[_LOSS] / sums[_COUNT]}

    # --- an epoch ----------------------------------------------------------------------------------------------------

    def end_epoch(self) -> None:
        """Close the running sums of an epoch's training.

        Raises DivergedError when the loss is no number any more.
        """
        sums = self._over_processes(self.train_sums)
        self.train_sums.zero_()
        loss = sums[_LOSS] / sums[_COUNT]
        self.metrics |= {"train_loss": loss, "train_acc": sums[_RIGHT] / sums[_COUNT]}
        if not np.isfinite(loss):
            epoch = -(-self.done // self.options.schedule.steps_per_epoch)
            raise DivergedError(
                f"training diverged in epoch {epoch}: the loss is {loss}; lower train.optim.lr "
                f"({self.options.optim.lr:g}), or set train.grad_clip"
            )

    def update_plateau(self) -> None:
        """Let AutoReduce see the loss that it watches, once an epoch or validation."""
        self.plateau.update(self.metrics[self.options.optim.lr_monitor])

    # --- resume ------------------------------------------------------------------------------------------------------

    def training_state(self) -> dict[str, Any]:
        """What the next step depends on, beside the exported network's weights."""
        state: dict[str, Any] = {
            "done": self.done,
            "metrics": dict(self.metrics),
            "plateau": dataclasses.asdict(self.plateau),
            "train_sums": self.train_sums,
            "optimizer": {"state": self._optimizer().state_dict()["state"]},
            "precision": self.trainer.precision_plugin.state_dict(),
        }
        if self.average is not None:
            state["network"] = self.network.state_dict()
        return state

    def restore(self, exported: dict[str, Tensor], state: dict[str, Any]) -> None:
        """Go on from what `training_state` gave; to be called before training starts."""
        self.network.load_state_dict(state.get("network", exported))
        if self.average is not None:
            self.average.load_state_dict(exported)
        self.done, self.metrics = state["done"], dict(state["metrics"])
        self.plateau = Plateau(**state["plateau"])
        self.train_sums.copy_(state["train_sums"])
        self._optimizer_state, self._precision_state = state["optimizer"], state["precision"]

    def _optimizer(self) -> torch.optim.Optimizer:
        optimizer = self.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, torch.optim.Optimizer)
        return optimizer

    def _add(self, sums: Tensor, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        count = len(labels)
        right = (logits.detach().argmax(1) == labels).sum()
        sums[_LOSS] += loss.detach() * count
        sums[_RIGHT] += right
        sums[_COUNT] += count

    def _over_processes(self, sums: Tensor) -> list[float]:
        return self.trainer.strategy.reduce(sums.clone(), reduce_op="sum").tolist()


class Follower:
    """Moves averaged weights and batch-norm statistics towards a network's, which must be on its device already."""

    def __init__(self, average: nn.Module, network: nn.Module) -> None:
        pairs = list(zip(average.state_dict().values(), network.state_dict().values(), strict=True))
        self.floats = _columns([pair for pair in pairs if pair[0].is_floating_point()])
        self.counts = _columns([pair for pair in pairs if not pair[0].is_floating_point()])

    @torch.no_grad()
    def follow(self, decay: float) -> None:
        """Move by 1 - ``decay`` of the way."""
        torch._foreach_lerp_(*self.floats, 1 - decay)  # pyright: ignore[reportPrivateImportUsage]
        if self.counts[0]:
            torch._foreach_copy_(*self.counts)  # pyright: ignore[reportPrivateImportUsage]


def _columns(pairs: list[tuple[Tensor, Tensor]]) -> tuple[list[Tensor], list[Tensor]]:
    return [kept for kept, _ in pairs], [new for _, new in pairs]


def seed_step(seed: int, device: torch.device) -> None:
    """Seed what a step on ``device`` draws from; torch.manual_seed seeds all kinds of device and takes milliseconds."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


def balanced_weights(labels: np.ndarray, classes: int) -> tuple[float, ...]:
    """Weights that make every class count alike, their mean over the clips 1; 0 for a class without clips."""
    counts = np.bincount(labels, minlength=classes)
    present = max(1, int((counts > 0).sum()))
    return tuple(float(w) for w in np.where(counts > 0, len(labels) / (present * np.maximum(counts, 1)), 0.0))
