"""Tests of error messages: they show short arguments and describe long ones."""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import nn

import layermix as lm
from layermix.errors import brief, unknown
from layermix.mixing import Remix, find_method
from layermix.mixing.blends import Noisy

X, Y = torch.randn(16, 3, 8, 8), torch.randint(3, (16,))
NET = nn.Sequential(nn.Flatten(), nn.Linear(192, 8), nn.ReLU(), nn.Linear(8, 3))
PLAN = lm.Plan("input", torch.tensor(0.3), torch.arange(16))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.5, "0.5"),
        ("layer1", "'layer1'"),
        ([1, 2], "[1, 2]"),
        (torch.tensor(2.0), "tensor(2.)"),
        (X, "a float32 Tensor of shape (16, 3, 8, 8)"),
        (np.zeros(3), "a float64 ndarray of shape (3,)"),
        (NET, "a Sequential of 4"),
        (
            nn.Bilinear(2, 3, 4),
            "Bilinear(in1_features=2, in2_features=3, out_features=4, bias=True)",
        ),
        (list(range(100)), "a list of 100"),
    ],
)
def test_brief_shows_or_describes_a_value(value: object, shown: str) -> None:
    assert brief(value) == shown


def test_unknown_value_that_is_no_string_has_no_suggestion() -> None:
    assert str(unknown("blend", X, ["cut"])) == (
        "unknown blend a float32 Tensor of shape (16, 3, 8, 8): known are 'cut'"
    )


WRONG = [X, X.numpy(), NET, nn.ModuleDict({"a": NET}), list(range(1000))]
USES: list[Callable[[Any], Any]] = [
    lambda v: lm.Mixer(NET, at=v),
    lambda v: lm.Mixer(NET, at=[v]),
    lambda v: lm.Mixer(NET, alpha=v),
    lambda v: lm.Mixer(NET, ratio=v),
    lambda v: lm.Mixer(NET, alpha=v, ratio=v),
    lambda v: lm.Mixer(NET, per=v),
    lambda v: lm.Mixer(NET, blend=v),
    lambda v: lm.Mixer(NET, partner=v),
    lambda v: lm.Mixer(NET, prob=v),
    lambda v: lm.Mixer(NET, remix=v),
    lambda v: lm.Mixer(NET, seed=v),
    lambda v: lm.Mixer(NET, batch_dim=v),
    lambda v: lm.Mixer(NET, at=["input", "final"], weights=[v, 1.0]),
    lambda v: lm.Mixer(NET).draw(v),
    lambda v: find_method(v),
    lambda v: Noisy(v),
    lambda v: Remix(cast(Any, [v])),
    lambda v: lm.mix(X, v),
    lambda v: lm.Plan("input", v, Y),
    lambda v: PLAN.target(Y).loss(torch.randn(16, 3), cast(Any, [v])),
    lambda v: PLAN.target(Y).accuracy(torch.randn(16, 3), k=v),
    lambda v: lm.FeatureCapture(NET, v),
    lambda v: lm.profile(NET, (X, Y), v),
    lambda v: lm.profile(NET, (X, Y), quantities=v),
    lambda v: lm.profile(NET, (X, Y), max_examples=v),
    lambda v: lm.profile(NET, (X, Y), seed=v),
    lambda v: lm.snnl(X, Y, temperature=v),
    lambda v: lm.SoftNearestNeighborLoss(v),
]


@pytest.mark.parametrize("use", USES)
def test_invalid_argument_raises_a_short_error(use: Callable[[Any], Any]) -> None:
    for value in WRONG:
        with pytest.raises(lm.InputError) as error:
            use(value)
        assert len(str(error.value)) < 300
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("x", [X.numpy(), NET, 3])
def test_mixing_a_non_tensor_raises(x: Any) -> None:
    with pytest.raises(lm.InputError, match=r"^cannot mix .*: pass a tensor, torch"):
        lm.mix(x, PLAN)
