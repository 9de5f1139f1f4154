"""The interpolation gap equals its formula, and is zero if all later layers are affine."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import layermix as lm
from layermix.geometry import interpolation_gap
from layermix.mixing import Derangement


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.Linear(8, 3)).double()


X, Y = torch.randn(20, 6, dtype=torch.float64), torch.arange(20) % 3


@pytest.mark.parametrize("point", ["1", "2", "final", "logits"])
def test_gap_is_zero_if_later_layers_are_affine(point: str) -> None:
    assert interpolation_gap(net(), X, Y, point)[point].kl == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("point", "before", "after"),
    [("input", lambda m: lambda x: x, lambda m: m), ("0", lambda m: m[0], lambda m: m[1:])],
)
def test_gap_and_cross_entropy_equal_the_formula(
    point: str, before: Callable, after: Callable
) -> None:
    model = net()
    h, g = before(model), after(model)
    partner = torch.from_numpy(Derangement()(np.random.default_rng(5), 20, None))
    found = interpolation_gap(model, X, Y, [point], ratios=(0.2, 0.5), seed=5)[point]
    with torch.no_grad():
        for ratio, (kl, cross_entropy) in found.by_ratio.items():
            mixed = g(ratio * h(X) + (1 - ratio) * h(X)[partner])
            logits = ratio * model(X) + (1 - ratio) * model(X)[partner]
            p, q = mixed.softmax(1), logits.softmax(1)
            assert kl == pytest.approx(float((p * (p / q).log()).sum(1).mean()), rel=1e-9)
            hot = torch.eye(3).double()[Y]
            soft = ratio * hot + (1 - ratio) * hot[partner]
            expected = float(-(soft * mixed.log_softmax(1)).sum(1).mean())
            assert cross_entropy == pytest.approx(expected, rel=1e-9)
    assert found.kl == pytest.approx(np.mean([kl for kl, _ in found.by_ratio.values()]))
    assert found.kl > 1e-4


class Masked(nn.Module):
    """A network with an additional class, whose logit is minus infinity."""

    def __init__(self) -> None:
        super().__init__()
        self.net = net()

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.pad(self.net(x), (0, 1), value=-torch.inf)


def test_class_with_minus_infinity_logit_is_ignored() -> None:
    masked = Masked()
    found = interpolation_gap(masked, X, Y, "net.0", seed=5)["net.0"]
    expected = interpolation_gap(masked.net, X, Y, "0", seed=5)["0"]
    assert found.kl == pytest.approx(expected.kl, rel=1e-12)
    assert found.cross_entropy == pytest.approx(expected.cross_entropy, rel=1e-12)


def test_single_logit_equals_two_class_logits() -> None:
    torch.manual_seed(0)
    trunk, one, two = nn.Sequential(nn.Linear(6, 8), nn.ReLU()), nn.Linear(8, 1), nn.Linear(8, 2)
    with torch.no_grad():
        two.weight[0], two.bias[0] = 0.0, 0.0
        two.weight[1], two.bias[1] = one.weight[0], one.bias[0]
    nets = [nn.Sequential(trunk, head).double() for head in (one, two)]
    alone, pair = (interpolation_gap(net, X, Y % 2, ["input", "0"]) for net in nets)
    assert alone["input"].kl == pytest.approx(pair["input"].kl, rel=1e-9)
    assert alone["input"].kl > 1e-5
    assert alone["0"].cross_entropy == pytest.approx(pair["0"].cross_entropy)


def test_batches_have_at_least_two_examples() -> None:
    sizes = []
    model = net()
    model.register_forward_pre_hook(lambda module, args: sizes.append(len(args[0])))
    interpolation_gap(model, X[:7], Y[:7], "input", ratios=(0.5,), batch_size=2)
    assert sizes[0] == 2
    assert sizes[-4:] == [2, 2, 3, 3]  # the sizes in between are those of the probe


def test_model_is_not_modified() -> None:
    model = net()
    interpolation_gap(model, X, Y, "0")
    assert model.training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_named_inputs_are_passed_by_name() -> None:
    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.head = nn.Linear(6, 4), nn.Linear(4, 3)

        def forward(self, *, a: Tensor, b: Tensor) -> Tensor:
            return self.head(torch.relu(self.left(a) + b))

    x = {"a": torch.randn(8, 6), "b": torch.randn(8, 4)}
    found = interpolation_gap(Pair(), x, torch.arange(8) % 3, "final")
    assert found["final"].kl == pytest.approx(0, abs=1e-6)
    with pytest.raises(lm.InputError, match=r"'left' is not a cut of the network: .* bypasses it"):
        interpolation_gap(Pair(), x, torch.arange(8) % 3, ["left", "final"])
    assert lm.points(Pair(), x).names[-2:] == ["final", "logits"]
