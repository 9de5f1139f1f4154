"""A small vision transformer (Dosovitskiy et al., 2021), which has layer norms only.

Shapes: B batch, C channels, H height, W width, T tokens, D width of a token.
"""

import torch
from torch import Tensor, nn

_SIDE = 8  # patches along each side of the image


class SmallViT(nn.Module):
    """Vision transformer with three blocks, `block1` to `block3`, and 8 x 8 patches.

    The mean of the tokens is classified. On 32 x 32 images: 157,962 parameters.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        image_size: int | tuple[int, int] = 32,
        width: int = 64,
    ) -> None:
        super().__init__()
        height, cols = image_size if isinstance(image_size, tuple) else (image_size, image_size)
        patch = max(1, min(height, cols) // _SIDE)
        self.patches = nn.Conv2d(in_channels, width, patch, patch)
        self.position = nn.Parameter(
            torch.randn(1, (height // patch) * (cols // patch), width) * 0.02
        )
        self.block1, self.block2, self.block3 = (
            nn.TransformerEncoderLayer(
                width, 4, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True
            )
            for _ in range(3)
        )
        self.norm = nn.LayerNorm(width)
        self.fc = nn.Linear(width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) to logits (B, num_classes)."""
        x = self.patches(x).flatten(2).transpose(1, 2) + self.position  # (B, T, D)
        x = self.block3(self.block2(self.block1(x)))
        return self.fc(self.norm(x).mean(1))
