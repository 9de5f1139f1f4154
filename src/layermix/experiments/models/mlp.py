"""A multilayer perceptron for images or vectors, flattened first."""

from torch import Tensor, nn


class MLP(nn.Module):
    """Three hidden layers of norm and ReLU; mix points `block1` to `block3`."""

    def __init__(
        self, num_classes: int, in_channels: int, image_size: int, width: int = 128
    ) -> None:
        super().__init__()
        self.flatten = nn.Flatten()
        self.block1 = self._block(in_channels * image_size**2, width)
        self.block2 = self._block(width, width)
        self.block3 = self._block(width, width)
        self.fc = nn.Linear(width, num_classes)

    @staticmethod
    def _block(inputs: int, width: int) -> nn.Sequential:
        return nn.Sequential(nn.Linear(inputs, width), nn.BatchNorm1d(width), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        """Map inputs (B, ...) to logits (B, num_classes)."""
        return self.fc(self.block3(self.block2(self.block1(self.flatten(x)))))
