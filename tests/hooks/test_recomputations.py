"""Tests that recomputation in activation checkpointing uses the plan of its forward pass."""

import copy
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

import layermix as lm
from checkpointed import REENTRANT, Net, assert_same, gradients, pair


@REENTRANT
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)], ids=["in order", "in any order"])
def test_each_forward_is_recomputed_with_its_plan(reentrant: bool, order: tuple[int, ...]) -> None:
    """Two mixed forward passes and an unmixed one between them, then the backward passes."""
    plain, checkpointed = pair(reentrant)
    grads = []
    for net in (plain, checkpointed):
        mixer, losses = lm.Mixer(net, at="stages.0", seed=3), []
        for step in range(3):
            generator = torch.Generator().manual_seed(step)
            x = torch.randn(3, 4, dtype=torch.float64, generator=generator)
            if step == 1:
                losses.append(net(x).square().sum())
                continue
            output, target = mixer(x, torch.arange(3))
            losses.append(target.loss(output))
        net.zero_grad()
        for index in order:
            losses[index].backward()
        grads.append([p.grad.clone() for p in net.parameters() if p.grad is not None])
    assert_same(*grads)


@REENTRANT
def test_one_backward_of_two_plans_on_one_batch_is_correct(reentrant: bool) -> None:
    """A consistency loss of two plans for the same examples."""
    plain, checkpointed = pair(reentrant)
    x = torch.randn(3, 4, dtype=torch.float64)
    grads = []
    for net in (plain, checkpointed):
        mixer = lm.Mixer(net, at="stages.0", seed=3)
        outputs = [mixer(x, torch.arange(3))[0] for _ in range(2)]
        grads.append(gradients(net, (outputs[0] - outputs[1]).square().sum()))
    assert_same(*grads)


def test_too_many_pending_forwards_raise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("layermix.hooks.mixing_state._KEPT", 2)
    _, net = pair(False)
    mixer, x = lm.Mixer(net, at="stages.0.0"), torch.randn(3, 4, dtype=torch.float64)
    losses = [mixer(x, torch.arange(3))[0].sum() for _ in range(3)]
    losses[2].backward()
    with pytest.raises(lm.RunError, match="run backward\\(\\) more often"):
        losses[0].backward()


class Nested(Net):
    """A model with checkpointed stages, whose blocks are checkpointed too."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for stage in self.stages:
            x = self.again(partial(self.blocks, stage), x)
        return self.fc(x)

    def blocks(self, stage: Any, x: Tensor) -> Tensor:
        for block in stage:
            x = self.again(block, x)
        return x

    def again(self, part: Any, x: Tensor) -> Any:
        if self.reentrant is None:
            return part(x)
        return checkpoint(part, x, use_reentrant=self.reentrant)


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
@REENTRANT
def test_nested_recomputation_uses_the_plan_of_its_forward(reentrant: bool) -> None:
    """A mixed, an unmixed and a mixed forward pass, then one backward pass."""
    plain = Nested().double()
    nested = copy.deepcopy(plain)
    nested.reentrant = reentrant
    grads = []
    for net in (plain, nested):
        mixer = lm.Mixer(net, at="stages.0.0", seed=3, partner="derangement")
        total = torch.zeros((), dtype=torch.float64)
        for step in range(3):
            generator = torch.Generator().manual_seed(step)
            x = torch.randn(3, 4, dtype=torch.float64, generator=generator)
            output = net(x) if step == 1 else mixer(x, torch.arange(3))[0]
            total = total + output.square().sum()
        grads.append(gradients(net, total))
    assert_same(*grads)


def test_checkpointed_forwards_of_two_threads_raise() -> None:
    _, net = pair(False)
    mixer, x = lm.Mixer(net, at="stages.0.0"), torch.randn(3, 4, dtype=torch.float64)
    losses: list[Tensor] = []

    def run() -> None:
        losses.append(mixer(x, torch.arange(3))[0].sum())

    run()
    for _ in range(2):  # the count of forward passes restarts in each thread
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    with pytest.raises(lm.RunError, match="two threads ran mixed forward passes"):
        (losses[1] + losses[2]).backward()


class Waiting(Net):
    """A model that calls `wait` in each forward pass, before the first checkpointed stage."""

    def __init__(self) -> None:
        super().__init__()
        self.reentrant = False
        self.wait: Callable[[], object] = lambda: None

    def forward(self, x: Tensor) -> Tensor:
        self.wait()
        return super().forward(x)


def test_simultaneous_first_checkpoints_of_two_threads_raise() -> None:
    net = Waiting().double()
    mixer, x = lm.Mixer(net, at="stages.0.0"), torch.randn(3, 4, dtype=torch.float64)
    mixer.check(x)
    both, first_is_over = threading.Barrier(2, timeout=60), threading.Event()
    losses: dict[str, Tensor] = {}

    def wait() -> None:
        both.wait()  # both forward passes begin before either is checkpointed
        if threading.current_thread().name == "second":
            first_is_over.wait(timeout=60)

    def run() -> None:
        name = threading.current_thread().name
        losses[name] = mixer(x, torch.arange(3))[0].sum()
        first_is_over.set()

    net.wait = wait
    threads = [threading.Thread(target=run, name=name) for name in ("first", "second")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with pytest.raises(lm.RunError, match="two threads ran mixed forward passes"):
        (losses["first"] + losses["second"]).backward()
