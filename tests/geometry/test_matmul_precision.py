"""Products keep their digits whatever precision torch was told to take, by either of its ways."""

import subprocess
import sys

import pytest

_SETTINGS = [
    "pass",
    "torch.set_float32_matmul_precision('medium')",
    "torch.backends.cuda.matmul.allow_tf32 = True",
    "torch.backends.cuda.matmul.fp32_precision = 'tf32'",
    "torch.backends.fp32_precision = 'tf32'",
    "torch.backends.mkldnn.matmul.fp32_precision = 'bf16'",
]

_MEASURE = """
import torch
from layermix.geometry.precision import full_precision

def state():
    kinds = (torch.backends, torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)
    try:
        overall = torch.get_float32_matmul_precision()
    except RuntimeError:
        overall = "mixed"
    return [overall, *(kind.fp32_precision for kind in kinds)]

x = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
exact = x.double() @ x.double()
{setting}
before = state()
with full_precision(x.device):
    assert (x @ x - exact).abs().max() < 1e-4
    assert torch.get_float32_matmul_precision() == "highest"
assert state() == before, (before, state())
"""


@pytest.mark.parametrize("setting", _SETTINGS)
def test_a_setting_of_the_caller_neither_costs_digits_nor_is_lost(setting: str) -> None:
    code = _MEASURE.format(setting=setting)
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
