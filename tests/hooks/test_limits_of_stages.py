"""Tests of the limits in docs/models.md for auxiliary heads and checkpointed stages."""

from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import nn

import layermix as lm
from padded import PARTNER, RATIO, blended

close: dict[str, Any] = {"rtol": 1e-9, "atol": 1e-12}

# Auxiliary heads, which run only in training mode.


def googlenet() -> nn.Module:
    off = {"dropout": 0.0, "dropout_aux": 0.0}
    return torchvision.models.googlenet(num_classes=5, init_weights=False, **off).double().train()


def test_final_layer_includes_auxiliary_heads() -> None:
    model, x = googlenet(), torch.randn(4, 3, 32, 32, dtype=torch.float64)
    clean = model(x)
    mixer = lm.Mixer(model, at="final")
    with mixer.apply(lm.Plan("final", RATIO, PARTNER)):
        output = model(x)
    for mixed_logits, own in zip(output, clean, strict=True):
        torch.testing.assert_close(mixed_logits, blended(own), **close)


def test_block_after_an_auxiliary_head_is_not_a_cut() -> None:
    x = torch.randn(4, 3, 32, 32, dtype=torch.float64)
    with pytest.raises(lm.InputError, match=r"'inception5b' is not a cut .* the outputs 'aux"):
        lm.Mixer(googlenet(), at="inception5b").check(x)


def test_earlier_block_mixes_the_auxiliary_heads() -> None:
    model, x = googlenet(), torch.randn(4, 3, 32, 32, dtype=torch.float64)
    mixer = lm.Mixer(model, at="inception3a")
    with mixer.apply(lm.Plan("inception3a", RATIO, PARTNER)):
        output = model(x)
    mixer.remove()
    block = model.get_submodule("inception3a")
    block.register_forward_hook(lambda *call: blended(call[-1]))
    torch.testing.assert_close(output, model(x), **close)


# Stages with separately checkpointed blocks.


def test_stage_with_checkpointed_blocks_is_mixed_after_its_last_block() -> None:
    model: Any = timm.create_model("test_resnet", num_classes=5)
    x, y = torch.randn(4, 3, 32, 32), torch.arange(4)
    model.set_grad_checkpointing()
    with pytest.raises(lm.InputError, match=r"'layer4' cannot be mixed: it is never called"):
        lm.Mixer(model, at="layer4")(x, y)
    plan = lm.Plan("layer4.0", RATIO, PARTNER)
    model.eval()
    with lm.Mixer(model, at="layer4.0").apply(plan):
        output = model(x)
    torch.testing.assert_close(output, blended(model(x).double()).float())
