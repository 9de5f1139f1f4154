"""How a run uses the CPU: large memory is kept, and the caller's settings come back."""

import subprocess
import sys

import pytest
import torch

from layermix.lab.training.cpu import cpu_settings

# How many pages the system hands out for the last of four tensors of 64 MiB, one after another.
# In a process of its own, for glibc keeps memory of the main thread alone.
FAULTS = """
import resource
import torch
from layermix.lab.training.cpu import kept_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def of_a_large_tensor():
    for _ in range(3):
        torch.ones(2**24)
    before = faults()
    torch.ones(2**24)
    return faults() - before

with kept_memory():
    kept = of_a_large_tensor()
print(kept, of_a_large_tensor())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="this is about glibc")
def test_freed_memory_is_kept_and_used_again() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True
    )
    kept, usual = map(int, done.stdout.split())
    assert kept < usual / 4


def test_threads_and_tiny_numbers_are_as_before() -> None:
    threads, tiny = torch.get_num_threads(), torch.tensor(1e-310, dtype=torch.float64)
    with cpu_settings(threads=1):
        assert torch.get_num_threads() == 1
        assert float(tiny + 0.0) == 0
    assert torch.get_num_threads() == threads
    assert float(tiny + 0.0) == 1e-310
