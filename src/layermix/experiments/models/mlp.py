"""A multilayer perceptron for small images."""

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
        in_channels: int,
        image_size: int,
        width: int = 128,
        *,
        norm: Callable[[int], nn.Module] = nn.BatchNorm1d,
    ) -> None:
        super().__init__()
        self.flatten = nn.Flatten()
        widths = (in_channels * image_size**2, width, width, width)
        self.block1, self.block2, self.block3 = (
            nn.Sequential(nn.Linear(a, b), norm(b), nn.ReLU())
            for a, b in itertools.pairwise(widths)
        )
        self.fc = nn.Linear(width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map inputs (B, ...) to logits (B, num_classes)."""
        return self.fc(self.block3(self.block2(self.block1(self.flatten(x)))))
