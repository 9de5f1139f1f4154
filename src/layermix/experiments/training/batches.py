"""Batches of a training split: shuffled, cropped, flipped and normalized on the device.

Images are kept on the device as uint8. All operations are batched, without synchronization.

Shapes: N images, B batch, C channels, H height, W width.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from layermix.experiments.data import Split
from layermix.experiments.training.environment import RunSeeds
from layermix.experiments.training.recipe import Recipe
from layermix.mixing.tensors import moved


@dataclass(frozen=True, eq=False)
class Normalize:
    """Map uint8 images to floats with mean 0 and standard deviation 1 in each channel."""

    mean: Tensor
    std: Tensor

    @classmethod
    def of(cls, train: Split) -> "Normalize":
        """Create a `Normalize` with the exact mean and deviation of each channel, float32 (C,)."""
        stats = [_mean_and_std(train.images[:, c]) for c in range(train.images.shape[1])]
        mean, std = torch.tensor(stats, dtype=torch.float32, device=train.images.device).unbind(1)
        return cls(mean, std)

    def __call__(self, images: Tensor) -> Tensor:
        """Normalize uint8 images (B, C, H, W) to float32."""
        return (images.float() - self.mean.view(-1, 1, 1)) / self.std.view(-1, 1, 1)


def _mean_and_std(channel: Tensor) -> tuple[float, float]:
    """Return the mean and sample standard deviation of one image channel, uint8 (N, H, W)."""
    counts = channel.flatten().cpu().bincount(minlength=256).tolist()
    n = sum(counts)
    total = sum(count * level for level, count in enumerate(counts))
    squares = sum(count * level**2 for level, count in enumerate(counts))
    variance = (n * squares - total**2) / (n * max(1, n - 1))  # integers up to here
    return total / n, max(1.0, math.sqrt(variance))  # a constant channel stays constant


def crop_and_flip(
    images: Tensor, crop: int, flip: bool | Tensor, generator: torch.Generator
) -> Tensor:
    """Shift each image randomly by up to `crop` pixels, and flip images left to right.

    Images, (B, C, H, W) of any dtype, are returned in channels-last memory format. The border is
    filled by reflection; `crop` must be below H and W. If `flip` is True, images are flipped with
    probability 0.5; it may also be a mask, bool (B,). `generator` is on the device of the images.
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
    """Reflect indices outside [0, size), without repeating the border."""
    last = size - 1
    return last - (last - index.abs()).abs()


class Batches:
    """Batches of a training split for each epoch, on the device of its images.

    The incomplete last batch of an epoch is dropped. If `recipe.alternate` is True, each image is
    flipped in every second epoch; half of them start in the first epoch (Jordan, 2024).
    """

    def __init__(self, train: Split, normalize: Normalize, recipe: Recipe, seeds: RunSeeds) -> None:
        self.train, self.normalize, self.recipe = train, normalize, recipe
        self.size = min(recipe.batch_size, len(train))
        self._order = np.random.default_rng(seeds.order)
        device = train.images.device
        self._generator = torch.Generator(device).manual_seed(seeds.augment)
        self._flipped = None
        if recipe.flip is True and recipe.alternate:
            self._flipped = torch.rand(len(train), generator=self._generator, device=device) < 0.5

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return len(self.train) // self.size

    def epoch(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images, float32 (B, C, H, W), and labels, int64 (B,), of an epoch (1, 2, ...)."""
        crop, flip = self.recipe.augmentation
        order = torch.from_numpy(self._order.permutation(len(self.train)))
        order = moved(order, self.train.labels.device)
        for index in order[: len(self) * self.size].split(self.size):
            if self._flipped is not None:
                flip = self._flipped[index] ^ (number % 2 == 0)
            images = crop_and_flip(self.train.images[index], crop, flip, self._generator)
            if not self.recipe.channels_last:
                images = images.clone(memory_format=torch.contiguous_format)
            yield self.normalize(images), self.train.labels[index]
