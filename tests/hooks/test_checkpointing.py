"""Activation checkpointing runs a forward twice, and the gradient is still right."""

import copy
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import layermix as lm
from tiny_nets import NETS, batch, tiny_vit

REENTRANT = pytest.mark.parametrize("reentrant", [True, False])
POINTS = ["stem", "stages.0", "stages.0.0.0", "stages.1.1", "final"]


class Net(nn.Module):
    """A stem, two stages of two blocks with batch norm, and a head; checkpointed by stage."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.stem = nn.Linear(4, 8)
        self.stages = nn.Sequential(*(self.stage(dropout) for _ in range(2)))
        self.fc = nn.Linear(8, 5)
        self.reentrant: bool | None = None  # None: not checkpointed

    @staticmethod
    def stage(dropout: float) -> nn.Sequential:
        return nn.Sequential(
            nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.Tanh(), nn.Dropout(dropout)),
            nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.Tanh(), nn.Dropout(dropout)),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        if self.reentrant is None:
            return self.fc(self.stages(x))
        for stage in self.stages:
            x = checkpoint(stage, x, use_reentrant=self.reentrant)  # pyright: ignore[reportAssignmentType]
        return self.fc(x)


def pair(reentrant: bool, dropout: float = 0.0) -> tuple[Net, Net]:
    """Return a plain and a checkpointed net with the same weights."""
    plain = Net(dropout).double()
    checkpointed = copy.deepcopy(plain)
    checkpointed.reentrant = reentrant
    return plain, checkpointed


def gradients(net: nn.Module, loss: Tensor) -> list[Tensor]:
    net.zero_grad()
    loss.backward()
    return [p.grad.clone() for p in net.parameters() if p.grad is not None]


def mixed_gradients(net: nn.Module, mixer: lm.Mixer, x: Tensor, y: Tensor) -> list[Tensor]:
    """Return the gradients of one step, with the backward after the mixed forward is over."""
    torch.manual_seed(7)  # the same dropout
    output, target = mixer(x, y)
    return gradients(net, target.loss(output))


def assert_same(one: list[Tensor], other: list[Tensor]) -> None:
    assert len(one) == len(other) > 0
    for mine, theirs in zip(one, other, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-12)


@REENTRANT
@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("point", POINTS)
def test_gradients_are_those_without_checkpointing(
    point: str, dropout: float, reentrant: bool
) -> None:
    x, y = torch.randn(6, 4, dtype=torch.float64), torch.randint(5, (6,))
    plain, checkpointed = pair(reentrant, dropout)
    mixers = [lm.Mixer(net, at=point, per="sample", seed=2) for net in (plain, checkpointed)]
    for _ in range(2):
        expected = mixed_gradients(plain, mixers[0], x, y)
        assert_same(mixed_gradients(checkpointed, mixers[1], x, y), expected)


@REENTRANT
def test_a_list_of_points_is_replayed_at_the_point_of_the_step(reentrant: bool) -> None:
    plain, checkpointed = pair(reentrant)
    at = ["input", "stages.0.0", "stages.1.0", "final"]
    mixers = [lm.Mixer(net, at=at, seed=2) for net in (plain, checkpointed)]
    x, y = torch.randn(6, 4, dtype=torch.float64), torch.randint(5, (6,))
    for _ in range(8):
        expected = mixed_gradients(plain, mixers[0], x, y)
        assert_same(mixed_gradients(checkpointed, mixers[1], x, y), expected)


@REENTRANT
def test_backward_inside_the_block_gives_the_same_gradients(reentrant: bool) -> None:
    plain, checkpointed = pair(reentrant)
    x, y = torch.randn(6, 4, dtype=torch.float64), torch.randint(5, (6,))
    expected = mixed_gradients(plain, lm.Mixer(plain, at="stages.0.0", seed=2), x, y)
    mixer = lm.Mixer(checkpointed, at="stages.0.0", seed=2)
    plan = mixer.draw(6)
    with mixer.apply(plan) as applied:
        found = gradients(checkpointed, applied.target(y).loss(checkpointed(x)))
    assert_same(found, expected)


@REENTRANT
def test_a_plain_step_after_a_mixed_one_is_recomputed_plainly(reentrant: bool) -> None:
    plain, checkpointed = pair(reentrant)
    mixer = lm.Mixer(checkpointed, at=["stages.0.0", "stages.1"], ratio=0.5)
    x, y = torch.randn(6, 4, dtype=torch.float64), torch.randint(5, (6,))
    for _ in range(4):
        mixed_gradients(checkpointed, mixer, x, y)
        expected = gradients(plain, plain(x).square().sum())
        assert_same(gradients(checkpointed, checkpointed(x).square().sum()), expected)


@REENTRANT
def test_an_evaluation_between_forward_and_backward_changes_nothing(reentrant: bool) -> None:
    plain, checkpointed = pair(reentrant)
    x, y = torch.randn(6, 4, dtype=torch.float64), torch.randint(5, (6,))
    expected = mixed_gradients(plain, lm.Mixer(plain, at="stages.0.0", seed=2), x, y)
    mixer = lm.Mixer(checkpointed, at="stages.0.0", seed=2)
    output, target = mixer(x, y)
    lm.activations(checkpointed, x, ["stages.0", "final"])
    mixer.check(x)
    assert_same(gradients(checkpointed, target.loss(output)), expected)


@REENTRANT
def test_looking_at_a_checkpointed_model_gives_no_warning(
    reentrant: bool, recwarn: pytest.WarningsRecorder
) -> None:
    _, net = pair(reentrant)
    assert "stages.1" in lm.points(net, torch.randn(3, 4, dtype=torch.float64)).names
    assert recwarn.list == []


@pytest.mark.filterwarnings("ignore:some mix points are not cuts")
@pytest.mark.parametrize("point", ["blocks.0", "blocks.0.attn", "blocks.1.mlp", "final"])
def test_a_checkpointed_timm_model_has_the_gradients_of_its_written_out_forward(point: str) -> None:
    net, (x, y) = tiny_vit().double(), batch("vit", 3, torch.float64)
    by_hand = copy.deepcopy(net)
    net.set_grad_checkpointing(True)
    twin = lm.Mixer(copy.deepcopy(net), at=point)
    mixer = lm.Mixer(net, at=point, allow_partial=True)
    plan = twin.draw(3)

    def at(name: str, a: Tensor) -> Any:
        return lm.mix(a, plan) if name == point else a

    expected = gradients(by_hand, plan.target(y).loss(NETS["vit"][1](by_hand, x, at)))
    assert_same(mixed_gradients(net, mixer, x, y), expected)


@REENTRANT
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)], ids=["in order", "in any order"])
def test_each_forward_pass_is_recomputed_by_its_own_plan(
    reentrant: bool, order: tuple[int, ...]
) -> None:
    """Several mixed forward passes, one plain one between them, then their backward passes."""
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
def test_one_backward_pass_of_two_plans_on_the_same_batch_is_right(reentrant: bool) -> None:
    """A consistency loss: the same examples under two plans."""
    plain, checkpointed = pair(reentrant)
    x = torch.randn(3, 4, dtype=torch.float64)
    grads = []
    for net in (plain, checkpointed):
        mixer = lm.Mixer(net, at="stages.0", seed=3)
        outputs = [mixer(x, torch.arange(3))[0] for _ in range(2)]
        grads.append(gradients(net, (outputs[0] - outputs[1]).square().sum()))
    assert_same(*grads)


def test_hooks_outlive_their_mixer_until_the_backward_pass_is_over() -> None:
    plain, checkpointed = pair(False)
    x, y = torch.randn(3, 4, dtype=torch.float64), torch.arange(3)

    def loss(net: nn.Module) -> Tensor:
        output, target = lm.Mixer(net, at="stages.0", seed=3)(x, y)
        return target.loss(output)

    assert_same(*(gradients(net, loss(net)) for net in (plain, checkpointed)))
    checkpointed(x)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in checkpointed.modules())


def test_more_waiting_forward_passes_than_plans_are_kept_for_is_an_error(
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
    """Each stage is checkpointed, and each of its blocks inside it."""

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
def test_nested_recomputations_find_their_own_forward_pass(reentrant: bool) -> None:
    """Mixed, plain and mixed again, before one backward pass of all."""
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


@REENTRANT
def test_an_evaluation_with_gradients_is_recomputed_without_a_mix(reentrant: bool) -> None:
    plain, checkpointed = pair(reentrant)
    x, grads = torch.randn(3, 4, dtype=torch.float64), []
    for net in (plain, checkpointed):
        mixer = lm.Mixer(net, at="stages.0", seed=3, partner="derangement")
        mixed = mixer(x, torch.arange(3))[0].square().sum()
        clean = net.eval()(x).square().sum()
        grads.append(gradients(net.train(), mixed + clean))
    assert_same(*grads)


@REENTRANT
@pytest.mark.parametrize("one_graph", [False, True])
def test_a_mixer_may_be_left_before_the_backward_pass(reentrant: bool, one_graph: bool) -> None:
    plain, checkpointed = pair(reentrant)
    x, grads = torch.randn(3, 4, dtype=torch.float64), []
    for net in (plain, checkpointed):
        with lm.Mixer(net, at=["stages.0", "final"], seed=3, one_graph=one_graph) as mixer:
            output, target = mixer(x, torch.arange(3))
        grads.append(gradients(net, target.loss(output)))
    assert_same(*grads)
    checkpointed(x)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in checkpointed.modules())


def test_forward_passes_of_two_threads_cannot_be_told_apart() -> None:
    _, net = pair(False)
    mixer, x = lm.Mixer(net, at="stages.0.0"), torch.randn(3, 4, dtype=torch.float64)
    losses: list[Tensor] = []

    def run() -> None:
        losses.append(mixer(x, torch.arange(3))[0].sum())

    run()
    for _ in range(2):  # the numbers of each thread begin anew
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    with pytest.raises(lm.RunError, match="two threads ran mixed forward passes"):
        (losses[1] + losses[2]).backward()


class Waiting(Net):
    """Calls a function in each forward pass, before the first checkpointed stage."""

    def __init__(self) -> None:
        super().__init__()
        self.reentrant = False
        self.wait: Callable[[], object] = lambda: None

    def forward(self, x: Tensor) -> Tensor:
        self.wait()
        return super().forward(x)


def test_two_threads_that_checkpoint_for_the_first_time_at_once_are_both_known() -> None:
    net = Waiting().double()
    mixer, x = lm.Mixer(net, at="stages.0.0"), torch.randn(3, 4, dtype=torch.float64)
    mixer.check(x)
    both, first_is_over = threading.Barrier(2, timeout=60), threading.Event()
    losses: dict[str, Tensor] = {}

    def wait() -> None:
        both.wait()  # both forward passes began before either was checkpointed
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
