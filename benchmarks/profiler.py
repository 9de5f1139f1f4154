"""torch's profiler, without log messages."""

import os

from torch.profiler import ProfilerActivity, profile


def profiler(device: str, *, profile_memory: bool = False) -> profile:
    """Return a profiler of the CPU, and also of the GPU if `device` is ``"cuda"``."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    gpu = [ProfilerActivity.CUDA] if device == "cuda" else []
    return profile(activities=[ProfilerActivity.CPU, *gpu], profile_memory=profile_memory)
