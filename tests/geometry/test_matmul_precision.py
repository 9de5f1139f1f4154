"""Products keep their digits at any setting of torch's precision, in both of its interfaces."""

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

# A setting cannot be undone wholly: each is made in a copy of a process that has none.
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
    """Return the settings of the caller that cost digits, or were lost."""
    words = [sys.executable, "-c", _MEASURE, *_SETTINGS]
    return json.loads(subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout)


@pytest.mark.parametrize("setting", _SETTINGS)
def test_a_setting_of_the_caller_neither_costs_digits_nor_is_lost(
    setting: str, failed: list[str]
) -> None:
    assert setting not in failed
