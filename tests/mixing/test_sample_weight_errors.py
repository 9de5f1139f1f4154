"""Invalid sample weights raise an error."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import layermix as lm
from layermix.mixing import MultiMixTarget
from mixed_labels import LABELS, PARTNER, WEIGHT, randn, target

RATIOS = [torch.tensor(0.3), torch.tensor([0.3, 0.9, 0.0, 1.0])]


@pytest.mark.parametrize("ratio", RATIOS)
def test_criterion_that_returns_a_mean_raises_an_error(ratio: Tensor) -> None:
    what = "ratio" if ratio.ndim else "weight"
    with pytest.raises(lm.InputError) as error:
        target(LABELS, ratio).loss(randn(4, 3), F.cross_entropy, sample_weight=WEIGHT)
    assert str(error.value) == (
        f"each example has its own {what}, but the criterion returned one mean for 4 "
        'examples: it must return one loss for each, as with reduction="none"'
    )


def test_multimix_criterion_that_returns_a_mean_raises_an_error() -> None:
    made = MultiMixTarget(LABELS, torch.rand(9, 4).softmax(1))
    with pytest.raises(lm.InputError, match=r"has its own weight, but .* shape \(\) for 9 mixes"):
        made.loss(randn(9, 3), F.cross_entropy, sample_weight=WEIGHT)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ([1.0] * 4, "sample_weight is a list, but must be a tensor"),
        (torch.ones(3), r"sample_weight has shape \(3,\), but must have one weight for each"),
        (torch.ones(4, 1), r"sample_weight has shape \(4, 1\), but must have one weight for"),
    ],
)
def test_sample_weight_of_invalid_type_or_shape_raises_an_error(weight: Any, message: str) -> None:
    for made in (target(LABELS), MultiMixTarget(LABELS, torch.eye(4))):
        with pytest.raises(lm.InputError, match=f"^{message}"):
            made.loss(randn(4, 3), sample_weight=weight)


def test_weight_per_position_requires_loss_per_position() -> None:
    labels = torch.rand(4, 3, 5)
    with pytest.raises(lm.InputError, match=r"^sample_weight has one weight for each position"):
        target(labels).loss(
            torch.rand(4, 3, 5), lambda z, y: (z - y).mean((1, 2)), sample_weight=torch.ones(4, 5)
        )


def test_target_without_partners_rejects_sample_weight() -> None:
    made = lm.MixedTarget(LABELS, LABELS[PARTNER], RATIOS[0])
    with pytest.raises(lm.InputError, match=r"^sample_weight needs the partners of the examples"):
        made.loss(randn(4, 3), sample_weight=WEIGHT)
