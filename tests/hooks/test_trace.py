"""The probe leaves no trace: whatever a forward pass can change is as before."""

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
from layermix.hooks.deterministic import Deterministic


class Queue(nn.Module):
    """Writes its features into a buffer in every forward pass, as MoCo does."""

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
    """Carries its hidden state from batch to batch."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.fc = nn.GRU(4, 8, batch_first=True), nn.Linear(8, 3)
        self.h: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        output, h = self.rnn(x, self.h)
        self.h = h.detach()
        return self.fc(output[:, -1])


class Memory:
    """A plain object that a model fills."""

    def __init__(self) -> None:
        self.rows: list[Tensor] = []
        self.mean = torch.zeros(8)


class Diary(nn.Module):
    """Changes attributes of every kind."""

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
    """Moves the parameters of a teacher towards its own in every forward pass."""

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
LOOKS: dict[str, Callable[[nn.Module, Tensor], Any]] = {
    "points": lm.points,
    "check": lambda model, x: lm.Mixer(model, at="final").check(x),
    "activations": lambda model, x: lm.activations(model, x, "final"),
}
each_look = pytest.mark.parametrize("look", LOOKS)


@each_look
@pytest.mark.parametrize("model", [Queue, Teacher])
def test_parameters_and_buffers_are_as_before(look: str, model: type[nn.Module]) -> None:
    net: Any = model()
    tensors = dict([*net.named_parameters(), *net.named_buffers()])
    before = {name: (tensor.clone(), tensor.data_ptr()) for name, tensor in tensors.items()}
    LOOKS[look](net, X)
    for name, (value, place) in before.items():
        assert tensors[name].equal(value), name
        assert tensors[name].data_ptr() == place


@each_look
def test_attributes_of_every_kind_are_as_before(look: str) -> None:
    net = Diary()
    net(X)
    before = net.state()
    LOOKS[look](net, X)
    assert net.state() == before


@each_look
@pytest.mark.parametrize("started", [False, True])
def test_a_hidden_state_between_batches_is_as_before(look: str, started: bool) -> None:
    net = Stateful()
    if started:  # the state has the rows of the whole batch, which few examples do not fit
        net(SEQUENCES)
    h = net.h
    LOOKS[look](net, SEQUENCES)
    assert net.h is h
    net(SEQUENCES)


def test_a_hidden_state_goes_round_the_input_and_not_round_the_final_layer() -> None:
    net, y = Stateful(), torch.arange(6) % 3
    net(SEQUENCES)
    assert lm.points(net, SEQUENCES).names == ["final", "logits"]
    with pytest.raises(lm.InputError, match="not a cut of the network"):
        lm.Mixer(net, at="input").check(SEQUENCES)
    output, target = lm.Mixer(net, at="final")(SEQUENCES, y)
    assert target.loss(output).isfinite()


@each_look
def test_random_states_are_as_before(look: str) -> None:
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
    LOOKS[look](net, X)
    assert states() == before


@each_look
def test_switches_of_torch_are_as_before(look: str) -> None:
    assert torch.backends.mha.get_fastpath_enabled()
    LOOKS[look](nn.Sequential(nn.Linear(5, 3)), X)
    assert torch.backends.mha.get_fastpath_enabled()
    assert torch.is_grad_enabled()


class Padded(nn.Module):
    """An encoder of torch, which skips its layers on its fast path."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
        self.embed, self.encoder = nn.Linear(4, 16), nn.TransformerEncoder(layer, 2)
        self.fc = nn.Linear(16, 3)

    def forward(self, x: Tensor, padding_mask: Tensor) -> Tensor:
        h = self.encoder(self.embed(x), src_key_padding_mask=padding_mask)
        return self.fc(h[:, 0])


@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True")
@pytest.mark.parametrize("training", [True, False])
def test_an_encoder_with_a_fast_path_is_listed_mixed_and_profiled(training: bool) -> None:
    net, y = Padded().train(training), torch.arange(12) % 3
    mask = torch.zeros(12, 5, dtype=torch.bool)
    mask[::3, 3:] = True
    x = {"x": torch.randn(12, 5, 4), "padding_mask": mask}
    layers = ["encoder.layers.0", "encoder.layers.1"]
    assert lm.points(net, x).names == ["input", *layers, "final", "logits"]
    assert net.training is training
    output, _ = lm.Mixer(net, at=layers[0], always=True)(x, y)
    assert output.shape == (12, 3)
    assert lm.activations(net, x, layers[0])[layers[0]].shape == (12, 5, 16)


def test_training_mode_is_probed_as_training_runs_it() -> None:
    """Frozen norms stay frozen; what only training does is seen."""

    class Auxiliary(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.f, self.bn = nn.Linear(5, 8), nn.BatchNorm1d(8)
            self.aux, self.fc = nn.Linear(8, 3), nn.Linear(8, 3)
            self.modes: set[tuple[bool, bool]] = set()

        def forward(self, x: Tensor) -> Any:
            h = self.bn(self.f(x))
            self.modes = self.modes | {(self.training, self.bn.training)}
            modes.update(self.modes)
            return (self.fc(h.relu()), self.aux(h)) if self.training else self.fc(h.relu())

    modes: set[tuple[bool, bool]] = set()
    net = Auxiliary()
    net.bn.eval()
    net.eval()
    net.training = True
    for module in (net.f, net.aux, net.fc):
        module.train()
    rows = {row.name: row for row in lm.points(net, X, all=True)}
    assert modes == {(True, False)}
    assert (rows["bn"].cut, rows["fc"].obstacle is None, rows["final"].cut) == (0.0, False, 0.0)


def test_random_operations_return_constants() -> None:
    x, q = torch.ones(2, 3), torch.randn(2, 3, 4)
    attention = nn.MultiheadAttention(4, 2, dropout=0.5, batch_first=True)
    lstm = nn.LSTM(4, 4, 2, dropout=0.5)
    with torch.no_grad(), Deterministic():
        assert F.dropout(x, 0.5, True).unique().tolist() == [2.0]
        assert torch.native_dropout(x, 0.5, True)[0].equal(x)
        assert F.alpha_dropout(x, 0.5, True).unique().numel() == 1
        assert x.clone().bernoulli_(0.7).equal(x)
        assert torch.bernoulli(0.3 * x).equal(0 * x)
        assert torch.rand(2).tolist() == [0.5, 0.5]
        assert torch.rand_like(x).equal(0.5 * x)
        assert torch.randn(2).tolist() == [1.0, 1.0]
        assert torch.empty(2).exponential_().tolist() == [1.0, 1.0]
        assert torch.randn_like(x).equal(x)
        assert torch.normal(x, 2 * x).equal(3 * x)
        assert torch.empty(2).uniform_(2, 4).tolist() == [3.0, 3.0]
        assert torch.empty(2).normal_(1, 3).tolist() == [4.0, 4.0]
        assert F.rrelu(-x, training=True).unique().numel() == 1
        assert attention(q, q, q)[0].equal(attention(q, q, q)[0])
        assert lstm(q)[0].equal(lstm(q)[0])


@torch.library.custom_op("layermix_tests::fused", mutates_args=())
def fused(x: Tensor, dropout_p: float) -> Tensor:
    """An operation that drops inside, as fused attention and recurrent layers on a GPU do."""
    return x * dropout_p


def test_fused_operations_drop_nothing() -> None:
    x = torch.ones(3)
    with torch.no_grad(), Deterministic():
        assert fused(x, 0.5).tolist() == [0.0] * 3
        assert fused(x, dropout_p=0.5).tolist() == [0.0] * 3
    assert fused(x, 0.5).tolist() == [0.5] * 3


def test_a_graph_that_was_built_before_the_probe_has_its_gradient() -> None:
    """The probe restores statistics of norms, whose versions autograd compares."""
    net = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    mixer, x = lm.Mixer(net, at="final"), torch.randn(6, 5)
    clean = net(x)
    output, target = mixer(x, torch.arange(6) % 3)
    (clean.sum() + target.loss(output)).backward()


@each_look
@pytest.mark.parametrize("kind", ["buffer", "parameter"])
def test_a_tensor_whose_data_are_replaced_is_as_before(look: str, kind: str) -> None:
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
    LOOKS[look](net, X)
    assert not net.mean.any()


def test_a_model_that_runs_in_eval_mode_alone_is_probed_there() -> None:
    class Detector(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.f, self.fc = nn.Linear(5, 8), nn.Linear(8, 3)

        def forward(self, x: Tensor, targets: Any = None) -> Tensor:
            if self.training and targets is None:
                raise ValueError("targets are needed in training mode")
            return self.fc(self.f(x).relu())

    net = Detector().eval()
    assert lm.points(net, X).names == ["input", "final", "logits"]
    with pytest.raises(lm.InputError, match="targets are needed in training mode"):
        lm.points(net.train(), X)
