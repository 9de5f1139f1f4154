"""Plan: its fields, its target and errors for invalid arguments."""

import pytest
import torch

import layermix as lm
from layermix.mixing import Linear

RATIO, PARTNER = torch.tensor([0.25, 0.5, 1.0]), torch.tensor([2, 0, 1])


def test_plan_has_batch_size_and_linear_default_blend() -> None:
    plan = lm.Plan("final", RATIO, PARTNER)
    assert plan.batch_size == 3
    assert plan.blend == Linear()


def test_target_uses_partners_and_ratio_of_the_plan() -> None:
    target = lm.Plan("final", RATIO, PARTNER).target(torch.tensor([7, 8, 9]))
    assert isinstance(target, lm.MixedTarget)
    assert target.labels.tolist() == [7, 8, 9]
    assert target.partner_labels.tolist() == [9, 7, 8]
    assert target.ratio.equal(RATIO)


def test_to_moves_the_plan_to_a_device() -> None:
    plan = lm.Plan("final", RATIO, PARTNER, "linear").to("meta")
    assert (plan.point, plan.blend) == ("final", Linear())
    assert {plan.ratio.device.type, plan.partner.device.type} == {"meta"}


@pytest.mark.parametrize(
    ("partner", "description"),
    [
        (torch.tensor([0, 1], dtype=torch.int32), "torch.int32 of shape (2,)"),
        (torch.tensor([0.0, 1.0]), "torch.float32 of shape (2,)"),
        (torch.tensor([[0, 1]]), "torch.int64 of shape (1, 2)"),
        (torch.tensor(0), "torch.int64 of shape ()"),
    ],
)
def test_invalid_partner_raises_an_error(partner: torch.Tensor, description: str) -> None:
    with pytest.raises(lm.InputError) as error:
        lm.Plan("final", torch.tensor(0.5), partner)
    expected = f"partner must be an int64 tensor of shape (B,), but it is {description}"
    assert str(error.value) == expected


@pytest.mark.parametrize(
    ("ratio", "description"),
    [
        (torch.tensor(1), "torch.int64 of shape ()"),
        (torch.tensor([0.5, 0.5]), "torch.float32 of shape (2,)"),
        (torch.tensor([0.5]), "torch.float32 of shape (1,)"),
        (torch.full((3, 1), 0.5), "torch.float32 of shape (3, 1)"),
    ],
)
def test_invalid_ratio_raises_an_error(ratio: torch.Tensor, description: str) -> None:
    with pytest.raises(lm.InputError) as error:
        lm.Plan("final", ratio, PARTNER)
    assert str(error.value) == (
        f"ratio must be a float tensor of shape () or (3,), but it is {description}"
    )


@pytest.mark.parametrize("labels", [torch.zeros(4), torch.zeros(2, 3), torch.tensor(1)])
def test_labels_of_another_batch_size_raise_an_error(labels: torch.Tensor) -> None:
    with pytest.raises(lm.InputError) as error:
        lm.Plan("final", RATIO, PARTNER).target(labels)
    assert str(error.value) == (
        f"the labels have shape {tuple(labels.shape)}, but the plan was drawn for a batch of 3: "
        "draw a plan for each batch"
    )
