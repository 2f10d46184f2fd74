"""Fold-GCN: kinetag's own network for skeletons, many branches in training and one plain path after.

What it takes from whom: streams of joints, bones and motion, fused in the first layer (EfficientGCN, Song et al., TPAMI
2022, arXiv:2106.15125); an adjacency that is learned (ST-GCN++, Duan et al., 2022, arXiv:2205.09443); branches with
batch norms of their own that are folded into one product for inference (RepVGG, Ding et al., CVPR 2021,
arXiv:2101.03697), the adjacency with them; dilated residual convolutions over time (TCN, Bai et al., 2018,
arXiv:1803.01271). Differences, on purpose:
- The graph part is a stem only. After it joints are flattened into channels: a body has few joints, a weight for each
  is cheap, and 'left wrist' stays distinct from 'some joint'. All work is dense matrix products, which CPUs like.
- Centring, scaling and masking happen inside, so pixels, metres and fractions of a frame are all welcome, and a joint
  with confidence 0 (without a confidence channel: one at exactly zero) has no influence, whatever its coordinates.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from kinetag.graph import get_graph, partitions

_LIMIT = 6.0  # body sizes; a wilder coordinate is an outlier
_EPSILON = 1e-3  # of the batch norms: a stream that hardly varies (every joint seen) must not be blown up when it does
_MOTION_GAIN = 4.0  # brings the motion between two frames to the size of the other streams
# What the features of a new network start with: what enters the residual blocks, what each adds, the head's weights. So
# the first logits differ by well under 1, and a large learning rate does not throw it about.
_ENTER, _ADD, _HEAD = 0.15, 0.05, 0.02


class FoldGCN(nn.Module):
    """Clips (N, C, T, V, M) -> logits (N, classes), any number of frames T and of people M.

    ``stem`` channels a joint and ``width`` channels a frame: more learn more and take longer. ``dilations`` one block
    each: more of them look further along time, in steps of two frames.
    """

    def __init__(
        self,
        *,
        classes: int,
        layout: str,
        strategy: str = "spatial",
        channels: tuple[str, ...] = ("x", "y", "confidence"),
        dropout: float = 0.5,
        edge_importance: bool = True,
        stem: int = 16,
        width: int = 128,
        dilations: tuple[int, ...] = (1, 2, 4, 8),
    ) -> None:
        super().__init__()
        graph = torch.from_numpy(partitions(layout, strategy, whole_body=True))  # (K, V, V)
        joints = graph.shape[1]
        self.streams = Streams(layout, channels)
        widths = self.streams.widths
        self.fuse = GraphLayer(graph, [*widths], stem, free=edge_importance)
        self.mix = GraphLayer(graph, [stem], stem, free=edge_importance)
        self.enter = TimeLayer(joints * stem, width, taps=5, stride=2, size=_ENTER)
        self.blocks = nn.ModuleList(TimeLayer(width, width, taps=3, dilation=d, size=_ADD) for d in dilations)
        self.attention = nn.Linear(width, 1)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(3 * width, classes)
        nn.init.normal_(self.head.weight, std=_HEAD)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        n, _, _, _, m = x.shape
        x, mask = self.streams(x)  # (N * M, T, V, F), (N * M, T, 1)
        x = self.fuse(x) * mask
        x = self.mix(x.unflatten(2, (-1, self.mix.inputs))) * mask  # (N * M, T, V * stem)
        x, mask = self.enter(x), _every_other(mask)
        x = x * mask  # (N * M, T / 2, width)
        for block in self.blocks:
            x = (x + block(x)) * mask
        x, present = self.pool(x, mask)  # (N * M, 3 * width), (N * M, 1)
        people = present.reshape(n, m, 1)
        x = (x.reshape(n, m, -1) * people).sum(1) / people.sum(1).clamp(min=1)
        return self.head(self.dropout(x))

    def pool(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Mean, maximum and attention-weighted mean over the frames with a body, and whether there are any."""
        mean = x.sum(1) / mask.sum(1).clamp(min=1)
        highest = x.amax(1)  # masked frames are 0 and the rest is not negative, so they never win
        weight = torch.softmax(self.attention(x) - 1e4 * (1 - mask), dim=1) * mask
        return torch.cat([mean, highest, (x * weight).sum(1)], 1), mask.amax(1)

    def fold(self) -> "FoldGCN":
        """A copy for inference in which every layer's branches, norms and adjacency have become one matrix."""
        folded = copy.deepcopy(self).eval()
        folded.fuse, folded.mix, folded.enter = self.fuse.fold(), self.mix.fold(), self.enter.fold()
        folded.blocks = nn.ModuleList(block.fold() for block in self.blocks)  # type: ignore[operator]
        return folded


class Streams(nn.Module):
    """What is seen of a body, free of place and size: clips -> joints, bones, motion, confidence and a mask of frames.

    Positions are relative to the clip's mean body centre, so a body that travels or rises still does; the unit is the
    root mean square distance of the joints from the body's centre in their own frame. Bones lead from the parent on the
    way to the layout's centre. Nothing is learned here.
    """

    parents: Tensor

    def __init__(self, layout: str, channels: tuple[str, ...]) -> None:
        super().__init__()
        self.scored = "confidence" in channels
        self.order = [i for i, name in enumerate(channels) if name != "confidence"]
        self.score_at = channels.index("confidence") if self.scored else -1
        self.register_buffer("parents", torch.from_numpy(get_graph(layout).parents()), persistent=False)
        self.widths = (*[len(self.order)] * 3, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = x.permute(0, 4, 2, 3, 1).flatten(0, 1)  # (N * M, T, V, C)
        points = x[..., self.order]
        if self.scored:
            weight = x[..., self.score_at :][..., :1].clamp(0, 1)
        else:
            weight = (points != 0).any(-1, keepdim=True).to(x.dtype)
        seen = weight > 0  # (B, T, V, 1)
        weight, points = torch.where(seen, weight, 0), torch.where(seen, points, 0)
        position = torch.where(seen, self.normalise(points, weight), 0)
        bone = torch.where(seen & seen[:, :, self.parents], position - position[:, :, self.parents], 0)
        step = torch.where(seen[:, 1:] & seen[:, :-1], position[:, 1:] - position[:, :-1], 0)
        motion = nn.functional.pad(step * _MOTION_GAIN, (0, 0, 0, 0, 1, 0)).clamp(-_LIMIT, _LIMIT)
        return torch.cat([position, bone, motion, weight], -1), seen.any(2).to(x.dtype)

    def normalise(self, points: Tensor, weight: Tensor) -> Tensor:
        """Positions in body sizes about the clip's mean body centre."""
        in_frame = weight.sum(2, keepdim=True)  # (B, T, 1, 1)
        total = in_frame.sum(1, keepdim=True).clamp(min=1e-6)  # (B, 1, 1, 1)
        centre = (points * weight).sum(2, keepdim=True) / in_frame.clamp(min=1e-6)
        spread = ((points - centre).square().sum(-1, keepdim=True) * weight).sum((1, 2), keepdim=True)
        middle = (centre * in_frame).sum(1, keepdim=True) / total
        return ((points - middle) / (spread / total).sqrt().clamp(min=1e-6)).clamp(-_LIMIT, _LIMIT)


class GraphLayer(nn.Module):
    """Graph convolution of several streams and their sum, ReLU: (B, T, V, C) -> (B, T, V * D).

    Each stream has its own graphs (the body's partitions and a free one), channel maps and batch norm. The sum over
    partitions of (graph k) x (channel map k) is written out as one dense matrix before it meets the data: the same
    function, and several times faster on a CPU than mixing joints and channels in turn.
    """

    def __init__(self, graph: Tensor, streams: list[int], outputs: int, *, free: bool) -> None:
        super().__init__()
        self.inputs, self.sizes = sum(streams), streams
        graph = torch.cat([graph, torch.zeros_like(graph[:1])])  # (K, V, V)
        joints = graph.shape[1]
        self.graphs = nn.ParameterList(nn.Parameter(graph.clone(), requires_grad=free) for _ in streams)
        self.maps = nn.ParameterList(nn.Parameter(torch.empty(len(graph), size, outputs)) for size in streams)
        self.norms = nn.ModuleList(nn.BatchNorm1d(joints * outputs, eps=_EPSILON) for _ in streams)
        for matrix, size in zip(self.maps, streams, strict=True):
            nn.init.normal_(matrix, std=(2 / (size * len(graph))) ** 0.5)
        _start_at(self.norms, 1.0)
        if free:
            for parameter in self.graphs:
                nn.init.normal_(parameter.data[-1], std=0.05)

    def matrices(self) -> list[Tensor]:
        """The dense matrix of each stream, (V * C, V * D)."""
        return [
            torch.einsum("kvw,kcd->vcwd", graph, maps).flatten(2).flatten(0, 1)
            for graph, maps in zip(self.graphs, self.maps, strict=True)
        ]

    def forward(self, x: Tensor) -> Tensor:
        total = x.new_zeros(())
        for part, matrix, norm in zip(x.split(self.sizes, -1), self.matrices(), self.norms, strict=True):
            total = total + norm((part.flatten(2) @ matrix).flatten(0, 1))
        return torch.relu(total).unflatten(0, x.shape[:2])

    def fold(self) -> "Dense":
        joints = self.graphs[0].shape[1]
        weights, biases = [], []
        for matrix, norm in zip(self.matrices(), self.norms, strict=True):
            gain, bias = _affine(norm)
            weights.append((matrix * gain).unflatten(0, (joints, -1)))  # (V, C, V * D)
            biases.append(bias)
        return Dense(torch.cat(weights, 1).flatten(0, 1), torch.stack(biases).sum(0), self.inputs)


class TimeLayer(nn.Module):
    """Convolution over time in branches (all taps, the middle one, none), ReLU: (B, T, C) -> (B, T / stride, D).

    ``size`` is what the sum of the branches starts with, as a standard deviation.
    """

    def __init__(
        self, inputs: int, outputs: int, *, taps: int, stride: int = 1, dilation: int = 1, size: float = 1.0
    ) -> None:
        super().__init__()
        self.stride, self.dilation, self.taps = stride, dilation, taps
        self.wide = nn.Linear(inputs * taps, outputs, bias=False)
        self.narrow = nn.Linear(inputs, outputs, bias=False)
        same = (inputs, stride) == (outputs, 1)
        self.norms = nn.ModuleList(nn.BatchNorm1d(outputs, eps=_EPSILON) for _ in range(3 if same else 2))
        _start_at(self.norms, size)

    def forward(self, x: Tensor) -> Tensor:
        middle = x[:, :: self.stride]  # (B, T / stride, C)
        branches = [self.wide(_taps(x, self.taps, self.stride, self.dilation)), self.narrow(middle), middle]
        total = x.new_zeros(())
        for norm, branch in zip(self.norms, branches, strict=False):
            total = total + norm(branch.flatten(0, 1))
        return torch.relu(total).unflatten(0, middle.shape[:2])

    def fold(self) -> "DenseTime":
        gains, biases = zip(*(_affine(norm) for norm in self.norms), strict=True)
        weight = (self.wide.weight * gains[0][:, None]).unflatten(1, (self.taps, -1))  # (D, taps, C)
        middle = self.narrow.weight * gains[1][:, None]
        if len(gains) > 2:
            middle = middle + torch.diag(gains[2])
        weight = torch.cat([weight[:, : self.taps // 2], (weight[:, self.taps // 2] + middle)[:, None],
                            weight[:, self.taps // 2 + 1 :]], 1)  # fmt: skip
        return DenseTime(weight.flatten(1).T, torch.stack(biases).sum(0), self.taps, self.stride, self.dilation)


class Dense(nn.Module):
    """A folded graph layer: one matrix product and ReLU."""

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor, inputs: int) -> None:
        super().__init__()
        self.inputs = inputs
        self.register_buffer("weight", weight.detach().contiguous())
        self.register_buffer("bias", bias.detach())

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x.flatten(2) @ self.weight + self.bias)


class DenseTime(nn.Module):
    """A folded temporal layer: one matrix product over shifted frames, and ReLU."""

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor, taps: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.taps, self.stride, self.dilation = taps, stride, dilation
        self.register_buffer("weight", weight.detach().contiguous())
        self.register_buffer("bias", bias.detach())

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(_taps(x, self.taps, self.stride, self.dilation) @ self.weight + self.bias)


def _start_at(norms: nn.ModuleList, size: float) -> None:
    """Let the sum of independent branches have this standard deviation."""
    for norm in norms:
        nn.init.constant_(norm.weight, size / len(norms) ** 0.5)  # type: ignore[arg-type]


def _taps(x: Tensor, taps: int, stride: int, dilation: int) -> Tensor:
    """Each frame beside its neighbours, (B, T, C) -> (B, T / stride, taps * C); a product with it is a convolution.

    On a CPU this beats the convolution of such thin signals.
    """
    padding = dilation * (taps // 2)
    padded = nn.functional.pad(x, (0, 0, padding, padding))
    shifts = [dilation * tap for tap in range(taps)]
    return torch.cat([padded[:, shift : shift + x.shape[1] : stride] for shift in shifts], -1)


def _every_other(mask: Tensor) -> Tensor:
    """A frame counts after a stride of 2 when it or the next one did: (B, T, 1) -> (B, ceil(T / 2), 1)."""
    padded = nn.functional.pad(mask, (0, 0, 0, 1))
    return torch.maximum(mask[:, ::2], padded[:, 1::2])


def _affine(norm: Any) -> tuple[Tensor, Tensor]:
    """Gain and bias that a batch norm in evaluation amounts to."""
    gain = norm.weight / (norm.running_var + norm.eps).sqrt()
    return gain, norm.bias - norm.running_mean * gain
