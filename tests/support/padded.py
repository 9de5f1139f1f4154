"""Padded batches of four sequences, and a plan with its reference mix in float64."""

from typing import Any

import torch
from torch import Tensor

import layermix as lm

RATIO, PARTNER = torch.tensor(0.3), torch.tensor([1, 2, 3, 0])
LENGTHS = torch.tensor([3, 7, 5, 1])
KEEP = torch.arange(7) < LENGTHS[:, None]  # (B, L)
BOTH = KEEP | KEEP[PARTNER]

SIZES: dict[str, Any] = {
    "vocab_size": 50,
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}


def blended(x: Tensor) -> Tensor:
    return RATIO.double() * x + (1 - RATIO.double()) * x[PARTNER]


def mixed(model: Any, point: str, x: dict[str, Tensor], check: bool = True) -> Any:
    mixer = lm.Mixer(model, at=point)
    if check:
        mixer.check(x)
    with mixer.apply(lm.Plan(point, RATIO, PARTNER)):
        return model(**x)
