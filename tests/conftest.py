"""Options and fixtures of all tests: one thread, a fixed seed, and a reset of the compiler.

With ``--core``, tests that need a missing library of experiments or examples are skipped.
Without the option, a missing library is an error.
"""

import gc
import os
import re
from collections.abc import Generator, Iterator

import pytest
import torch
from hypothesis import settings

settings.register_profile("busy", deadline=None)  # cores may be shared
settings.load_profile("busy")


def pytest_configure() -> None:
    """Use one thread in each process of pytest-xdist, and in its child processes."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        torch.set_num_threads(1)
        os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option ``--core``."""
    parser.addoption("--core", action="store_true", help="skip tests of libraries that are missing")


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """With ``--core``, skip a file that imports a missing library."""
    report = yield
    missing = re.search(r"No module named '(\w+)", str(report.longrepr or ""))
    if report.failed and missing and collector.config.option.core:
        report.outcome = "skipped"
        report.longrepr = (str(collector.path), 0, f"Skipped: {missing[1]} is not installed")
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """With ``--core``, skip a test that imports a missing library."""
    try:
        return (yield)
    except ModuleNotFoundError as error:
        if item.config.option.core:
            pytest.skip(f"{error.name} is not installed")
        raise


def pytest_collection_finish() -> None:
    """Exclude the imported libraries from garbage collection, which would visit them each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def fixed_seed_and_one_thread() -> None:
    """Run every test with the same global random state and on one thread."""
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture
def fresh_compiler() -> Iterator[None]:
    """Reset the compiler before and after a test."""
    torch.compiler.reset()
    yield
    torch.compiler.reset()
