"""Tests that the probe does not change the model, its attributes or random states."""

import collections
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import layermix as lm


class Queue(nn.Module):
    """Writes its features into a buffer in every forward pass, like MoCo."""

    def __init__(self) -> None:
        super().__init__()
        self.f, self.fc = nn.Linear(5, 8), nn.Linear(8, 3)
        self.queue: Any
        self.start: Any
        self.register_buffer("queue", torch.zeros(12, 8))
        self.register_buffer("start", torch.zeros((), dtype=torch.long), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        h = self.f(x)
        self.queue[(self.start + torch.arange(len(x))) % 12] = h.detach()
        self.start += len(x)
        return self.fc(h)


class Stateful(nn.Module):
    """Keeps its hidden state between batches."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.fc = nn.GRU(4, 8, batch_first=True), nn.Linear(8, 3)
        self.h: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        output, h = self.rnn(x, self.h)
        self.h = h.detach()
        return self.fc(output[:, -1])


class Memory:
    """A plain object that a model changes."""

    def __init__(self) -> None:
        self.rows: list[Tensor] = []
        self.mean = torch.zeros(8)


class MutableAttributes(nn.Module):
    """Changes attributes of many types in every forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.f, self.fc = nn.Linear(5, 8), nn.Linear(8, 3)
        self.calls, self.seen = 0, [0]
        self.recent: collections.deque[int] = collections.deque(maxlen=3)
        self.table: dict[str, Any] = {"sum": torch.zeros(8)}
        self.counts, self.memory = np.zeros(2), Memory()
        self.generator = torch.Generator().manual_seed(3)
        self.rng, self.die = np.random.default_rng(3), random.Random(3)
        self.legacy = np.random.RandomState(3)
        self.pair: tuple[Tensor, list[int]] = torch.zeros(8), []

    def forward(self, x: Tensor) -> Tensor:
        h = self.f(x)
        self.calls += 1
        self.seen.append(len(x))
        self.recent.append(len(x))
        self.table["sum"] += h.detach().sum(0)
        self.table["last"] = h.detach()
        self.counts[0] += 1
        self.memory.rows.append(h.detach())
        self.memory.mean.lerp_(h.detach().mean(0), 0.1)
        torch.rand(2, generator=self.generator)
        self.rng.random()
        self.die.random()
        self.legacy.random()
        self.pair[0].add_(1)
        self.pair[1].append(len(x))
        self.new = "an attribute"
        return self.fc(h)

    def state(self) -> list[Any]:
        return [
            self.calls,
            list(self.seen),
            list(self.recent),
            {k: v.tolist() for k, v in self.table.items()},
            self.counts.tolist(),
            [row.tolist() for row in self.memory.rows],
            self.memory.mean.tolist(),
            self.generator.get_state().tolist(),
            str(self.rng.bit_generator.state),
            str(self.die.getstate()),
            str(self.legacy.get_state()),
            [self.pair[0].tolist(), list(self.pair[1])],
            hasattr(self, "new"),
        ]


class Teacher(nn.Module):
    """Updates the parameters of an EMA teacher in every forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.f, self.fc, self.slow = nn.Linear(5, 8), nn.Linear(8, 3), nn.Linear(5, 8)
        self.fast = nn.Linear(5, 8)
        self.slow.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            self.slow.weight.lerp_(self.f.weight, 0.5)
            self.slow.bias.data.add_(1)
            torch.lerp(self.fast.weight, self.f.weight, 0.5, out=self.fast.weight)
        return self.fc(self.f(x) + self.slow(x))


X, SEQUENCES = torch.randn(6, 5), torch.randn(6, 5, 4)


PROBES: dict[str, Callable[[nn.Module, Tensor], Any]] = {
    "points": lm.points,
    "check": lambda model, x: lm.Mixer(model, at="final").check(x),
    "activations": lambda model, x: lm.activations(model, x, "final"),
}


each_probe = pytest.mark.parametrize("probe", PROBES)


@each_probe
@pytest.mark.parametrize("model", [Queue, Teacher])
def test_parameters_and_buffers_are_unchanged(probe: str, model: type[nn.Module]) -> None:
    net: Any = model()
    tensors = dict([*net.named_parameters(), *net.named_buffers()])
    before = {name: (tensor.clone(), tensor.data_ptr()) for name, tensor in tensors.items()}
    PROBES[probe](net, X)
    for name, (value, place) in before.items():
        assert tensors[name].equal(value), name
        assert tensors[name].data_ptr() == place


@each_probe
def test_attributes_of_every_type_are_unchanged(probe: str) -> None:
    net = MutableAttributes()
    net(X)
    before = net.state()
    PROBES[probe](net, X)
    assert net.state() == before


@each_probe
@pytest.mark.parametrize("started", [False, True])
def test_hidden_state_between_batches_is_unchanged(probe: str, started: bool) -> None:
    net = Stateful()
    if started:  # the state has the rows of the whole batch, which do not fit fewer examples
        net(SEQUENCES)
    h = net.h
    PROBES[probe](net, SEQUENCES)
    assert net.h is h
    net(SEQUENCES)


def test_hidden_state_bypasses_the_input_but_not_final() -> None:
    net, y = Stateful(), torch.arange(6) % 3
    net(SEQUENCES)
    assert lm.points(net, SEQUENCES).names == ["final", "logits"]
    with pytest.raises(lm.InputError, match="not a cut of the network"):
        lm.Mixer(net, at="input").check(SEQUENCES)
    output, target = lm.Mixer(net, at="final")(SEQUENCES, y)
    assert target.loss(output).isfinite()


@each_probe
def test_random_states_are_unchanged(probe: str) -> None:
    class Noisy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.f, self.fc = nn.Linear(5, 8), nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            noise = torch.rand(8) + random.random() + np.random.rand()
            return self.fc(F.dropout(self.f(x), training=self.training) + noise)

    def states() -> tuple[Any, ...]:
        return torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state())

    net, before = Noisy(), states()
    PROBES[probe](net, X)
    assert states() == before


@each_probe
def test_global_flags_of_torch_are_unchanged(probe: str) -> None:
    assert torch.backends.mha.get_fastpath_enabled()
    PROBES[probe](nn.Sequential(nn.Linear(5, 3)), X)
    assert torch.backends.mha.get_fastpath_enabled()
    assert torch.is_grad_enabled()


def test_backward_works_for_a_graph_built_before_the_probe() -> None:
    """The probe restores the statistics of norms, and autograd compares their versions."""
    net = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    mixer, x = lm.Mixer(net, at="final"), torch.randn(6, 5)
    clean = net(x)
    output, target = mixer(x, torch.arange(6) % 3)
    (clean.sum() + target.loss(output)).backward()


@each_probe
@pytest.mark.parametrize("kind", ["buffer", "parameter"])
def test_tensor_with_replaced_data_is_unchanged(probe: str, kind: str) -> None:
    class Replaces(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mean: Tensor
            if kind == "buffer":
                self.register_buffer("mean", torch.zeros(5))
            else:
                self.mean = nn.Parameter(torch.zeros(5), requires_grad=False)
            self.fc = nn.Linear(5, 3)

        def forward(self, x: Tensor) -> Tensor:
            self.mean.data = x.mean(0)
            return self.fc(x)

    net = Replaces()
    PROBES[probe](net, X)
    assert not net.mean.any()
