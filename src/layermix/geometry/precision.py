"""Matrix products at the precision of their operands, whatever the caller has allowed."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Multiply float32 matrices in float32: no autocast, no TF32 or bfloat16 inside."""
    switches = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)  # pyright: ignore[reportAttributeAccessIssue]
    before = [switch.fp32_precision for switch in switches]
    overall = _overall()
    try:
        if overall is None:
            for switch in switches:
                switch.fp32_precision = "ieee"
        else:
            torch.set_float32_matmul_precision("highest")
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        if overall is not None:
            torch.set_float32_matmul_precision(overall)
        for switch, precision in zip(switches, before, strict=True):
            switch.fp32_precision = precision


def _overall() -> str | None:
    """Return torch's one setting for all devices; None where each device has its own.

    torch has two ways to set the precision. Asked by the old one, it raises an error once the new
    one was used, and on a GPU a product raises when the two disagree: so the one in use is kept to.
    """
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:
        return None
