"""Tests of the groups of mix points: "hidden", "last" and "random"."""

from typing import Any

import pytest
import torch
from torch import nn

import layermix as lm
from layermix.mixing import find_method
from tiny_nets import NETS, Mlp, batch

BLOCKS = {
    "mlp": ("blocks.0", "blocks.1"),
    "resnet": ("stage1", "stage2"),
    "vit": ("blocks.0", "blocks.1"),
}


@pytest.mark.parametrize("net", NETS)
def test_groups_contain_the_blocks(net: str) -> None:
    model, blocks = NETS[net][0](), BLOCKS[net]
    found = {}
    for group in ("hidden", "random", "last"):
        with lm.Mixer(model, at=group) as mixer:
            mixer.check(batch(net, 4)[0])
            found[group] = mixer.points
    assert found == {"hidden": blocks, "random": ("input", *blocks), "last": blocks[-1:]}


@pytest.mark.parametrize("name", ["manifold-mixup", "patchup", "moex", "mixstyle", "alignmixup"])
def test_methods_that_mix_blocks_run_with_default_settings(name: str) -> None:
    model, (x, y) = NETS["resnet"][0](), batch("resnet", 4)
    output, target = lm.Mixer(model, **find_method(name).settings)(x, y)
    target.loss(output).backward()
    assert output.shape == (4, 5)


def test_module_with_the_name_of_a_group_takes_precedence() -> None:
    class Named(Mlp):
        def __init__(self) -> None:
            super().__init__()
            self.hidden = nn.Identity()

    assert lm.Mixer(Named(), at="hidden").points == ("hidden",)
    assert lm.Mixer(Named(), at="last").points == ("blocks.0", "blocks.1")  # before the probe


@pytest.mark.parametrize(
    ("model", "at", "text"),
    [
        (
            nn.Sequential(nn.Linear(4, 3)),
            "hidden",
            "at='hidden' means the repeated blocks of a model, but Sequential has none: name "
            "modules, which layermix.points(model, x, all=True) lists",
        ),
        (
            Mlp(),
            ["hidden", "final"],
            "'hidden' is a group of mix points, so it cannot be combined with others: pass "
            "at='hidden' alone, or name every point",
        ),
    ],
)
def test_invalid_group_raises(model: nn.Module, at: Any, text: str) -> None:
    with pytest.raises(lm.InputError) as error:
        lm.Mixer(model, at=at)
    assert str(error.value) == text


def test_random_mixes_at_the_input_without_blocks() -> None:
    with pytest.warns(UserWarning, match="mixes at the input only"):
        mixer = lm.Mixer(nn.Sequential(nn.Linear(4, 3)), at="random")
    assert mixer.points == ("input",)


def test_mixer_calls_a_wrapper_passed_as_model() -> None:
    class Wrapper(nn.Module):
        def __init__(self, module: nn.Module) -> None:
            super().__init__()
            self.module = module

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * self.module(x)

    net, (x, y) = Mlp().double(), batch("mlp", 6, torch.float64)
    with lm.Mixer(net, at="blocks.0", seed=4) as mixer:
        wrapped, _ = mixer(x, y, model=Wrapper(net))
    with lm.Mixer(net, at="blocks.0", seed=4) as mixer:
        torch.testing.assert_close(wrapped, 2 * mixer(x, y)[0])


def test_wrapper_that_bypasses_the_model_raises() -> None:
    class SkipWrapper(nn.Module):
        def __init__(self, module: nn.Module) -> None:
            super().__init__()
            self.module, self.skip = module, nn.Linear(4, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.module(x) + self.skip(x)

    net, (x, y) = Mlp(), batch("mlp", 6)
    mixer = lm.Mixer(net, at="blocks.0")
    mixer(x, y)
    with pytest.raises(lm.InputError, match="not a cut of the network"):
        mixer(x, y, model=SkipWrapper(net))
