"""Networks for small images.

`ResNet18` and `PreActResNet18` (He et al., 2016, "Deep Residual Learning for Image Recognition"
and "Identity Mappings in Deep Residual Networks") are the variants of the mixup papers: a 3 x 3
convolution without stride or pooling, four stages of two blocks, average pooling, a linear layer.
`SmallResNet` and `SpeedNet` train in seconds to minutes on a CPU.

Shapes: B batch, C channels, H height, W width.
"""

import itertools
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_PATCH, _MIN_VARIANCE = 2, 5e-4
_LOGIT_SCALE = 1 / 9

Norm = Callable[[int], nn.Module]


def group_norm(channels: int) -> nn.GroupNorm:
    """Return a group norm with 8 groups (Wu, He, 2018)."""
    return nn.GroupNorm(math.gcd(8, channels), channels)


def _least(image_size: int | tuple[int, int]) -> int:
    return image_size if isinstance(image_size, int) else min(image_size)


def conv3x3(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    """Return a 3 x 3 convolution without bias and with padding 1."""
    return nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)


def global_max(x: Tensor) -> Tensor:
    """Return the maximum of each channel, (B, C), of a tensor (B, C, H, W).

    `adaptive_max_pool2d` stores indices. The gradient of `amax` would compare values with the
    maximum; in a graph compiled in bfloat16, no value equals the rounded maximum, which gives 0/0.
    """
    return F.adaptive_max_pool2d(x, 1).flatten(1)


class BasicBlock(nn.Module):
    """Residual block: convolution, batch norm, ReLU, convolution, batch norm, shortcut, ReLU."""

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
    """Pre-activation residual block: batch norm, ReLU and convolution, twice; plus a shortcut.

    If `pool` is True, the shortcut uses average pooling instead of a stride (He et al., 2019).
    `norm` builds a norm for a number of channels.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        stride: int,
        *,
        pool: bool = False,
        norm: Norm = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        self.bn1 = norm(in_channels)
        self.conv1 = conv3x3(in_channels, channels, stride)
        self.bn2 = norm(channels)
        self.conv2 = conv3x3(channels, channels)
        self.relu = nn.ReLU()
        self.shortcut = None
        if stride != 1 or in_channels != channels:
            conv = nn.Conv2d(in_channels, channels, 1, 1 if pool else stride, bias=False)
            average = nn.AvgPool2d(stride, ceil_mode=True)
            self.shortcut = nn.Sequential(average, conv) if pool else conv

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, channels, H/stride, W/stride)."""
        active = self.relu(self.bn1(x))
        branch = self.conv2(self.relu(self.bn2(self.conv1(active))))
        return branch + (x if self.shortcut is None else self.shortcut(active))


class ResNet18(nn.Module):
    """ResNet-18 for small images; the hidden mix points are `layer1` to `layer4`."""

    block: type[BasicBlock | PreActBlock] = BasicBlock

    def __init__(self, num_classes: int, in_channels: int = 3, width: int = 64) -> None:
        super().__init__()
        self.stem: nn.Module = nn.Sequential(
            conv3x3(in_channels, width), nn.BatchNorm2d(width), nn.ReLU()
        )
        self.layer1 = self._stage(width, width, stride=1)
        self.layer2 = self._stage(width, 2 * width, stride=2)
        self.layer3 = self._stage(2 * width, 4 * width, stride=2)
        self.layer4 = self._stage(4 * width, 8 * width, stride=2)
        self.norm: nn.Module = nn.Identity()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(8 * width, num_classes)

    def _stage(self, in_channels: int, channels: int, stride: int) -> nn.Sequential:
        first = self.block(in_channels, channels, stride)
        return nn.Sequential(first, self.block(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) to logits (B, num_classes)."""
        x = self.layer4(self.layer3(self.layer2(self.layer1(self.stem(x)))))
        return self.fc(self.pool(self.norm(x)).flatten(1))


class PreActResNet18(ResNet18):
    """PreActResNet-18 of the Manifold Mixup paper; hidden mix points are `layer1` to `layer4`."""

    block = PreActBlock

    def __init__(self, num_classes: int, in_channels: int = 3, width: int = 64) -> None:
        super().__init__(num_classes, in_channels, width)
        self.stem = next(self.stem.children())  # only the convolution
        self.norm = nn.Sequential(nn.BatchNorm2d(8 * width), nn.ReLU())


class SmallResNet(nn.Module):
    """Small ResNet: `block1` to `block3` have `width`, 2 * `width` and 4 * `width` channels.

    These pre-activation blocks are the hidden mix points. Batch norm, ReLU and a global maximum
    follow `block3`, so that mixing after it is not the same as at the final layer. Images of 16
    pixels or more are pooled to half size first; for smaller images, the default width is half. On
    32 x 32 images: 308,266 parameters, 12.9 million multiplications. `norm` builds a norm for a
    number of channels; `group_norm` has no running statistics.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        image_size: int | tuple[int, int] = 32,
        width: int | None = None,
        *,
        norm: Norm = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        large = _least(image_size) >= 16
        width = width or (32 if large else 16)
        self.stem = conv3x3(in_channels, width)
        self.stem_pool = nn.MaxPool2d(2) if large else nn.Identity()
        self.block1 = PreActBlock(width, width, 1, pool=True, norm=norm)
        self.block2 = PreActBlock(width, 2 * width, 2, pool=True, norm=norm)
        self.block3 = PreActBlock(2 * width, 4 * width, 2, pool=True, norm=norm)
        self.norm = nn.Sequential(norm(4 * width), nn.ReLU())
        self.fc = nn.Linear(4 * width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) to logits (B, num_classes)."""
        x = self.stem_pool(self.stem(x))
        x = self.block3(self.block2(self.block1(x)))
        return self.fc(global_max(self.norm(x)))


class SpeedGroup(nn.Module):
    """Apply convolution, max pooling, batch norm, GELU, convolution, batch norm, GELU."""

    def __init__(self, in_channels: int, channels: int, *, shrink: bool) -> None:
        super().__init__()
        self.conv1 = conv3x3(in_channels, channels)
        self.pool = nn.MaxPool2d(2) if shrink else nn.Identity()
        self.norm1 = _fast_norm(channels)
        self.conv2 = conv3x3(channels, channels)
        self.norm2 = _fast_norm(channels)
        self.gelu = nn.GELU()
        for conv in (self.conv1, self.conv2):  # start as the identity of the first channels
            nn.init.dirac_(conv.weight[: conv.in_channels])

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, channels, H/2, W/2), or keep H and W if `shrink` is False."""
        x = self.gelu(self.norm1(self.pool(self.conv1(x))))
        return self.gelu(self.norm2(self.conv2(x)))


class SpeedNet(nn.Module):
    """Network of the CIFAR-10 speed records; the hidden mix points are `block1` to `block3`.

    A fixed 2 x 2 convolution whitens the patches of the training images. Three groups with 64, 256
    and 256 channels, a global maximum, and a linear layer without bias follow. Sources: Page (2019,
    "How to train your ResNet") and Jordan (2024, "94% on CIFAR-10 in 3.29 seconds on a single
    GPU"). On 32 x 32 images: 1,972,792 parameters, 118 million multiplications.
    """

    def __init__(
        self, num_classes: int, in_channels: int = 3, image_size: int | tuple[int, int] = 32
    ) -> None:
        super().__init__()
        patch = in_channels * _PATCH**2
        self.whiten = nn.Conv2d(in_channels, 2 * patch, _PATCH)
        self.whiten.weight.requires_grad_(False)
        self.gelu = nn.GELU()
        size = _least(image_size) - _PATCH + 1
        widths, groups = (2 * patch, 64, 256, 256), []
        for before, width in itertools.pairwise(widths):
            groups.append(SpeedGroup(before, width, shrink=size >= 2))
            size = max(1, size // 2)
        self.block1, self.block2, self.block3 = groups
        self.head = nn.Linear(widths[-1], num_classes, bias=False)

    @torch.no_grad()
    def initialize_from(self, images: Tensor) -> None:
        """Compute the whitening filters from normalized training images, float32 (N, C, H, W)."""
        patches = nn.functional.unfold(images, _PATCH).transpose(1, 2).flatten(0, 1)  # (n, d)
        patches = patches.double()
        variances, directions = torch.linalg.eigh(patches.T @ patches / len(patches))
        filters = directions.T / (variances + _MIN_VARIANCE).sqrt()[:, None]
        filters = filters.flip(0).view(-1, *self.whiten.weight.shape[1:])  # largest first
        self.whiten.weight.copy_(torch.cat([filters, -filters]))

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) to logits (B, num_classes)."""
        x = self.gelu(self.whiten(x))
        x = self.block3(self.block2(self.block1(x)))
        return self.head(global_max(x) * _LOGIT_SCALE)


def _fast_norm(channels: int) -> nn.BatchNorm2d:
    """Return a batch norm with fixed scale, whose running statistics adapt in a few steps."""
    norm = nn.BatchNorm2d(channels, eps=1e-12, momentum=0.4)
    norm.weight.requires_grad_(False)
    return norm
