"""Normalise, crop and flip whole batches on the device they lie on.

Shapes: B batch, C channels, H height, W width.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from layermix.experiments.data.dataset import Split


@dataclass(frozen=True, eq=False)
class Normalise:
    """Map uint8 images to floats with mean 0 and standard deviation 1 for each channel."""

    mean: Tensor
    std: Tensor

    @classmethod
    def of(cls, train: Split) -> "Normalise":
        """Measure mean and standard deviation, float32 (C,), on training images.

        Exact, from how often each of the 256 levels occurs, counted on the CPU.
        """
        found = [_mean_and_std(train.images[:, c]) for c in range(train.images.shape[1])]
        mean, std = torch.tensor(found, dtype=torch.float32, device=train.images.device).unbind(1)
        return cls(mean, std)

    def __call__(self, images: Tensor) -> Tensor:
        """Return float32 images of the shape of `images`, uint8 (B, C, H, W)."""
        return (images.float() - self.mean.view(-1, 1, 1)) / self.std.view(-1, 1, 1)


def _mean_and_std(channel: Tensor) -> tuple[float, float]:
    """Return mean and sample standard deviation of a channel, uint8 (N, H, W)."""
    times = channel.flatten().cpu().bincount(minlength=256).tolist()
    count = sum(times)
    total = sum(n * level for level, n in enumerate(times))
    squares = sum(n * level**2 for level, n in enumerate(times))
    variance = (count * squares - total**2) / (count * max(1, count - 1))  # integers up to here
    return total / count, max(1.0, math.sqrt(variance))  # a constant channel stays constant


def crop_and_flip(
    images: Tensor, crop: int, flip: bool | Tensor, generator: torch.Generator
) -> Tensor:
    """Shift each image by up to `crop` pixels and mirror some, at random.

    Parameters
    ----------
    images
        Shape (B, C, H, W), any dtype.
    crop
        Largest shift in pixels, below H and W; what comes in from outside is the reflection.
    flip
        Mirror left and right with probability one half, or those of these, bool (B,).
    generator
        Source of randomness, on the device of the images.

    Returns
    -------
    Tensor
        Shape and dtype of `images`, with channels last in memory, whatever theirs are.
    """
    batch, device = len(images), images.device
    height, width = images.shape[-2:]
    rows = torch.arange(height, device=device).expand(batch, -1)  # (B, H)
    columns = torch.arange(width, device=device).expand(batch, -1)  # (B, W)
    if flip is True:
        flip = torch.rand(batch, generator=generator, device=device) < 0.5
    if isinstance(flip, Tensor):
        columns = torch.where(flip[:, None], columns.flip(1), columns)
    if crop:
        shift = torch.randint(-crop, crop + 1, (2, batch, 1), generator=generator, device=device)
        rows, columns = _reflect(rows + shift[0], height), _reflect(columns + shift[1], width)
    index = torch.arange(batch, device=device)[:, None, None]
    picked = images.permute(0, 2, 3, 1)[index, rows[:, :, None], columns[:, None, :]]
    return picked.permute(0, 3, 1, 2)  # (B, C, H, W)


def _reflect(index: Tensor, size: int) -> Tensor:
    """Mirror indices that run over the border, without repeating the border itself."""
    last = size - 1
    return last - (last - index.abs()).abs()
