"""Compare the gradients of two ways to compute a loss, such as a compiled model, on one batch."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from layermix.errors import warn
from layermix.lab.training.environment import torch_seed

TOLERANCE = 1e-3
"""Maximum difference of gradients, relative to their norm; a wrong gradient differs by about 1.

Compiled graphs round other values than eager operations, which differs by 1e-5 in float32. In
bfloat16, gradients may differ more from those in float32, by three times as much as eager ones.
"""
_HALF = 3
_FLOOR = 0.01  # times the root mean square of all gradient norms; smaller gradients are noise

Gradients = dict[str, Tensor]
Context = Callable[[], AbstractContextManager]


def compiled(model: nn.Module) -> Any:
    """Compile a model; torch loads kernels of earlier runs from its cache on disk.

    The compiler is reset first. Otherwise torch would reuse the code of another model of the same
    class, without the hooks of this model.
    """
    torch.compiler.reset()
    return torch.compile(model)


def has_equal_gradients(
    model: nn.Module,
    compiled: Any,
    loss_of: Callable[[Any], Tensor],
    exact: Context | None = None,
) -> bool:
    """Return True if a compiled model has the gradients of the model; otherwise warn.

    ``loss_of(model)`` returns the loss of a batch, (), and is called with both models. Their
    buffers, such as norm statistics, are restored. If the gradients of the model itself depend on
    the random seed, as with dropout, the two are not compared. If the loss is computed in bfloat16,
    it is computed in float32 inside ``exact()``.
    """

    def gradients(which: Any, seed: int = 0, context: Context = nullcontext) -> Gradients:
        with context():
            return gradients_of(model, partial(loss_of, which), seed)

    eager = gradients(model)
    if max(_differences(eager, gradients(model, seed=1)).values(), default=0) > TOLERANCE:
        return True
    right, allowed = eager, dict.fromkeys(eager, TOLERANCE)
    if exact:
        right = gradients(model, context=exact)
        errors = _differences(right, eager)
        allowed = {name: TOLERANCE + _HALF * error for name, error in errors.items()}
    found = _differences(right, gradients(compiled))
    worst = max(found, key=lambda name: found[name] / allowed.get(name, TOLERANCE))
    if found[worst] <= allowed.get(worst, TOLERANCE):
        return True
    warn(
        f"the compiled model has wrong gradients in the first batch: those of {worst!r} differ by "
        f"{found[worst]:.2g} of their norm (the tolerance is {allowed.get(worst, TOLERANCE):.2g}), "
        "so training goes on without compiling"
    )
    return False


def are_equal(model: nn.Module, loss_of: Callable[[], Tensor], other: Context) -> bool:
    """Return True if the gradients of a loss are the same outside and inside ``other()``.

    If the loss raises an error outside, they are not.
    """
    try:
        found = gradients_of(model, loss_of)
    except Exception:  # such as one for a dtype; others are raised again in the step
        model.zero_grad()
        return False
    with other():
        right = gradients_of(model, loss_of)
    return max(_differences(right, found).values(), default=0) <= TOLERANCE


def gradients_of(model: nn.Module, loss_of: Callable[[], Tensor], seed: int = 0) -> Gradients:
    """Return the gradients of a loss by the name of the parameter, float64; restore all buffers."""
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    try:
        with torch_seed(seed):
            loss_of().backward()
        named = model.named_parameters()
        found = {n: p.grad.double() for n, p in named if p.grad is not None}
    finally:
        with torch.no_grad():
            for name, buffer in model.named_buffers():
                buffer.copy_(buffers[name])
    model.zero_grad(set_to_none=True)
    return found


def _differences(right: Gradients, other: Gradients) -> dict[str, float]:
    """Return the relative difference of the gradients of each parameter.

    It is infinite for gradients that are missing or not finite in only one of them.
    """
    norms = {name: float(gradient.norm()) for name, gradient in right.items()}
    floor = _FLOOR * math.sqrt(sum(norm**2 for norm in norms.values()) / max(1, len(norms)))

    def difference(name: str) -> float:
        if name not in right or name not in other:
            return math.inf
        gap = float((right[name] - other[name]).norm())
        if math.isnan(gap):
            return 0.0 if math.isnan(norms[name]) else math.inf
        return gap / max(norms[name], floor) if gap else 0.0

    return {name: difference(name) for name in {**right, **other}}
