"""With whom: every way to choose partners keeps its promise, from its own stream alone."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

import layermix as lm
from layermix.mixing import PARTNERS, LabelKernel, Nearest, PlanSampler, Transport

LABELS = torch.tensor([0, 0, 0, 0, 0, 0, 1, 1, 2])
INPUTS = torch.randn(9, 3, generator=torch.Generator().manual_seed(0))


def partner(way: Any, seed: int = 0, labels: Tensor = LABELS, inputs: Tensor = INPUTS) -> Tensor:
    sampler = PlanSampler(["input"], partner=way, seed=seed)
    return sampler.draw(len(labels), labels=labels, inputs=inputs).partner


@pytest.mark.parametrize("way", PARTNERS)
@pytest.mark.parametrize("size", [1, 2, 9])
def test_every_example_gets_a_partner_of_the_batch(way: str, size: int) -> None:
    found = partner(way, labels=LABELS[-size:], inputs=INPUTS[-size:])
    assert (found.shape, found.dtype) == ((size,), torch.int64)
    assert set(found.tolist()) <= set(range(size))


@pytest.mark.parametrize("way", PARTNERS)
def test_the_same_seed_chooses_the_same_partners(way: str) -> None:
    assert partner(way, seed=4).equal(partner(way, seed=4))


@pytest.mark.parametrize("way", ["permutation", "derangement", "transport"])
def test_some_ways_choose_everyone_once(way: str) -> None:
    assert sorted(partner(way).tolist()) == list(range(9))


def test_nobody_is_alone_in_a_derangement() -> None:
    alone = [(partner("derangement", seed) == torch.arange(9)).any() for seed in range(50)]
    assert not any(alone)


def test_partners_of_another_class_are_drawn_uniformly() -> None:
    drawn = torch.stack([partner("other_class", seed) for seed in range(600)])
    assert (LABELS[drawn] != LABELS).all()
    counts = torch.bincount(drawn[:, 0], minlength=9)[6:]
    assert stats.chisquare(counts.numpy()).pvalue > 0.01


def test_a_batch_of_one_class_mixes_within_it() -> None:
    found = partner("other_class", labels=torch.zeros(9, dtype=torch.int64))
    assert found.shape == (9,)


def test_partners_of_the_same_class_are_another_example_where_there_is_one() -> None:
    for seed in range(20):
        found = partner("same_class", seed)
        assert (LABELS[found] == LABELS).all()
        assert (found != torch.arange(9)).tolist() == [True] * 8 + [False]


def test_balanced_partners_are_of_every_class_equally_often() -> None:
    drawn = torch.cat([LABELS[partner("balanced", seed)] for seed in range(300)])
    assert stats.chisquare(torch.bincount(drawn).numpy()).pvalue > 0.01


UNKNOWN = torch.tensor([0, 0, -100, 1, -100, 1, 2, -100, 0])


def test_an_example_of_an_unknown_class_is_no_partner_by_its_class() -> None:
    known = UNKNOWN >= 0
    for seed in range(50):
        other = partner("other_class", seed, UNKNOWN)
        assert (UNKNOWN[other][known] >= 0).all()
        assert (UNKNOWN[other] != UNKNOWN)[known].all()
        same = partner("same_class", seed, UNKNOWN)
        assert (UNKNOWN[same] == UNKNOWN).all()
        assert (same == torch.arange(9))[~known].all()
        assert (UNKNOWN[partner("balanced", seed, UNKNOWN)] >= 0).all()


def test_the_partner_of_an_example_of_an_unknown_class_is_any_example() -> None:
    drawn = torch.stack([partner("other_class", seed, UNKNOWN) for seed in range(900)])
    assert stats.chisquare(torch.bincount(drawn[:, 2], minlength=9).numpy()).pvalue > 0.01


@pytest.mark.parametrize("way", ["other_class", "same_class", "balanced"])
def test_a_batch_of_unknown_classes_has_partners_too(way: str) -> None:
    found = partner(way, labels=torch.full((9,), -100))
    assert found.min() >= 0
    assert found.max() < 9


def test_nearest_and_farthest_are_those_of_all_pairs() -> None:
    distances = torch.cdist(INPUTS.double(), INPUTS.double())
    far = distances.argmax(1)
    near = distances.fill_diagonal_(torch.inf).argmin(1)
    assert partner("nearest").equal(near)
    assert partner("farthest").equal(far)


def test_one_of_several_neighbors_is_drawn() -> None:
    distances = torch.cdist(INPUTS, INPUTS).fill_diagonal_(torch.inf)
    allowed = distances.argsort(1)[:, :3]
    drawn = torch.stack([partner(Nearest(k=3), seed) for seed in range(60)])
    assert [set(drawn[:, i].tolist()) for i in range(9)] == [set(row.tolist()) for row in allowed]


def test_transport_finds_the_cheapest_match_of_its_groups() -> None:
    found = partner(Transport(k=9))
    assert found.tolist() == list(range(9))  # each is nearest to itself
    pairs = [partner(Transport(k=2), seed) for seed in range(20)]
    random = [partner("permutation", seed) for seed in range(20)]
    cost = [sum(float((INPUTS - INPUTS[p]).square().sum()) for p in ps) for ps in (pairs, random)]
    assert cost[0] < cost[1]


def test_the_label_kernel_draws_by_its_formula() -> None:
    values, h = torch.tensor([0.0, 0.5, 1.0, 3.0]), 0.7
    drawn = [
        int(partner(LabelKernel(bandwidth=h), seed, values, INPUTS[:4])[0]) for seed in range(2000)
    ]
    weights = np.exp(-(values[1:].numpy() ** 2) / (2 * h**2))
    expected = 2000 * weights / weights.sum()
    assert stats.chisquare(np.bincount(drawn, minlength=4)[1:], expected).pvalue > 0.01


@pytest.mark.parametrize("dtype", [torch.float64, torch.int64])
def test_the_label_kernel_keeps_its_law_far_from_zero(dtype: torch.dtype) -> None:
    """Seconds since 1970: in float32 all of these are the same number."""
    values = 1_700_000_000 + torch.arange(40, dtype=dtype)
    drawn = torch.stack([partner(LabelKernel(bandwidth=1), seed, values) for seed in range(50)])
    steps = (drawn - torch.arange(40))[:, 8:-8].abs()
    assert steps.max() <= 6
    counts = [int((steps == 1).sum()), int((steps == 2).sum()), int((steps > 2).sum())]
    weights = np.exp(-(np.arange(1, 8) ** 2) / 2)
    expected = np.array([weights[0], weights[1], weights[2:].sum()]) / weights.sum()
    assert stats.chisquare(counts, sum(counts) * expected).pvalue > 0.01


def test_the_bandwidth_is_the_spread_of_the_batch_far_from_zero_too() -> None:
    near = torch.arange(9, dtype=torch.float64)
    assert partner("label_kernel", 3, near).equal(partner("label_kernel", 3, near + 2.0**40))


@pytest.mark.parametrize("size", [9, 60])
@pytest.mark.parametrize("scale", [1.0, 1e-6])
def test_nearest_is_right_far_from_zero_and_beside_an_outlier(size: int, scale: float) -> None:
    """Distances by a matrix product, torch's way above 25 rows, lose what is near."""
    order = torch.from_numpy(np.random.default_rng(0).permutation(size))
    places = scale * order.double() ** 2
    places[order == size - 1] = 1e8  # far from all others
    found = partner("nearest", 0, order, 2.0**20 + places[:, None])
    expected = {k: (k + 1 if k == 0 else k - 1) for k in range(size)}
    assert [int(order[p]) for p in found] == [expected[int(k)] for k in order]


@pytest.mark.parametrize(("way", "needs"), [("other_class", "labels"), ("nearest", "inputs")])
def test_what_partners_are_chosen_by_has_to_be_there(way: str, needs: str) -> None:
    with pytest.raises(lm.InputError) as error:
        PlanSampler(["input"], partner=way).draw(4)
    assert str(error.value) == (
        f"{PARTNERS[way].__name__} chooses partners by the {needs} of the batch of 4, but none "
        f"were given: call draw(4, {needs}=...)"
    )


def test_partners_by_class_need_classes() -> None:
    with pytest.raises(lm.InputError, match=r"^partners by class need integer labels of shape"):
        partner("other_class", labels=torch.rand(9))


def test_partners_by_distance_need_floating_point() -> None:
    with pytest.raises(lm.InputError, match=r"^partners by distance need floating point, but the "):
        partner("nearest", inputs=torch.zeros(9, 4, dtype=torch.int64))


@pytest.mark.parametrize(
    ("way", "message"),
    [
        ("nearst", r"^unknown partner 'nearst': did you mean 'nearest'\?$"),
        (3, r"^partner is 3, but must be a name \(permutation, derangement, "),
    ],
)
def test_an_unknown_way_is_refused(way: Any, message: str) -> None:
    with pytest.raises(lm.InputError, match=message):
        PlanSampler(["input"], partner=way)


def test_partners_across_ranks_cannot_be_chosen_by_labels() -> None:
    with pytest.raises(
        lm.InputError, match=r"cannot be used with cross_rank: use 'permutation' or"
    ):
        PlanSampler(["input"], partner="other_class", cross_rank=True)


def test_partners_across_ranks_are_one_permutation_of_the_joined_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parts = []
    for rank in range(3):
        monkeypatch.setattr("layermix.mixing.sampler.rank_info", lambda rank=rank: (rank, 3))
        parts.append(PlanSampler(["input"], cross_rank=True, seed=3).draw(4).partner)
    assert sorted(torch.cat(parts).tolist()) == list(range(12))


def test_partners_by_labels_need_one_kind_of_them() -> None:
    sampler, labels = PlanSampler(["final"], partner="other_class"), torch.arange(4)
    with pytest.raises(lm.InputError) as error:
        sampler.draw(4, labels={"digit": labels, "color": labels})
    assert str(error.value) == (
        "OtherClass chooses partners by the labels of the batch of 4, but several were given "
        "('digit', 'color'), and only one is allowed: call draw(4, labels=...)"
    )
