"""The mixing state of a mixer: which plan its hooks carry out in the current forward pass.

There are two ways in which a hook finds out that the plan is for its mix point. By name: only the
hook of the plan's point mixes, and a compiled model has one graph for each point. By a tensor (one
graph): every hook mixes in every step, and unwanted results are discarded, so that one graph serves
all points.

A plan is visible to the thread that applies it alone. Activation checkpointing runs a forward pass
again inside the backward pass. The recomputation belongs to the autograd node that needs it, and
the sequence number of this node (numbers grow in the order in which a thread creates nodes) belongs
to one forward pass, so that each recomputation mixes by the plan of its own forward pass. With
nested reentrant checkpointing, a recomputation inside another one has the plan of that one.
"""

import functools
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.utils.checkpoint import CheckpointFunction

from layermix.errors import RunError
from layermix.mixing import Plan

_KEPT = 256  # forward passes whose plans are kept for their backward passes


@dataclass
class _Forward:
    """A mixed forward pass: plan, thread, and the range [start, stop) of its sequence numbers."""

    plan: Plan
    pick: Tensor | None  # bool (P,): which of the points is the plan's, in one graph
    thread: object  # one of each thread; identifiers are used again
    start: int
    stop: int | None = None

    def holds(self, number: int) -> bool:
        return self.start <= number and (self.stop is None or number < self.stop)


class MixingState:
    """The plan that all hooks of one mixer carry out.

    Parameters
    ----------
    points
        The mix points, for hooks that share one compiled graph; None for hooks that compare names.

    Attributes
    ----------
    refused
        The last probe found a point that cannot be mixed.
    """

    def __init__(self, points: Sequence[str] | None = None) -> None:
        # A plain attribute of a plain thread-local object is what torch.compile guards on. Of the
        # thread's current forward pass it has the plan, its pick, the points at which a hook mixed
        # and if gradients were enabled; and the passes that are repeated inside one another.
        self._local = threading.local()
        self._forwards: deque[_Forward] = deque(maxlen=_KEPT)
        self.refused = False
        self._checkpointed = False  # a forward pass may be repeated in its backward pass
        self._remove: Callable[[], None] | None = None
        self._points = points

    @contextmanager
    def on(self, plan: Plan) -> Iterator[None]:
        """Carry out a plan in the forward pass inside the ``with`` block; there must be one."""
        plan.left.clear()  # results of an earlier forward pass
        local = self._local
        local.fired = fired = set[str]()
        local.thread = getattr(local, "thread", None) or object()
        local.pick = None
        if self._points:
            picked = [point == plan.point and not plan.still for point in self._points]
            local.pick = torch.tensor(picked, device=plan.ratio.device)
        # In one graph a step without mixing is one that picks nothing.
        local.plan = replace(plan, still=False) if self._points and plan.still else plan
        local.graded = torch.is_grad_enabled()
        forward = _Forward(local.plan, local.pick, local.thread, _sequence_number())
        self._forwards.append(forward)
        try:
            yield
        except RuntimeError as error:
            if plan.grows and fired and not isinstance(error, RunError):
                raise RunError(_failed_behind(plan)) from error
            raise
        finally:
            local.plan = None
            forward.stop = _sequence_number()
        if plan.point not in fired:
            raise RunError(
                f"nothing was mixed: no forward pass came by mix point {plan.point!r}. "
                "Call the model inside the block, and build the mixer before the first call "
                "of a compiled model, with torch.compiler.reset() before it where another model of "
                "the same class was compiled. Where training leaves layers out at random, switch "
                "that off (layerdrop=0)"
            )

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Mix nothing inside the ``with`` block, and remember nothing of its forward passes."""
        plan, self._local.plan = getattr(self._local, "plan", None), None
        try:
            yield
        finally:
            self._local.plan = plan

    def record(self, point: str) -> None:
        """Record that a hook mixed at a point in the current forward pass."""
        if (fired := getattr(self._local, "fired", None)) is not None:  # None in a backward thread
            fired.add(point)

    def plan_at(self, *points: str) -> tuple[Plan, bool | Tensor] | None:
        """Return the plan to carry out at one of some points.

        Returns
        -------
        plan, here
            `here` is True, or in one graph a bool tensor (). None if nothing is mixed there.
        """
        plan, pick = self._current()
        here = plan is not None and self._here(plan, pick, points)
        return None if plan is None or here is False else (plan, here)

    def _current(self) -> tuple[Plan | None, Tensor | None]:
        plan, pick = getattr(self._local, "plan", None), getattr(self._local, "pick", None)
        if torch.compiler.is_compiling():
            return plan, pick
        if plan is not None:
            self._checkpointed = self._checkpointed or self._is_checkpointed()
        else:
            if in_backward():
                forward = self._repeated()
                return (forward.plan, forward.pick) if forward else (None, None)
            if self._remove is not None:
                self._remove()
        return plan, pick

    def release(self, remove: Callable[[], None]) -> None:
        """Remove hooks whose mixer is gone.

        With activation checkpointing the backward pass of the last forward pass may still need
        them; they are removed when the model is next called.
        """
        if self._checkpointed:
            self._remove = remove
        else:
            remove()

    def _is_checkpointed(self) -> bool:
        """Return True inside checkpointing: reentrant, or by hooks of saved tensors."""
        if self._local.graded and not torch.is_grad_enabled():
            return True
        hooks = torch._C._autograd._top_saved_tensors_default_hooks  # pyright: ignore[reportAttributeAccessIssue]
        return hooks(True) is not None

    def _here(self, plan: Plan, pick: Tensor | None, points: Sequence[str]) -> bool | Tensor:
        if not self._points or pick is None:
            return plan.point in points
        picked = [pick[self._points.index(point)] for point in points]
        return functools.reduce(torch.logical_or, picked)

    def _repeated(self) -> _Forward | None:
        """Return the mixed forward pass to which a recomputation belongs; None for an unmixed one.

        A recomputation inside another one belongs to the same pass as that one.
        """
        depth = _reentrant_depth()
        passes: dict[int, _Forward | None] = self._local.__dict__.setdefault("repeated", {})
        passes[depth] = passes.get(depth - 1) if depth > 1 else self._of_current_node()
        return passes[depth]

    def _of_current_node(self) -> _Forward | None:
        """Return the mixed forward pass that created the current node of the backward pass."""
        if not self._forwards:
            return None
        node = torch._C._current_autograd_node()
        number = node._sequence_nr()  # pyright: ignore[reportOptionalMemberAccess]
        found = [forward for forward in self._forwards if forward.holds(number)]
        if len({forward.thread for forward in found}) > 1:
            raise RunError(
                "two threads ran mixed forward passes of one model with activation checkpointing, "
                "whose backward passes cannot be told apart: give each thread its own copy of the "
                "model and mixer"
            )
        if not found and number < self._forwards[0].start and len(self._forwards) == _KEPT:
            raise RunError(
                f"more than {_KEPT} mixed forward passes with activation checkpointing wait for "
                "their backward pass: run backward() more often"
            )
        return found[-1] if found else None


def _reentrant_depth() -> int:
    """Return how many reentrant recomputations run inside one another in this thread."""
    frame, depth = sys._getframe(), 0
    while frame is not None:
        depth += frame.f_code is CheckpointFunction.backward.__code__
        frame = frame.f_back
    return depth


def _sequence_number() -> int:
    """Return the number that the next autograd node of this thread gets."""
    return torch._C._autograd._get_sequence_nr()  # pyright: ignore[reportAttributeAccessIssue]


def _failed_behind(plan: Plan) -> str:
    """Return why a forward pass failed behind a mix of more rows than the batch has."""
    return (
        f"the forward pass failed behind mix point {plan.point!r}: the blend {plan.blend!r} "
        f"returns more rows there than the batch of {plan.batch_size} has, and what follows does "
        "not take them. Mix at a point after which nothing else of the batch comes in, such as "
        "'final', and never inside a residual branch"
    )


def only(here: bool | Tensor, mixed: Tensor, own: Tensor) -> Tensor:
    """Return what was mixed if the plan mixes here, and the unmixed tensor otherwise."""
    return torch.where(here, mixed, own) if isinstance(here, Tensor) else mixed


def in_backward() -> bool:
    """Return True in a backward pass, whose forward passes are those of checkpointing."""
    return not torch.compiler.is_compiling() and torch._C._current_graph_task_id() != -1
