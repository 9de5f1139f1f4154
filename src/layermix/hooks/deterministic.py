"""Run a model in training mode without randomness: random operations return constants.

Two passes of a probe must give the same output for the same example. So dropout keeps everything,
stochastic depth keeps every layer, and noise is its mean plus one standard deviation. The dispatch
mode replaces ATen operations, so it works for layers of any library. It also saves a parameter
before an operation writes to it in place.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

_KEEP = 0.5  # a Bernoulli variable with at least this probability is one
_RATES = ("dropout_p", "dropout")  # dropout arguments of fused operations


def noise(shape: Sequence[int], seed: int = 0) -> Tensor:
    """Return float32 normal noise on the CPU; `Deterministic` does not make it constant."""
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape, np.float32))


class Deterministic(TorchDispatchMode):
    """Dispatch mode that saves changed parameters and, if `random_free`, makes draws constant."""

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
        kwargs, operation = kwargs or {}, _operation(func)
        if operation is None:
            return func(*args, **kwargs)
        given = dict(zip(operation.defaults, args, strict=False)) | kwargs
        for name in operation.written & given.keys():
            self._protect(given[name])
        if self._random_free:
            given |= dict.fromkeys(operation.rates & given.keys(), 0.0)
            if operation.constant is not None:
                return operation.constant(func, operation.defaults | given)
        count = len(args)
        return func(*[*given.values()][:count], **dict([*given.items()][count:]))

    def restore(self) -> None:
        """Restore the parameters that were changed."""
        for key, saved in self._saved.items():
            self._protected[key].copy_(saved)
        self._saved.clear()

    def _protect(self, value: Any) -> None:
        if not isinstance(value, Tensor) or not self._protected or not _is_plain(value):
            return
        key = value.untyped_storage().data_ptr()
        if key in self._protected and key not in self._saved:
            self._saved[key] = self._protected[key].clone()


class _Operation(NamedTuple):
    """The default arguments of an ATen operation, by name, and the function that replaces it."""

    defaults: dict[str, Any]
    written: set[str]  # arguments that are written in place
    rates: set[str]  # arguments that are dropout rates
    constant: "Constant | None"  # the replacement; None for other operations and random indices


@cache
def _operation(func: Any) -> _Operation | None:
    arguments = func._schema.arguments
    written = {a.name for a in arguments if a.alias_info is not None and a.alias_info.is_write}
    rates = {a.name for a in arguments if a.name in _RATES}
    random = torch.Tag.nondeterministic_seeded in func.tags
    constant = _CONSTANTS.get(func._schema.name.removeprefix("aten::")) if random else None
    if not (written or rates or constant):
        return None
    return _Operation({a.name: a.default_value for a in arguments}, written, rates, constant)


def _is_plain(value: Tensor) -> bool:
    return type(value) in (Tensor, nn.Parameter) and not value.is_meta and not value.is_nested


Constant = Callable[[Any, dict[str, Any]], Any]
"""A function that replaces a random operation, given the operation and its arguments by name."""


def _keep_all(func: Any, given: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Replace dropout: return its input, and a mask of ones."""
    x = given["input" if "input" in given else "self"]
    kind = torch.bool if func._schema.name == "aten::native_dropout" else torch.uint8
    return x.clone(), torch.ones_like(x, dtype=kind)


def _bernoulli(func: Any, given: dict[str, Any]) -> Tensor:
    """Replace Bernoulli draws: return the more likely value of each, in a new tensor."""
    x = given["self"]  # the probabilities, unless `p` is given
    likely = torch.as_tensor(given.get("p", x), device=x.device) >= _KEEP
    return likely.to(x.dtype).expand_as(x).clone()


def _normal(func: Any, given: dict[str, Any]) -> Tensor:
    """Replace normal draws: return mean + standard deviation, so that both have an effect."""
    result = func(**given)
    return result.copy_(torch.zeros_like(result) + given["mean"] + given["std"])


def _rrelu(func: Any, given: dict[str, Any]) -> Tensor:
    """Replace RReLU: return leaky ReLU with the mean of the slopes, as in eval mode."""
    x = given["self"]
    result = torch.nn.functional.leaky_relu(x, (given["lower"] + given["upper"]) / 2)
    return x.copy_(result) if func._schema.name.endswith("_") else result


def _fill(value: float) -> Constant:
    return lambda func, given: func(**given).fill_(value)


_CONSTANTS: dict[str, Constant] = {
    "native_dropout": _keep_all,
    "_fused_dropout": _keep_all,
    "bernoulli": _bernoulli,
    "bernoulli_": lambda func, given: given["self"].copy_(_bernoulli(func, given)),
    "rand": _fill(0.5),
    "rand_like": _fill(0.5),
    "uniform_": lambda func, given: given["self"].fill_((given["from"] + given["to"]) / 2),
    "randn": _fill(1.0),
    "randn_like": _fill(1.0),
    "normal": _normal,
    "normal_": lambda func, given: given["self"].fill_(given["mean"] + given["std"]),
    "exponential_": _fill(1.0),
    "rrelu_with_noise": _rrelu,
    "rrelu_with_noise_": _rrelu,
}
