"""How a run uses the CPU: the caller's settings come back."""

import torch

from layermix.experiments.training.environment import cpu_settings


def test_threads_and_tiny_numbers_are_as_before() -> None:
    threads, tiny = torch.get_num_threads(), torch.tensor(1e-310, dtype=torch.float64)
    with cpu_settings(threads=1):
        assert torch.get_num_threads() == 1
        assert float(tiny + 0.0) == 0
    assert torch.get_num_threads() == threads
    assert float(tiny + 0.0) == 1e-310
