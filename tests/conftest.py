"""What every test gets: one thread, a seed, and no compiled code left over from other tests."""

import os
from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings

settings.register_profile("busy", deadline=None)  # cores may be shared
settings.load_profile("busy")


def pytest_configure() -> None:
    """Give each of several test processes one thread, and one to each process that it starts."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        torch.set_num_threads(1)
        os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def same_start() -> None:
    """Start every test from the same global random state, on one thread."""
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture
def fresh_compiler() -> Iterator[None]:
    """Give a test a compiler that has compiled nothing yet."""
    torch.compiler.reset()
    yield
    torch.compiler.reset()
