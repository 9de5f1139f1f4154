"""Tests of copies of mixed models: quantization, scripting, tracing, export and mixing."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, update_bn

import layermix as lm
from held_mixers import Learner, Module, X, Y, hooks, model
from model_copies import COPIES


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("mixed", [False, True], ids=["built", "mixed"])
def test_copy_has_no_hooks_and_the_model_keeps_its_hooks(how: str, mixed: bool) -> None:
    net = model()
    mixer = lm.Mixer(net, at=["input", "0", "final", "logits"])
    if mixed:
        mixer(X, Y)
    kept = hooks(net)
    copied = COPIES[how](net)
    assert (hooks(copied), hooks(net)) == (0, kept)
    assert copied.eval()(X).equal(net.eval()(X))
    own = [m._forward_pre_hooks_with_kwargs for m in copied.modules()]
    assert not any(own)


def test_other_hooks_are_copied_with_the_model() -> None:
    net = model()
    net[0].register_forward_hook(lambda *_: None)
    handle = net[3].register_forward_pre_hook(other_hook, with_kwargs=True)
    lm.Mixer(net, at="final")
    copied = copy.deepcopy(net)
    assert (len(copied[0]._forward_hooks), len(copied[3]._forward_pre_hooks)) == (1, 1)
    handle.remove()  # the handle removes the hook of the original model
    assert not net[3]._forward_pre_hooks


def other_hook(*_: Any) -> None:
    """A hook that is not of layermix."""


def jit_trace(net: nn.Module) -> Any:
    return torch.jit.trace(net, X)


USES: dict[str, Callable[[nn.Module], Any]] = {
    "quantized": lambda net: torch.ao.quantization.quantize_dynamic(net, {nn.Linear})(X),
    "scripted": lambda net: torch.jit.script(net)(X),
    "traced": lambda net: jit_trace(net)(X),
    "exported": lambda net: torch.export.export(net, (X,)).module()(X),
}


@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore:torch.quantize_per_tensor"
)
@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("how", ["deepcopy", "pickle"])
def test_copy_can_be_quantized_scripted_traced_and_exported(use: str, how: str) -> None:
    net = model()
    mixer = lm.Mixer(net, at="final")
    mixer(X, Y)
    copied = COPIES[how](net).eval()
    output = USES[use](copied)
    torch.testing.assert_close(output, net.eval()(X), rtol=0.05, atol=0.05)


@pytest.mark.parametrize("kind", [lm.Mixer, lm.FeatureCapture])
def test_remove_hooks_removes_only_hooks_of_layermix(kind: Any) -> None:
    net = model()
    net[0].register_forward_hook(lambda *_: None)
    kept = kind(net, at=["0", "final"])
    lm.remove_hooks(net)
    assert hooks(net) == 1
    assert not net[3]._forward_pre_hooks_with_kwargs
    del kept


def test_remove_hooks_rejects_other_types() -> None:
    not_a_model: Any = "model"
    with pytest.raises(lm.InputError, match="the model is a str"):
        lm.remove_hooks(not_a_model)


@pytest.mark.parametrize("kind", [Learner, Module])
@pytest.mark.parametrize("how", ["deepcopy", "pickle", "torch.save"])
@pytest.mark.parametrize("used", [False, True])
def test_copied_pair_of_model_and_mixer_mixes(kind: Any, how: str, used: bool) -> None:
    learner = kind()
    if used:
        learner.step()
    copied: Any = COPIES[how](learner)
    assert copied.mixer.model is copied.net
    assert copied.net is not learner.net
    for one in (copied, learner):
        plan = one.mixer.draw(6)
        with one.mixer.apply(plan):
            output = one.net(X)
        torch.testing.assert_close(output, one.net(X[plan.partner]))
        one.step()[1].loss(output).backward()


def test_copied_mixer_continues_the_random_state() -> None:
    first = Learner()
    first.mixer.draw(6)
    second = copy.deepcopy(first)
    assert first.mixer.draw(6).partner.equal(second.mixer.draw(6).partner)


def test_copied_pair_of_model_and_capture_captures() -> None:
    net = model()
    pair = {"net": net, "capture": lm.FeatureCapture(net, at="0")}
    copied: Any = copy.deepcopy(pair)
    assert copied["capture"].names == ("0",)  # its hooks are registered when it is first used
    copied["capture"].clear()
    copied["net"](X)
    torch.testing.assert_close(copied["capture"]["0"], copied["net"][0](X))
    net(X)
    torch.testing.assert_close(pair["capture"]["0"], net[0](X))  # pyright: ignore


def test_update_bn_of_an_averaged_model_uses_clean_examples() -> None:
    net = model()
    mixer = lm.Mixer(net, at="input")
    mixer(X, Y)
    averaged: Any = AveragedModel(net)
    update_bn([X], averaged)
    clean = nn.BatchNorm1d(8, momentum=None)
    clean(net[0](X))
    torch.testing.assert_close(averaged.module[1].running_mean, clean.running_mean)
