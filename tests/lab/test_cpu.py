"""How a run uses the CPU: large memory is kept, and the caller's settings come back."""

import ctypes
import subprocess
import sys

import pytest
import torch

from layermix.lab.training.cpu import cpu_settings

# What malloc tells of its memory, in bytes, after the first and the last of ten tensors of 64 MiB:
# how much is free but held, and how much it got from the system in all. (The system's counts of
# page faults would tell as much, but some systems keep none.) In a process of its own, for glibc
# keeps memory of the main thread alone.
MEMORY = """
import ctypes
import torch
from layermix.lab.training.cpu import kept_memory

class Memory(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd",
            "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    ]

libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Memory

def after_a_large_tensor():
    torch.ones(2**24)
    memory = libc.mallinfo2()
    return memory.fordblks, memory.arena + memory.hblkhd

def first_and_last():
    told = [after_a_large_tensor() for _ in range(10)]
    return *told[0], *told[-1]

print(*first_and_last())
with kept_memory():
    print(*first_and_last())
"""


@pytest.mark.skipif(
    not (sys.platform.startswith("linux") and hasattr(ctypes.CDLL(None), "mallinfo2")),
    reason="this is about glibc from 2.33 on",
)
def test_freed_memory_is_kept_and_used_again() -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True
    )
    usual, kept = (tuple(map(int, line.split())) for line in done.stdout.splitlines())
    tensor = 2**26
    assert max(usual[::2]) < tensor
    assert min(kept[::2]) >= tensor
    assert kept[3] - kept[1] < 2 * tensor


def test_threads_and_tiny_numbers_are_as_before() -> None:
    threads, tiny = torch.get_num_threads(), torch.tensor(1e-310, dtype=torch.float64)
    with cpu_settings(threads=1):
        assert torch.get_num_threads() == 1
        assert float(tiny + 0.0) == 0
    assert torch.get_num_threads() == threads
    assert float(tiny + 0.0) == 1e-310
