"""Products are exact at any matmul precision of torch, in both of its interfaces."""

import json
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

# A setting cannot be undone completely, so each one is changed in a forked process.
_MEASURE = """
import json, os, sys, torch
from layermix.geometry.distances import exact_products

def state():
    kinds = (torch.backends, torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)
    try:
        overall = torch.get_float32_matmul_precision()
    except RuntimeError:
        overall = "mixed"
    return [overall, *(kind.fp32_precision for kind in kinds)]

def measure(setting):
    x = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
    exact = x.double() @ x.double()
    exec(setting)
    before = state()
    with exact_products(x.device):
        assert (x @ x - exact).abs().max() < 1e-4
        assert torch.get_float32_matmul_precision() == "highest"
    assert state() == before, (before, state())

torch.set_num_threads(1)
failed = []
for setting in sys.argv[1:]:
    if child := os.fork():
        failed += [setting] * (os.waitpid(child, 0)[1] != 0)
    else:
        measure(setting)
        os._exit(0)
print(json.dumps(failed))
"""


@pytest.fixture(scope="module")
def failed() -> list[str]:
    """Return the settings that made products imprecise or were not restored."""
    command = [sys.executable, "-c", _MEASURE, *_SETTINGS]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


@pytest.mark.parametrize("setting", _SETTINGS)
def test_products_are_exact_and_the_setting_is_restored(setting: str, failed: list[str]) -> None:
    assert setting not in failed
