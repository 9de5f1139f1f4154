"""Multilayer perceptrons for vectors of features, such as the rows of a table or small images.

Shapes: B batch, D features.
"""

import itertools
from collections.abc import Callable

from torch import Tensor, nn


class MLP(nn.Module):
    """MLP with three blocks of linear layer, batch norm and ReLU: `block1` to `block3`.

    `norm` builds another norm for a number of features, such as `torch.nn.LayerNorm`.
    """

    def __init__(
        self,
        num_classes: int,
        in_features: int,
        width: int = 128,
        *,
        norm: Callable[[int], nn.Module] = nn.BatchNorm1d,
    ) -> None:
        super().__init__()
        self.flatten = nn.Flatten()
        widths = (in_features, width, width, width)
        self.block1, self.block2, self.block3 = (
            nn.Sequential(nn.Linear(a, b), norm(b), nn.ReLU())
            for a, b in itertools.pairwise(widths)
        )
        self.fc = nn.Linear(width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map inputs (B, ...) to logits (B, num_classes)."""
        return self.fc(self.block3(self.block2(self.block1(self.flatten(x)))))


class ResidualBlock(nn.Module):
    """Batch norm, linear layer, ReLU, linear layer and dropout, plus the input."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(width)
        self.linear1, self.linear2 = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.relu, self.dropout = nn.ReLU(), nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width) to (B, width)."""
        return x + self.dropout(self.linear2(self.relu(self.linear1(self.norm(x)))))


class TableResNet(nn.Module):
    """ResNet for tables (Gorishniy et al., 2021): three residual blocks, `block1` to `block3`."""

    def __init__(
        self, num_classes: int, in_features: int, width: int = 128, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.flatten, self.stem = nn.Flatten(), nn.Linear(in_features, width)
        self.block1, self.block2, self.block3 = (
            ResidualBlock(width, 2 * width, dropout) for _ in range(3)
        )
        self.norm = nn.Sequential(nn.BatchNorm1d(width), nn.ReLU())
        self.fc = nn.Linear(width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map inputs (B, ...) to logits (B, num_classes)."""
        x = self.stem(self.flatten(x))
        return self.fc(self.norm(self.block3(self.block2(self.block1(x)))))
