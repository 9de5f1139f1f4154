"""Batches of a training split: shuffled, augmented and preprocessed on the device.

All operations except augmentations of torchvision are batched, without synchronization.

Shapes: N examples, B batch, C channels, H height, W width.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from layermix.lab.data import Split
from layermix.lab.data.modality import Preprocess
from layermix.lab.training.augmentation import augment
from layermix.lab.training.environment import RunSeeds
from layermix.lab.training.ranks import own_part
from layermix.lab.training.recipe import Recipe
from layermix.mixing.tensors import moved

_BYTES = 8 << 20, 256 << 20  # of images that are augmented together: on a CPU, on a GPU


def crop_and_flip(images: Tensor, shifts: Tensor | None, flips: Tensor | None) -> Tensor:
    """Shift images by whole pixels, and flip images left to right.

    Parameters
    ----------
    images
        Images (B, C, H, W) of any dtype.
    shifts
        Rows and columns of the window that is cut from each image, int64 (2, B), in (-H, H) and
        (-W, W). The border is filled by reflection.
    flips
        True for images that are flipped, after the shift; bool (B,).

    Returns
    -------
    Tensor
        Images (B, C, H, W) in channels-last memory format, a copy.
    """
    if shifts is None and flips is None:
        return images.clone(memory_format=torch.channels_last)
    batch, channels, height, width = images.shape
    rows, columns = (torch.arange(size, device=images.device)[None] for size in (height, width))
    if flips is not None:
        columns = torch.where(flips[:, None], columns.flip(1), columns)
    if shifts is not None:
        rows = _reflect(rows + shifts[0, :, None], height)
        columns = _reflect(columns + shifts[1, :, None], width)
    first = torch.arange(0, batch * height, height, device=images.device)
    pixels = ((first[:, None] + rows) * width)[:, :, None] + columns[:, None, :]
    flat = images.permute(0, 2, 3, 1).reshape(-1, channels)
    picked = flat.index_select(0, pixels.flatten())
    return picked.view(batch, height, width, channels).permute(0, 3, 1, 2)


def _reflect(index: Tensor, size: int) -> Tensor:
    """Reflect indices outside [0, size), without repeating the border."""
    last = size - 1
    return last - (last - index.abs()).abs()


class Batches:
    """Batches of a training split for each epoch, on the device of its inputs.

    If several processes train a run, each has its part of the joined batch.

    The incomplete last batch of an epoch is dropped. Shifts and flips of an epoch are drawn
    together, and the images of several batches are augmented and preprocessed together. If
    `recipe.alternate` is True, each image is flipped in every second epoch; half of them start in
    the first epoch (Jordan, 2024).
    """

    def __init__(
        self, train: Split, preprocess: Preprocess, recipe: Recipe, seeds: RunSeeds
    ) -> None:
        self.train, self.preprocess, self.recipe = train, preprocess, recipe
        self.joined = min(recipe.batch_size, len(train))  # of all processes
        part = own_part(self.joined)
        self.size = part.stop - part.start
        self._order = np.random.default_rng(seeds.order)
        self._device = train.inputs.device
        self._generator = torch.Generator(self._device).manual_seed(seeds.augment)
        self._policy_seeds = np.random.default_rng(seeds.augment)
        self._flipped = None
        if recipe.flip is True and recipe.alternate:
            self._flipped = self._coins(len(train))
        most = _BYTES[self._device.type == "cuda"] // (4 * max(1, train.inputs[0].numel()))
        # A policy draws for the joined batch, of which this process then takes its part.
        self._prepared = self.size if recipe.augment == "none" else self.joined
        self._together = max(1, most // self._prepared) * self._prepared

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return len(self.train) // self.joined

    def state_dict(self) -> dict[str, Any]:
        """Return the states of the random generators, after an epoch."""
        return {
            "order": self._order.bit_generator.state,
            "policy": self._policy_seeds.bit_generator.state,
            "augment": self._generator.get_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load a state from `state_dict`."""
        self._order.bit_generator.state = state["order"]
        self._policy_seeds.bit_generator.state = state["policy"]
        self._generator.set_state(state["augment"])

    def epoch(self, number: int) -> Iterator[tuple[Any, Tensor]]:
        """Yield model inputs and labels, int64 (B,), of an epoch (1, 2, ...)."""
        order = torch.from_numpy(self._order.permutation(len(self.train)))
        (order,) = moved([order[: len(self) * self.joined]], self._device)
        shifts, flips = self._draw(order, number)
        if self._prepared < self.joined:
            order = self._cut(order)
            shifts = None if shifts is None else self._cut(shifts)
            flips = None if flips is None else self._cut(flips)
        for start in range(0, len(order), self._together):
            part = slice(start, start + self._together)
            inputs, labels = self.train.inputs[order[part]], self.train.labels[order[part]]
            if inputs.ndim != 4:
                for x, some in zip(*self._split(inputs, labels), strict=True):
                    yield self.preprocess(x), some
                continue
            shift = None if shifts is None else shifts[:, part]
            flip = None if flips is None else flips[part]
            x = self.preprocess(self._augmented(inputs, shift, flip))
            yield from zip(*self._split(x, labels), strict=True)

    def _draw(self, order: Tensor, epoch: int) -> tuple[Tensor | None, Tensor | None]:
        """Return the shifts and flips of the images of an epoch, for `crop_and_flip`."""
        crop, flip = self.recipe.crop_and_flip
        shifts = flips = None
        if self._flipped is not None:
            flips = self._flipped[order] ^ (epoch % 2 == 0)
        elif flip:
            flips = self._coins(len(order))
        if crop:
            settings: Any = {"generator": self._generator, "device": self._device}
            shifts = torch.randint(-crop, crop + 1, (2, len(order)), **settings)
        return shifts, flips

    def _cut(self, values: Tensor) -> Tensor:
        """Return the values, (..., N), of the examples on which this process trains."""
        batches = values.unflatten(-1, (-1, self.joined))
        return batches[..., own_part(self.joined)].flatten(-2)

    def _coins(self, count: int) -> Tensor:
        return torch.rand(count, generator=self._generator, device=self._device) < 0.5

    def _augmented(self, images: Tensor, shift: Tensor | None, flip: Tensor | None) -> Tensor:
        images = crop_and_flip(images, shift, flip)
        if self.recipe.augment != "none":
            parts = images.split(self._prepared)  # each batch has a seed
            seeds = self._policy_seeds.integers(2**31, size=len(parts)).tolist()
            several = zip(parts, seeds, strict=True)
            images = torch.cat([augment(p, self.recipe.augment, seed) for p, seed in several])
        if not self.recipe.channels_last:
            images = images.clone(memory_format=torch.contiguous_format)
        return images

    def _split(self, *several: Tensor) -> Iterator[list[Tensor]]:
        """Return the part of each batch on which this process trains, of each tensor."""
        part = own_part(self.joined) if self._prepared > self.size else slice(None)
        return ([batch[part] for batch in t.split(self._prepared)] for t in several)
