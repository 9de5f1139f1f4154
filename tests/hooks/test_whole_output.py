"""The whole output is compared: small features, integers, heads that feed one another, losses."""

from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

import layermix as lm

X, Y = torch.randn(6, 5), torch.arange(6) % 3


class Net(nn.Module):
    """A trunk and two layers behind it; subclasses differ in what they return."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(5, 8), nn.ReLU())
        self.head, self.side = nn.Linear(8, 3), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Any:
        return self.outputs(self.trunk(x))

    def outputs(self, h: Tensor) -> Any:
        raise NotImplementedError


def cuts(net: nn.Module, x: Any = X) -> dict[str, float | None]:
    return {row.name: row.cut for row in lm.points(net, x, all=True)}


@pytest.mark.parametrize("scale", [1e3, 1e5, 1e7])
def test_a_feature_of_small_scale_is_compared_on_its_own(scale: float) -> None:
    class Scaled(Net):
        def outputs(self, h: Tensor) -> Tensor:
            return torch.cat([self.head(h), scale * self.side(h)], 1)

    found = cuts(Scaled())
    assert (found["trunk"], found["final"]) == (0, 0)
    assert found["head"] == found["side"] == 1


def test_a_head_that_feeds_the_logits_is_an_output_of_its_own() -> None:
    class Coarse(Net):
        def __init__(self) -> None:
            super().__init__()
            self.fine = nn.Linear(11, 7)

        def outputs(self, h: Tensor) -> dict[str, Tensor]:
            coarse = self.head(h)
            return {"logits": self.fine(torch.cat([h, coarse.softmax(1)], 1)), "coarse": coarse}

    found = cuts(Coarse())
    assert found["trunk"] == 0
    assert found["fine"] == found["final"] == 1


def test_the_input_of_the_last_layer_beside_its_logits_is_no_head() -> None:
    class Features(Net):
        def outputs(self, h: Tensor) -> dict[str, Tensor]:
            return {"logits": self.head(nn.functional.dropout(h)), "features": h}

    assert cuts(Features())["final"] == 0


def test_hidden_states_beside_named_logits_are_no_heads() -> None:
    class Output(NamedTuple):
        logits: Tensor
        hidden_states: tuple[Tensor, ...]

    class Hidden(Net):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(8, 8)

        def outputs(self, h: Tensor) -> Output:
            last = self.layer(h).relu()
            return Output(self.head(last), (h, last))

    found = cuts(Hidden())
    assert (found["trunk"], found["layer"], found["final"]) == (0, 0, 0)


def test_heads_inside_a_module_that_is_not_affine_are_the_final_layer() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.other = nn.Linear(8, 3), nn.Linear(8, 3)

        def forward(self, h: Tensor) -> Tensor:
            return self.one(h.tanh()) + self.other(h.sigmoid())

    net = nn.Sequential(nn.Linear(5, 8), Both())
    mixer = lm.Mixer(net, at="final", ratio=0.3, partner="derangement")
    mixer.check(X)
    plan = mixer.draw(6)
    with mixer.apply(plan):
        mixed = net(X)
    torch.testing.assert_close(mixed, lm.mix(net(X), plan))


@pytest.mark.parametrize("seed", range(6))
def test_rounding_that_a_network_magnifies_goes_nowhere(seed: int) -> None:
    """Statistics of a batch are rounded otherwise when its examples change places."""

    class Steep(Net):
        def outputs(self, h: Tensor) -> Tensor:
            return self.head((1e5 * (h - h.mean(0))).sin())

    torch.manual_seed(seed)
    assert cuts(Steep(), torch.randn(6, 5))["input"] == 0


def test_an_output_whose_shape_follows_the_places_of_its_examples_cannot_be_measured() -> None:
    class Widths(Net):
        def outputs(self, h: Tensor) -> Tensor:
            return self.head(h)[:, : 1 + int(h.sum(1).argmax())]

    with pytest.raises(lm.InputError, match="cannot be measured how much bypasses it"):
        lm.Mixer(Widths(), at="trunk").check(X)


def test_integers_that_stay_the_examples_own_go_round() -> None:
    """As the lengths of a model for CTC, which its loss takes."""

    class Lengths(Net):
        def forward(self, x: Tensor, lengths: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
            return self.head(self.trunk(x)), lengths // 2

    found = cuts(Lengths(), (X, torch.arange(1, 7)))
    assert found["final"] == found["trunk"] == 1
    assert found["logits"] == 0


def test_integers_that_follow_from_the_logits_and_row_numbers_go_nowhere() -> None:
    class Classes(Net):
        def outputs(self, h: Tensor) -> Any:
            logits = self.head(h)
            return logits, logits.argmax(1), torch.arange(len(h))

    found = cuts(Classes())
    assert [found[name] for name in ("input", "trunk", "final", "logits")] == [0, 0, 0, 0]


def test_complex_outputs_are_compared() -> None:
    class Spectrum(Net):
        def outputs(self, h: Tensor) -> Any:
            return self.head(h), torch.complex(self.side(h), self.side(h) + 1)

    assert cuts(Spectrum())["head"] == 1


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


@pytest.mark.filterwarnings("ignore:`torch.jit.trace`", "ignore:`torch.jit.trace_method`")
def test_models_that_cannot_be_probed_say_why() -> None:
    net = nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.Linear(8, 3))
    with pytest.raises(lm.InputError, match="lazy parameters without a shape: call it once"):
        lm.points(net, X)
    net(X)
    assert lm.points(net, X).names == ["input", "final", "logits"]
    scripted: Any = torch.jit.trace(net, X, check_trace=False)
    with pytest.raises(lm.InputError, match="scripted or traced"):
        lm.points(scripted, X)


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
