"""Small models and data for profiles."""

import random
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


def net(width: int = 8) -> nn.Module:
    torch.manual_seed(0)
    block = [
        nn.Sequential(nn.Conv2d(3 if k == 0 else width, width, 3, padding=1), nn.BatchNorm2d(width))
        for k in range(2)
    ]
    return nn.Sequential(*block, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 4))


def images(n: int = 60, classes: int = 4) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    y = torch.arange(n) % classes
    return torch.randn(n, 3, 6, 6, generator=generator) + 0.5 * y[:, None, None, None], y


def wide() -> tuple[nn.Module, tuple[Tensor, Tensor]]:
    """Return a model with up to 4,096 features per layer, and 60 images."""
    _, y = images()
    return net(16), (torch.randn(60, 3, 16, 16) + 0.5 * y[:, None, None, None], y)


def bert() -> nn.Module:
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    sizes = {"vocab_size": 50, "hidden_size": 16, "intermediate_size": 32}
    layers = {"num_hidden_layers": 2, "num_attention_heads": 2}
    return BertForSequenceClassification(BertConfig(**sizes, **layers, num_labels=2))  # pyright: ignore[reportCallIssue]


def sentences(n: int = 40) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(3, 10, (n, 1), generator=generator)
    mask = (torch.arange(10) < lengths).long()
    return {
        "input_ids": torch.randint(1, 50, (n, 10), generator=generator) * mask,
        "attention_mask": mask,
        "labels": torch.arange(n) % 2,
    }


def global_states() -> tuple:
    arrays: Any = np.random.get_state()
    return torch.get_rng_state().tolist(), arrays[1].tolist(), random.getstate()
