"""Common training loops for images, with which layermix's loop is compared.

Both loops read a data set of Pillow images, and crop and flip them with torchvision. Model,
optimizer, learning rates and number of steps are those of layermix's loop. Each function prepares
the loop, starts its worker processes, and returns a function that trains.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from layermix.lab.data import Dataset, Split
from layermix.lab.data.modalities.images import Normalize
from layermix.lab.training import Recipe


@dataclass(frozen=True)
class Task:
    """Arguments of a training loop: model, data, recipe, device, and number of worker processes."""

    model: nn.Module
    data: Dataset
    recipe: Recipe
    device: str
    workers: int


class Pictures(TorchDataset):
    """Data set of Pillow images and labels, like the data sets of torchvision."""

    def __init__(self, split: Split, transform: Callable[[Any], Any]) -> None:
        self.arrays = split.inputs.permute(0, 2, 3, 1).squeeze(-1).numpy()
        self.labels = split.labels.tolist()
        self.transform = transform

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        """Return a transformed image and its label."""
        from PIL import Image

        return self.transform(Image.fromarray(self.arrays[index])), self.labels[index]


Training = Callable[[], None]


def plain_loop(task: Task) -> Training:
    """Return a loop in plain PyTorch, with torchvision's transforms and a DataLoader."""
    from torchvision import transforms

    normalize = Normalize.of(task.data.train.inputs)
    mean, std = ((each / 255).tolist() for each in (normalize.mean, normalize.std))
    end = [transforms.ToTensor(), transforms.Normalize(mean, std)]
    pictures = Pictures(task.data.train, transforms.Compose([*_augmentation(task), *end]))
    loader = DataLoader(
        pictures,
        task.recipe.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=task.workers,
        persistent_workers=task.workers > 0,
        pin_memory=task.device == "cuda",
    )
    optimizer = task.recipe.build_optimizer(task.model)
    schedule = task.recipe.schedule(optimizer, task.recipe.epochs * len(loader))
    next(iter(loader))  # starts the persistent workers

    def train() -> None:
        task.model.train()
        for _ in range(task.recipe.epochs):
            for images, labels in loader:
                loss = _loss(task, images, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()

    return train


def timm_loop(task: Task) -> Training:
    """Return a loop with timm's loader, optimizer and loss meter, like timm's training script."""
    from timm.data.loader import create_loader
    from timm.data.transforms import ToNumpy
    from timm.optim._optim_factory import create_optimizer_v2
    from timm.utils.metrics import AverageMeter
    from torchvision import transforms

    channels, height, width = task.data.train.inputs.shape[1:]
    recipe, normalize = task.recipe, Normalize.of(task.data.train.inputs)
    pictures: Any = Pictures(task.data.train, transforms.ToTensor())
    loader = create_loader(
        pictures,
        input_size=(channels, height, width),
        batch_size=recipe.batch_size,
        is_training=True,
        no_aug=True,
        mean=tuple((normalize.mean / 255).tolist()),
        std=tuple((normalize.std / 255).tolist()),
        num_workers=task.workers,
        persistent_workers=task.workers > 0,
        device=torch.device(task.device),
    )
    pictures.transform = transforms.Compose([*_augmentation(task), ToNumpy()])
    optimizer = create_optimizer_v2(
        task.model,
        "sgd",  # with Nesterov momentum, like ours
        lr=recipe.lr,
        weight_decay=recipe.weight_decay or 0.0,
        momentum=recipe.momentum,
        filter_bias_and_bn=False,  # weight decay of all parameters, like ours
    )
    schedule = recipe.schedule(optimizer, recipe.epochs * len(loader))
    next(iter(loader))

    def train() -> None:
        for _ in range(recipe.epochs):
            losses = AverageMeter()
            task.model.train()
            for images, labels in loader:
                loss = _loss(task, images, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.update(loss.item(), len(images))
                schedule.step()

    return train


def _augmentation(task: Task) -> list[Any]:
    from torchvision import transforms

    (crop, flip), size = task.recipe.crop_and_flip, task.data.train.inputs.shape[2:]
    steps: list[Any] = [transforms.RandomCrop(size, crop, padding_mode="reflect")] if crop else []
    return [*steps, transforms.RandomHorizontalFlip()] if flip else steps


def _loss(task: Task, images: Tensor, labels: Tensor) -> Tensor:
    images = images.to(task.device, non_blocking=True)
    labels = labels.to(task.device, non_blocking=True)
    with torch.autocast(task.device, torch.bfloat16, enabled=task.device == "cuda"):
        return F.cross_entropy(task.model(images), labels)
