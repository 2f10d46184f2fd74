"""Batches of clips in an order, and with randomness, that follow from (seed, step) alone.

A run is one sequence of steps. The sampler says which clips step k sees, so a run that goes on from step k sees what
it would have seen; each clip's augmentation draws from (seed, epoch, clip), so no worker process and no number of
workers changes it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from kinetag.datasets.clips import Clips

# (clip (C, T, V, M), generator) -> clip as the network sees it
Prepare = Callable[[np.ndarray, np.random.Generator], np.ndarray]
_ORDER, _AUGMENT, _VALIDATE = 1, 2, 3  # separate streams of random numbers from one seed


@dataclass(frozen=True)
class Plan:
    """Which clips each step of a run sees, on each of ``world`` processes.

    A process sees ``batch`` clips a step. What does not fill a last step is left out, as the reference does; a set
    that is smaller than one step makes one step of all of it.
    """

    clips: int
    batch: int
    seed: int
    world: int = 1

    @property
    def steps_per_epoch(self) -> int:
        return max(1, self.clips // (self.batch * self.world))

    def step(self, number: int, rank: int = 0) -> list[tuple[int, int]]:
        """(epoch, clip) of each item of a step, counted from 0 over the whole run."""
        epoch, index = divmod(number, self.steps_per_epoch)
        order = self._order(epoch)
        together = min(self.batch * self.world, self.clips)
        chosen = order[index * together : (index + 1) * together]
        if len(chosen) % self.world:  # a small set on many processes: some clips are seen twice
            chosen = np.resize(chosen, -(-len(chosen) // self.world) * self.world)
        return [(epoch, int(clip)) for clip in chosen[rank :: self.world]]

    def _order(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self.seed, _ORDER, epoch]).permutation(self.clips)


class Steps:
    """Batch sampler for the steps ``first`` to ``last`` of a plan."""

    def __init__(self, plan: Plan, first: int, last: int, rank: int = 0) -> None:
        self.plan, self.first, self.last, self.rank = plan, first, last, rank

    def __len__(self) -> int:
        return max(0, self.last - self.first)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        return (self.plan.step(number, self.rank) for number in range(self.first, self.last))


class Batches(Dataset):
    """A set of clips for a loader, which asks for a list of (epoch, clip) and gets a batch."""

    def __init__(self, clips: Clips, prepare: Prepare, seed: int, *, training: bool) -> None:
        self.clips, self.prepare = clips, prepare
        self.stream = [seed, _AUGMENT if training else _VALIDATE]

    def __len__(self) -> int:
        return len(self.clips)

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
        """Clips (N, C, T, V, M) and their labels (N,)."""
        prepared = [self._clip(epoch, clip) for epoch, clip in keys]
        assert self.clips.labels is not None
        return stack(prepared), self.clips.labels[[clip for _, clip in keys]]

    def _clip(self, epoch: int, clip: int) -> np.ndarray:
        generator = np.random.default_rng([*self.stream, epoch, clip])
        return self.prepare(self.clips.arrays[clip], generator)


def stack(clips: Sequence[np.ndarray]) -> np.ndarray:
    """Clips as one array (N, C, T, V, M), shorter ones and those of fewer people filled up with zeros."""
    frames, people = (max(clip.shape[axis] for clip in clips) for axis in (1, 3))
    batch = np.zeros((len(clips), clips[0].shape[0], frames, clips[0].shape[2], people), np.float32)
    for row, clip in zip(batch, clips, strict=True):
        row[:, : clip.shape[1], :, : clip.shape[3]] = clip
    return batch


def training_loader(
    clips: Clips, prepare: Prepare, plan: Plan, *, first: int, last: int, rank: int = 0, workers: int = 0
) -> DataLoader:
    """The batches of steps ``first`` to ``last``; the workers live as long as the loader."""
    dataset = Batches(clips, prepare, plan.seed, training=True)
    return _loader(dataset, Steps(plan, first, last, rank), min(workers, max(1, last - first)))


def validation_loader(clips: Clips, prepare: Prepare, plan: Plan, *, rank: int = 0, workers: int = 0) -> DataLoader:
    """Every clip once, in order, spread over the processes (all of it on each when there are fewer than processes)."""
    mine = range(len(clips)) if len(clips) < plan.world else range(rank, len(clips), plan.world)
    keys = [(0, clip) for clip in mine]
    batches = [keys[i : i + plan.batch] for i in range(0, len(keys), plan.batch)]
    dataset = Batches(clips, prepare, plan.seed, training=False)
    return _loader(dataset, batches, min(workers, len(batches)))


def _loader(dataset: Batches, batches, workers: int) -> DataLoader:
    return DataLoader(
        dataset,
        batch_sampler=batches,
        collate_fn=_tensors,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
    )


def _tensors(batch: Any) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(batch[0]), torch.from_numpy(batch[1])
