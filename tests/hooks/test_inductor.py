"""The default compiler: losses and gradients of a mixed model are those of the eager one.

The backend aot_eager, which other tests use for speed, runs the same operations as eager mode; here
they are fused, in other precision, as users have it.
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
    # Dynamo hides this warning of its own where warnings are not errors.
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor"),
    pytest.mark.skipif(shutil.which("c++") is None, reason="inductor needs a C++ compiler"),
]
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12, torch.bfloat16: 3e-2}


class Net(nn.Module):
    """Convolution, norm, GELU, a global mean and a classifier.

    A maximum would be another one where half precision rounds in another way.
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


def assert_compiled_is_eager(net: nn.Module, at: str, dtype: torch.dtype, **options: Any) -> None:
    net = net.double() if dtype == torch.float64 else net
    other = copy.deepcopy(net)
    model = torch.compile(other, fullgraph=True)
    eager = steps(net, net, at, dtype, **options)
    compiled = steps(other, model, at, dtype, **options)
    assert len(eager) == len(compiled)
    for one, two in zip(eager, compiled, strict=True):
        assert (one - two).norm() <= TOLERANCE[dtype] * (1e-3 + one.norm())


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_a_hidden_layer_is_mixed_in_every_precision(dtype: torch.dtype) -> None:
    assert_compiled_is_eager(Net(), "block", dtype)


@pytest.mark.parametrize("at", ["input", "final", "logits"])
def test_every_kind_of_point_is_mixed(at: str) -> None:
    assert_compiled_is_eager(Net(), at, torch.float32)


def test_a_cut_with_ratios_for_each_example_is_mixed() -> None:
    assert_compiled_is_eager(Net(), "block", torch.float32, blend="cut", per="sample")


def test_random_fields_are_those_of_the_eager_mix() -> None:
    assert_compiled_is_eager(Net(), "block", torch.float64, blend="noisy")


@pytest.mark.slow
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("at", ["input", "block", "final"])
@pytest.mark.parametrize("per", ["batch", "sample"])
@pytest.mark.parametrize("blend", ["linear", "cut", "noisy", "patches", "grid", "moment_exchange"])
def test_every_situation_is_mixed(at: str, dtype: torch.dtype, per: Any, blend: str) -> None:
    if at == "final" and blend in ("cut", "patches", "grid"):
        pytest.skip("the final layer has no positions")
    assert_compiled_is_eager(Net(), at, dtype, blend=blend, per=per)
