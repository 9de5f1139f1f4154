"""A small pre-activation residual network that trains in seconds on a CPU.

Three stages of one pre-activation block (He et al., 2016, "Identity Mappings in Deep Residual
Networks"). Norm and ReLU stand between the last block and the classifier, so that mixing after
the last block and mixing at the final layer are not the same thing.
"""

from torch import Tensor, nn

from layermix.lab.nets.resnet import PreActBlock, conv3x3


class SmallResNet(nn.Module):
    """Stem and three blocks of `width`, 2 and 4 times `width` channels; `block1` to `block3`."""

    def __init__(self, num_classes: int, in_channels: int = 3, width: int = 32) -> None:
        super().__init__()
        self.stem = conv3x3(in_channels, width)
        self.block1 = PreActBlock(width, width, stride=1)
        self.block2 = PreActBlock(width, 2 * width, stride=2)
        self.block3 = PreActBlock(2 * width, 4 * width, stride=2)
        self.norm = nn.Sequential(nn.BatchNorm2d(4 * width), nn.ReLU())
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(4 * width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) to logits (B, num_classes)."""
        x = self.block3(self.block2(self.block1(self.stem(x))))
        return self.fc(self.pool(self.norm(x)).flatten(1))
