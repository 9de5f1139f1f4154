"""Normalise, crop and flip whole batches on the device they lie on.

Shapes: B batch, C channels, H height, W width.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from layermix.lab.data.dataset import Split


@dataclass(frozen=True, eq=False)
class Normalise:
    """Map uint8 images to floats with mean 0 and standard deviation 1 for each channel."""

    mean: Tensor
    std: Tensor

    @classmethod
    def of(cls, train: Split) -> "Normalise":
        """Measure mean and standard deviation, float (C,), on training images."""
        pixels = train.images.transpose(0, 1).flatten(1).double()  # (C, N*H*W)
        std = pixels.std(1).clamp_min(1.0)  # a constant channel stays constant
        return cls(pixels.mean(1).float(), std.float())

    def __call__(self, images: Tensor) -> Tensor:
        """Return float32 images of the shape of `images`, uint8 (B, C, H, W)."""
        return (images.float() - self.mean.view(-1, 1, 1)) / self.std.view(-1, 1, 1)


def crop_and_flip(images: Tensor, crop: int, flip: bool, generator: torch.Generator) -> Tensor:
    """Shift each image by up to `crop` pixels and mirror every second one, at random.

    Parameters
    ----------
    images
        Shape (B, C, H, W), any dtype.
    crop
        Largest shift in pixels, below H and W; what comes in from outside is the reflection.
    flip
        Mirror left and right with probability one half.
    generator
        Source of randomness, on the device of the images.
    """
    batch, device = len(images), images.device
    height, width = images.shape[-2:]
    rows = torch.arange(height, device=device).expand(batch, -1)  # (B, H)
    columns = torch.arange(width, device=device).expand(batch, -1)  # (B, W)
    if flip:
        mirror = torch.rand(batch, 1, generator=generator, device=device) < 0.5
        columns = torch.where(mirror, columns.flip(1), columns)
    if crop:
        shift = torch.randint(-crop, crop + 1, (2, batch, 1), generator=generator, device=device)
        rows, columns = _reflect(rows + shift[0], height), _reflect(columns + shift[1], width)
    index = torch.arange(batch, device=device)[:, None, None]
    picked = images.permute(0, 2, 3, 1)[index, rows[:, :, None], columns[:, None, :]]
    return picked.permute(0, 3, 1, 2)  # (B, C, H, W), channels last in memory


def _reflect(index: Tensor, size: int) -> Tensor:
    """Mirror indices that run over the border, without repeating the border itself."""
    last = size - 1
    return last - (last - index.abs()).abs()
