"""Tests of the environment of a run: CPU settings are restored, unavailable devices raise."""

import pytest
import torch

from layermix import InputError
from layermix.lab.training.environment import cpu_settings, fast_convolutions, pick_device


def test_cpu_settings_restore_threads_and_denormal_numbers() -> None:
    threads, tiny = torch.get_num_threads(), torch.tensor(1e-310, dtype=torch.float64)
    with cpu_settings(threads=1):
        assert torch.get_num_threads() == 1
        assert float(tiny + 0.0) == 0
    assert torch.get_num_threads() == threads
    assert float(tiny + 0.0) == 1e-310


def test_unavailable_device_raises() -> None:
    with pytest.raises(InputError, match="device 'gpu' is not available"):
        pick_device("gpu")


def test_fast_convolutions_are_only_used_inside_the_block() -> None:
    before = torch.backends.cudnn.benchmark
    with fast_convolutions():
        assert torch.backends.cudnn.benchmark
    assert torch.backends.cudnn.benchmark == before
