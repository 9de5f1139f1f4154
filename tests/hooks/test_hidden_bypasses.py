"""Tests that bypasses are found despite rounding, tiny parameters and infinite logits."""

import pytest
import torch
from torch import Tensor, nn

import layermix as lm
from measured_cuts import Net, X, cuts


@pytest.mark.parametrize("seed", range(6))
def test_amplified_rounding_is_not_a_bypass(seed: int) -> None:
    """The rounding of batch statistics depends on the order of the examples."""

    class Steep(Net):
        def outputs(self, h: Tensor) -> Tensor:
            return self.head((1e5 * (h - h.mean(0))).sin())

    torch.manual_seed(seed)
    assert cuts(Steep(), torch.randn(6, 5))["input"] == 0


class LowRank(nn.Linear):
    """A linear layer with low-rank factors as parameters (Hu et al., 2022)."""

    def __init__(self) -> None:
        super().__init__(8, 3)
        self.a, self.b = nn.Parameter(torch.randn(2, 8)), nn.Parameter(torch.zeros(3, 2))

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input) + input @ self.a.T @ self.b.T


class Adapter(nn.Module):
    """A module with a linear layer and low-rank factors as parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 3)
        self.a, self.b = nn.Parameter(torch.randn(8, 2)), nn.Parameter(torch.zeros(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + x @ self.a @ self.b


@pytest.mark.parametrize("layer", [LowRank, Adapter])
def test_layer_with_low_rank_factors_is_final_as_a_whole(layer: type[nn.Module]) -> None:
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
def test_bypass_with_a_tiny_layer_scale_is_found(scale: float) -> None:
    class Scaled(Net):
        def __init__(self) -> None:
            super().__init__()
            self.gamma = nn.Parameter(scale * torch.ones(3))
            self.bypass = nn.Linear(5, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.trunk(x)) + self.gamma * self.bypass(x)

    assert (cuts(Scaled())["trunk"] or 0) > 0.1


def test_constant_infinite_logits_are_not_a_bypass() -> None:
    class Masked(Net):
        def outputs(self, h: Tensor) -> Tensor:
            return self.head(h).masked_fill(torch.tensor([False, True, False]), -torch.inf)

    assert [cuts(Masked())[name] for name in ("input", "trunk", "final")] == [0, 0, 0]


def test_input_dependent_infinite_logits_are_a_bypass() -> None:
    class Chosen(Net):
        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.trunk(x)).masked_fill(x[:, :3] > x[:, 1:4], -torch.inf)

    found = cuts(Chosen())
    assert found["input"] == 0
    assert found["trunk"] == found["head"] == 1


def test_bypass_before_a_zero_log_softmax_head_is_found() -> None:
    """With equal weights all classes would have equal probabilities for every example."""

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


def test_bypass_behind_a_norm_is_found_with_equal_examples() -> None:
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
