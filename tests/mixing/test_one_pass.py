"""The linear mix of a batch in one pass: the numbers and gradients of the formula, less work."""

import shutil
from dataclasses import dataclass

import pytest
import torch
import torch.autograd.forward_ad as forward_mode
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import layermix as lm
from layermix.mixing import BLENDS, Blend, Blended, Linear, PlanSampler

EXAMPLES = settings(max_examples=80, deadline=None, derandomize=True)
SHAPES = [(), (3,), (2, 5), (3, 4, 4), (2, 3, 2, 2)]
TORCH_WARNS_OF_ITSELF = pytest.mark.filterwarnings("ignore:.torch.jit.script:FutureWarning")
FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}


@st.composite
def cases(draw: st.DrawFn) -> tuple[Tensor, lm.Plan]:
    """Draw a tensor of any shape and memory format, and a plan, of which half are permutations."""
    size = draw(st.integers(1, 13))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    dtype = draw(st.sampled_from([torch.float64, torch.float32]))
    x = torch.randn(size, *draw(st.sampled_from(SHAPES)), generator=generator, dtype=dtype)
    if x.ndim in FORMATS and draw(st.booleans()):
        x = x.contiguous(memory_format=FORMATS[x.ndim])
    if draw(st.booleans()):
        dim = min(1, x.ndim - 1)
        x = x.repeat_interleave(2, dim)
        x = x[:, ::2] if dim else x[::2]  # rows that are not dense
    ratio = torch.rand(draw(st.sampled_from([(), (size,)])), generator=generator)
    partner = torch.randint(size, (size,), generator=generator)
    if draw(st.booleans()):
        partner = torch.randperm(size, generator=generator)
    return x, lm.Plan("input", ratio, partner)


def formula(x: Tensor, plan: lm.Plan) -> Tensor:
    """Mix as the papers write it."""
    ratio = plan.ratio.to(x.dtype).reshape(-1, *[1] * (x.ndim - 1))
    return ratio * x + (1 - ratio) * x[plan.partner]


@EXAMPLES
@given(cases())
def test_gradients_are_those_of_the_formula(case: tuple[Tensor, lm.Plan]) -> None:
    x, plan = case
    x.requires_grad_()
    weights = torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(0))
    (found,) = torch.autograd.grad((lm.mix(x, plan) * weights).sum(), x)
    (expected,) = torch.autograd.grad((formula(x, plan) * weights).sum(), x)
    torch.testing.assert_close(found, expected)
    (found,) = torch.autograd.grad(lm.mix(x, plan).sum(), x)  # of a gradient without strides
    (expected,) = torch.autograd.grad(formula(x, plan).sum(), x)
    torch.testing.assert_close(found, expected)


@TORCH_WARNS_OF_ITSELF
@pytest.mark.parametrize("partner", [[2, 0, 1, 3], [1, 1, 0, 1]])
@pytest.mark.parametrize("ratio", [0.3, [0.1, 0.9, 0.5, 1.0]])
def test_second_derivatives_and_forward_mode_are_right(
    partner: list[int], ratio: float | list[float]
) -> None:
    plan = lm.Plan("input", torch.tensor(ratio), torch.tensor(partner))
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)

    def function(x: Tensor) -> Tensor:
        return lm.mix(x.sin(), plan) ** 2

    assert torch.autograd.gradcheck(function, x, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(function, x)


@TORCH_WARNS_OF_ITSELF
@pytest.mark.parametrize("needs", [True, False])
def test_forward_mode_works_in_single_precision(needs: bool) -> None:
    plan = lm.Plan("input", torch.tensor(0.25), torch.tensor([1, 0]))
    x = torch.randn(2, 3, requires_grad=needs)
    with forward_mode.dual_level():
        mixed = lm.mix(forward_mode.make_dual(x, torch.tensor([[4.0] * 3, [0.0] * 3])), plan)
        tangent = forward_mode.unpack_dual(mixed).tangent
    assert tangent is not None
    assert tangent.tolist() == [[1.0] * 3, [3.0] * 3]


@pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")
def test_function_transforms_see_the_formula() -> None:
    plan = lm.Plan("input", torch.tensor(0.25), torch.tensor([1, 2, 0]))
    x = torch.randn(5, 3, 4)
    mapped = torch.func.vmap(lambda each: lm.mix(each, plan))(x)
    torch.testing.assert_close(mapped, torch.stack([formula(each, plan) for each in x]))
    gradient = torch.func.grad(lambda each: lm.mix(each, plan).square().sum())(x[0])
    expected = torch.func.grad(lambda each: formula(each, plan).square().sum())(x[0])
    torch.testing.assert_close(gradient, expected)


@pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")
def test_plans_are_made_under_function_transforms() -> None:
    x, partners = torch.randn(2, 3, 4), torch.tensor([[1, 2, 0], [0, 2, 1]])

    def mixed(x: Tensor, partner: Tensor) -> Tensor:
        return lm.mix(x, lm.Plan("input", torch.tensor(0.25), partner))

    expected = [mixed(*each) for each in zip(x, partners, strict=True)]
    torch.testing.assert_close(torch.func.vmap(mixed)(x, partners), torch.stack(expected))


def test_a_ratio_that_is_learned_has_a_gradient() -> None:
    ratio = torch.tensor(0.25, requires_grad=True)
    plan = lm.Plan("input", ratio, torch.tensor([1, 0]))
    lm.mix(torch.tensor([[1.0], [4.0]]), plan)[0].sum().backward()
    assert ratio.grad is not None
    assert ratio.grad == -3


@pytest.mark.parametrize("shape", [(4, 6), (4, 2, 3, 3)])
def test_what_is_mixed_may_be_overwritten_by_the_next_layer(shape: tuple[int, ...]) -> None:
    plan = lm.Plan("input", torch.tensor(0.25), torch.tensor([1, 2, 3, 0]))
    x = torch.randn(shape, requires_grad=True)
    (found,) = torch.autograd.grad(nn.ReLU(inplace=True)(lm.mix(x, plan)).sum(), x)
    (expected,) = torch.autograd.grad(formula(x, plan).relu().sum(), x)
    torch.testing.assert_close(found, expected)


class Counted(TorchDispatchMode):
    """Counts the bytes that operations return, and notes which they are."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes, self.names = 0, set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        first = out[0] if isinstance(out, tuple) else out
        if isinstance(first, Tensor) and not (func.is_view or func._schema.is_mutable):
            self.bytes += first.numel() * first.element_size()
        self.names.add(func.overloadpacket.__name__)
        return out


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_a_mix_and_its_gradient_write_each_number_once(memory_format: torch.memory_format) -> None:
    x = torch.randn(8, 16, 12, 12).contiguous(memory_format=memory_format).requires_grad_()
    plan, gradient = lm.Plan("input", torch.tensor(0.3), torch.randperm(8)), torch.randn_like(x)
    with Counted() as count:
        torch.autograd.grad(lm.mix(x, plan), x, gradient)
    assert count.bytes < 2.1 * x.nbytes  # one tensor forward, one back
    assert not {"index", "index_put", "index_put_", "_index_put_impl_"} & count.names


def test_a_mix_keeps_nothing_for_its_gradient() -> None:
    kept = []
    x, plan = (
        torch.randn(4, 6000, requires_grad=True),
        lm.Plan("input", torch.rand(4), torch.arange(4)),
    )
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        lm.mix(x, plan)
    assert not kept


def test_a_blend_made_of_the_linear_one_mixes_in_its_own_way() -> None:
    @dataclass(frozen=True)
    class Doubled(Linear):
        def __call__(self, own, other, ratio, draws, channels):
            found = super().__call__(own, other, ratio, draws, channels)
            return found._replace(values=2 * found.values)

    x = torch.tensor([[1.0], [4.0]])
    plan = lm.Plan("input", torch.tensor(0.5), torch.tensor([1, 0]), Doubled())
    assert lm.mix(x, plan).tolist() == [[5.0], [5.0]]


@pytest.mark.parametrize("base", BLENDS.values())
def test_a_blend_made_of_another_takes_none_of_its_short_cuts(base: type[Blend]) -> None:
    class Nothing(base):
        def __call__(self, own, other, ratio, draws, channels):
            return Blended(torch.zeros_like(own), torch.tensor(1.0))

    plan = PlanSampler(["layer"], blend=Nothing(), seed=0).draw(2)
    x = torch.ones(2, 3, 8, 8)
    assert not plan.blend.mix_batch(x, plan.pairs, plan.draws, 1).values.any()
    assert not plan.blend.linear_equivariant


@pytest.mark.parametrize(("partner", "wrong"), [([0, 3, 1], 3), ([0, -1, 1], -1)])
def test_partners_outside_the_batch_are_refused(partner: list[int], wrong: int) -> None:
    with pytest.raises(lm.InputError) as error:
        lm.Plan("input", torch.tensor(0.5), torch.tensor(partner))
    assert str(error.value) == (
        f"partner has {wrong}, but the examples of a batch of 3 are numbered from 0 to 2"
    )


def test_a_changed_plan_has_the_gradient_of_its_own_partners() -> None:
    from dataclasses import replace

    plan = lm.Plan("input", torch.tensor(0.25), torch.tensor([1, 2, 0]))
    other = replace(plan, partner=torch.tensor([2, 0, 1]))
    x = torch.randn(3, 2, requires_grad=True)
    weights = torch.tensor([[1.0], [10.0], [100.0]])
    (found,) = torch.autograd.grad((lm.mix(x, other) * weights).sum(), x)
    assert found[:, 0].tolist() == [0.25 + 7.5, 2.5 + 75, 25 + 0.75]


def test_partners_are_known_to_be_a_permutation_or_not() -> None:
    for partner, known in (([2, 0, 1], True), ([1, 1, 0], False)):
        plan = lm.Plan("final", torch.tensor(0.5), torch.tensor(partner))
        assert plan.pairs.permutation == known


def test_a_plan_whose_numbers_lie_elsewhere_is_carried_out_there() -> None:
    plan = lm.Plan("input", torch.tensor(0.25), torch.tensor([1, 0]))
    assert lm.mix(torch.ones(2, 3, device="meta"), plan).shape == (2, 3)


@pytest.mark.skipif(shutil.which("c++") is None, reason="inductor needs a C++ compiler")
def test_the_default_compiler_fuses_the_same_mix() -> None:
    plan = lm.Plan("input", torch.rand(4), torch.tensor([1, 2, 3, 0]))
    x = torch.randn(4, 3, 5, 5, requires_grad=True)

    def step(x: Tensor) -> Tensor:
        return lm.mix(x.sin(), plan).square().sum()

    (found,) = torch.autograd.grad(torch.compile(step, fullgraph=True)(x), x)
    (expected,) = torch.autograd.grad(formula(x.sin(), plan).square().sum(), x)
    torch.testing.assert_close(found, expected)
