"""Tests of additional inputs and masks, with and without a batch dimension."""

import pytest
import torch
from torch import Tensor, nn

import layermix as lm


def assert_both_inputs_mixed(net: nn.Module, mixer: lm.Mixer, x: Tensor, z: Tensor) -> None:
    """Check that a mixer with ratio 0 returns the output for the partners in both inputs."""
    plan = mixer.draw(len(x))
    with mixer.apply(plan):
        output = net(x, z)
    torch.testing.assert_close(output, net(x[plan.partner], z[plan.partner]))


class ToClasses(nn.Module):
    """Compares features with embeddings of the classes, (C, 8)."""

    def __init__(self) -> None:
        super().__init__()
        self.f, self.g = nn.Linear(5, 8), nn.Linear(8, 8)

    def forward(self, x: Tensor, classes: Tensor) -> Tensor:
        return self.g(self.f(x).relu()) @ classes.T


class ToMemory(ToClasses):
    """Attends to a memory, (M, 8). The shape of the output does not depend on M."""

    def forward(self, x: Tensor, classes: Tensor) -> Tensor:
        return self.g((self.f(x) @ classes.T).softmax(1) @ classes)


@pytest.mark.parametrize("model", [ToClasses, ToMemory])
@pytest.mark.parametrize("size", [3, 6])
@pytest.mark.parametrize("point", ["input", "f", "final"])
def test_non_batch_input_with_batch_size_rows_is_not_mixed(
    model: type[ToClasses], size: int, point: str
) -> None:
    net, x, rows = model(), torch.randn(size, 5), torch.randn(size, 8)
    mixer = lm.Mixer(net, at=point, ratio=0.0, partner="derangement")
    mixer.check((x, rows))
    plan = mixer.draw(size)
    with mixer.apply(plan):
        output = net(x, rows)
    torch.testing.assert_close(output, net(x[plan.partner], rows))


def test_inputs_of_separate_outputs_are_all_mixed() -> None:
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


def test_input_unused_in_the_first_batch_is_mixed_later() -> None:
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


def test_new_optional_input_is_probed() -> None:
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


class Causal(nn.Module):
    """A model whose block gets an additive mask (T, T)."""

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
def test_causal_mask_with_batch_size_rows_is_not_united(size: int) -> None:
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
    """Applies a mask after its features. The name of the argument is not that of a mask."""

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
def test_mask_of_ones_is_detected_as_a_bypass(point: str, dtype: torch.dtype) -> None:
    with pytest.raises(lm.InputError, match="not a cut of the network"):
        lm.Mixer(Masked(), at=point).check((torch.randn(6, 5, 4), torch.ones(6, 5).to(dtype)))


def test_float_mask_is_united_at_the_input() -> None:
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
