"""Mixing under autocast: an activation is mixed in its own dtype, whatever autocast would take.

Matrix products inside a blend would otherwise come out in half precision, and no longer weigh the
activation as the label is weighed.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def full_precision(x: Tensor) -> AbstractContextManager:
    """Return a context without autocast on the device of `x`."""
    kind = x.device.type
    if kind == "meta" or not torch.is_autocast_enabled(kind):
        return _NOTHING
    return torch.autocast(kind, enabled=False)


_NOTHING = nullcontext()
