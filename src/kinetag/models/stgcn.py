"""ST-GCN: spatial-temporal graph convolution, ten blocks of it.

Paper: Yan, Xiong, Lin, "Spatial Temporal Graph Convolutional Networks for Skeleton-Based Action Recognition", AAAI
2018, arXiv:1801.07455. Written so that the checkpoints of NVIDIA TAO's pose classification (`A`, `data_bn`,
`st_gcn_networks.{i}.gcn.conv`, `.tcn.{0,2,3}`, `.residual.{0,1}`, `edge_importance.{i}`, `fcn`) load by name and give
the same answers. Difference: the edge importance is left out as a whole when it is off.
"""

import torch
from torch import Tensor, nn

from kinetag.graph import partitions

# (channels, stride) of the ten blocks
_BLOCKS = ((64, 1), (64, 1), (64, 1), (64, 1), (128, 2), (128, 1), (128, 1), (256, 2), (256, 1), (256, 1))
_TAPS = 9  # frames that a temporal convolution sees


class STGCN(nn.Module):
    """Clips (N, C, T, V, M) -> logits (N, classes), any number of frames T and of people M."""

    A: Tensor

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
        graph = torch.from_numpy(partitions(layout, strategy))  # (K, V, V)
        self.register_buffer("A", graph)
        self.data_bn = nn.BatchNorm1d(len(channels) * graph.shape[1])
        widths = (len(channels), *(width for width, _ in _BLOCKS))
        self.st_gcn_networks = nn.ModuleList(
            Block(
                widths[i],
                width,
                len(graph),
                stride=stride,
                dropout=dropout if i else 0.0,
                residual=i > 0,
            )
            for i, (width, stride) in enumerate(_BLOCKS)
        )
        self.edge_importance = (
            nn.ParameterList(nn.Parameter(torch.ones_like(graph)) for _ in _BLOCKS) if edge_importance else None
        )
        self.fcn = nn.Conv2d(widths[-1], classes, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        n, c, t, v, m = x.shape
        x = x.permute(0, 4, 3, 1, 2).reshape(n * m, v * c, t)
        x = self.data_bn(x).reshape(n * m, v, c, t).permute(0, 2, 3, 1)  # (N * M, C, T, V)
        for i, block in enumerate(self.st_gcn_networks):
            x = block(x, self.A if self.edge_importance is None else self.A * self.edge_importance[i])
        x = x.mean(dim=(2, 3)).reshape(n, m, -1).mean(dim=1)  # over frames and joints, then over people
        return self.fcn(x[..., None, None]).flatten(1)

    def fold(self) -> "STGCN":
        """The network itself: it has no branches to fold, and runtimes merge its batch norms on their own."""
        return self


class Block(nn.Module):
    """Graph convolution, temporal convolution and a residual way around both: (B, C, T, V) -> (B, D, T / stride, V)."""

    def __init__(self, inputs: int, outputs: int, groups: int, *, stride: int, dropout: float, residual: bool) -> None:
        super().__init__()
        self.gcn = GraphConv(inputs, outputs, groups)
        self.tcn = nn.Sequential(
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, (_TAPS, 1), (stride, 1), (_TAPS // 2, 0)),
            nn.BatchNorm2d(outputs),
            nn.Dropout(dropout),
        )
        self.residual: nn.Module | None = None
        if residual and (inputs, stride) == (outputs, 1):
            self.residual = nn.Identity()
        elif residual:
            self.residual = nn.Sequential(nn.Conv2d(inputs, outputs, 1, (stride, 1)), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor, graph: Tensor) -> Tensor:
        new = self.tcn(self.gcn(x, graph))
        return torch.relu(new if self.residual is None else new + self.residual(x))


class GraphConv(nn.Module):
    """A channel map a group of neighbours, each mixed over its group, and their sum: (B, C, T, V) -> (B, D, T, V)."""

    def __init__(self, inputs: int, outputs: int, groups: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs * groups, kernel_size=1)

    def forward(self, x: Tensor, graph: Tensor) -> Tensor:
        parts = self.conv(x).unflatten(1, (len(graph), -1))  # (B, K, D, T, V)
        # One product of (K * V) with V instead of K small ones that are then added up.
        parts = parts.permute(0, 2, 3, 1, 4).flatten(3)  # (B, D, T, K * V)
        return parts @ graph.flatten(0, 1)
