"""Norm statistics after mixing at the input: accuracy with three ways to handle them.

ResNet-18 of torchvision, with batch norms, is trained on digits of 32 x 32 pixels: without mixing,
with mixing at the input, and with mixing and ``norm_stats="clean"``. Each network is tested as it
was trained, and again after `layermix.update_norm_stats`. Each repetition is a seed with a split of
its own.
"""

import time
from typing import Any

import numpy as np
import torch
from torch import Tensor

import layermix as lm
from benchmarks.setting import Setting
from benchmarks.table import Row, Table
from benchmarks.timing import against, measured
from layermix.lab.data import DataConfig, Dataset, load
from layermix.lab.data.modalities.images import Normalize

_EPOCHS, _BATCH, _RATE = 15, 50, 0.02
_PLAIN = "input"
_WAYS: dict[str, dict[str, Any] | None] = {
    "none": None,
    _PLAIN: {},
    "input, clean": {"norm_stats": "clean"},
    "input, clean every 4 steps": {"norm_stats": "clean", "norm_stats_every": 4},
}


def bench_norms(setting: Setting) -> Table:
    """Train with each way to handle norm statistics; return accuracies and the time over plain."""
    torch.set_num_threads(setting.threads)
    seconds: dict[str, list[float]] = {way: [] for way in _WAYS}
    found: dict[str, list[tuple[float, float]]] = {way: [] for way in _WAYS}
    for seed in range(setting.repeats):
        data = load(DataConfig(image_size=32, train_size=60 if setting.small else None), seed)
        for way, mixing in _WAYS.items():
            took, accuracies = _run(data, mixing, seed, 1 if setting.small else _EPOCHS)
            seconds[way].append(took)
            found[way].append(accuracies)
    return Table(
        title="Test accuracy of ResNet-18 (torchvision) on digits, by norm statistics",
        rows=[_row(way, found[way], seconds) for way in _WAYS],
        notes=[
            f"{_EPOCHS} epochs of batches of {_BATCH}, SGD with learning rate {_RATE}.",
            "as trained, updated: mean test accuracy before and after update_norm_stats; change: "
            "mean and standard deviation over seeds of the paired change, in points.",
            "times as slow: training time over that of plain mixing at the input of the same seed; "
            "median, minimum and maximum of n.",
        ],
    )


def _row(way: str, found: list[tuple[float, float]], seconds: dict[str, list[float]]) -> Row:
    before, after = 100 * np.array(found).T
    spread = float((after - before).std(ddof=1)) if len(before) > 1 else 0.0
    return {
        "training": way,
        "as trained, %": round(float(before.mean()), 2),
        "updated, %": round(float(after.mean()), 2),
        "change": round(float((after - before).mean()), 2),
        "SD of change": round(spread, 2),
        **measured(seconds, way),
        **against(seconds, way, _PLAIN, "times as slow"),
    }


def _run(
    data: Dataset, mixing: dict[str, Any] | None, seed: int, epochs: int
) -> tuple[float, tuple[float, float]]:
    """Train; return the seconds of training, and the accuracy before and after the update."""
    from torchvision.models import resnet18

    torch.manual_seed(seed)
    model, normalize = resnet18(num_classes=10), Normalize.of(data.train.inputs)
    x, y = normalize(data.train.inputs).expand(-1, 3, -1, -1), data.train.labels
    optimizer = torch.optim.SGD(model.parameters(), lr=_RATE, momentum=0.9, weight_decay=1e-3)
    mixer = None if mixing is None else lm.Mixer(model, at="input", seed=seed, **mixing)
    order, started = np.random.default_rng(seed), time.perf_counter()
    for _ in range(epochs):
        for batch in torch.from_numpy(order.permutation(len(x))).split(_BATCH):
            if mixer is None:
                loss = torch.nn.functional.cross_entropy(model(x[batch]), y[batch])
            else:
                output, target = mixer(x[batch], y[batch])
                loss = target.loss(output)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    took = time.perf_counter() - started
    test = normalize(data.test.inputs).expand(-1, 3, -1, -1)
    before = _accuracy(model, test, data.test.labels)
    lm.update_norm_stats(model, x[torch.from_numpy(order.permutation(len(x)))], batch_size=_BATCH)
    return took, (before, _accuracy(model, test, data.test.labels))


@torch.no_grad()
def _accuracy(model: torch.nn.Module, x: Tensor, y: Tensor) -> float:
    model.eval()
    found = torch.cat([model(part).argmax(1) for part in x.split(256)])
    model.train()
    return float((found == y).double().mean())
