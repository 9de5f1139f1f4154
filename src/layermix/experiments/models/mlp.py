"""A multilayer perceptron for small images, with or without batch norm."""

import itertools

from torch import Tensor, nn


class MLP(nn.Module):
    """MLP with three blocks of linear layer, batch norm and ReLU: `block1` to `block3`.

    If `batch_norm` is False, the blocks have no norm.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        image_size: int,
        width: int = 128,
        *,
        batch_norm: bool = True,
    ) -> None:
        super().__init__()
        self.flatten = nn.Flatten()
        widths = (in_channels * image_size**2, width, width, width)
        self.block1, self.block2, self.block3 = (
            nn.Sequential(
                nn.Linear(a, b), nn.BatchNorm1d(b) if batch_norm else nn.Identity(), nn.ReLU()
            )
            for a, b in itertools.pairwise(widths)
        )
        self.fc = nn.Linear(width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map inputs (B, ...) to logits (B, num_classes)."""
        return self.fc(self.block3(self.block2(self.block1(self.flatten(x)))))
