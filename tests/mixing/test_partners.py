"""Partner methods: valid indices, distributions, precision and errors."""

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


def partner(method: Any, seed: int = 0, labels: Tensor = LABELS, inputs: Tensor = INPUTS) -> Tensor:
    sampler = PlanSampler(["input"], partner=method, seed=seed)
    return sampler.draw(len(labels), labels=labels, inputs=inputs).partner


@pytest.mark.parametrize("method", PARTNERS)
@pytest.mark.parametrize("size", [1, 2, 9])
def test_partners_are_indices_of_the_batch(method: str, size: int) -> None:
    found = partner(method, labels=LABELS[-size:], inputs=INPUTS[-size:])
    assert (found.shape, found.dtype) == ((size,), torch.int64)
    assert set(found.tolist()) <= set(range(size))


@pytest.mark.parametrize("method", PARTNERS)
def test_same_seed_gives_same_partners(method: str) -> None:
    assert partner(method, seed=4).equal(partner(method, seed=4))


@pytest.mark.parametrize("method", ["permutation", "derangement", "transport"])
def test_partners_form_a_permutation(method: str) -> None:
    assert sorted(partner(method).tolist()) == list(range(9))


def test_derangement_has_no_fixed_point() -> None:
    fixed = [(partner("derangement", seed) == torch.arange(9)).any() for seed in range(50)]
    assert not any(fixed)


def test_other_class_partners_are_drawn_uniformly() -> None:
    drawn = torch.stack([partner("other_class", seed) for seed in range(600)])
    assert (LABELS[drawn] != LABELS).all()
    counts = torch.bincount(drawn[:, 0], minlength=9)[6:]
    assert stats.chisquare(counts.numpy()).pvalue > 0.01


def test_other_class_accepts_a_batch_of_one_class() -> None:
    found = partner("other_class", labels=torch.zeros(9, dtype=torch.int64))
    assert found.shape == (9,)


def test_same_class_partners_are_different_examples_if_possible() -> None:
    for seed in range(20):
        found = partner("same_class", seed)
        assert (LABELS[found] == LABELS).all()
        assert (found != torch.arange(9)).tolist() == [True] * 8 + [False]


def test_balanced_partners_are_uniform_over_classes() -> None:
    drawn = torch.cat([LABELS[partner("balanced", seed)] for seed in range(300)])
    assert stats.chisquare(torch.bincount(drawn).numpy()).pvalue > 0.01


IGNORED = torch.tensor([0, 0, -100, 1, -100, 1, 2, -100, 0])


def test_examples_with_ignored_labels_are_not_chosen_by_class() -> None:
    known = IGNORED >= 0
    for seed in range(50):
        other = partner("other_class", seed, IGNORED)
        assert (IGNORED[other][known] >= 0).all()
        assert (IGNORED[other] != IGNORED)[known].all()
        same = partner("same_class", seed, IGNORED)
        assert (IGNORED[same] == IGNORED).all()
        assert (same == torch.arange(9))[~known].all()
        assert (IGNORED[partner("balanced", seed, IGNORED)] >= 0).all()


def test_partner_of_an_ignored_label_is_any_example() -> None:
    drawn = torch.stack([partner("other_class", seed, IGNORED) for seed in range(900)])
    assert stats.chisquare(torch.bincount(drawn[:, 2], minlength=9).numpy()).pvalue > 0.01


@pytest.mark.parametrize("method", ["other_class", "same_class", "balanced"])
def test_batch_of_ignored_labels_has_valid_partners(method: str) -> None:
    found = partner(method, labels=torch.full((9,), -100))
    assert found.min() >= 0
    assert found.max() < 9


def test_nearest_and_farthest_equal_those_of_all_pairs() -> None:
    distances = torch.cdist(INPUTS.double(), INPUTS.double())
    far = distances.argmax(1)
    near = distances.fill_diagonal_(torch.inf).argmin(1)
    assert partner("nearest").equal(near)
    assert partner("farthest").equal(far)


def test_nearest_draws_from_all_k_neighbors() -> None:
    distances = torch.cdist(INPUTS, INPUTS).fill_diagonal_(torch.inf)
    allowed = distances.argsort(1)[:, :3]
    drawn = torch.stack([partner(Nearest(k=3), seed) for seed in range(60)])
    assert [set(drawn[:, i].tolist()) for i in range(9)] == [set(row.tolist()) for row in allowed]


def test_transport_minimizes_the_cost_within_groups() -> None:
    found = partner(Transport(k=9))
    assert found.tolist() == list(range(9))  # each example is nearest to itself
    pairs = [partner(Transport(k=2), seed) for seed in range(20)]
    random = [partner("permutation", seed) for seed in range(20)]
    cost = [sum(float((INPUTS - INPUTS[p]).square().sum()) for p in ps) for ps in (pairs, random)]
    assert cost[0] < cost[1]


def test_label_kernel_draws_follow_its_formula() -> None:
    values, h = torch.tensor([0.0, 0.5, 1.0, 3.0]), 0.7
    drawn = [
        int(partner(LabelKernel(bandwidth=h), seed, values, INPUTS[:4])[0]) for seed in range(2000)
    ]
    weights = np.exp(-(values[1:].numpy() ** 2) / (2 * h**2))
    expected = 2000 * weights / weights.sum()
    assert stats.chisquare(np.bincount(drawn, minlength=4)[1:], expected).pvalue > 0.01


@pytest.mark.parametrize("dtype", [torch.float64, torch.int64])
def test_label_kernel_is_precise_for_large_labels(dtype: torch.dtype) -> None:
    """The labels are seconds since 1970, which are all equal in float32."""
    values = 1_700_000_000 + torch.arange(40, dtype=dtype)
    drawn = torch.stack([partner(LabelKernel(bandwidth=1), seed, values) for seed in range(50)])
    steps = (drawn - torch.arange(40))[:, 8:-8].abs()
    assert steps.max() <= 6
    counts = [int((steps == 1).sum()), int((steps == 2).sum()), int((steps > 2).sum())]
    weights = np.exp(-(np.arange(1, 8) ** 2) / 2)
    expected = np.array([weights[0], weights[1], weights[2:].sum()]) / weights.sum()
    assert stats.chisquare(counts, sum(counts) * expected).pvalue > 0.01


def test_default_bandwidth_is_precise_for_large_labels() -> None:
    near = torch.arange(9, dtype=torch.float64)
    assert partner("label_kernel", 3, near).equal(partner("label_kernel", 3, near + 2.0**40))


@pytest.mark.parametrize("size", [9, 60])
@pytest.mark.parametrize("scale", [1.0, 1e-6])
def test_nearest_is_precise_for_large_values_and_outliers(size: int, scale: float) -> None:
    """torch.cdist uses a matrix product above 25 rows, which is imprecise for small distances."""
    order = torch.from_numpy(np.random.default_rng(0).permutation(size))
    places = scale * order.double() ** 2
    places[order == size - 1] = 1e8  # far from all others
    found = partner("nearest", 0, order, 2.0**20 + places[:, None])
    expected = {k: (k + 1 if k == 0 else k - 1) for k in range(size)}
    assert [int(order[p]) for p in found] == [expected[int(k)] for k in order]


@pytest.mark.parametrize(("method", "needs"), [("other_class", "labels"), ("nearest", "inputs")])
def test_missing_labels_or_inputs_raise_an_error(method: str, needs: str) -> None:
    with pytest.raises(lm.InputError) as error:
        PlanSampler(["input"], partner=method).draw(4)
    assert str(error.value) == (
        f"{PARTNERS[method].__name__} chooses partners by the {needs} of the batch of 4, but none "
        f"were given: call draw(4, {needs}=...)"
    )


def test_partners_by_class_reject_float_labels() -> None:
    with pytest.raises(lm.InputError, match=r"^partners by class need integer labels of shape"):
        partner("other_class", labels=torch.rand(9))


def test_partners_by_distance_reject_integer_inputs() -> None:
    with pytest.raises(lm.InputError, match=r"^partners by distance need floating point, but the "):
        partner("nearest", inputs=torch.zeros(9, 4, dtype=torch.int64))


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("nearst", r"^unknown partner 'nearst': did you mean 'nearest'\?$"),
        (3, r"^partner is 3, but must be a name \(permutation, derangement, "),
    ],
)
def test_invalid_partner_method_raises_an_error(method: Any, message: str) -> None:
    with pytest.raises(lm.InputError, match=message):
        PlanSampler(["input"], partner=method)


def test_cross_rank_rejects_partners_by_label() -> None:
    with pytest.raises(
        lm.InputError, match=r"cannot be used with cross_rank: use 'permutation' or"
    ):
        PlanSampler(["input"], partner="other_class", cross_rank=True)


def test_cross_rank_partners_permute_the_joined_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parts = []
    for rank in range(3):
        monkeypatch.setattr("layermix.mixing.sampler.rank_info", lambda rank=rank: (rank, 3))
        parts.append(PlanSampler(["input"], cross_rank=True, seed=3).draw(4).partner)
    assert sorted(torch.cat(parts).tolist()) == list(range(12))


def test_partners_by_label_reject_several_labels() -> None:
    sampler, labels = PlanSampler(["final"], partner="other_class"), torch.arange(4)
    with pytest.raises(lm.InputError) as error:
        sampler.draw(4, labels={"digit": labels, "color": labels})
    assert str(error.value) == (
        "OtherClass chooses partners by the labels of the batch of 4, but several were given "
        "('digit', 'color'), and only one is allowed: call draw(4, labels=...)"
    )
