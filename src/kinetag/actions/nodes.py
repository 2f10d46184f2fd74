"""Several machines at one evaluation or inference: each answers for its share of the clips, then all know all answers.

The same command is started once on every machine, with MASTER_ADDR, MASTER_PORT and NODE_RANK as for a training; the
first one writes.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from kinetag.errors import KinetagError, missing_extra


@dataclass(frozen=True)
class Nodes:
    """How many machines there are, and which one this is, counted from 0."""

    count: int = 1
    rank: int = 0

    def share(self, clips: int) -> range:
        """The clips that this machine answers for."""
        return range(self.rank, clips, self.count)

    def together(self, part: np.ndarray, clips: int) -> np.ndarray:
        """The answers to all clips, (clips, K) float32, from those of this machine's share, (share, K)."""
        if self.count == 1:
            return part
        import torch
        from torch import distributed

        mine = torch.zeros(-(-clips // self.count), part.shape[1])
        mine[: len(part)] = torch.from_numpy(part)
        parts = [torch.empty_like(mine) for _ in range(self.count)]
        try:
            distributed.all_gather(parts, mine)
        except RuntimeError as error:
            raise KinetagError(f"another of the {self.count} machines has gone ({_first_line(error)})") from None
        whole = np.empty((clips, part.shape[1]), np.float32)
        for rank, answers in enumerate(parts):
            own = range(rank, clips, self.count)
            whole[own] = answers[: len(own)].numpy()
        return whole


ALONE = Nodes()


@contextmanager
def joined(action: str, count: int) -> Iterator[Nodes]:
    """Meet the other machines; ``action`` and ``count`` (its num_nodes) are for messages and for how many to wait."""
    if count == 1:
        yield ALONE
        return
    try:
        from torch import distributed
    except ImportError:
        raise missing_extra("torch", "train", f"{action}.num_nodes={count}") from None
    rank = own_rank(action, count)
    try:
        distributed.init_process_group("gloo", rank=rank, world_size=count)
    except (RuntimeError, ValueError) as error:
        place = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        raise KinetagError(f"the {count} machines did not meet at {place} ({_first_line(error)})") from None
    try:
        yield Nodes(count, rank)
    finally:
        distributed.destroy_process_group()


def own_rank(action: str, count: int) -> int:
    """This machine's number, as torchrun or whoever started the command says."""
    rank = os.environ.get("RANK", os.environ.get("NODE_RANK", ""))
    place = [os.environ.get(name, "") for name in ("MASTER_ADDR", "MASTER_PORT")]
    if not (rank.isdigit() and int(rank) < count and all(place)):
        raise KinetagError(
            f"{action}.num_nodes is {count}: start the same command on each of the {count} machines, with MASTER_ADDR "
            f"and MASTER_PORT (of the first) and NODE_RANK (0 to {count - 1}) in the environment; or set it to 1"
        )
    return int(rank)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200]
