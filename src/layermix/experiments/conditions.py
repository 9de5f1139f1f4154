"""Under which conditions numbers were measured: versions and hardware."""

import importlib.metadata
import os
import platform
from pathlib import Path

import torch

import layermix
from layermix.experiments.training.recipe import pick_device

_PACKAGES = ("torch", "numpy", "scipy", "torchmetrics", "datasets")


def conditions(device: str) -> dict[str, str]:
    """Return versions, processor, cores and the device that runs use, by name."""
    found = {"python": platform.python_version(), "system": platform.system()}
    found |= {"layermix": layermix.__version__} | {name: _version(name) for name in _PACKAGES}
    found |= {"processor": _processor(), "cores": str(os.cpu_count())}
    picked = pick_device(device)
    cuda = picked.type == "cuda"
    found["device"] = torch.cuda.get_device_name(picked) if cuda else picked.type
    return found


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
