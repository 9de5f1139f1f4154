"""A mixed point intrudes where its nearest real neighbour is of a class of neither parent."""

import pytest
import torch
from torch import Tensor

import layermix as lm
from layermix.geometry import intruders


def by_definition(mixed: Tensor, x: Tensor, y: Tensor, partner: Tensor) -> list[bool]:
    found = []
    for i in range(len(x)):
        parents = {i, int(partner[i])}
        others = [j for j in range(len(x)) if j not in parents]
        nearest = min(others, key=lambda j: float((x[j] - mixed[i]).square().sum()))
        found.append(int(y[nearest]) not in {int(y[i]), int(y[partner[i]])})
    return found


@pytest.mark.parametrize("shape", [(2,), (3, 2, 2), (64,)])
@pytest.mark.parametrize("ratio", [0.0, 0.5, 0.9])
def test_intruders_are_those_of_the_definition(shape: tuple[int, ...], ratio: float) -> None:
    x, y = torch.randn(40, *shape), torch.randint(4, (40,))
    plan = lm.Plan("input", torch.tensor(ratio), torch.randperm(40))
    mixed = lm.mix(x, plan)
    found = intruders(mixed, x, y, plan.partner)
    assert found.dtype == torch.bool
    assert found.tolist() == by_definition(mixed, x, y, plan.partner)


def test_a_mix_of_two_reds_that_lands_on_blue_intrudes() -> None:
    x = torch.tensor([[-1.0], [-1.1], [0.0], [1.0], [1.1]])  # red, red, blue, red, red
    y = torch.tensor([0, 0, 1, 0, 0])
    partner = torch.tensor([3, 1, 2, 0, 4])
    mixed = lm.mix(x, lm.Plan("input", torch.tensor(0.5), partner))
    assert intruders(mixed, x, y, partner).tolist() == [True, False, True, True, False]


def test_a_mix_that_lands_on_either_parents_class_does_not_intrude() -> None:
    x = torch.tensor([[0.0], [0.1], [1.0], [0.9]])
    y, partner = torch.tensor([0, 0, 1, 1]), torch.tensor([2, 3, 0, 1])
    for ratio in (0.1, 0.4, 0.6, 0.9):
        mixed = lm.mix(x, lm.Plan("input", torch.tensor(ratio), partner))
        assert not intruders(mixed, x, y, partner).any()
