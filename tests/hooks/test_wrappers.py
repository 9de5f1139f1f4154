"""Tests of models wrapped after construction of the mixer: the outermost call is probed."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import layermix as lm

X, Y = torch.randn(6, 5), torch.arange(6) % 3


def body() -> nn.Sequential:
    return nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3))


class Wrapper(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.extra = inner, nn.Linear(5, 3)


class ExtraHead(Wrapper):
    def forward(self, x: Tensor, scale: float = 1.0) -> Any:
        return self.inner(x), scale * self.extra(x)


class Scaled(Wrapper):
    def forward(self, x: Tensor, scale: float = 1.0) -> Any:
        return scale * self.inner(x)


@pytest.mark.parametrize("checked", [False, True])
def test_apply_detects_an_extra_head_of_a_wrapper(checked: bool) -> None:
    net = body()
    mixer = lm.Mixer(net, at="1")
    if checked:
        mixer.check(X)
    wrapped = ExtraHead(net)
    with (
        pytest.raises(lm.InputError, match="bypasses it to the outputs '1'"),
        mixer.apply(mixer.draw(6)),
    ):
        wrapped(X, scale=2.0)


@pytest.mark.parametrize("checked", [False, True])
def test_wrapper_that_scales_the_output_is_mixed(checked: bool) -> None:
    net = body()
    mixer = lm.Mixer(net, at="1", ratio=0.3, partner="derangement")
    if checked:
        mixer.check(X)
    wrapped, h = Scaled(net), net[1](net[0](X))
    for _ in range(2):
        plan = mixer.draw(6)
        with mixer.apply(plan):
            mixed = wrapped(X, scale=2.0)
        torch.testing.assert_close(mixed, 2 * net[2](0.3 * h + 0.7 * h[plan.partner]))


def test_plan_applied_inside_a_module_does_not_repeat_its_step() -> None:
    """For example, a LightningModule that is called by a trainer."""

    class Step(Wrapper):
        steps = 0

        def forward(self, x: Tensor) -> Tensor:
            self.steps += 1
            with mixer.apply(mixer.draw(len(x))):
                return self.inner(x)

    net = body()
    mixer, step = lm.Mixer(net, at="1"), Step(net)
    step(X)
    assert step.steps == 1


class Mode(nn.Module):
    """A model with a skip connection only in training mode, or only in eval mode."""

    def __init__(self, training: bool) -> None:
        super().__init__()
        self.body, self.skip, self.when = body(), nn.Linear(5, 3), training

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        return y + self.skip(x) if self.training == self.when else y


@pytest.mark.parametrize("applied", [False, True])
def test_model_is_probed_in_the_mode_of_the_mixed_step(applied: bool) -> None:
    def mix(net: nn.Module) -> None:
        mixer = lm.Mixer(net.eval(), at="body.1", always=True)
        if applied:
            with mixer.apply(mixer.draw(6)):
                net(X)
        else:
            mixer(X, Y)

    mix(Mode(training=True))
    with pytest.raises(lm.InputError, match="not a cut of the network"):
        mix(Mode(training=False))


def test_probe_runs_again_after_a_change_of_mode() -> None:
    net = Mode(training=True).eval()
    mixer = lm.Mixer(net, at="body.1", always=True)
    mixer(X, Y)
    net.train()
    with pytest.raises(lm.InputError, match="not a cut of the network"):
        mixer(X, Y)
