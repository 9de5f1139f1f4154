"""Rounding, parameters that start tiny, infinite logits and equal examples hide no bypass."""

import pytest
import torch
from torch import Tensor, nn

import layermix as lm
from measured_cuts import Net, X, cuts


@pytest.mark.parametrize("seed", range(6))
def test_rounding_that_a_network_magnifies_goes_nowhere(seed: int) -> None:
    """Statistics of a batch are rounded otherwise when its examples change places."""

    class Steep(Net):
        def outputs(self, h: Tensor) -> Tensor:
            return self.head((1e5 * (h - h.mean(0))).sin())

    torch.manual_seed(seed)
    assert cuts(Steep(), torch.randn(6, 5))["input"] == 0


class LowRank(nn.Linear):
    """A layer with low-rank factors that are its own parameters (Hu et al., 2022)."""

    def __init__(self) -> None:
        super().__init__(8, 3)
        self.a, self.b = nn.Parameter(torch.randn(2, 8)), nn.Parameter(torch.zeros(3, 2))

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input) + input @ self.a.T @ self.b.T


class Adapter(nn.Module):
    """A layer beside low-rank factors that are parameters of the module around both."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 3)
        self.a, self.b = nn.Parameter(torch.randn(8, 2)), nn.Parameter(torch.zeros(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + x @ self.a @ self.b


@pytest.mark.parametrize("layer", [LowRank, Adapter])
def test_a_layer_with_raw_low_rank_factors_is_final_as_a_whole(layer: type[nn.Module]) -> None:
    net = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), layer())
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.endswith("b"):
                parameter.normal_()
    mixer = lm.Mixer(net, at="final", ratio=0.3, partner="derangement")
    mixer.check(X)
    plan = mixer.draw(6)
    h = net[1](net[0](X))
    with mixer.apply(plan):
        mixed = net(X)
    torch.testing.assert_close(mixed, net[2](0.3 * h + 0.7 * h[plan.partner]))


@pytest.mark.parametrize("scale", [1e-6, 1e-4])
def test_a_layer_scale_that_starts_tiny_hides_nothing(scale: float) -> None:
    class Scaled(Net):
        def __init__(self) -> None:
            super().__init__()
            self.gamma = nn.Parameter(scale * torch.ones(3))
            self.bypass = nn.Linear(5, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.trunk(x)) + self.gamma * self.bypass(x)

    assert (cuts(Scaled())["trunk"] or 0) > 0.1


def test_logits_of_impossible_classes_are_equal_where_they_are_minus_infinity() -> None:
    class Masked(Net):
        def outputs(self, h: Tensor) -> Tensor:
            return self.head(h).masked_fill(torch.tensor([False, True, False]), -torch.inf)

    assert [cuts(Masked())[name] for name in ("input", "trunk", "final")] == [0, 0, 0]


def test_classes_that_the_input_makes_impossible_go_round_the_layers() -> None:
    class Chosen(Net):
        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.trunk(x)).masked_fill(x[:, :3] > x[:, 1:4], -torch.inf)

    found = cuts(Chosen())
    assert found["input"] == 0
    assert found["trunk"] == found["head"] == 1


def test_a_classifier_of_log_probabilities_that_starts_at_zero_hides_nothing() -> None:
    """Classes of equal weights would have equal probabilities, whatever the example is."""

    class Zero(Net):
        def __init__(self) -> None:
            super().__init__()
            nn.init.zeros_(self.head.weight)
            self.bypass = nn.Linear(5, 8)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.trunk(x) + self.bypass(x)).log_softmax(1)

    found = cuts(Zero())
    assert found["input"] == found["final"] == 0
    assert (found["trunk"] or 0) > 0.1


def test_equal_examples_are_told_apart_behind_a_norm() -> None:
    class Normed(Net):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.bypass = nn.LayerNorm(5), nn.Linear(5, 8)

        def forward(self, x: Tensor) -> Tensor:
            x = self.norm(x)
            return self.head(self.trunk(x) + self.bypass(x))

    found = cuts(Normed(), torch.arange(5.0).repeat(4, 1))
    assert found["norm"] == 0
    assert (found["trunk"] or 0) > 0.1
