"""Run a model in training mode without randomness: random operations return constants.

Two forward passes must agree for the same example. Therefore dropout keeps everything, stochastic
depth keeps every layer, and noise is the mean of its distribution plus one standard deviation. The
mode replaces ATen operations, so functional dropout and layers of any library are included.

It also saves parameters before an operation writes them in place, so that they can be restored.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

_KEEP = 0.5  # a Bernoulli variable with at least this probability is one
_RATES = ("dropout_p", "dropout")  # arguments of fused operations that drop inside


def noise(shape: Sequence[int], seed: int = 0) -> Tensor:
    """Return normal noise, float32 on the CPU, that `Deterministic` does not replace."""
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape, np.float32))


class Deterministic(TorchDispatchMode):
    """Replace random operations by constants, if `random_free`, and protect parameters.

    `restore` undoes all writes to the parameters.
    """

    def __init__(self, parameters: Iterable[nn.Parameter] = (), random_free: bool = True) -> None:
        super().__init__()
        self._random_free = random_free
        self._protected = {
            p.untyped_storage().data_ptr(): p.data for p in parameters if _is_plain(p)
        }
        self._saved: dict[int, Tensor] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        change = _changed(func)
        for index in change.written:
            if index < len(args):
                self._protect(args[index])
        if "out" in kwargs:
            self._protect(kwargs["out"])
        if self._random_free and change.rates:
            args, kwargs = change.without_dropout(args, kwargs)
        if self._random_free and change.constant is not None:
            return change.constant(func, args, kwargs)
        return func(*args, **kwargs)

    def restore(self) -> None:
        """Write back the parameters that were changed."""
        for key, saved in self._saved.items():
            self._protected[key].copy_(saved)
        self._saved.clear()

    def _protect(self, value: Any) -> None:
        if not isinstance(value, Tensor) or not self._protected or not _is_plain(value):
            return
        key = value.untyped_storage().data_ptr()
        if key in self._protected and key not in self._saved:
            self._saved[key] = self._protected[key].clone()


class _Change:
    """The replacement of one operation."""

    def __init__(self, func: Any) -> None:
        arguments = func._schema.arguments
        random = torch.Tag.nondeterministic_seeded in func.tags
        name = func._schema.name.removeprefix("aten::")
        self.constant = _CONSTANTS.get(name) if random else None  # not for samples of indices
        # Indices of written arguments, and of dropout rates by their names.
        self.written = [
            k for k, a in enumerate(arguments) if a.alias_info is not None and a.alias_info.is_write
        ]
        self.rates = {a.name: k for k, a in enumerate(arguments) if a.name in _RATES}

    def without_dropout(self, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
        for name, index in self.rates.items():
            if index < len(args):
                args = (*args[:index], 0.0, *args[index + 1 :])
            elif name in kwargs:
                kwargs = {**kwargs, name: 0.0}
        return args, kwargs


_changed = cache(_Change)


def _is_plain(value: Tensor) -> bool:
    return type(value) in (Tensor, nn.Parameter) and not value.is_meta and not value.is_nested


Constant = Callable[[Any, tuple, Mapping[str, Any]], Any]


def _given(args: tuple, kwargs: Mapping[str, Any], index: int, name: str, default: Any) -> Any:
    return args[index] if len(args) > index else kwargs.get(name, default)


def _keep_all(func: Any, args: tuple, kwargs: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """Dropout that keeps everything, with its mask."""
    x = args[0]
    kind = torch.bool if func._schema.name == "aten::native_dropout" else torch.uint8
    return x.clone(), torch.ones_like(x, dtype=kind)


def _bernoulli(func: Any, args: tuple, kwargs: Mapping[str, Any]) -> Tensor:
    """The more likely value of each Bernoulli variable, in a new tensor."""
    x, p = args[0], _given(args, kwargs, 1, "p", None)
    if p is None or isinstance(p, torch.Generator):
        p = x  # the tensor holds the probabilities
    likely = torch.as_tensor(p, device=x.device) >= _KEEP
    return likely.to(x.dtype).expand_as(x).clone()


def _bernoulli_(func: Any, args: tuple, kwargs: Mapping[str, Any]) -> Tensor:
    return args[0].copy_(_bernoulli(func, (args[0], _given(args, kwargs, 1, "p", 0.5)), {}))


def _uniform_(func: Any, args: tuple, kwargs: Mapping[str, Any]) -> Tensor:
    low, high = _given(args, kwargs, 1, "from", 0.0), _given(args, kwargs, 2, "to", 1.0)
    return args[0].fill_((low + high) / 2)


def _normal(func: Any, args: tuple, kwargs: Mapping[str, Any]) -> Tensor:
    """Mean plus standard deviation, so that both still reach the output."""
    result = func(*args, **kwargs)
    mean, std = _given(args, kwargs, 0, "mean", 0.0), _given(args, kwargs, 1, "std", 1.0)
    return result.copy_(torch.zeros_like(result) + mean + std)


def _normal_(func: Any, args: tuple, kwargs: Mapping[str, Any]) -> Tensor:
    mean, std = _given(args, kwargs, 1, "mean", 0.0), _given(args, kwargs, 2, "std", 1.0)
    return args[0].fill_(mean + std)


def _rrelu(func: Any, args: tuple, kwargs: Mapping[str, Any]) -> Tensor:
    """Leaky ReLU with the mean of the slopes, as in evaluation."""
    low, high = _given(args, kwargs, 2, "lower", 1 / 8), _given(args, kwargs, 3, "upper", 1 / 3)
    result = torch.nn.functional.leaky_relu(args[0], (low + high) / 2)
    return args[0].copy_(result) if func._schema.name.endswith("_") else result


def _fill(value: float) -> Constant:
    return lambda func, args, kwargs: func(*args, **kwargs).fill_(value)


_CONSTANTS: dict[str, Constant] = {
    "native_dropout": _keep_all,
    "_fused_dropout": _keep_all,
    "bernoulli": _bernoulli,
    "bernoulli_": _bernoulli_,
    "rand": _fill(0.5),
    "rand_like": _fill(0.5),
    "uniform_": _uniform_,
    "randn": _fill(1.0),
    "randn_like": _fill(1.0),
    "normal": _normal,
    "normal_": _normal_,
    "exponential_": _fill(1.0),
    "rrelu_with_noise": _rrelu,
    "rrelu_with_noise_": _rrelu,
}
