"""Tests of the lifetime of hooks: threads, copies, removal and several mixers on one model."""

import copy
import gc
import threading
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

import layermix as lm
from held_mixers import Module, X, Y, hooks, model


def test_forward_in_another_thread_is_not_mixed() -> None:
    net = model().eval()
    clean = net(X)
    mixer = lm.Mixer(net, at="final", ratio=0.0, partner="derangement", always=True)
    mixer.check(X)
    outputs: list[Tensor] = []
    with mixer.apply(mixer.draw(6)):
        thread = threading.Thread(target=lambda: outputs.append(net(X)))
        thread.start()
        thread.join()
        mixed = net(X)
    assert outputs[0].equal(clean)
    assert not mixed.equal(clean)


def test_forward_of_a_copy_is_not_mixed() -> None:
    net = model().eval()
    clean = net(X)
    mixer = lm.Mixer(net, at="final", always=True)
    with mixer.apply(mixer.draw(6)):
        assert copy.deepcopy(net)(X).equal(clean)
        net(X)


def test_compiled_forward_in_another_thread_is_not_mixed(fresh_compiler: None) -> None:
    net = model().eval()
    clean = net(X)
    mixer = lm.Mixer(net, at="final", ratio=0.0, partner="derangement", always=True)
    mixer.check(X)
    compiled: Any = torch.compile(net, backend="eager")
    outputs: list[Tensor] = []
    with mixer.apply(mixer.draw(6)):
        mixed = compiled(X)
        thread = threading.Thread(target=lambda: outputs.append(compiled(X)))
        thread.start()
        thread.join()
    torch.testing.assert_close(outputs[0], clean)
    assert not torch.allclose(mixed, clean)


def test_hooks_are_removed_with_the_mixer() -> None:
    net, mixer = model(), None
    for _ in range(3):  # as in a notebook cell that is run again
        mixer = lm.Mixer(net, at=["input", "0", "final"])
        mixer(X, Y)
        assert hooks(net) == 3
    del mixer
    gc.collect()
    assert hooks(net) == 0


def test_hooks_are_removed_at_the_end_of_a_with_block() -> None:
    net = model()
    with lm.Mixer(net, at="final") as mixer:
        mixer(X, Y)
        assert hooks(net) == 1
    assert hooks(net) == 0


def test_mixer_does_not_keep_the_model_alive() -> None:
    learner = Module()
    learner.step()
    alive = WeakTensorKeyDictionary({learner.fc.weight: True})
    del learner
    gc.collect()
    assert len(alive) == 0


def test_second_mixer_on_a_model_warns_once() -> None:
    net = model()
    first, second = (lm.Mixer(net, at="final") for _ in range(2))
    first(X, Y)
    first(X, Y)
    with pytest.warns(UserWarning, match="another mixer has hooks on this model"):
        second(X, Y)
    second(X, Y)
    first(X, Y)


def test_second_mixer_warns_before_the_first_is_used() -> None:
    net = model()
    first, second = (lm.Mixer(net, at="final") for _ in range(2))
    with pytest.warns(UserWarning, match="another mixer has hooks on this model") as warned:
        second(X, Y)
    assert warned[0].filename == __file__  # not a file of layermix or torch
    first(X, Y)


def test_rejected_mixer_causes_no_warning() -> None:
    net = model()
    rejected = lm.Mixer(net, at="0", blend="cut")  # still referenced, as by a traceback
    with pytest.raises(lm.InputError, match="at mix point '0'"):
        rejected(X, Y)
    lm.Mixer(net, at="final")(X, Y)  # a warning would be an error
