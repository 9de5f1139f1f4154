"""Training speed of layermix's loop, relative to common training loops.

It is compared with a plain PyTorch loop with torchvision's transforms and a DataLoader, and with a
loop that uses timm's loader. Model, initial weights, number of steps, augmentation, optimizer and
learning rates are the same. After one warm-up epoch, each repetition has its own seed and trains
with all loops in turn. The test accuracy shows if all loops learn equally well. Only the training
steps are timed; data, optimizers and worker processes are prepared before.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import nn

from benchmarks.loops import Task, Training, plain_loop, timm_loop
from benchmarks.setting import Setting
from benchmarks.table import Row, Table
from benchmarks.timing import against
from layermix.hooks.sites import device_of
from layermix.lab.data import DataConfig, Dataset, load
from layermix.lab.run_setup import complete, fresh_model
from layermix.lab.training import Recipe
from layermix.lab.training.environment import cpu_settings
from layermix.lab.training.logits import predict_logits
from layermix.lab.training.loop import Trainer
from layermix.lab.training.metrics import metrics

_MODELS = ("resnet-small", "resnet18")
_TRAINED = {  # images and epochs of each model
    "cpu": {"resnet-small": (5000, 5), "resnet18": (1000, 2)},
    "cuda": {"resnet-small": (10_000, 3), "resnet18": (10_000, 3)},
}
_SIZE, _JUDGED = 32, 2000  # pixels; test images
_OURS = "layermix"


def bench_train(setting: Setting) -> Table:
    """Train each model with each loop, once in each repetition."""
    rows = [row for model in _MODELS for row in _rows(model, setting)]
    return Table(
        title=f"Training on {setting.data}: images per second of each loop, {setting.device}",
        rows=rows,
        notes=[
            "layermix: our loop, channels last; contiguous: our loop in contiguous format. "
            "pytorch: a plain loop with torchvision's transforms and a DataLoader; timm: a loop "
            f"with timm's loader, optimizer and meters. Both have {setting.threads} worker "
            f"processes and {setting.threads} threads, and are also timed with channels last.",
            "times as slow: time over our loop in the same repetition; median, minimum and maximum "
            "of n. accuracy: on test images after the last epoch, mean and standard deviation "
            "over n seeds.",
        ],
    )


def _rows(model: str, setting: Setting) -> list[Row]:
    size, epochs = (40, 1) if setting.small else _TRAINED[setting.device][model]
    data = _data(setting, size)
    recipe = Recipe(epochs=epochs, batch_size=min(128, len(data.train) // 2), monitor=0)
    recipe = complete(replace(recipe, geometry=False), data)
    seconds: dict[str, list[float]] = {name: [] for name in _WAYS}
    right: dict[str, list[float]] = {name: [] for name in _WAYS}
    for way in _WAYS.values():
        way(fresh_model(model, data, 0), data, replace(recipe, epochs=1), setting, 0)
    for seed in range(setting.repeats):
        for name, way in _WAYS.items():
            spent, trained = way(fresh_model(model, data, seed), data, recipe, setting, seed)
            seconds[name].append(spent)
            right[name].append(_accuracy(trained, data))
    images = epochs * (len(data.train) // recipe.batch_size) * recipe.batch_size
    return [_row(name, model, images, seconds, right) for name in _WAYS]


Way = Callable[[nn.Module, Dataset, Recipe, Setting, int], tuple[float, nn.Module]]


def _ours(channels_last: bool) -> Way:
    def train(
        model: nn.Module, data: Dataset, recipe: Recipe, setting: Setting, seed: int
    ) -> tuple[float, nn.Module]:
        recipe, device = replace(recipe, channels_last=channels_last), torch.device(setting.device)
        with cpu_settings(setting.threads):
            trainer = Trainer(model.to(device), data.to(device), recipe, seed=seed)
            started = time.perf_counter()
            for epoch in range(1, recipe.epochs + 1):
                trainer.run_epoch(epoch)  # reads the losses, so the device is synchronized
            return time.perf_counter() - started, trainer.raw_model

    return train


def _theirs(loop: Callable[[Task], Training], memory_format: torch.memory_format) -> Way:
    def train(
        model: nn.Module, data: Dataset, recipe: Recipe, setting: Setting, seed: int
    ) -> tuple[float, nn.Module]:
        before = torch.get_num_threads()
        torch.set_num_threads(setting.threads)
        model = model.to(setting.device, memory_format=memory_format)  # pyright: ignore[reportCallIssue]
        try:
            training = loop(Task(model, data, recipe, setting.device, setting.threads))
            started = time.perf_counter()
            training()
            if setting.device == "cuda":
                torch.cuda.synchronize()
            return time.perf_counter() - started, model
        finally:
            torch.set_num_threads(before)

    return train


_WAYS: dict[str, Way] = {
    _OURS: _ours(channels_last=True),
    "layermix, contiguous": _ours(channels_last=False),
    "pytorch": _theirs(plain_loop, torch.contiguous_format),
    "pytorch, channels last": _theirs(plain_loop, torch.channels_last),
    "timm": _theirs(timm_loop, torch.contiguous_format),
    "timm, channels last": _theirs(timm_loop, torch.channels_last),
}


def _data(setting: Setting, size: int) -> Dataset:
    data = load(DataConfig(setting.data, train_size=None, image_size=_SIZE))
    if size < len(data.train):
        data = load(DataConfig(setting.data, train_size=size, image_size=_SIZE))
    judged = data.test[torch.arange(min(size, _JUDGED, len(data.test)))]
    return replace(data, test=judged)


def _accuracy(model: nn.Module, data: Dataset) -> float:
    device = device_of(model)
    test = data.test.to(device)
    logits = predict_logits(model, test, data.to(device).preprocess)
    return metrics(logits, test.labels)["accuracy"]


def _row(
    name: str,
    model: str,
    images: int,
    seconds: dict[str, list[float]],
    right: dict[str, list[float]],
) -> Row:
    several = len(right[name]) > 1
    return {
        "what": name,
        "model": model,
        "n": len(seconds[name]),
        "images/s": images / statistics.median(seconds[name]),
        **against(seconds, name, _OURS, "times as slow"),
        "accuracy": statistics.mean(right[name]),
        "deviation": statistics.stdev(right[name]) if several else float("nan"),
    }
