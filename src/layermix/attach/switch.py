"""The switch of a mixer: which plan its hooks carry out now, if any.

There are two ways to tell a hook whether the plan is for its mix point. By name: only the hook of
the plan's point does anything, and a compiled model has one graph for each point. By a tensor (one
graph): every hook mixes at every step, and what is not wanted is thrown away, so that one graph
serves all points.
"""

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn

from layermix.errors import RunError
from layermix.mixing import Plan


class Switch:
    """The plan that all hooks of one mixer look at.

    Parameters
    ----------
    points
        The mix points, for hooks that shall make one graph of all of them; None for hooks that
        compare names.
    """

    def __init__(self, points: Sequence[str] | None = None) -> None:
        self.plan: Plan | None = None  # set during a mixed forward
        self.replay: Plan | None = None  # of the last forward: what a recomputation must repeat
        self.fired: set[str] = set()  # where a hook mixed during the present forward
        self._points = points
        self._pick: Tensor | None = None  # bool (P,): which of the points is the plan's

    @contextmanager
    def on(self, plan: Plan) -> Iterator[None]:
        """Carry out a plan in the forward pass inside the ``with`` block; it must be one."""
        plan.left.clear()  # what another forward has left does not count
        self.fired = set()
        if self._points:
            picked = [point == plan.point and not plan.still for point in self._points]
            self._pick = torch.tensor(picked, device=plan.ratio.device)
        # In one graph a step without mixing is one that picks nothing.
        moving = replace(plan, still=False) if self._points and plan.still else plan
        self.plan = self.replay = moving
        try:
            yield
        except RuntimeError as error:
            if plan.grows and self.fired and not isinstance(error, RunError):
                raise RunError(_grown(plan)) from error
            raise
        finally:
            self.plan = None
        if plan.point not in self.fired:
            raise RunError(
                f"nothing was mixed: no forward pass came by mix point {plan.point!r}. "
                "Call the model inside the block, and build the mixer before the first call "
                "of a compiled model, with torch.compiler.reset() before it where another model of "
                "the same class was compiled. Where training leaves layers out at random, switch "
                "that off (layerdrop=0)"
            )

    def current(self, module: nn.Module) -> Plan | None:
        """Return the plan to carry out now, as `module` is passed.

        Activation checkpointing runs a forward again inside the backward pass, after the plan was
        taken off; there the plan of the last forward still holds, which had none if it was plain.
        """
        if self.plan is None and not torch.compiler.is_compiling():
            if in_backward():
                return self.replay
            if module.training or torch.is_grad_enabled():  # not an evaluation on the way
                self.replay = None
        return self.plan

    def here(self, plan: Plan, *points: str) -> bool | Tensor:
        """Return whether a plan mixes at one of the points: bool (), a tensor in one graph."""
        if not self._points or self._pick is None:
            return plan.point in points
        picked = [self._pick[self._points.index(point)] for point in points]
        return functools.reduce(torch.logical_or, picked)


def _grown(plan: Plan) -> str:
    """Say why a forward failed behind a mix of more rows than the batch has."""
    return (
        f"the forward pass failed behind mix point {plan.point!r}: the blend {plan.blend!r} "
        f"returns more rows there than the batch of {plan.batch_size} has, and what follows does "
        "not take them. Mix at a point after which nothing else of the batch comes in, such as "
        "'final', and never inside a residual branch"
    )


def only(here: bool | Tensor, mixed: Tensor, own: Tensor) -> Tensor:
    """Return what was mixed if the plan mixes here, and what there was otherwise."""
    return torch.where(here, mixed, own) if isinstance(here, Tensor) else mixed


def in_backward() -> bool:
    """Return whether a backward pass is under way, whose forwards are those of checkpointing."""
    return not torch.compiler.is_compiling() and torch._C._current_graph_task_id() != -1
