"""The batches of a training: shuffled, cropped, mirrored, normalised, all on the device.

Images stay there as uint8; each step works on a whole batch at once and waits for nothing.

Shapes: N images, B batch, C channels, H height, W width.
"""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from layermix.experiments.data.augment import Normalise, crop_and_flip
from layermix.experiments.data.dataset import Split
from layermix.mixing.tensors import moved


class Batches:
    """Epoch after epoch of a training split.

    Parameters
    ----------
    train
        The images, on the device where they are wanted.
    normalise
        What is done to them last.
    size
        Images in a batch; the incomplete last one of an epoch is left out.
    crop
        Largest shift in pixels.
    flip
        Mirror half of the images.
    alternate
        Mirror each image in every second epoch, half of them in the first (Jordan, 2024); else each
        time anew at random.
    channels_last
        Keep channels last in memory.
    order, augment
        Seeds of both random streams.
    """

    def __init__(
        self,
        train: Split,
        normalise: Normalise,
        size: int,
        *,
        crop: int = 0,
        flip: bool = False,
        alternate: bool = False,
        channels_last: bool = True,
        order: int = 0,
        augment: int = 0,
    ) -> None:
        self.train, self.normalise = train, normalise
        self.size = min(size, len(train))
        self._crop, self._flip, self._channels_last = crop, flip, channels_last
        self._order = np.random.default_rng(order)
        device = train.images.device
        self._generator = torch.Generator(device).manual_seed(augment)
        self._mirrored = None
        if flip and alternate:
            self._mirrored = torch.rand(len(train), generator=self._generator, device=device) < 0.5

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return len(self.train) // self.size

    def epoch(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images, float32 (B, C, H, W), and labels, int64 (B,), of an epoch (1, 2, ...)."""
        order = torch.from_numpy(self._order.permutation(len(self.train)))
        order = moved(order, self.train.labels.device)
        for index in order[: len(self) * self.size].split(self.size):
            yield self._images(index, number), self.train.labels[index]

    def _images(self, index: Tensor, epoch: int) -> Tensor:
        flip: bool | Tensor = self._flip
        if self._mirrored is not None:
            flip = self._mirrored[index] ^ (epoch % 2 == 0)
        images = crop_and_flip(self.train.images[index], self._crop, flip, self._generator)
        if not self._channels_last:
            images = images.clone(memory_format=torch.contiguous_format)
        return self.normalise(images)
