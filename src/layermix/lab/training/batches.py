"""Batches of a training split: shuffled, augmented and preprocessed on the device.

All operations except augmentations of torchvision are batched, without synchronization.

Shapes: N examples, B batch, C channels, H height, W width.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from layermix.lab.data import Split
from layermix.lab.data.modality import Preprocess
from layermix.lab.training.augmentation import augment
from layermix.lab.training.environment import RunSeeds
from layermix.lab.training.recipe import Recipe
from layermix.mixing.tensors import moved


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
    """Batches of a training split for each epoch, on the device of its inputs.

    The incomplete last batch of an epoch is dropped. If `recipe.alternate` is True, each image is
    flipped in every second epoch; half of them start in the first epoch (Jordan, 2024).
    """

    def __init__(
        self, train: Split, preprocess: Preprocess, recipe: Recipe, seeds: RunSeeds
    ) -> None:
        self.train, self.preprocess, self.recipe = train, preprocess, recipe
        self.size = min(recipe.batch_size, len(train))
        self._order = np.random.default_rng(seeds.order)
        device = train.inputs.device
        self._generator = torch.Generator(device).manual_seed(seeds.augment)
        self._policy_seeds = np.random.default_rng(seeds.augment)
        self._flipped = None
        if recipe.flip is True and recipe.alternate:
            self._flipped = torch.rand(len(train), generator=self._generator, device=device) < 0.5

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return len(self.train) // self.size

    def epoch(self, number: int) -> Iterator[tuple[Any, Tensor]]:
        """Yield model inputs and labels, int64 (B,), of an epoch (1, 2, ...)."""
        order = torch.from_numpy(self._order.permutation(len(self.train)))
        (order,) = moved([order], self.train.labels.device)
        for index in order[: len(self) * self.size].split(self.size):
            inputs = self.train.inputs[index]
            if inputs.ndim == 4:
                inputs = self._augmented(inputs, index, number)
            yield self.preprocess(inputs), self.train.labels[index]

    def _augmented(self, images: Tensor, index: Tensor, epoch: int) -> Tensor:
        crop, flip = self.recipe.crop_and_flip
        if self._flipped is not None:
            flip = self._flipped[index] ^ (epoch % 2 == 0)
        images = crop_and_flip(images, crop, flip, self._generator)
        if self.recipe.augment != "none":
            images = augment(images, self.recipe.augment, int(self._policy_seeds.integers(2**31)))
        if not self.recipe.channels_last:
            images = images.clone(memory_format=torch.contiguous_format)
        return images
