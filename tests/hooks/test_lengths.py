"""Tests of length arguments: they are detected, and the longer of two lengths is used."""

import pytest
import torch
from torch import Tensor, nn

import layermix as lm

T = 10


LENGTHS = torch.tensor([10, 2, 6, 3])


PARTNER = torch.tensor([2, 0, 3, 1])


class Sum(nn.Module):
    """The sum over valid frames. It is linear, so the expected output is known for all ratios."""

    def __init__(self) -> None:
        super().__init__()
        self.f = nn.Linear(4, 3, bias=False)

    def forward(self, wavs: Tensor, sizes: Tensor) -> Tensor:
        n = (sizes * T).round() if sizes.is_floating_point() else sizes
        return (self.f(wavs) * (torch.arange(T) < n[:, None])[..., None]).sum(1)


class Named(Sum):
    """`Sum` with a usual argument name for lengths."""

    def forward(self, wavs: Tensor, wav_lens: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return super().forward(wavs, wav_lens)


class Channels(Sum):
    """`Sum` with the frames in the last dimension."""

    def forward(self, wavs: Tensor, sizes: Tensor) -> Tensor:
        return super().forward(wavs.transpose(1, 2), sizes)


def plan_at(point: str) -> lm.Plan:
    return lm.Plan(point, torch.tensor(0.3), PARTNER)


def frames() -> Tensor:
    return torch.randn(4, T, 4) * (torch.arange(T) < LENGTHS[:, None])[..., None]


@pytest.mark.parametrize("model", [Sum, Named, Channels])
@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("column", [False, True])
def test_longer_of_two_lengths_is_used(model: type[Sum], relative: bool, column: bool) -> None:
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


def test_lengths_that_are_equal_in_the_probe_are_detected() -> None:
    net, full = Sum(), torch.full((4,), T)
    mixer = lm.Mixer(net, at="input")
    mixer.check((torch.randn(4, T, 4), full))
    x = frames()
    with mixer.apply(plan_at("input")):
        output = net(x, LENGTHS)
    longest = torch.maximum(LENGTHS, LENGTHS[PARTNER])
    torch.testing.assert_close(output, net(0.3 * x + 0.7 * x[PARTNER], longest))


def test_lengths_with_few_positions_are_detected_by_name() -> None:
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


def test_scalar_per_example_that_is_no_length_is_mixed() -> None:
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


def test_lengths_used_after_a_hidden_point_bypass_it() -> None:
    class Behind(Sum):
        def forward(self, wavs: Tensor, lengths: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
            return super().forward(wavs, lengths)

    for lengths in (LENGTHS, torch.full((4,), T)):
        with pytest.raises(lm.InputError, match="not a cut of the network"):
            lm.Mixer(Behind(), at="f").check((frames(), lengths))


def test_lengths_of_a_module_after_the_point_are_united() -> None:
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


def test_absolute_float_lengths_are_united() -> None:
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
