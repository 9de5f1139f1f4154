"""A mixed example is an intruder if its nearest neighbor has a class of neither parent."""

import numpy as np
import pytest
import torch
from torch import Tensor

import layermix as lm
from known import CLASSES, EACH, gaussians, rings
from layermix.geometry import LayerFeatures, intruders, intrusion
from layermix.mixing import Derangement


def reference_intruders(mixed: Tensor, x: Tensor, y: Tensor, partner: Tensor) -> list[bool]:
    found = []
    for i in range(len(x)):
        distance = (x - mixed[i]).square().flatten(1).sum(1)
        distance[[i, int(partner[i])]] = torch.inf
        found.append(int(y[distance.argmin()]) not in {int(y[i]), int(y[partner[i]])})
    return found


@pytest.mark.parametrize("shape", [(2,), (3, 2, 2), (64,)])
@pytest.mark.parametrize("ratio", [0.0, 0.5, 0.9])
def test_intruders_equal_the_definition(shape: tuple[int, ...], ratio: float) -> None:
    x, y = torch.randn(40, *shape), torch.randint(4, (40,))
    plan = lm.Plan("input", torch.tensor(ratio), torch.randperm(40))
    mixed = lm.mix(x, plan)
    found = intruders(mixed, x, y, plan.partner)
    assert found.dtype == torch.bool
    assert found.tolist() == reference_intruders(mixed, x, y, plan.partner)


def test_mix_of_one_class_near_another_class_is_an_intruder() -> None:
    x = torch.tensor([[-1.0], [-1.1], [0.0], [1.0], [1.1]])  # the third example has another class
    y = torch.tensor([0, 0, 1, 0, 0])
    partner = torch.tensor([3, 1, 2, 0, 4])
    mixed = lm.mix(x, lm.Plan("input", torch.tensor(0.5), partner))
    assert intruders(mixed, x, y, partner).tolist() == [True, False, True, True, False]


def test_mix_near_the_class_of_a_parent_is_no_intruder() -> None:
    x = torch.tensor([[0.0], [0.1], [1.0], [0.9]])
    y, partner = torch.tensor([0, 0, 1, 1]), torch.tensor([2, 3, 0, 1])
    for ratio in (0.1, 0.4, 0.6, 0.9):
        mixed = lm.mix(x, lm.Plan("input", torch.tensor(ratio), partner))
        assert not intruders(mixed, x, y, partner).any()


def mix_and_find_intruders(x: Tensor, y: Tensor, partner: Tensor, ratio: float) -> list[bool]:
    mixed = ratio * x + (1 - ratio) * x[partner]
    return reference_intruders(mixed, x, y, partner)


@pytest.mark.parametrize("data", [rings(), gaussians(1.0), gaussians(4.0)])
def test_shares_by_ratio_equal_brute_force(data: tuple[Tensor, Tensor]) -> None:
    x, y = data
    found = intrusion(LayerFeatures(x, y), seed=3)
    rng = np.random.default_rng(3)
    hits: dict[float, list[tuple[bool, bool]]] = {ratio: [] for ratio in (0.1, 0.2, 0.3, 0.4, 0.5)}
    for partner in [torch.from_numpy(Derangement()(rng, len(x), None)) for _ in range(4)]:
        assert sorted(partner.tolist()) == list(range(len(x)))
        assert not partner.eq(torch.arange(len(x))).any()
        same = (y == y[partner]).tolist()
        for ratio, so_far in hits.items():
            so_far += zip(same, mix_and_find_intruders(x, y, partner, ratio), strict=True)
    for ratio, so_far in hits.items():
        for pair_is_same, share in zip((False, True), found.by_ratio[ratio], strict=True):
            counted = [bad for same, bad in so_far if same == pair_is_same]
            assert share == pytest.approx(np.mean(counted))


def test_chance_is_the_share_of_other_classes() -> None:
    found = intrusion(LayerFeatures(*gaussians(0.0)))
    n = CLASSES * EACH
    assert found.chance_different == pytest.approx((n - 2 * EACH) / (n - 2))
    assert found.chance_same == pytest.approx((n - EACH) / (n - 2))


def test_pairs_of_classes_are_counted_separately() -> None:
    x = torch.tensor([[-1.0], [1.0], [0.0]]).repeat(20, 1) + 0.01 * torch.randn(60, 1)
    y = torch.arange(3).repeat(20)  # the third class is between the others
    table = intrusion(LayerFeatures(x, y)).by_pair
    assert table[0, 1] > 0.1
    assert table[0, 2] == table[1, 2] == 0
    assert table.equal(table.T)
