"""Tests of `FeatureCapture` with copied models, and of the release of features and hooks."""

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
def test_copied_model_captures_nothing(how: str) -> None:
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


def test_model_with_captured_features_can_be_copied_and_pickled() -> None:
    net, (x, _) = Mlp(), batch("mlp", 6)
    with lm.FeatureCapture(net, at=POINTS):
        net(x)  # torch cannot copy a tensor that has a graph
        assert hooks(copy.deepcopy(net)) == hooks(pickle.loads(pickle.dumps(net))) == 0
        assert hooks(net) == 7


def test_capture_does_not_change_modules_or_state_dict() -> None:
    net = Mlp()
    names = [name for name, _ in net.named_modules()], list(net.state_dict())
    with lm.FeatureCapture(net, at=POINTS):
        assert ([name for name, _ in net.named_modules()], list(net.state_dict())) == names


def test_features_are_freed_when_the_next_forward_begins() -> None:
    net, (x, _) = Mlp(), batch("mlp", 6)
    alive: list[bool] = []
    capture = lm.FeatureCapture(net, at=["blocks.0", "logits"])
    net(x)
    kept = [weakref.ref(capture[point]) for point in capture]
    net.register_forward_pre_hook(lambda *_: alive.append(any(ref() is not None for ref in kept)))
    gc.disable()  # there are no reference cycles
    try:
        assert all(ref() is not None for ref in kept)
        net(x)
    finally:
        gc.enable()
    assert alive == [False]


@pytest.mark.parametrize("end", ["clear", "remove"])
def test_clear_and_remove_free_the_features(end: str) -> None:
    net, (x, _) = Mlp(), batch("mlp", 6)
    capture = lm.FeatureCapture(net, at=POINTS)
    net(x)
    kept = [weakref.ref(capture[point]) for point in POINTS[1:]]
    getattr(capture, end)()
    assert all(ref() is None for ref in kept)
    with pytest.raises(lm.InputError, match=r"^nothing was captured at mix point 'final' yet"):
        capture["final"]


def test_remove_removes_only_the_hooks_of_the_capture() -> None:
    net, (x, y) = Mlp(), batch("mlp", 6)
    mixer = lm.Mixer(net, at="final")
    capture = lm.FeatureCapture(net, at=POINTS)
    assert hooks(net) == 1 + len(POINTS) + 2
    capture.remove()
    assert hooks(net) == 1
    assert mixer(x, y)[0].shape == (6, 5)


def test_failed_construction_leaves_no_hooks() -> None:
    net = Mlp()
    with pytest.raises(lm.InputError, match=r"^unknown mix point 'blocks.2': did you mean"):
        lm.FeatureCapture(net, at=["final", "blocks.2"])
    assert hooks(net) == 0


def test_hooks_are_removed_with_the_capture() -> None:
    net, capture = Mlp(), None
    for _ in range(3):  # as in a notebook cell that is run again
        capture = lm.FeatureCapture(net, at=POINTS)
        assert hooks(net) == len(POINTS) + 2
    del capture
    gc.collect()
    assert hooks(net) == 0


def test_hooks_are_removed_at_the_end_of_a_with_block() -> None:
    net, (x, _) = Mlp(), batch("mlp", 6)
    with lm.FeatureCapture(net, at="final") as capture:
        net(x)
        assert capture["final"].shape[0] == 6
    assert hooks(net) == 0
    with pytest.raises(lm.InputError, match=r"^nothing was captured at mix point 'final' yet"):
        capture["final"]


def test_capture_does_not_keep_the_model_alive() -> None:
    net: Any = Mlp()
    net.capture = lm.FeatureCapture(net, at="final")
    alive = weakref.ref(net)
    del net
    gc.collect()
    assert alive() is None
