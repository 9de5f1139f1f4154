"""Three tiny models, each with a reference forward that exposes every activation.

A reference forward calls ``at(name, activation)`` at the mix point of that name and continues with
the returned tensor. It does not use hooks or layermix.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

At = Callable[[str, Tensor], Tensor]


class ResidualBlock(nn.Module):
    """Residual block: conv-bn-relu-conv-bn with a shortcut. Its `relu` module is called twice."""

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = nn.Conv2d(width_in, width, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        h = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(h)) + self.shortcut(x))


class ResNet(nn.Module):
    """Residual network of two stages for 8 x 8 images and 5 classes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(6)
        self.stage1 = nn.Sequential(ResidualBlock(6, 6, 1), ResidualBlock(6, 6, 1))
        self.stage2 = nn.Sequential(ResidualBlock(6, 8, 2))
        self.fc = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn(self.conv(x)))
        x = self.stage2(self.stage1(x))
        return self.fc(x.mean((2, 3)))


class Mlp(nn.Module):
    """Two blocks of linear, batch norm and relu, followed by a linear classifier of 5 classes."""

    def __init__(self, width_in: int = 4, width: int = 8) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            nn.Sequential(nn.Linear(width_in, width), nn.BatchNorm1d(width), nn.ReLU()),
            nn.Sequential(nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU()),
        )
        self.head = nn.Linear(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(x))


def tiny_vit(**options: Any) -> Any:
    """Build timm's ViT with 2 blocks for 16 x 16 images and 5 classes."""
    from timm.models.vision_transformer import VisionTransformer

    return VisionTransformer(
        img_size=16, patch_size=8, embed_dim=16, depth=2, num_heads=2, num_classes=5, **options
    )


def written_out_mlp(net: Any, x: Tensor, at: At) -> Tensor:
    a = at("input", x)
    for index, block in enumerate(net.blocks):
        linear, norm, relu = block
        a = at(f"blocks.{index}.0", linear(a))
        a = at(f"blocks.{index}.1", norm(a))
        a = at(f"blocks.{index}", relu(a))
    return at("logits", net.head(at("final", at("blocks", a))))


def written_out_resnet(net: Any, x: Tensor, at: At) -> Tensor:
    a = at("bn", net.bn(at("conv", net.conv(at("input", x)))))
    a = F.relu(a)
    for stage in ("stage1", "stage2"):
        for index, block in enumerate(getattr(net, stage)):
            name = f"{stage}.{index}"
            h = F.relu(at(f"{name}.bn1", block.bn1(at(f"{name}.conv1", block.conv1(a)))))
            h = at(f"{name}.bn2", block.bn2(at(f"{name}.conv2", block.conv2(h))))
            a = at(name, F.relu(h + at(f"{name}.shortcut", block.shortcut(a))))
        a = at(stage, a)
    return at("logits", net.fc(at("final", a.mean((2, 3)))))


def written_out_vit(net: Any, x: Tensor, at: At) -> Tensor:
    a = at("patch_embed", net.patch_embed(at("input", x)))
    a = torch.cat([net.cls_token.expand(len(a), -1, -1), a], 1) + net.pos_embed
    for index, block in enumerate(net.blocks):
        name = f"blocks.{index}"
        a = a + at(f"{name}.attn", block.attn(block.norm1(a)))
        a = at(name, a + at(f"{name}.mlp", block.mlp(at(f"{name}.norm2", block.norm2(a)))))
    a = at("norm", net.norm(a))
    return at("logits", net.head(at("final", a[:, 0])))


# name -> (constructor, reference forward, shape of one example)
NETS: dict[str, tuple[Callable[[], nn.Module], Callable[..., Tensor], tuple[int, ...]]] = {
    "mlp": (Mlp, written_out_mlp, (4,)),
    "resnet": (ResNet, written_out_resnet, (3, 8, 8)),
    "vit": (tiny_vit, written_out_vit, (3, 16, 16)),
}


def batch(net: str, size: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Return random inputs and labels for one of the models."""
    return torch.randn(size, *NETS[net][2], dtype=dtype), torch.randint(5, (size,))
