"""torch's profiler, without its own messages."""

import os

from torch.profiler import ProfilerActivity, profile


def profiler(device: str, *, profile_memory: bool = False) -> profile:
    """Return a profiler of the CPU, and of a GPU where that is the device."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    gpu = [ProfilerActivity.CUDA] if device == "cuda" else []
    return profile(activities=[ProfilerActivity.CPU, *gpu], profile_memory=profile_memory)
