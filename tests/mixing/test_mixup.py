"""lm.mixup, and errors for arguments that are not plans or tensors."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from torch import Tensor, nn

import layermix as lm


def batch(size: int = 6) -> tuple[Tensor, Tensor]:
    return torch.randn(size, 3, 4), torch.arange(size) % 3


def test_mixup_mixes_batch_and_labels_with_a_permutation() -> None:
    x, y = batch()
    before = x.clone()
    mixed, target = lm.mixup(x, y, alpha=0.7)
    assert isinstance(target, lm.MixedTarget)
    lam = target.ratio
    assert x.equal(before)
    assert lam.shape == ()
    partners = [
        i
        for i in range(6)
        for j in range(6)
        if mixed[j].isclose(lam * x[j] + (1 - lam) * x[i]).all()
    ]
    assert sorted(partners) == list(range(6))
    assert target.labels.equal(y)


def test_mixup_ratio_is_beta_distributed() -> None:
    x, y = batch(2)
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(1500):
        _, target = lm.mixup(x, y, 0.5, generator=generator)
        assert isinstance(target, lm.MixedTarget)
        found.append(float(target.ratio))
    assert stats.kstest(found, stats.beta(0.5, 0.5).cdf).pvalue > 0.01


def test_generators_of_equal_seed_give_equal_mixes() -> None:
    x, y = batch()
    one, other = (lm.mixup(x, y, generator=torch.Generator().manual_seed(3))[0] for _ in range(2))
    assert one.equal(other)


def test_default_mixup_uses_torch_seed_without_advancing_it() -> None:
    x, y = batch()
    found = []
    for seed in (1, 2, 1):
        torch.manual_seed(seed)
        state = torch.get_rng_state()
        found.append([lm.mixup(x, y)[0] for _ in range(3)])
        assert torch.get_rng_state().equal(state)
    assert all(a.equal(b) for a, b in zip(found[0], found[2], strict=True))
    assert not any(a.equal(b) for a, b in zip(found[0], found[1], strict=True))
    assert not found[0][0].equal(found[0][1])


def test_mix_with_plan_returns_tensor_and_target() -> None:
    x, y = batch()
    plan = lm.Mixer(nn.Linear(4, 3), at="input", method="cutmix", seed=1).draw(6)
    x = torch.randn(6, 3, 8, 8)
    mixed, target = lm.mix(x, plan, y)
    assert mixed.equal(lm.mix(x, plan))
    assert isinstance(target, lm.MixedTarget)
    taken = (mixed == x).flatten(1).double().mean(1)
    own = target.partner_labels != target.labels
    assert own.any()
    torch.testing.assert_close(taken[own], target.ratio.double().expand(6)[own])


INVALID: list[tuple[Any, str]] = [
    (
        lambda x, y: lm.mix(x, 0.3),  # pyright: ignore[reportArgumentType, reportCallIssue]
        r"the plan is 0.3, .* lm.mixup\(x, y, alpha\) draws the ratio",
    ),
    (
        lambda x, y: lm.Plan("input", 0.3, torch.arange(6)),  # pyright: ignore[reportArgumentType]
        r"ratio is 0.3, but must be a tensor: .* lm.mixup\(x, y, alpha\) without a plan",
    ),
    (
        lambda x, y: lm.Plan("input", torch.tensor(0.3), [1, 0]),  # pyright: ignore[reportArgumentType]
        r"partner is \[1, 0\], but must be a tensor: draw a plan with mixer.draw",
    ),
    (lambda x, y: lm.mixup(x, y[:3]), "the labels have shape"),
    (lambda x, y: lm.mixup(x.int(), y), "mixing needs floating point"),
    (lambda x, y: lm.mixup(x, y, alpha=0.0), "needs a finite alpha > 0"),
    (lambda x, y: lm.mixup(0.5, y), "cannot mix 0.5: x must be a tensor"),  # pyright: ignore[reportArgumentType]
]


@pytest.mark.parametrize(("call", "message"), INVALID)
def test_invalid_arguments_raise_a_helpful_error(call: Any, message: str) -> None:
    with pytest.raises(lm.InputError, match=message):
        call(*batch())


@pytest.mark.parametrize(
    "criterion", [nn.CrossEntropyLoss(), F.cross_entropy, nn.MSELoss(), nn.KLDivLoss()]
)
@pytest.mark.parametrize("several", [False, True])
def test_target_as_criterion_argument_raises_a_helpful_error(criterion: Any, several: bool) -> None:
    _, y = batch()
    plan = lm.Plan("input", torch.tensor(0.3), torch.arange(6).roll(1))
    target = plan.target({"kind": y} if several else y)  # pyright: ignore[reportArgumentType, reportCallIssue]
    with pytest.raises(lm.InputError, match=r"use target.loss\(output, criterion\), or criterion"):
        criterion(torch.randn(6, 3), target)
