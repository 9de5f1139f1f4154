"""What comes beside the main tensor: lengths, inputs that are no examples, tensors not dense."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import layermix as lm

T = 10
LENGTHS = torch.tensor([10, 2, 6, 3])
PARTNER = torch.tensor([2, 0, 3, 1])


class Sum(nn.Module):
    """Sums the frames that count: linear, so that the right mix is known for any ratio."""

    def __init__(self) -> None:
        super().__init__()
        self.f = nn.Linear(4, 3, bias=False)

    def forward(self, wavs: Tensor, sizes: Tensor) -> Tensor:
        n = (sizes * T).round() if sizes.is_floating_point() else sizes
        return (self.f(wavs) * (torch.arange(T) < n[:, None])[..., None]).sum(1)


class Named(Sum):
    """The same with the name that lengths usually have."""

    def forward(self, wavs: Tensor, wav_lens: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return super().forward(wavs, wav_lens)


class Channels(Sum):
    """The same with its frames last."""

    def forward(self, wavs: Tensor, sizes: Tensor) -> Tensor:
        return super().forward(wavs.transpose(1, 2), sizes)


def plan_at(point: str) -> lm.Plan:
    return lm.Plan(point, torch.tensor(0.3), PARTNER)


def frames() -> Tensor:
    return torch.randn(4, T, 4) * (torch.arange(T) < LENGTHS[:, None])[..., None]


def assert_both_inputs_mixed(net: nn.Module, mixer: lm.Mixer, x: Tensor, z: Tensor) -> None:
    """Check that a mixer of ratio 0 gives the output of the partners in both inputs."""
    plan = mixer.draw(len(x))
    with mixer.apply(plan):
        output = net(x, z)
    torch.testing.assert_close(output, net(x[plan.partner], z[plan.partner]))


@pytest.mark.parametrize("model", [Sum, Named, Channels])
@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("column", [False, True])
def test_the_longer_of_two_lengths_counts(model: type[Sum], relative: bool, column: bool) -> None:
    if column and model is not Sum:
        pytest.skip("one kind is enough")
    net, x = model(), frames()
    lengths = LENGTHS / T if relative else LENGTHS
    if model is Channels:
        x = x.transpose(1, 2)
    if column:
        net.register_forward_pre_hook(lambda _, args: (args[0], args[1][:, 0]))
        lengths = lengths[:, None]
    mixer = lm.Mixer(net, at="input")
    mixer.check((x, lengths))
    with mixer.apply(plan_at("input")):
        output = net(x, lengths)
    longest = torch.maximum(lengths, lengths[PARTNER])
    torch.testing.assert_close(output, net(0.3 * x + 0.7 * x[PARTNER], longest))


def test_lengths_that_are_equal_where_they_are_probed_are_found_too() -> None:
    net, full = Sum(), torch.full((4,), T)
    mixer = lm.Mixer(net, at="input")
    mixer.check((torch.randn(4, T, 4), full))
    x = frames()
    with mixer.apply(plan_at("input")):
        output = net(x, LENGTHS)
    longest = torch.maximum(LENGTHS, LENGTHS[PARTNER])
    torch.testing.assert_close(output, net(0.3 * x + 0.7 * x[PARTNER], longest))


def test_lengths_among_few_positions_are_known_by_their_name() -> None:
    class Short(Sum):
        def forward(self, wavs: Tensor, wav_lens: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
            return (self.f(wavs) * (torch.arange(3) < wav_lens[:, None])[..., None]).sum(1)

    net, x, lengths = Short(), torch.randn(4, 3, 4), torch.tensor([3, 1, 2, 1])
    mixer = lm.Mixer(net, at="input")
    mixer.check((x, lengths))
    with mixer.apply(plan_at("input")):
        output = net(x, lengths)
    longest = torch.maximum(lengths, lengths[PARTNER])
    torch.testing.assert_close(output, net(0.3 * x + 0.7 * x[PARTNER], longest))


def test_a_number_of_each_example_that_selects_nothing_is_mixed() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.f = nn.Linear(4, 3)

        def forward(self, x: Tensor, petal_length: Tensor) -> Tensor:
            return self.f(x).mean(1) + petal_length[:, None]

    net, x, size = Scaled(), torch.randn(4, T, 4), torch.rand(4)
    mixer = lm.Mixer(net, at="input")
    mixer.check((x, size))
    with mixer.apply(plan_at("input")):
        output = net(x, size)
    expected = net(0.3 * x + 0.7 * x[PARTNER], 0.3 * size + 0.7 * size[PARTNER])
    torch.testing.assert_close(output, expected)


def test_lengths_used_behind_a_hidden_point_go_round_it() -> None:
    class Behind(Sum):
        def forward(self, wavs: Tensor, lengths: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
            return super().forward(wavs, lengths)

    for lengths in (LENGTHS, torch.full((4,), T)):
        with pytest.raises(lm.InputError, match="not a cut of the network"):
            lm.Mixer(Behind(), at="f").check((frames(), lengths))


def test_lengths_that_a_module_behind_the_point_takes_are_united_there() -> None:
    class Pool(nn.Module):
        def forward(self, h: Tensor, lengths: Tensor) -> Tensor:
            return (h * (torch.arange(T) < lengths[:, None])[..., None]).sum(1)

    class Parts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.f, self.pool = nn.Linear(4, 3, bias=False), Pool()

        def forward(self, wavs: Tensor, lengths: Tensor) -> Tensor:
            return self.pool(self.f(wavs), lengths)

    net, x = Parts(), frames()
    mixer = lm.Mixer(net, at="f")
    mixer.check((x, LENGTHS))
    with mixer.apply(plan_at("f")):
        output = net(x, LENGTHS)
    h = net.f(x)
    longest = torch.maximum(LENGTHS, LENGTHS[PARTNER])
    torch.testing.assert_close(output, net.pool(0.3 * h + 0.7 * h[PARTNER], longest))


# A batch of another size of the same first dimension is never taken for examples.


class ToClasses(nn.Module):
    """Compares features with embeddings of the classes, (C, 8)."""

    def __init__(self) -> None:
        super().__init__()
        self.f, self.g = nn.Linear(5, 8), nn.Linear(8, 8)

    def forward(self, x: Tensor, classes: Tensor) -> Tensor:
        return self.g(self.f(x).relu()) @ classes.T


class ToMemory(ToClasses):
    """Attends to a memory, (M, 8), whose size the output does not show."""

    def forward(self, x: Tensor, classes: Tensor) -> Tensor:
        return self.g((self.f(x) @ classes.T).softmax(1) @ classes)


@pytest.mark.parametrize("model", [ToClasses, ToMemory])
@pytest.mark.parametrize("size", [3, 6])
@pytest.mark.parametrize("point", ["input", "f", "final"])
def test_an_input_of_as_many_rows_as_examples_is_not_mixed(
    model: type[ToClasses], size: int, point: str
) -> None:
    net, x, rows = model(), torch.randn(size, 5), torch.randn(size, 8)
    mixer = lm.Mixer(net, at=point, ratio=0.0, partner="derangement")
    mixer.check((x, rows))
    plan = mixer.draw(size)
    with mixer.apply(plan):
        output = net(x, rows)
    torch.testing.assert_close(output, net(x[plan.partner], rows))


def test_inputs_that_reach_different_outputs_are_all_examples() -> None:
    class Apart(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.f, self.g = nn.Linear(5, 3), nn.Linear(4, 3)

        def forward(self, x: Tensor, z: Tensor) -> dict[str, Tensor]:
            return {"x": self.f(x), "z": self.g(z)}

    net, x, z = Apart(), torch.randn(6, 5), torch.randn(6, 4)
    mixer = lm.Mixer(net, at="input", ratio=0.0, partner="derangement")
    mixer.check((x, z))
    assert_both_inputs_mixed(net, mixer, x, z)


def test_an_input_of_which_the_first_batch_makes_no_use_is_mixed_in_the_next() -> None:
    class Sometimes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.f, self.g = nn.Linear(5, 3), nn.Linear(8, 3)

        def forward(self, x: Tensor, z: Tensor) -> Tensor:
            return self.f(x) + self.g(z) if z.any() else self.f(x)

    net, x, z = Sometimes(), torch.randn(6, 5), torch.randn(6, 8)
    mixer = lm.Mixer(net, at="input", ratio=0.0, partner="derangement")
    mixer.check((x, torch.zeros(6, 8)))
    assert_both_inputs_mixed(net, mixer, x, z)


def test_an_input_that_was_not_there_when_it_was_probed_is_probed_anew() -> None:
    class Optional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.f, self.e = nn.Linear(5, 3), nn.Embedding(4, 3)

        def forward(self, x: Tensor, kind: Tensor | None = None) -> Tensor:
            return self.f(x) if kind is None else self.f(x) + self.e(kind)

    net, x, y = Optional(), torch.randn(6, 5), torch.arange(6) % 3
    mixer = lm.Mixer(net, at="input")
    mixer({"x": x}, y)
    with pytest.raises(lm.InputError, match="'kind' cannot be mixed"):
        mixer({"x": x, "kind": torch.arange(6) % 4}, y)


# Tensors that are not dense are mixed where the activation is.


class Packed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.fc = nn.LSTM(4, 6, batch_first=True), nn.Linear(6, 3)

    def forward(self, x: Any) -> Tensor:
        return self.fc(self.rnn(x)[1][0][-1])


class Sparse(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w, self.fc = nn.Parameter(torch.randn(7, 8)), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(torch.relu(x @ self.w))


class Nested(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.e, self.fc = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(torch.nested.to_padded_tensor(self.e(x), 0.0).sum(1))


def packed() -> Any:
    lengths = torch.tensor([5, 5, 4, 3, 2, 1])
    return pack_padded_sequence(torch.randn(6, 5, 4), lengths, batch_first=True)


def nested() -> Tensor:
    rows = [torch.randn(k, 4) for k in (3, 5, 2, 4, 6, 1)]
    return torch.nested.nested_tensor(rows, layout=torch.jagged)


def sparse() -> Tensor:
    return torch.randn(6, 7).relu().to_sparse()


IRREGULAR: dict[str, tuple[Any, Any, str]] = {
    "packed": (Packed, packed, "so its first dimension is not the batch"),
    "coo": (Sparse, sparse, "its activation is a sparse tensor"),
    "csr": (Sparse, lambda: sparse().to_sparse_csr(), "its activation is a sparse tensor"),
    "nested": (Nested, nested, "its activation is a nested tensor"),
}


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors is in prototype stage")
@pytest.mark.parametrize("name", IRREGULAR)
def test_tensors_that_are_not_dense_are_mixed_behind_and_refused_clearly(name: str) -> None:
    build, make, why = IRREGULAR[name]
    net, x, y = build(), make(), torch.arange(6) % 3
    assert lm.points(net, x).names == ["final", "logits"]
    with pytest.raises(lm.InputError, match=f"'input' cannot be mixed: .*{why}"):
        lm.Mixer(net, at="input")(x, y)
    output, _ = lm.Mixer(net, at="final", seed=1)(x, y)
    plan = lm.Mixer(net, at="final", seed=1).draw(6)
    torch.testing.assert_close(output, lm.mix(net(x), plan))


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors is in prototype stage")
def test_a_nested_tensor_beside_the_input_is_refused_by_name() -> None:
    class Both(Nested):
        def forward(self, x: Tensor, pieces: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
            return self.fc(self.e(x)) + super().forward(pieces)

    with pytest.raises(lm.InputError, match="'pieces' is a nested tensor beside the main one"):
        lm.Mixer(Both(), at="input")((torch.randn(6, 4), nested()), torch.arange(6) % 3)


def test_a_packed_sequence_keeps_its_examples_when_few_are_chosen() -> None:
    from layermix.hooks.batch import as_inputs
    from layermix.hooks.examples import rows_of

    x = packed()
    whole, lengths = pad_packed_sequence(x, batch_first=True)
    few = rows_of(as_inputs(x), {}, [0, 3, 4]).args[0]
    part, sizes = pad_packed_sequence(few, batch_first=True)
    assert sizes.equal(lengths[[0, 3, 4]])
    assert part.equal(whole[[0, 3, 4]])


class Causal(nn.Module):
    """A block that takes an additive mask (T, T)."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.block, self.head = nn.Linear(4, 8), Attend(), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        mask = torch.full((x.shape[1], x.shape[1]), -torch.inf).triu(1)
        return self.head(self.block(self.embed(x), mask).mean(1))


class Attend(nn.Module):
    def forward(self, h: Tensor, attention_mask: Tensor) -> Tensor:
        return (h @ h.transpose(1, 2) + attention_mask).softmax(2) @ h


@pytest.mark.parametrize("size", [2, 3, 6])
def test_a_mask_of_as_many_rows_as_examples_is_no_mask_of_each(size: int) -> None:
    """A causal mask (T, T) with T = B."""
    net, x = Causal(), torch.randn(size, size, 4)
    mixer = lm.Mixer(net, at="embed", ratio=0.3, partner="derangement")
    mixer.check(x)
    plan = mixer.draw(size)
    with mixer.apply(plan):
        mixed = net(x)
    h = net.embed(x)
    mask = torch.full((size, size), -torch.inf).triu(1)
    expected = net.head(net.block(0.3 * h + 0.7 * h[plan.partner], mask).mean(1))
    torch.testing.assert_close(mixed, expected)


class Masked(nn.Module):
    """Reads a mask after its features, under a name that says nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.f, self.head = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        weight = valid[..., None].to(x.dtype)
        return self.head((self.f(x).relu() * weight).sum(1) / weight.sum(1).clamp_min(1))


@pytest.mark.parametrize(
    ("point", "dtype"),
    [("f", torch.float32), *((at, t) for at in ("f", "input") for t in (torch.bool, torch.int64))],
)
def test_a_mask_that_hides_nothing_in_the_first_batch_is_found(
    point: str, dtype: torch.dtype
) -> None:
    with pytest.raises(lm.InputError, match="not a cut of the network"):
        lm.Mixer(Masked(), at=point).check((torch.randn(6, 5, 4), torch.ones(6, 5).to(dtype)))


def test_a_mask_of_factors_is_united_at_the_input() -> None:
    class Named(Masked):
        def forward(self, x: Tensor, mask: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
            return self.head((self.f(x) * mask[..., None]).sum(1))

    net, x = Named(), torch.randn(6, 5, 4)
    mask = (torch.arange(5) < torch.tensor([5, 2, 4, 1, 3, 5])[:, None]).float()
    mixer = lm.Mixer(net, at="input", ratio=0.3, partner="derangement")
    mixer.check((x, mask))
    plan = mixer.draw(6)
    with mixer.apply(plan):
        mixed = net(x, mask)
    partner = plan.partner
    expected = net(0.3 * x + 0.7 * x[partner], mask.maximum(mask[partner]))
    torch.testing.assert_close(mixed, expected)


def test_lengths_of_floats_that_are_absolute_are_united() -> None:
    x, lengths = frames(), LENGTHS.float()

    class Absolute(Sum):
        def forward(self, wavs: Tensor, sizes: Tensor) -> Tensor:
            return super().forward(wavs, sizes.long())

    net = Absolute()
    mixer = lm.Mixer(net, at="input")
    mixer.check((x, lengths))
    with mixer.apply(plan_at("input")):
        mixed = net(x, lengths)
    united = LENGTHS.maximum(LENGTHS[PARTNER])
    torch.testing.assert_close(mixed, net(0.3 * x + 0.7 * x[PARTNER], united))
