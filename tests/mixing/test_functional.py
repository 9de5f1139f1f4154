"""lm.mix and lm.MixLayer: values, gradients, dtype and memory format."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import layermix as lm
from layermix.mixing import BLENDS, PlanSampler

DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]
SHAPES = [(), (3,), (2, 5), (3, 4, 4), (2, 3, 2, 2)]
EXAMPLES = settings(max_examples=60, deadline=None, derandomize=True)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Tensor, lm.Plan]:
    """Draw a tensor of any shape and dtype, with batch size 1 to 17, and a plan for it."""
    size, seed = draw(st.integers(1, 17)), draw(st.integers(0, 2**31))
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(size, *draw(st.sampled_from(SHAPES)), generator=generator, dtype=torch.float64)
    if x.ndim in (4, 5) and draw(st.booleans()):
        x = x.contiguous(memory_format=CHANNELS_LAST[x.ndim])
    ratio = torch.rand(draw(st.sampled_from([(), (size,)])), generator=generator)
    partner = torch.randperm(size, generator=generator)
    return x.to(draw(st.sampled_from(DTYPES))), lm.Plan("input", ratio, partner)


CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


def reference_mix(x: Tensor, plan: lm.Plan) -> Tensor:
    """Return the convex combination in float64."""
    ratio = plan.ratio.double().reshape(-1, *[1] * (x.ndim - 1))
    return ratio * x.double() + (1 - ratio) * x.double()[plan.partner]


@EXAMPLES
@given(cases())
def test_mix_equals_convex_combination(case: tuple[Tensor, lm.Plan]) -> None:
    x, plan = case
    size = x.double().abs().max() * torch.finfo(x.dtype).eps
    assert (lm.mix(x, plan).double() - reference_mix(x, plan)).abs().max() <= 4 * size


@EXAMPLES
@given(cases())
def test_mix_preserves_shape_dtype_and_memory_format(case: tuple[Tensor, lm.Plan]) -> None:
    x, plan = case
    mixed = lm.mix(x, plan)
    assert (mixed.shape, mixed.dtype, mixed.stride()) == (x.shape, x.dtype, x.stride())


@EXAMPLES
@given(cases())
def test_mix_is_between_both_inputs(case: tuple[Tensor, lm.Plan]) -> None:
    x, plan = case
    mixed, other = lm.mix(x, plan).double(), x[plan.partner].double()
    slack = 2 * torch.finfo(x.dtype).eps * x.double().abs().max()
    assert (mixed >= torch.minimum(x.double(), other) - slack).all()
    assert (mixed <= torch.maximum(x.double(), other) + slack).all()


@EXAMPLES
@given(cases())
def test_mix_does_not_modify_its_input(case: tuple[Tensor, lm.Plan]) -> None:
    x, plan = case
    before = x.clone()
    assert lm.mix(x, plan) is not x
    assert x.equal(before)


@EXAMPLES
@given(cases())
def test_ratio_one_returns_the_input(case: tuple[Tensor, lm.Plan]) -> None:
    x, plan = case
    assert lm.mix(x, lm.Plan("input", torch.ones_like(plan.ratio), plan.partner)).equal(x)


@EXAMPLES
@given(cases())
def test_ratio_zero_returns_the_partner(case: tuple[Tensor, lm.Plan]) -> None:
    x, plan = case
    mixed = lm.mix(x, lm.Plan("input", torch.zeros_like(plan.ratio), plan.partner))
    assert mixed.equal(x[plan.partner])


@EXAMPLES
@given(cases())
def test_mix_layer_equals_mix_with_plan(case: tuple[Tensor, lm.Plan]) -> None:
    x, plan = case
    found = lm.MixLayer()(x, x[plan.partner], plan.ratio)
    slack = 2 * torch.finfo(x.dtype).eps
    torch.testing.assert_close(found, lm.mix(x, plan), rtol=slack, atol=slack)


@pytest.mark.parametrize("ratio", [0.25, torch.tensor(0.25), torch.tensor([0.25, 0.25])])
def test_mix_layer_accepts_float_and_tensor_ratios(ratio: Tensor | float) -> None:
    mixed = lm.MixLayer()(torch.ones(2, 3), torch.zeros(2, 3), ratio)
    assert mixed.equal(torch.full((2, 3), 0.25))


def test_mix_layer_scales_gradients_by_ratio() -> None:
    one, other = (torch.ones(2, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    lm.MixLayer()(one, other, torch.tensor([0.25, 1.0])).sum().backward()
    assert one.grad is not None
    assert other.grad is not None
    assert one.grad[:, 0].tolist() == [0.25, 1.0]
    assert other.grad[:, 0].tolist() == [0.75, 0.0]


def test_partner_weight_is_precise_in_bfloat16() -> None:
    ratio = torch.tensor(1 - 2.0**-12)  # rounds to 1 in bfloat16
    x = torch.tensor([0.0, 4096.0], dtype=torch.bfloat16)
    assert lm.mix(x, lm.Plan("input", ratio, torch.tensor([1, 0])))[0] == 1.0


def test_mix_layer_rejects_different_shapes() -> None:
    with pytest.raises(lm.InputError) as error:
        lm.MixLayer()(torch.ones(2, 3), torch.ones(2, 4), 0.5)
    assert str(error.value) == ("x1 and x2 must have the same shape, but have (2, 3) and (2, 4)")


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool, torch.complex64])
def test_mix_rejects_dtypes_that_are_not_floating_point(dtype: torch.dtype) -> None:
    with pytest.raises(lm.InputError) as error:
        lm.mix(torch.ones(2, 3, dtype=dtype), lm.Plan("input", torch.tensor(0.5), torch.arange(2)))
    assert str(error.value) == (
        f"cannot mix a tensor of dtype {dtype} and shape (2, 3): mixing needs floating point. "
        "Convert images with .float(); mix token ids after their embedding"
    )


@pytest.mark.parametrize("shape", [(3, 2), (1,), ()])
def test_mix_rejects_plan_of_another_batch_size(shape: tuple[int, ...]) -> None:
    with pytest.raises(lm.InputError) as error:
        lm.mix(torch.ones(shape), lm.Plan("input", torch.tensor(0.5), torch.arange(2)))
    assert str(error.value) == (
        f"cannot mix a tensor of shape {shape} with a plan drawn for a batch of 2: the first "
        "dimension must be the batch"
    )


def test_unknown_blend_raises_an_error() -> None:
    with pytest.raises(lm.InputError, match=r"^unknown blend 'linaer': did you mean 'linear'\?$"):
        lm.Plan("input", torch.tensor(0.5), torch.arange(2), blend="linaer")


@pytest.mark.parametrize("blend", BLENDS)
def test_mix_works_with_torch_func_grad(blend: str) -> None:
    x = torch.randn(4, 3, 6, 6, dtype=torch.float64)
    plan = PlanSampler(["input"], blend=blend, seed=1).draw(4)

    def total(x: torch.Tensor) -> torch.Tensor:
        return plan.mix(x).values.square().sum()

    x.requires_grad_()
    (expected,) = torch.autograd.grad(total(x), x)
    torch.testing.assert_close(torch.func.grad(total)(x), expected)


@pytest.mark.parametrize("ratio", [torch.tensor(0.3), torch.tensor([0.3, 0.8])])
def test_mix_preserves_minus_infinity_of_both_inputs(ratio: Tensor) -> None:
    x = torch.tensor([[1.0, -torch.inf], [2.0, -torch.inf]])
    mixed = lm.mix(x, lm.Plan("logits", ratio, torch.tensor([1, 0])))
    assert mixed[:, 1].tolist() == [-torch.inf, -torch.inf]
    assert mixed[:, 0].isfinite().all()


@pytest.mark.parametrize("blend", BLENDS)
def test_skipped_step_returns_any_input_unchanged(blend: str) -> None:
    x = torch.tensor([torch.inf, -torch.inf, torch.nan, 3.0]).expand(3, 2, 2, 4)
    labels = torch.tensor([0, 1, 2])
    plan = PlanSampler(["input"], blend=blend, prob=0.0).draw(3)
    assert plan.skip
    torch.testing.assert_close(lm.mix(x, plan), x, equal_nan=True)
    target = plan.target(labels)
    assert isinstance(target, lm.MixedTarget)
    assert target.dense(3).equal(torch.eye(3))


@pytest.mark.parametrize("blend", ["linear", "patches"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("ratio", [0.001, 0.999])
def test_ratios_near_0_and_1_are_precise_in_half_precision(
    ratio: float, dtype: torch.dtype, blend: str
) -> None:
    x = torch.tensor([0.0, 1000.0], dtype=dtype).view(2, 1, 1, 1).expand(2, 1, 8, 8)
    draws = BLENDS[blend]().draw(np.random.default_rng(0), (), 2)
    given = {name: torch.as_tensor(value) for name, value in draws.items()}
    plan = lm.Plan("input", torch.tensor(ratio), torch.tensor([1, 0]), blend, given)
    mixed, expected = lm.mix(x, plan), lm.mix(x.double(), plan)
    torch.testing.assert_close(mixed.double(), expected, rtol=torch.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize("blend", ["mixstyle", "moment_exchange", "aligned", "noisy", "multimix"])
def test_large_half_precision_values_do_not_overflow(blend: str) -> None:
    x = (1000 + 300 * torch.randn(4, 3, 6, 6)).half()
    plan = PlanSampler(["input"], blend=blend, seed=1).draw(4)
    mixed = lm.mix(x, plan)
    assert mixed.dtype == torch.float16
    torch.testing.assert_close(mixed.float(), lm.mix(x.float(), plan), rtol=0.02, atol=2.0)


@pytest.mark.parametrize("blend", BLENDS)
@pytest.mark.parametrize("auto", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_autocast_does_not_change_the_mix(
    dtype: torch.dtype, auto: torch.dtype, blend: str
) -> None:
    x = torch.randn(4, 3, 6, 6).to(dtype)
    per = "batch" if blend == "multimix" else "sample"
    plan = PlanSampler(["input"], blend=blend, per=per, seed=1).draw(4)
    expected = lm.mix(x, plan)
    with torch.autocast("cpu", auto):
        found = lm.mix(x, plan)
    assert found.dtype == dtype
    assert found.equal(expected)
