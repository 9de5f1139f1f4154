"""Count the operations that PyTorch dispatches: launches, transfers and waits."""

from collections import Counter
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

_WAITS = {"_local_scalar_dense", "item", "nonzero", "is_nonzero", "equal"}
_MEMORY = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "detach"}
_MEMORY |= {"resize_as_", "set_", "promote_types"}


class Counting(TorchDispatchMode):
    """Counts dispatched operations by kind: launches, transfers and waits."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[tuple[str, str]] = Counter()
        self.part = ""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Count one operation and run it."""
        found = func(*args, **kwargs or {})
        library, _, name = func._schema.name.partition("::")
        if name in _WAITS:
            self.counts[self.part, "waits"] += 1
        elif _is_transfer(args, found):
            self.counts[self.part, "transfers"] += 1
        elif not _is_view(func) and name not in _MEMORY and library != "profiler":
            self.counts[self.part, "launches"] += 1
        return found


def _is_view(func: Any) -> bool:
    aliases = [each.alias_info for each in func._schema.returns]
    return any(alias is not None and not alias.is_write for alias in aliases)


def _is_transfer(args: tuple, found: Any) -> bool:
    tensors = [each for each in args if isinstance(each, Tensor)]
    return isinstance(found, Tensor) and any(each.device != found.device for each in tensors)
