"""The environment of a run: device, threads, seeds, versions and hardware."""

import importlib.metadata
import os
import platform
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import layermix
from layermix.errors import InputError
from layermix.lab.reasons import reason_of
from layermix.lab.typed import require_range
from layermix.mixing.distributed import rank_info

_THREADS = 1024
_PACKAGES = ("torch", "numpy", "scipy", "torchmetrics", "datasets")


@dataclass(frozen=True)
class RunSeeds:
    """Seeds of the random generators of a run, all derived from one seed.

    All variants with the same seed start with the same weights and train on the same images, in the
    same order and with the same augmentation. Only the random draws of mixing differ.
    """

    init: int
    order: int
    augment: int
    mix: int
    model: int

    @classmethod
    def of(cls, seed: int) -> "RunSeeds":
        """Derive all seeds of a run from one seed."""
        return cls(*(int(s) for s in np.random.SeedSequence(seed).generate_state(5, np.uint32)))


@contextmanager
def torch_seed(seed: int) -> Iterator[None]:
    """Seed torch's global generators inside the block, and restore their state afterwards."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


@contextmanager
def all_seeds(seed: int) -> Iterator[None]:
    """Seed the generators of torch, NumPy and Python inside the block; restore them afterwards."""
    python, state = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    try:
        with torch_seed(seed):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(state)


@contextmanager
def cpu_settings(threads: int | None) -> Iterator[None]:
    """Set the number of CPU threads inside the block, if given, and flush denormal numbers to zero.

    Denormal weights and optimizer states make CPUs many times slower.
    """
    before = torch.get_num_threads()
    # torch has no function that returns the current setting.
    flushes = float(torch.tensor(1e-310, dtype=torch.float64) + 0.0) == 0.0
    torch.set_flush_denormal(True)
    try:
        torch.set_num_threads(threads or before)
        yield
    finally:
        torch.set_num_threads(before)
        torch.set_flush_denormal(flushes)


@contextmanager
def fast_convolutions() -> Iterator[None]:
    """Inside the block, cuDNN measures which of its algorithms is the fastest for each shape.

    So gradients of two equal runs on a GPU may differ by rounding.
    """
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def pick_device(name: str) -> torch.device:
    """Return the device called `name`; ``auto`` is a GPU if there is one, else the CPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"device {name!r} is not available: {reason_of(error)}. Use --device auto"
        ) from error
    if device.type == "meta":
        raise InputError("device 'meta' has no values: use --device auto")
    return device


def check_threads(threads: int | None) -> None:
    """Raise an `InputError` if a number of CPU threads is invalid; None is torch's default."""
    require_range("threads", threads, 1, _THREADS)


def conditions(device: str) -> dict[str, str]:
    """Return the conditions of a run by name: versions, hardware, device."""
    picked = pick_device(device)
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "layermix": layermix.__version__,
        **{package: _version(package) for package in _PACKAGES},
        "processor": _processor(),
        "vector instructions": torch.backends.cpu.get_cpu_capability(),
        "cores": str(os.cpu_count()),
        "processes": str(rank_info()[1]),
        "device": torch.cuda.get_device_name(picked) if picked.type == "cuda" else picked.type,
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
