"""auto_weights: the weight of a point is proportional to the separation of its classes."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import layermix as lm
from layermix.geometry import auto_weights

VALUES = st.dictionaries(st.text(min_size=1), st.floats(0, 2), min_size=1, max_size=12)


@given(VALUES)
def test_weights_sum_to_one_and_are_proportional_to_separation(snnl: dict) -> None:
    weights = auto_weights(snnl)
    assert list(weights) == list(snnl)
    assert sum(weights.values()) == pytest.approx(1)
    separation = {name: max(0.0, 1 - value) for name, value in snnl.items()}
    if total := sum(separation.values()):
        assert weights == pytest.approx({n: v / total for n, v in separation.items()}, abs=1e-9)


def test_weights_are_equal_if_no_classes_are_separated() -> None:
    assert auto_weights({"input": 1.0, "final": 1.2}) == {"input": 0.5, "final": 0.5}


def test_point_with_nan_snnl_has_zero_weight() -> None:
    assert auto_weights({"input": math.nan, "final": 0.5}) == {"input": 0.0, "final": 1.0}


def test_empty_mapping_raises_an_error() -> None:
    with pytest.raises(lm.InputError, match="no mix point to choose from"):
        auto_weights({})


def test_profile_without_snnl_raises_an_error() -> None:
    x, y = torch.randn(40, 5), torch.arange(40) % 2
    model = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.Linear(4, 2))
    with pytest.raises(lm.InputError, match="the profile has no SNNL"):
        auto_weights(lm.profile(model, (x, y), quantities="knn"))


def test_mixer_accepts_the_weights_of_a_profile() -> None:
    torch.manual_seed(0)
    y = torch.arange(80) % 4
    x = torch.randn(80, 6) + 3 * torch.eye(4, 6)[y]
    blocks = [torch.nn.Sequential(torch.nn.Linear(6, 6), torch.nn.LayerNorm(6)) for _ in range(2)]
    model = torch.nn.Sequential(*blocks, torch.nn.Linear(6, 4))
    mixer = lm.Mixer(model, at="auto")
    assert set(mixer.weights.values()) == {0.25}
    profile = lm.profile(model, (x, y))
    mixer.reweigh(auto_weights(profile))
    profile = lm.profile(model, (x, y), mixer.points)
    mixer.reweigh(auto_weights(profile))
    snnl = profile.quantity("snnl")
    separation = {point: 1 - value for point, value in snnl.items()}
    assert mixer.weights == pytest.approx(
        {p: v / sum(separation.values()) for p, v in separation.items()}
    )
    output, target = mixer(x, y)
    target.loss(output).backward()
