"""Compile a model, and compare its gradients with those of the model itself, on one batch."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from layermix.errors import warn
from layermix.lab.training.environment import torch_seed

TOLERANCE, HALF_TOLERANCE = 1e-3, 0.1
"""Maximum relative difference of gradients, in float32 and in bfloat16.

Compiled graphs round other values than eager operations: 1e-5 is usual in float32, 0.02 in
bfloat16, and a wrong gradient differs by 1.
"""
_FLOOR = 0.01  # times the root mean square of all gradient norms; smaller gradients are noise

Gradients = dict[str, Tensor]


def compiled(model: nn.Module) -> Any:
    """Compile a model; torch loads kernels of earlier runs from its cache on disk.

    The compiler is reset first. Otherwise torch would reuse the code of another model of the same
    class, without the hooks of this model.
    """
    torch.compiler.reset()
    return torch.compile(model)


def has_equal_gradients(
    model: nn.Module, compiled: Any, loss_of: Callable[[Any], Tensor], *, half: bool
) -> bool:
    """Return True if a compiled model has the gradients of the model; otherwise warn.

    ``loss_of(model)`` returns the loss of a batch, (), and is called with both models. Their
    buffers, such as norm statistics, are restored. If the gradients of the model itself depend on
    the random seed, as with dropout, the two are not compared. The tolerance is that of bfloat16
    if `half` is True.
    """
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}

    def gradients(which: Any, seed: int) -> Gradients:
        with torch_seed(seed):
            loss_of(which).backward()
        found = {n: p.grad.detach() for n, p in model.named_parameters() if p.grad is not None}
        model.zero_grad(set_to_none=True)
        with torch.no_grad():
            for name, buffer in model.named_buffers():
                buffer.copy_(buffers[name])
        return found

    eager, tolerance = gradients(model, 0), HALF_TOLERANCE if half else TOLERANCE
    if _worst(eager, gradients(model, 1))[1] > TOLERANCE:
        return True
    name, difference = _worst(eager, gradients(compiled, 0))
    if difference > tolerance:
        warn(
            f"the compiled model has wrong gradients in the first batch: those of {name!r} differ "
            f"by {difference:.2g} of their norm (the tolerance is {tolerance:g}), so training goes "
            "on without compiling"
        )
    return difference <= tolerance


def _worst(one: Gradients, other: Gradients) -> tuple[str, float]:
    """Return the parameter whose gradients differ most, and the relative difference.

    It is infinite for gradients that are missing or not finite in only one of them.
    """
    norms = {name: float(gradient.double().norm()) for name, gradient in one.items()}
    floor = _FLOOR * math.sqrt(sum(norm**2 for norm in norms.values()) / max(1, len(norms)))

    def difference(name: str) -> float:
        if name not in one or name not in other:
            return math.inf
        gap = float((one[name].double() - other[name].double()).norm())
        if math.isnan(gap):
            return 0.0 if math.isnan(norms[name]) else math.inf
        return gap / max(norms[name], floor) if gap else 0.0

    return max(((n, difference(n)) for n in {**one, **other}), key=lambda pair: pair[1])
