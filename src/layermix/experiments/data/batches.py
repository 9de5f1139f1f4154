"""Batches of a training split: shuffled, cropped, flipped and normalized on the device.

Images stay on the device as uint8. Each step works on a whole batch and does not synchronize.

Shapes: N images, B batch, C channels, H height, W width.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from layermix.experiments.data.dataset import Split
from layermix.mixing.device import moved


@dataclass(frozen=True, eq=False)
class Normalize:
    """Map uint8 images to floats with mean 0 and standard deviation 1 in each channel."""

    mean: Tensor
    std: Tensor

    @classmethod
    def of(cls, train: Split) -> "Normalize":
        """Compute mean and standard deviation, float32 (C,), of training images.

        They are computed exactly on the CPU, from the counts of the 256 levels.
        """
        stats = [_mean_and_std(train.images[:, c]) for c in range(train.images.shape[1])]
        mean, std = torch.tensor(stats, dtype=torch.float32, device=train.images.device).unbind(1)
        return cls(mean, std)

    def __call__(self, images: Tensor) -> Tensor:
        """Return uint8 images (B, C, H, W) as normalized float32."""
        return (images.float() - self.mean.view(-1, 1, 1)) / self.std.view(-1, 1, 1)


def _mean_and_std(channel: Tensor) -> tuple[float, float]:
    """Return mean and sample standard deviation of a channel, uint8 (N, H, W)."""
    counts = channel.flatten().cpu().bincount(minlength=256).tolist()
    n = sum(counts)
    total = sum(count * level for level, count in enumerate(counts))
    squares = sum(count * level**2 for level, count in enumerate(counts))
    variance = (n * squares - total**2) / (n * max(1, n - 1))  # integers up to here
    return total / n, max(1.0, math.sqrt(variance))  # a constant channel stays constant


def crop_and_flip(
    images: Tensor, crop: int, flip: bool | Tensor, generator: torch.Generator
) -> Tensor:
    """Shift each image by up to `crop` pixels and flip some left to right, at random.

    Parameters
    ----------
    images
        Shape (B, C, H, W), any dtype.
    crop
        Largest shift in pixels, below H and W. Reflection fills the border.
    flip
        True to flip each image with probability 0.5, or a mask, bool (B,), of images to flip.
    generator
        Random generator on the device of the images.

    Returns
    -------
    Tensor
        Shape and dtype of `images`, in channels-last memory format.
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
    """Reflect indices outside [0, size) at the border, which is not repeated."""
    last = size - 1
    return last - (last - index.abs()).abs()


class Batches:
    """The batches of each epoch of a training split.

    Parameters
    ----------
    train
        The images, on the device of the training.
    normalize
        Applied last.
    size
        Images in a batch. The incomplete last batch of an epoch is dropped.
    crop, flip
        See `crop_and_flip`.
    alternate
        Flip each image in every second epoch, half of them in the first (Jordan, 2024).
    channels_last
        Return images in channels-last memory format.
    order_seed, augment_seed
        Seeds of the order and of the augmentation.
    """

    def __init__(
        self,
        train: Split,
        normalize: Normalize,
        size: int,
        *,
        crop: int = 0,
        flip: bool = False,
        alternate: bool = False,
        channels_last: bool = True,
        order_seed: int = 0,
        augment_seed: int = 0,
    ) -> None:
        self.train, self.normalize = train, normalize
        self.size = min(size, len(train))
        self._crop, self._flip, self._channels_last = crop, flip, channels_last
        self._order = np.random.default_rng(order_seed)
        device = train.images.device
        self._generator = torch.Generator(device).manual_seed(augment_seed)
        self._flipped = None
        if flip and alternate:
            self._flipped = torch.rand(len(train), generator=self._generator, device=device) < 0.5

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return len(self.train) // self.size

    def epoch(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images, float32 (B, C, H, W), and labels, int64 (B,), of an epoch (1, 2, ...)."""
        order = torch.from_numpy(self._order.permutation(len(self.train)))
        order = moved(order, self.train.labels.device)
        for index in order[: len(self) * self.size].split(self.size):
            flip = self._flip if self._flipped is None else self._flipped[index] ^ (number % 2 == 0)
            images = crop_and_flip(self.train.images[index], self._crop, flip, self._generator)
            if not self._channels_last:
                images = images.clone(memory_format=torch.contiguous_format)
            yield self.normalize(images), self.train.labels[index]
