"""A small multi-branch graph network over windows of joints.

Papers: ST-GCN (Yan et al., AAAI 2018, arXiv:1801.07455) for graph convolution over joints; ST-GCN++ / PYSKL (Duan et
al., 2022, arXiv:2205.09443) for the adjacency as a free parameter; EfficientGCN (Song et al., TPAMI 2022,
arXiv:2106.15125) for fusing joint, bone, motion and depth branches early; TCN (Bai et al., 2018, arXiv:1803.01271) for
dilated residual convolutions over time. Differences, on purpose: the graph part is a stem only; after it the joints are
flattened into channels, because with 19 fixed joints a weight a joint is cheap and keeps 'left wrist' distinct from
'some joint'; every frame carries a mask, and a masked frame has no influence on the answer.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from kinetag.features import CHANNELS, LAYOUT
from kinetag.graph import adjacency

# Each branch sees its coordinates and the confidence beside them.
_BRANCHES = (
    ("x", "y", "confidence"),
    ("bone_x", "bone_y", "confidence"),
    ("motion_x", "motion_y", "confidence"),
    ("world_x", "world_y", "world_z", "world_confidence"),
)


class Seen(NamedTuple):
    """What the network makes of windows: an ``embedding`` (N, D) of each, every second frame (N, T / 2, W), and those
    on their ``way`` through the network (N, T / 2, 3 W), of which the first still show how people move."""

    embedding: Tensor
    frames: Tensor
    way: Tensor


class MultiBranchGCN(nn.Module):
    """Windows (N, T, V, C) and mask (N, T) -> logits of classes (N, K), of variants (N, L), and of classes in every
    second frame (N, T / 2, K), an embedding (N, D), and the progress in each frame (N, T): how far from rest, 0, to the
    turning point of a repetition, 1, whatever the exercise.

    ``variants`` (L,): the class of each way of doing one. The network tells variants apart, and a class is as likely
    as all its variants together; none: every class has one.
    """

    def __init__(
        self,
        classes: int,
        *,
        variants: Sequence[int] | None = None,
        stem: int = 16,
        width: int = 128,
        dilations: tuple[int, ...] = (1, 2, 4, 1),
        dropout: float = 0.25,
    ) -> None:
        super().__init__()
        graph = torch.from_numpy(adjacency(LAYOUT))
        joints = graph.shape[-1]
        self.channels = [[CHANNELS.index(channel) for channel in branch] for branch in _BRANCHES]
        self.branches = nn.ModuleList(GraphConv(len(branch), stem // 2, graph) for branch in _BRANCHES)
        self.fuse = GraphConv(len(_BRANCHES) * (stem // 2), stem, graph)
        self.enter = TemporalConv(joints * stem, width, taps=5, stride=2)
        self.blocks = nn.ModuleList(TemporalConv(width, width, taps=3, dilation=d) for d in dilations)
        self.attention = nn.Linear(width, 1)
        self.dropout = nn.Dropout(dropout)
        ways = range(classes) if variants is None else variants
        self.belongs: Tensor  # (L, K): which class each variant is of
        self.register_buffer("belongs", nn.functional.one_hot(torch.tensor(list(ways)), classes).float())
        self.head = nn.Linear(3 * width, len(ways))
        self.frame_head = nn.Linear(width, classes)
        self.progress = ProgressHead(3 * width)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        seen = self.embed(x, mask)
        return *self.answers(seen.embedding, seen.frames), seen.embedding, torch.sigmoid(self.progress(seen.way))

    def embed(self, x: Tensor, mask: Tensor) -> Seen:
        """What windows show, without an answer to it yet."""
        mask = mask.to(x.dtype)[..., None]  # (N, T, 1)
        x = x * mask[..., None]
        x = torch.cat([branch(x[..., ids]) for branch, ids in zip(self.branches, self.channels, strict=True)], -1)
        x = self.fuse(x).flatten(2) * mask  # (N, T, V * stem)
        mask = torch.maximum(mask[:, 0::2], mask[:, 1::2])  # (N, T / 2, 1)
        way = [self.enter(x) * mask]
        for block in self.blocks:
            way.append((way[-1] + block(way[-1])) * mask)
        return Seen(self.pool(way[-1], mask), way[-1], torch.cat([way[0], way[len(way) // 2], way[-1]], -1))

    def answers(self, embedding: Tensor, frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits of what `embed` saw: of classes (N, K), of variants (N, L), and of each second frame's classes."""
        variants = self.head(self.dropout(embedding))
        return self.classes(variants), variants, self.frame_head(frames)

    def classes(self, variants: Tensor) -> Tensor:
        """Logits of classes (N, K) from those of variants (N, L): the log of the sum of what they are the logs of."""
        highest = variants.amax(1, keepdim=True)
        return torch.log(torch.exp(variants - highest) @ self.belongs + 1e-30) + highest

    def pool(self, x: Tensor, mask: Tensor) -> Tensor:
        """Mean, maximum and attention-weighted mean over the frames that count, (N, 3 * width)."""
        mean = x.sum(1) / mask.sum(1).clamp(min=1)
        highest = x.amax(1)  # masked frames are 0 and the rest is not negative, so they never win
        weight = torch.softmax(self.attention(x) - 1e4 * (1 - mask), dim=1) * mask
        return torch.cat([mean, highest, (x * weight).sum(1)], 1)


class ProgressHead(nn.Module):
    """Every second frame (N, T / 2, D) -> logits of the progress in each frame (N, T)."""

    def __init__(self, inputs: int, width: int = 96, dilations: tuple[int, ...] = (2, 4, 1)) -> None:
        super().__init__()
        self.enter = TemporalConv(inputs, width, taps=3)
        self.blocks = nn.ModuleList(TemporalConv(width, width, taps=3, dilation=d) for d in dilations)
        self.out = nn.Linear(width, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        for block in self.blocks:
            x = x + block(x)
        return self.out(x).flatten(1)


class GraphConv(nn.Module):
    """Mix joints over each partition of a graph that starts as the body's and is learned, and channels with them.

    The sum over partitions of (graph k) x (channel map k) is written out as one dense matrix before it meets the data:
    the same function, and several times faster on a CPU than mixing joints and channels in turn.
    """

    def __init__(self, inputs: int, outputs: int, graph: Tensor) -> None:
        super().__init__()
        free = torch.zeros_like(graph[:1]).normal_(std=0.05)
        self.graph = nn.Parameter(torch.cat([graph, free]))  # (K, V, V)
        self.weight = nn.Parameter(torch.empty(len(self.graph), inputs, outputs))
        nn.init.normal_(self.weight, std=(2 / (inputs * len(self.graph))) ** 0.5)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        joints = self.graph.shape[1]
        _, inputs, outputs = self.weight.shape
        dense = torch.einsum("kvw,kcd->vcwd", self.graph, self.weight).reshape(joints * inputs, joints * outputs)
        bias = self.bias.repeat(joints)
        return torch.relu(x.flatten(2) @ dense + bias).unflatten(2, (joints, outputs))  # (N, T, V, outputs)


class TemporalConv(nn.Module):
    """Convolution over time, normalisation, ReLU: (N, T, C) -> (N, T / stride, D).

    Written as one matrix product over shifted frames, which on a CPU beats the convolution of such thin signals.
    """

    def __init__(self, inputs: int, outputs: int, *, taps: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.stride, self.shifts = stride, [dilation * tap for tap in range(taps)]
        self.padding = dilation * (taps // 2)
        self.linear = nn.Linear(inputs * taps, outputs, bias=False)
        self.norm = nn.BatchNorm1d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        frames = x.shape[1]
        padded = nn.functional.pad(x, (0, 0, self.padding, self.padding))
        taps = torch.cat([padded[:, shift : shift + frames : self.stride] for shift in self.shifts], -1)
        mixed = self.linear(taps)  # (N, T / stride, D)
        return torch.relu(self.norm(mixed.flatten(0, 1))).unflatten(0, mixed.shape[:2])
