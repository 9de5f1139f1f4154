"""To a device without waiting for it, in the precision that it has."""

import torch
from torch import Tensor


def moved(tensor: Tensor, device: torch.device | str) -> Tensor:
    """Return a tensor on a device; a GPU that is still at work is not waited for.

    A plain copy to a GPU waits for all that was asked of it before; one from pinned memory is only
    put in line. float64 becomes float32 on a device without it.
    """
    if tensor.dtype == torch.float64:
        tensor = tensor.to(precise(device))
    if tensor.device.type == "cpu" and torch.device(device).type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def precise(device: torch.device | str) -> torch.dtype:
    """Return float64, in which ratios are exact; float32 on a device without it."""
    return torch.float32 if torch.device(device).type == "mps" else torch.float64
