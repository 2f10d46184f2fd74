"""What an algorithm sees of a search, and what it may answer.

An algorithm is a plain function of what is on record: (trials, rules) -> what to do next. It keeps nothing in memory,
so a search that was stopped goes on from its record alone, and several machines come to the same answer.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from kinetag.tune.space import Space

Score = tuple[float, float]  # higher is better: the metric, and the other one where that is equal
WORST: Score = (-math.inf, -math.inf)


@dataclass(frozen=True)
class Trial:
    """One combination of options and how far it has come. Epochs count from 1, from the start of its weights."""

    number: int
    values: Mapping[str, Any]
    target: int  # the epoch that it is to reach, for now
    state: str = "paused"  # running, paused (reached its target), done (reached the full length), failed
    bracket: int = 0
    slot: int = -1  # of a population
    parent: int = -1  # whose weights it began with
    start: int = 0  # the epoch of those weights
    baseline: bool = False  # the spec as it is
    kept: Mapping[int, Score] = field(default_factory=dict)  # of the checkpoint kept by then, by epoch
    latest: Mapping[int, Score] = field(default_factory=dict)  # of that very epoch

    @property
    def failed(self) -> bool:
        return self.state == "failed"

    @property
    def running(self) -> bool:
        return self.state == "running"

    @property
    def epoch(self) -> int:
        """The epoch that it has come to."""
        return max(self.kept, default=self.start)

    def reached(self, epoch: int) -> bool:
        """Whether it has been judged at an epoch. One that stopped by itself counts wherever it was sent.

        One that is under way has not come to its target before all that it came to is on record.
        """
        if self.running:
            return self.epoch >= epoch and epoch < self.target
        return not self.failed and self.target >= epoch

    def at(self, epoch: int) -> Score:
        """The score of the checkpoint that it had kept by an epoch."""
        if self.failed:
            return WORST
        return max((score for at, score in self.kept.items() if at <= epoch), default=WORST)

    def now(self, epoch: int) -> Score:
        """The score of its weights at an epoch, the last one before it where that was not judged."""
        if self.failed:
            return WORST
        return self.latest[max(at for at in self.latest if at <= epoch)] if self.latest else WORST

    @property
    def best(self) -> Score:
        return self.at(self.epoch)


@dataclass(frozen=True)
class Rules:
    """The settings that algorithms go by. ``epochs``: the full length; ``most``: trials, None: the algorithm's own."""

    space: Space
    epochs: int
    eta: int = 3
    first: int = 1  # epoch of the first rung
    most: int | None = None
    population: int = 10
    interval: int = 3  # epochs of a generation
    seed: int = 0


@dataclass(frozen=True)
class New:
    """Begin a trial. ``values`` None: let the sampler choose."""

    target: int
    values: Mapping[str, Any] | None = None
    bracket: int = 0
    slot: int = -1
    parent: int = -1
    start: int = 0


@dataclass(frozen=True)
class Go:
    """Let a trial that has reached its target go on to another."""

    number: int
    target: int


class Rest(Enum):
    """Nothing to begin: until a running trial has come on, or for good."""

    WAIT = "wait"
    DONE = "done"


Decision = New | Go | Rest


def ranked(trials: Sequence[Trial], epoch: int) -> list[Trial]:
    """Best first by what was kept at an epoch; of equals the earlier one; failed ones last."""
    return sorted(trials, key=lambda trial: (tuple(-part for part in trial.at(epoch)), trial.number))
