"""ST-GCN++: ST-GCN with a free adjacency, a residual in the graph convolution, and six branches over time.

Paper: Duan, Wang, Chen, Lin, "PYSKL: Towards Good Practices for Skeleton Action Recognition", ACM MM 2022,
arXiv:2205.09443, section 3.2. Differences: distances to the centre are counted over the whole body in any layout;
``edge_importance`` off keeps the adjacency as it is; pooled features pass a dropout, which the paper leaves at 0.
"""

import torch
from torch import Tensor, nn

from kinetag.graph import partitions

# (channels, stride) of the ten blocks
_BLOCKS = ((64, 1), (64, 1), (64, 1), (64, 1), (128, 2), (128, 1), (128, 1), (256, 2), (256, 1), (256, 1))
_DILATIONS = (1, 2, 3, 4)


class STGCNPlusPlus(nn.Module):
    """Clips (N, C, T, V, M) -> logits (N, classes), any number of frames T and of people M."""

    def __init__(
        self,
        *,
        classes: int,
        layout: str,
        strategy: str = "spatial",
        channels: tuple[str, ...] = ("x", "y", "z"),
        dropout: float = 0.5,
        edge_importance: bool = True,
    ) -> None:
        super().__init__()
        graph = torch.from_numpy(partitions(layout, strategy, whole_body=True))  # (K, V, V)
        self.data_bn = nn.BatchNorm1d(len(channels) * graph.shape[1])
        widths = (len(channels), *(width for width, _ in _BLOCKS))
        self.blocks = nn.ModuleList(
            Block(widths[i], width, graph.clone(), stride=stride, free=edge_importance, residual=i > 0)
            for i, (width, stride) in enumerate(_BLOCKS)
        )
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        n, c, t, v, m = x.shape
        x = x.permute(0, 4, 3, 1, 2).reshape(n * m, v * c, t)
        x = self.data_bn(x).reshape(n * m, v, c, t).permute(0, 2, 3, 1)  # (N * M, C, T, V)
        for block in self.blocks:
            x = block(x)
        x = x.mean(dim=(2, 3)).reshape(n, m, -1).mean(dim=1)  # over frames and joints, then over people
        return self.fc(self.dropout(x))

    def fold(self) -> "STGCNPlusPlus":
        """The network itself: its branches have nonlinearities inside, so they cannot become one."""
        return self


class Block(nn.Module):
    """Graph convolution, branches over time and a residual way around both: (B, C, T, V) -> (B, D, T / stride, V)."""

    def __init__(self, inputs: int, outputs: int, graph: Tensor, *, stride: int, free: bool, residual: bool) -> None:
        super().__init__()
        self.gcn = GraphConv(inputs, outputs, graph, free=free)
        self.tcn = TemporalBranches(outputs, stride)
        self.residual = _shortcut(inputs, outputs, stride) if residual else None

    def forward(self, x: Tensor) -> Tensor:
        new = self.tcn(self.gcn(x))
        return torch.relu(new if self.residual is None else new + self.residual(x))


class GraphConv(nn.Module):
    """Graph convolution with a free adjacency and a residual: (B, C, T, V) -> (B, D, T, V)."""

    def __init__(self, inputs: int, outputs: int, graph: Tensor, *, free: bool) -> None:
        super().__init__()
        self.A = nn.Parameter(graph, requires_grad=free)
        self.conv = nn.Conv2d(inputs, outputs * len(graph), 1)
        self.bn = nn.BatchNorm2d(outputs)
        self.down = _shortcut(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        parts = self.conv(x).unflatten(1, (len(self.A), -1))  # (B, K, D, T, V)
        parts = parts.permute(0, 2, 3, 1, 4).flatten(3)  # (B, D, T, K * V)
        return torch.relu(self.bn(parts @ self.A.flatten(0, 1)) + self.down(x))


class TemporalBranches(nn.Module):
    """Four dilated convolutions, a maximum and a plain 1x1 side by side: (B, C, T, V) -> (B, C, T / stride, V)."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        share = channels // 6
        first = channels - 5 * share  # the remainder goes to the first branch

        def convolution(width: int, dilation: int) -> nn.Module:
            return nn.Conv2d(width, width, (3, 1), (stride, 1), (dilation, 0), (dilation, 1))

        widths = [first, *([share] * 3)]
        self.branches = nn.ModuleList(
            [
                nn.Sequential(*_entry(channels, width), convolution(width, dilation))
                for width, dilation in zip(widths, _DILATIONS, strict=True)
            ]
        )
        self.branches.append(nn.Sequential(*_entry(channels, share), nn.MaxPool2d((3, 1), (stride, 1), (1, 0))))
        self.branches.append(nn.Conv2d(channels, share, 1, (stride, 1)))
        self.transform = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, channels, 1))
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.transform(torch.cat([branch(x) for branch in self.branches], dim=1)))


def _entry(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 1), nn.BatchNorm2d(outputs), nn.ReLU()]


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    if (inputs, stride) == (outputs, 1):
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, (stride, 1)), nn.BatchNorm2d(outputs))
