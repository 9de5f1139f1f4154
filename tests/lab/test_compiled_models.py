"""Tests of compiled models in half precision: losses and gradients are finite."""

import shutil

import pytest
import torch
import torch.nn.functional as F

from layermix.lab.data.modality import map_arguments
from layermix.lab.models import build
from layermix.lab.models.networks import global_max

pytestmark = [
    pytest.mark.usefixtures("fresh_compiler"),
    pytest.mark.skipif(shutil.which("c++") is None, reason="inductor needs a C++ compiler"),
]


def test_global_max_has_finite_gradients_in_bfloat16() -> None:
    x = torch.randn(4, 3, 6, 6).bfloat16().requires_grad_()
    pooled = torch.compile(lambda x: global_max(F.gelu(x)), fullgraph=True)(x)
    (gradient,) = torch.autograd.grad(pooled.sum(), x)
    torch.testing.assert_close(pooled, F.gelu(x).amax((2, 3)))
    assert gradient.isfinite().all()
    assert (gradient != 0).sum() == 4 * 3


@pytest.mark.slow
@pytest.mark.parametrize("name", ["speed", "resnet-small"])
def test_compiled_models_train_in_bfloat16(name: str) -> None:
    net = build(name, 10, map_arguments((3, 32, 32)))
    model, x = torch.compile(net), torch.randn(16, 3, 32, 32)
    optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], 0.01)
    for _ in range(3):
        with torch.autocast("cpu", torch.bfloat16):
            loss = F.cross_entropy(model(x), torch.arange(16) % 10)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        assert loss.isfinite()
        assert all(p.grad.isfinite().all() for p in net.parameters() if p.grad is not None)
