"""How a run uses the CPU: large memory is kept, and the caller's settings come back."""

import resource
import sys

import pytest
import torch

from layermix.lab.training.cpu import cpu_settings, kept_memory


def faults() -> int:
    """Return how many pages of memory the system has handed to this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def faults_of_a_large_tensor() -> int:
    """Return how many it hands out for the second of two tensors of 64 MiB, one after another."""
    torch.ones(2**24)
    before = faults()
    torch.ones(2**24)
    return faults() - before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="this is about glibc")
def test_freed_memory_is_kept_and_used_again() -> None:
    with kept_memory():
        kept = faults_of_a_large_tensor()
    assert kept < faults_of_a_large_tensor() / 4


def test_threads_and_tiny_numbers_are_as_before() -> None:
    threads, tiny = torch.get_num_threads(), torch.tensor(1e-310, dtype=torch.float64)
    with cpu_settings(threads=1):
        assert torch.get_num_threads() == 1
        assert float(tiny + 0.0) == 0
    assert torch.get_num_threads() == threads
    assert float(tiny + 0.0) == 1e-310
