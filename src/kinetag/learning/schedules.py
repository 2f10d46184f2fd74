"""Learning-rate schedules as plain functions of the step, so that a run that goes on has nothing to restore."""

import math
from bisect import bisect_right
from dataclasses import dataclass

THRESHOLD = 1e-3  # an improvement by less than 0.1 percent is none, as in the reference


@dataclass
class Plateau:
    """Lowers the learning rate when a loss stops falling; the same arithmetic as torch's ReduceLROnPlateau."""

    patience: int
    decay: float
    lowest: float  # learning rate
    rate: float  # learning rate now
    best: float = math.inf
    bad: int = 0  # epochs without improvement

    def update(self, loss: float) -> None:
        """Take note of an epoch's loss."""
        if loss < self.best * (1 - THRESHOLD):
            self.best, self.bad = loss, 0
        else:
            self.bad += 1
        if self.bad > self.patience:
            self.rate, self.bad = min(self.rate, max(self.rate * self.decay, self.lowest)), 0


@dataclass(frozen=True)
class Schedule:
    """``kind`` MultiStep, Cosine or AutoReduce; ``total`` and ``warmup`` in steps, ``milestones`` in epochs."""

    kind: str
    rate: float
    steps_per_epoch: int
    total: int
    warmup: int = 0
    milestones: tuple[int, ...] = ()
    decay: float = 0.1
    lowest: float = 0.0

    def at(self, step: int, plateau: Plateau | None = None) -> float:
        """The learning rate of a step, counted from 0."""
        if step < self.warmup:
            return self.rate * (step + 1) / self.warmup
        if self.kind == "MultiStep":
            return self.rate * self.decay ** bisect_right(self.milestones, step // self.steps_per_epoch)
        if self.kind == "Cosine":  # SGDR's annealing (Loshchilov and Hutter, ICLR 2017, equation 5), one cycle
            lowest = min(self.lowest, self.rate)
            share = min(1.0, (step - self.warmup) / max(1, self.total - self.warmup))
            return lowest + 0.5 * (self.rate - lowest) * (1 + math.cos(math.pi * share))
        return plateau.rate if plateau else self.rate
