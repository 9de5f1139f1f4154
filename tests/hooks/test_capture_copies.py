"""Copies of a model keep nothing, memory is set free, and a removed capture leaves nothing."""

import copy
import gc
import pickle
import weakref
from typing import Any

import pytest
from test_copies import COPIES, hooks

import layermix as lm
from tiny_nets import Mlp, batch

POINTS = ["input", "blocks.0", "blocks.1.0", "final", "logits"]


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_of_the_model_keeps_nothing(how: str) -> None:
    net, (x, _) = Mlp(), batch("mlp", 6)
    capture = lm.FeatureCapture(net, at=POINTS)
    net(x)
    kept, copied = dict(capture), COPIES[how](net)
    output = copied(2 * x)
    assert all(capture[point] is kept[point] for point in POINTS)
    passed = weakref.ref(output)
    del output
    assert passed() is None
    net(x)
    assert capture["logits"] is not kept["logits"]


def test_a_model_whose_features_are_kept_can_be_copied_and_saved() -> None:
    net, (x, _) = Mlp(), batch("mlp", 6)
    with lm.FeatureCapture(net, at=POINTS):
        net(x)  # copying a tensor with a graph is an error of torch
        assert hooks(copy.deepcopy(net)) == hooks(pickle.loads(pickle.dumps(net))) == 0
        assert hooks(net) == 7


def test_a_capture_adds_nothing_to_the_state_of_a_model() -> None:
    net = Mlp()
    names = [name for name, _ in net.named_modules()], list(net.state_dict())
    with lm.FeatureCapture(net, at=POINTS):
        assert ([name for name, _ in net.named_modules()], list(net.state_dict())) == names


def test_features_live_until_the_next_forward_begins() -> None:
    net, (x, _) = Mlp(), batch("mlp", 6)
    alive: list[bool] = []
    capture = lm.FeatureCapture(net, at=["blocks.0", "logits"])
    net(x)
    kept = [weakref.ref(capture[point]) for point in capture]
    net.register_forward_pre_hook(lambda *_: alive.append(any(ref() is not None for ref in kept)))
    gc.disable()  # nothing hangs in a circle
    try:
        assert all(ref() is not None for ref in kept)
        net(x)
    finally:
        gc.enable()
    assert alive == [False]


@pytest.mark.parametrize("end", ["clear", "remove"])
def test_cleared_features_are_free(end: str) -> None:
    net, (x, _) = Mlp(), batch("mlp", 6)
    capture = lm.FeatureCapture(net, at=POINTS)
    net(x)
    kept = [weakref.ref(capture[point]) for point in POINTS[1:]]
    getattr(capture, end)()
    assert all(ref() is None for ref in kept)
    with pytest.raises(lm.InputError, match=r"^nothing was captured at mix point 'final' yet"):
        capture["final"]


def test_a_removed_capture_takes_its_hooks_and_no_others_out() -> None:
    net, (x, y) = Mlp(), batch("mlp", 6)
    mixer = lm.Mixer(net, at="final")
    capture = lm.FeatureCapture(net, at=POINTS)
    assert hooks(net) == 1 + len(POINTS) + 2
    capture.remove()
    assert hooks(net) == 1
    assert mixer(x, y)[0].shape == (6, 5)


def test_a_failed_capture_leaves_no_hook() -> None:
    net = Mlp()
    with pytest.raises(lm.InputError, match=r"^unknown mix point 'blocks.2': did you mean"):
        lm.FeatureCapture(net, at=["final", "blocks.2"])
    assert hooks(net) == 0


def test_hooks_go_when_the_capture_does() -> None:
    net, capture = Mlp(), None
    for _ in range(3):  # a cell of a notebook that is run again
        capture = lm.FeatureCapture(net, at=POINTS)
        assert hooks(net) == len(POINTS) + 2
    del capture
    gc.collect()
    assert hooks(net) == 0


def test_hooks_go_at_the_end_of_a_block() -> None:
    net, (x, _) = Mlp(), batch("mlp", 6)
    with lm.FeatureCapture(net, at="final") as capture:
        net(x)
        assert capture["final"].shape[0] == 6
    assert hooks(net) == 0
    with pytest.raises(lm.InputError, match=r"^nothing was captured at mix point 'final' yet"):
        capture["final"]


def test_a_capture_does_not_keep_its_model_alive() -> None:
    net: Any = Mlp()
    net.capture = lm.FeatureCapture(net, at="final")
    alive = weakref.ref(net)
    del net
    gc.collect()
    assert alive() is None
