"""The one-pass linear mix has the values and gradients of its definition, with less memory."""

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
IGNORE_TORCH_JIT_WARNING = pytest.mark.filterwarnings("ignore:.torch.jit.script:FutureWarning")
FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}


@st.composite
def cases(draw: st.DrawFn) -> tuple[Tensor, lm.Plan]:
    """Draw a tensor of any shape and memory format, and a plan with or without a permutation."""
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


def reference_mix(x: Tensor, plan: lm.Plan) -> Tensor:
    """Return the mix by the definition of the papers."""
    ratio = plan.ratio.to(x.dtype).reshape(-1, *[1] * (x.ndim - 1))
    return ratio * x + (1 - ratio) * x[plan.partner]


@EXAMPLES
@given(cases())
def test_gradients_equal_those_of_the_formula(case: tuple[Tensor, lm.Plan]) -> None:
    x, plan = case
    x.requires_grad_()
    weights = torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(0))
    (found,) = torch.autograd.grad((lm.mix(x, plan) * weights).sum(), x)
    (expected,) = torch.autograd.grad((reference_mix(x, plan) * weights).sum(), x)
    torch.testing.assert_close(found, expected)
    (found,) = torch.autograd.grad(lm.mix(x, plan).sum(), x)  # output gradient with zero strides
    (expected,) = torch.autograd.grad(reference_mix(x, plan).sum(), x)
    torch.testing.assert_close(found, expected)


@IGNORE_TORCH_JIT_WARNING
@pytest.mark.parametrize("partner", [[2, 0, 1, 3], [1, 1, 0, 1]])
@pytest.mark.parametrize("ratio", [0.3, [0.1, 0.9, 0.5, 1.0]])
def test_second_derivatives_and_forward_mode_pass_gradcheck(
    partner: list[int], ratio: float | list[float]
) -> None:
    plan = lm.Plan("input", torch.tensor(ratio), torch.tensor(partner))
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)

    def function(x: Tensor) -> Tensor:
        return lm.mix(x.sin(), plan) ** 2

    assert torch.autograd.gradcheck(function, x, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(function, x)


@IGNORE_TORCH_JIT_WARNING
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
def test_torch_func_transforms_equal_the_formula() -> None:
    plan = lm.Plan("input", torch.tensor(0.25), torch.tensor([1, 2, 0]))
    x = torch.randn(5, 3, 4)
    mapped = torch.func.vmap(lambda each: lm.mix(each, plan))(x)
    torch.testing.assert_close(mapped, torch.stack([reference_mix(each, plan) for each in x]))
    gradient = torch.func.grad(lambda each: lm.mix(each, plan).square().sum())(x[0])
    expected = torch.func.grad(lambda each: reference_mix(each, plan).square().sum())(x[0])
    torch.testing.assert_close(gradient, expected)


@pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")
def test_plans_can_be_created_inside_vmap() -> None:
    x, partners = torch.randn(2, 3, 4), torch.tensor([[1, 2, 0], [0, 2, 1]])

    def mixed(x: Tensor, partner: Tensor) -> Tensor:
        return lm.mix(x, lm.Plan("input", torch.tensor(0.25), partner))

    expected = [mixed(*each) for each in zip(x, partners, strict=True)]
    torch.testing.assert_close(torch.func.vmap(mixed)(x, partners), torch.stack(expected))


def test_learned_ratio_has_a_gradient() -> None:
    ratio = torch.tensor(0.25, requires_grad=True)
    plan = lm.Plan("input", ratio, torch.tensor([1, 0]))
    lm.mix(torch.tensor([[1.0], [4.0]]), plan)[0].sum().backward()
    assert ratio.grad is not None
    assert ratio.grad == -3


@pytest.mark.parametrize("shape", [(4, 6), (4, 2, 3, 3)])
def test_next_layer_may_modify_the_mix_in_place(shape: tuple[int, ...]) -> None:
    plan = lm.Plan("input", torch.tensor(0.25), torch.tensor([1, 2, 3, 0]))
    x = torch.randn(shape, requires_grad=True)
    (found,) = torch.autograd.grad(nn.ReLU(inplace=True)(lm.mix(x, plan)).sum(), x)
    (expected,) = torch.autograd.grad(reference_mix(x, plan).relu().sum(), x)
    torch.testing.assert_close(found, expected)


class OperationCounter(TorchDispatchMode):
    """Counts the bytes that operations return, and records the names of the operations."""

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
def test_mix_and_gradient_allocate_one_tensor_each(memory_format: torch.memory_format) -> None:
    x = torch.randn(8, 16, 12, 12).contiguous(memory_format=memory_format).requires_grad_()
    plan, gradient = lm.Plan("input", torch.tensor(0.3), torch.randperm(8)), torch.randn_like(x)
    with OperationCounter() as count:
        torch.autograd.grad(lm.mix(x, plan), x, gradient)
    assert count.bytes < 2.1 * x.nbytes  # one tensor in forward, one in backward
    assert not {"index", "index_put", "index_put_", "_index_put_impl_"} & count.names


def test_mix_saves_no_tensors_for_backward() -> None:
    kept = []
    x, plan = (
        torch.randn(4, 6000, requires_grad=True),
        lm.Plan("input", torch.rand(4), torch.arange(4)),
    )
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        lm.mix(x, plan)
    assert not kept


def test_subclass_of_linear_uses_its_call_method() -> None:
    @dataclass(frozen=True)
    class Doubled(Linear):
        def __call__(self, own, other, ratio, draws, channels):
            found = super().__call__(own, other, ratio, draws, channels)
            return found._replace(values=2 * found.values)

    x = torch.tensor([[1.0], [4.0]])
    plan = lm.Plan("input", torch.tensor(0.5), torch.tensor([1, 0]), Doubled())
    assert lm.mix(x, plan).tolist() == [[5.0], [5.0]]


@pytest.mark.parametrize("base", BLENDS.values())
def test_subclass_of_blend_does_not_inherit_fast_paths(base: type[Blend]) -> None:
    class Nothing(base):
        def __call__(self, own, other, ratio, draws, channels):
            return Blended(torch.zeros_like(own), torch.tensor(1.0))

    plan = PlanSampler(["layer"], blend=Nothing(), seed=0).draw(2)
    x = torch.ones(2, 3, 8, 8)
    assert not plan.blend.mix_batch(x, plan.pairs, plan.draws, 1).values.any()
    assert not plan.blend.linear_equivariant


@pytest.mark.parametrize(("partner", "wrong"), [([0, 3, 1], 3), ([0, -1, 1], -1)])
def test_partners_outside_the_batch_raise_an_error(partner: list[int], wrong: int) -> None:
    with pytest.raises(lm.InputError) as error:
        lm.Plan("input", torch.tensor(0.5), torch.tensor(partner))
    assert str(error.value) == (
        f"partner has {wrong}, but the examples of a batch of 3 are numbered from 0 to 2"
    )


def test_replaced_plan_has_the_gradient_of_its_partners() -> None:
    from dataclasses import replace

    plan = lm.Plan("input", torch.tensor(0.25), torch.tensor([1, 2, 0]))
    other = replace(plan, partner=torch.tensor([2, 0, 1]))
    x = torch.randn(3, 2, requires_grad=True)
    weights = torch.tensor([[1.0], [10.0], [100.0]])
    (found,) = torch.autograd.grad((lm.mix(x, other) * weights).sum(), x)
    assert found[:, 0].tolist() == [0.25 + 7.5, 2.5 + 75, 25 + 0.75]


def test_pairs_detect_a_permutation() -> None:
    for partner, known in (([2, 0, 1], True), ([1, 1, 0], False)):
        plan = lm.Plan("final", torch.tensor(0.5), torch.tensor(partner))
        assert plan.pairs.permutation == known


def test_plan_is_applied_on_the_device_of_the_input() -> None:
    plan = lm.Plan("input", torch.tensor(0.25), torch.tensor([1, 0]))
    assert lm.mix(torch.ones(2, 3, device="meta"), plan).shape == (2, 3)


@pytest.mark.skipif(shutil.which("c++") is None, reason="inductor needs a C++ compiler")
def test_inductor_mix_equals_the_formula() -> None:
    plan = lm.Plan("input", torch.rand(4), torch.tensor([1, 2, 3, 0]))
    x = torch.randn(4, 3, 5, 5, requires_grad=True)

    def step(x: Tensor) -> Tensor:
        return lm.mix(x.sin(), plan).square().sum()

    (found,) = torch.autograd.grad(torch.compile(step, fullgraph=True)(x), x)
    (expected,) = torch.autograd.grad(reference_mix(x.sin(), plan).square().sum(), x)
    torch.testing.assert_close(found, expected)
