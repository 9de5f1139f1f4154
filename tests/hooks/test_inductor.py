"""Tests that inductor, the default backend, gives the losses and gradients of the eager model.

Other tests use the faster backend aot_eager, which runs the operations of eager mode. Inductor
fuses these operations, with different rounding.
"""

import copy
import shutil
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import layermix as lm

pytestmark = [
    pytest.mark.usefixtures("fresh_compiler"),
    # Dynamo suppresses this warning unless warnings are errors.
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor"),
    pytest.mark.skipif(shutil.which("c++") is None, reason="inductor needs a C++ compiler"),
]
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12, torch.bfloat16: 3e-2}


class Net(nn.Module):
    """Convolution, norm, GELU, a global mean and a classifier.

    The position of a maximum would depend on the rounding in half precision.
    """

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.GELU())
        self.head = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.block(x).mean((2, 3)))


def steps(net: nn.Module, model: Any, at: str, dtype: torch.dtype, **options: Any) -> list[Tensor]:
    """Return losses and gradients of two mixed steps."""
    mixer = lm.Mixer(net, at, seed=0, **options)
    generator = torch.Generator().manual_seed(1)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    x = torch.randn(8, 3, 8, 8, generator=generator).to(wide)
    y, found = torch.arange(8) % 5, []
    for _ in range(2):
        net.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            output, target = mixer(x, y, model=model)
            loss = target.loss(output)
        loss.backward()
        found += [loss.detach().to(wide)]
        found += [p.grad.clone() for p in net.parameters() if p.grad is not None]
    return found


def assert_compiled_equals_eager(
    net: nn.Module, at: str, dtype: torch.dtype, **options: Any
) -> None:
    net = net.double() if dtype == torch.float64 else net
    other = copy.deepcopy(net)
    model = torch.compile(other, fullgraph=True)
    eager = steps(net, net, at, dtype, **options)
    compiled = steps(other, model, at, dtype, **options)
    assert len(eager) == len(compiled)
    for one, two in zip(eager, compiled, strict=True):
        assert (one - two).norm() <= TOLERANCE[dtype] * (1e-3 + one.norm())


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_compiled_equals_eager_in_every_precision(dtype: torch.dtype) -> None:
    assert_compiled_equals_eager(Net(), "block", dtype)


@pytest.mark.parametrize("at", ["input", "final", "logits"])
def test_compiled_equals_eager_at_every_kind_of_point(at: str) -> None:
    assert_compiled_equals_eager(Net(), at, torch.float32)


def test_compiled_cut_with_ratios_per_sample_equals_eager() -> None:
    assert_compiled_equals_eager(Net(), "block", torch.float32, blend="cut", per="sample")


def test_compiled_random_fields_equal_eager() -> None:
    assert_compiled_equals_eager(Net(), "block", torch.float64, blend="noisy")


@pytest.mark.slow
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("at", ["input", "block", "final"])
@pytest.mark.parametrize("per", ["batch", "sample"])
@pytest.mark.parametrize("blend", ["linear", "cut", "noisy", "patches", "grid", "moment_exchange"])
def test_compiled_equals_eager_for_all_combinations(
    at: str, dtype: torch.dtype, per: Any, blend: str
) -> None:
    if at == "final" and blend in ("cut", "patches", "grid"):
        pytest.skip("the final layer has no positions")
    assert_compiled_equals_eager(Net(), at, dtype, blend=blend, per=per)
