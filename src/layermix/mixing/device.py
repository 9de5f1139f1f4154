"""To a device without waiting for it."""

import torch
from torch import Tensor


def moved(tensor: Tensor, device: torch.device | str) -> Tensor:
    """Return a tensor on a device; a GPU that is still at work is not waited for.

    A plain copy to a GPU waits for all that was asked of it before; one from pinned memory is only
    put in line.
    """
    if tensor.device.type == "cpu" and torch.device(device).type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
