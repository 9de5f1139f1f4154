"""The Triton kernel, run by the interpreter of Triton on the CPU."""

import os
import subprocess
import sys

import pytest

VALUES = """
import torch
from layermix.mixing.blends.linear_triton import mix_rows

for dtype in (torch.float32, torch.bfloat16, torch.float16):
    for n in (1, 5, 100, 3000):
        for ratio in (torch.tensor(0.3), torch.rand(7), *torch.rand(8).double().split([1, 7])):
            for back in (False, True):
                x, partner = torch.randn(7, n).to(dtype), torch.randperm(7)
                rest = (1 - ratio)[partner] if back and ratio.numel() > 1 else 1 - ratio
                own, rest = (each.reshape(-1, 1) for each in (ratio, rest))
                exact = own * x.float() + rest * x.float()[partner]
                found = mix_rows(x, own.flatten().contiguous(), partner, back)
                assert found.dtype == dtype
                error = (found.float() - exact).abs().max()
                assert error <= 4 * torch.finfo(dtype).eps * x.abs().max(), (dtype, n, back)
for outside in (-1, 7, 10**9):
    partner[3] = outside
    missing = mix_rows(x, ratio, partner).isnan().all(1)
    assert missing.tolist() == [k == 3 for k in range(7)]
print("right")
"""

ZERO_WEIGHTS = """
import torch
from layermix.mixing.blends.linear_triton import mix_rows

x = torch.tensor([[0.0, -torch.inf], [torch.inf, 1.0], [torch.nan, 2.0]])
partner = torch.tensor([1, 2, 0])
for ratio, rows in ((0.0, [1, 2, 0]), (1.0, [0, 1, 2]), ([1.0, 0.0, 0.0], [0, 2, 0])):
    ratio = torch.tensor(ratio).reshape(-1)
    found = mix_rows(x, ratio, partner)
    torch.testing.assert_close(found, x[rows], equal_nan=True)
ratio = torch.tensor([1.0, 0.0, 0.0])
back = mix_rows(x, ratio, partner, True)
expected = torch.stack([x[0] + x[1], x[2], torch.zeros(2)])
torch.testing.assert_close(back, expected, equal_nan=True)
print("right")
"""


def run_interpreted(code: str) -> None:
    pytest.importorskip("triton")
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    assert done.stdout == "right\n", done.stderr


def test_triton_kernel_equals_the_definition() -> None:
    run_interpreted(VALUES)


@pytest.mark.slow
def test_triton_kernel_ignores_rows_of_zero_weight() -> None:
    run_interpreted(ZERO_WEIGHTS)
