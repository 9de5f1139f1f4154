"""Residual networks for small images: ResNet-18, the reference net, and PreActResNet-18.

He et al. (2016), "Deep Residual Learning for Image Recognition" and "Identity Mappings in Deep
Residual Networks"; in the form for 32 x 32 images that the mixup papers use: a 3 x 3 convolution
without stride or pooling first, four stages of two blocks, average pooling, one linear layer.

Shapes: B batch, C channels, H height, W width.
"""

import torch.nn.functional as F
from torch import Tensor, nn


def conv3x3(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    """Return a 3 x 3 convolution without bias that keeps height and width at stride 1."""
    return nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)


def global_max(x: Tensor) -> Tensor:
    """Return the largest number of each map, (B, C) of (B, C, H, W).

    It pools with indices: the gradient of `amax` compares the maximum with all numbers, and is 0/0
    in a graph that is compiled in bfloat16, where none equals the rounded maximum.
    """
    return F.adaptive_max_pool2d(x, 1).flatten(1)


class BasicBlock(nn.Module):
    """Convolution, norm, ReLU, convolution, norm; the shortcut is added, then ReLU."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv3x3(in_channels, channels, stride)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = conv3x3(channels, channels)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()
        self.shortcut = nn.Identity()
        if stride != 1 or in_channels != channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, channels, H/stride, W/stride)."""
        branch = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(branch)) + self.shortcut(x))


class PreActBlock(nn.Module):
    """Norm, ReLU, convolution, twice; the shortcut is added last and nothing follows it."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = conv3x3(in_channels, channels, stride)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv2 = conv3x3(channels, channels)
        self.relu = nn.ReLU()
        self.shortcut = None
        if stride != 1 or in_channels != channels:
            self.shortcut = self._shortcut(in_channels, channels, stride)

    def _shortcut(self, in_channels: int, channels: int, stride: int) -> nn.Module:
        return nn.Conv2d(in_channels, channels, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, channels, H/stride, W/stride)."""
        active = self.relu(self.bn1(x))
        branch = self.conv2(self.relu(self.bn2(self.conv1(active))))
        return branch + (x if self.shortcut is None else self.shortcut(active))


class ResNet18(nn.Module):
    """ResNet-18 for small images; mix points `layer1` to `layer4`."""

    block: type[BasicBlock | PreActBlock] = BasicBlock

    def __init__(self, num_classes: int, in_channels: int = 3, width: int = 64) -> None:
        super().__init__()
        self.stem = self._stem(in_channels, width)
        self.layer1 = self._stage(width, width, stride=1)
        self.layer2 = self._stage(width, 2 * width, stride=2)
        self.layer3 = self._stage(2 * width, 4 * width, stride=2)
        self.layer4 = self._stage(4 * width, 8 * width, stride=2)
        self.norm = self._norm(8 * width)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(8 * width, num_classes)

    def _stem(self, in_channels: int, width: int) -> nn.Module:
        return nn.Sequential(conv3x3(in_channels, width), nn.BatchNorm2d(width), nn.ReLU())

    def _norm(self, width: int) -> nn.Module:
        return nn.Identity()

    def _stage(self, in_channels: int, channels: int, stride: int) -> nn.Sequential:
        return nn.Sequential(
            self.block(in_channels, channels, stride), self.block(channels, channels, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) to logits (B, num_classes)."""
        x = self.layer4(self.layer3(self.layer2(self.layer1(self.stem(x)))))
        return self.fc(self.pool(self.norm(x)).flatten(1))


class PreActResNet18(ResNet18):
    """PreActResNet-18, the net of the Manifold Mixup paper; mix points `layer1` to `layer4`."""

    block = PreActBlock

    def _stem(self, in_channels: int, width: int) -> nn.Module:
        return conv3x3(in_channels, width)

    def _norm(self, width: int) -> nn.Module:
        return nn.Sequential(nn.BatchNorm2d(width), nn.ReLU())
