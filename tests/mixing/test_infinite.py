"""Activations, labels and losses of weight 0 are ignored, even if they are infinite or NaN."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import layermix as lm
from layermix.mixing import MultiMixTarget, Patches, PlanSampler, interpolate
from layermix.mixing.blends.mask import apply_mask
from layermix.mixing.tensors import weighted_sum

INF = float("inf")
EDGES = [
    torch.tensor(0.0),
    torch.tensor(1.0),
    torch.tensor([0.0, 1.0, 0.25, 1.0]),
    torch.tensor(1 - 1e-9, dtype=torch.float64),  # rounds to 1 in float32
    torch.tensor(1e-60, dtype=torch.float64),  # rounds to 0 in float32
]
PARTNERS = [torch.tensor([1, 2, 3, 0]), torch.tensor([1, 1, 0, 2])]
DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]


def masked_logits(dtype: torch.dtype) -> Tensor:
    """Return logits (4, 3, 2) with infinite values in a different column of each example."""
    x = torch.randn(4, 3, 2).to(dtype)
    x[0, 0], x[1, 1], x[2, 2], x[3, 0] = -INF, INF, -INF, -INF
    return x


def reference_mix(x: Tensor, plan: lm.Plan) -> Tensor:
    """Mix example by example; values of weight 0 are ignored."""
    wide = torch.float64 if x.dtype == torch.float64 else torch.float32
    ratio, mixed = plan.ratio.to(wide).expand(len(x)), torch.zeros(x.shape, dtype=wide)
    for i, j in enumerate(plan.partner.tolist()):
        for weight, row in ((ratio[i], i), (1 - ratio[i], j)):
            if weight:
                mixed[i] += weight * x[row].to(wide)
    return mixed.to(x.dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("partner", PARTNERS)
@pytest.mark.parametrize("ratio", EDGES)
def test_mix_ignores_infinite_values_of_zero_weight(
    ratio: Tensor, partner: Tensor, dtype: torch.dtype
) -> None:
    x, plan = masked_logits(dtype), lm.Plan("logits", ratio, partner)
    torch.testing.assert_close(lm.mix(x, plan), reference_mix(x, plan), equal_nan=False)


def test_interpolate_ignores_nan_of_zero_weight() -> None:
    own, other = torch.tensor([[1.0], [torch.nan]]), torch.tensor([[torch.nan], [2.0]])
    assert interpolate(own, other, torch.tensor([1.0, 0.0])).tolist() == [[1], [2]]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("partner", PARTNERS)
@pytest.mark.parametrize("ratio", EDGES)
def test_infinite_gradient_of_zero_weight_is_ignored(
    ratio: Tensor, partner: Tensor, dtype: torch.dtype
) -> None:
    x, g = torch.randn(4, 3, 2).to(dtype).requires_grad_(), masked_logits(dtype)
    plan = lm.Plan("logits", ratio, partner)
    (found,) = torch.autograd.grad(lm.mix(x, plan), x, g)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    lam, expected = ratio.to(wide).expand(4), torch.zeros(x.shape, dtype=wide)
    for i, j in enumerate(partner.tolist()):
        for weight, row in ((lam[i], i), (1 - lam[i], j)):
            if weight:
                expected[row] += weight * g[i].to(wide)
    torch.testing.assert_close(found, expected.to(dtype), equal_nan=True)


def test_gradients_of_masked_logits_are_finite() -> None:
    x = masked_logits(torch.float32)[..., 0].clone()
    x[1, 1] = -INF
    x.requires_grad_()
    for ratio in EDGES:
        mixed = lm.mix(x, lm.Plan("logits", ratio, torch.tensor([1, 2, 3, 0])))
        (found,) = torch.autograd.grad(mixed.log_softmax(1).clamp_min(-9).sum(), x)
        assert found.isfinite().all()


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_mix_layer_ignores_infinite_input_of_zero_weight(value: float) -> None:
    finite, infinite = torch.randn(2, 3), torch.full((2, 3), -INF)
    pair = (finite, infinite) if value else (infinite, finite)
    assert lm.MixLayer()(*pair, value).equal(finite)
    assert lm.MixLayer()(*pair, torch.full((2,), value)).equal(finite)


def test_float_mask_ignores_infinite_values_of_zero_weight() -> None:
    own, other = torch.zeros(1, 2, 3), torch.full((1, 2, 3), INF)
    mask = torch.tensor([[1.0, 0.5, 0.0]])
    assert apply_mask(own, other, mask, 1).tolist() == [[[0, INF, INF]] * 2]
    assert apply_mask(other, own, mask, 1).tolist() == [[[INF, INF, 0]] * 2]


def test_soft_patches_ignore_infinite_values_outside_the_patches() -> None:
    x = torch.stack([torch.zeros(2, 6, 6), torch.full((2, 6, 6), -INF)])
    plan = PlanSampler(["layer"], blend=Patches(block=3), partner="derangement", seed=0).draw(2)
    mixed = lm.mix(x, plan)
    assert not mixed.isnan().any()
    assert (mixed[0] == 0).any()


def test_learned_ratio_of_zero_has_the_exact_gradient() -> None:
    ratio = torch.tensor(0.0, requires_grad=True)
    weighted_sum(torch.tensor([3.0, INF]), torch.tensor([1.0, 1.0]), ratio)[0].backward()
    assert ratio.grad is not None
    assert ratio.grad == 2


@pytest.mark.parametrize("per", ["batch", "sample"])
def test_sampled_ratios_that_round_to_zero_are_ignored(per: Any) -> None:
    sampler = PlanSampler(["logits"], alpha=0.02, per=per, partner="derangement", seed=0)
    x, edges = masked_logits(torch.float32)[..., 0], 0
    for _ in range(40):
        plan = sampler.draw(4)
        edges += not plan.pairs.interior
        torch.testing.assert_close(lm.mix(x, plan), reference_mix(x, plan))
    assert edges > 10


@pytest.mark.parametrize(
    ("ratio", "partial"),
    [
        (0.5, True),
        (0.0, False),
        (1.0, False),
        ([0.5, 0.1, 0.2, 0.9], True),
        ([0.5, 1, 0, 0], False),
    ],
)
def test_interior_is_true_if_all_ratios_are_between_0_and_1(ratio: Any, partial: bool) -> None:
    plan = lm.Plan("final", torch.tensor(ratio), torch.tensor([1, 2, 3, 0]))
    assert plan.pairs.interior is partial
    assert plan.to("meta").pairs.interior is partial


@pytest.mark.usefixtures("fresh_compiler")
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_compiled_mix_ignores_infinite_values_of_zero_weight(backend: str) -> None:
    mix = torch.compile(lambda x, plan: lm.mix(x, plan), backend=backend, fullgraph=True)
    x = masked_logits(torch.float32).requires_grad_()
    for ratio in EDGES[:3]:
        plan = lm.Plan("logits", ratio, torch.tensor([1, 2, 3, 0]))
        mixed = mix(x, plan)
        torch.testing.assert_close(mixed, reference_mix(x.detach(), plan))
        (found,) = torch.autograd.grad(mixed, x, torch.ones_like(x))
        assert found.isfinite().all()


NUMBERS = torch.tensor([[1.0, 2.0], [torch.nan, INF], [0.5, -1.0], [3.0, 0.0]]).double()


@pytest.mark.parametrize("criterion", [nn.MSELoss(), nn.HuberLoss(), nn.L1Loss()])
@pytest.mark.parametrize("ratio", [torch.tensor(0.3), torch.tensor([0.3, 0.6, 1.0, 0.0])])
def test_infinite_label_of_zero_sample_weight_is_ignored(
    criterion: nn.Module, ratio: Tensor
) -> None:
    output, weight = torch.randn(4, 2).double().requires_grad_(), torch.tensor([1.0, 0, 2, 0.5])
    target = lm.Plan("input", ratio, torch.tensor([1, 2, 3, 0])).target(NUMBERS)
    made, known = target.loss(output, criterion, sample_weight=weight), NUMBERS.clone()
    known[1] = 0
    expected = output.new_zeros(())
    for i, j in enumerate([1, 2, 3, 0]):
        lam = ratio.double().expand(4)[i]
        for share, k in ((lam, i), (1 - lam, j)):
            expected = expected + share * weight[k] * criterion(output[i], known[k]) / 4
    torch.testing.assert_close(made, expected)
    (found,) = torch.autograd.grad(made, output)
    torch.testing.assert_close(found, *torch.autograd.grad(expected, output))


@pytest.mark.parametrize("lost", [torch.nan, INF])
def test_infinite_label_of_zero_ratio_is_ignored(lost: float) -> None:
    output = torch.randn(2, 1, dtype=torch.float64, requires_grad=True)
    numbers = torch.tensor([[1.0], [lost]], dtype=torch.float64)
    ratio, partner = torch.tensor([1.0, 0.0]), torch.tensor([1, 0])
    loss = lm.Plan("input", ratio, partner).target(numbers).loss(output, nn.MSELoss())
    (found,) = torch.autograd.grad(loss, output)
    torch.testing.assert_close(found, output.detach() - 1)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("made", ["classes", "soft", "multimix", "multimix soft"])
@pytest.mark.parametrize("options", [{}, {"weight": torch.tensor([1.0, 2, 3, 4])}])
def test_class_with_minus_infinity_logit_is_ignored_in_the_loss(
    made: str, options: dict[str, Tensor], dtype: torch.dtype
) -> None:
    labels, rows = torch.tensor([0, 1, 2, 2]), torch.rand(4, 4).softmax(1)
    target: Any = lm.Plan("input", torch.rand(4), torch.tensor([1, 2, 3, 0])).target(labels)
    if made == "soft":
        target = lm.Plan("input", torch.tensor(0.3), torch.tensor([1, 2, 3, 0])).target(
            F.one_hot(labels, 4).float()
        )
    if made.startswith("multimix"):
        target = MultiMixTarget(F.one_hot(labels, 4).float() if "soft" in made else labels, rows)
    logits = torch.randn(4, 4).to(dtype)
    logits[:, 3] = -INF
    logits.requires_grad_()
    log_probs, soft = logits.detach().double().log_softmax(1)[:, :3], target.dense(4, torch.float64)
    weight = options.get("weight", torch.ones(4))[:3].double()
    losses = -(soft[:, :3] * weight * log_probs).sum(1)
    norm = 4 if "soft" in made else (soft[:, :3] * weight).sum()
    loss = target.loss(logits, **options)
    rtol = 2e-2 if dtype == torch.bfloat16 else 1e-5
    torch.testing.assert_close(loss.double(), losses.sum() / norm, rtol=rtol, atol=0)
    (found,) = torch.autograd.grad(loss, logits)
    assert found.isfinite().all()
    assert not found[:, 3].any()


def test_multimix_ignores_infinite_values_of_zero_weight() -> None:
    weights = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.25, 0.75], [0.0, 1.0, 0.0]]).double()
    x = torch.tensor([[1.0, -INF], [2.0, 3.0], [torch.nan, INF]]).double()
    expected = torch.tensor([[1.5, -INF], [torch.nan, INF], [2.0, 3.0]]).double()
    made = MultiMixTarget(x, weights)
    torch.testing.assert_close(made.dense(), expected, equal_nan=True)
    draws = {"weights": weights}
    plan = lm.Plan("final", torch.tensor(1.0), torch.arange(3), "multimix", draws)
    torch.testing.assert_close(lm.mix(x, plan), expected, equal_nan=True)
    clean = x.nan_to_num(0, 0, 0).requires_grad_()
    mixed = lm.mix(clean, plan)
    torch.testing.assert_close(mixed, weights @ clean)
    (found,) = torch.autograd.grad(mixed.sum(), clean)
    torch.testing.assert_close(found, weights.sum(0)[:, None].expand(3, 2))
