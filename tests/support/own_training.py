"""A training function of one's own, for `layermix.experiments.compare`."""

from typing import Any

import torch
from torch import nn

from layermix import experiments as ex
from layermix.lab.data import Dataset


def train_by_hand(variant: str, seed: int, data: Dataset, mixer_factory: ex.MixerFactory) -> Any:
    """Train a small network by full batches, and return logits."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    mixer, optimizer = mixer_factory(net), torch.optim.AdamW(net.parameters(), 1e-2)
    x, y = data.preprocess(data.train.inputs), data.train.labels
    for _ in range(10):
        output, target = mixer(x, y)
        optimizer.zero_grad()
        target.loss(output).backward()
        optimizer.step()
    net.eval()
    return {name: net(data.preprocess(getattr(data, name).inputs)) for name in ("val", "test")}
