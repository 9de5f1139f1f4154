"""Store the plan of each forward pass of a mixer, for its hooks and for recomputations.

A plan is visible only to the thread that applies it. Activation checkpointing recomputes a forward
pass inside the backward pass, at an autograd node. The sequence number of the node, which increases
with each node of a thread, identifies the original forward pass, whose plan is used again. A nested
reentrant recomputation uses the plan of the outer recomputation.
"""

import functools
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import overload

import torch
from torch import Tensor
from torch.utils.checkpoint import CheckpointFunction

from layermix.errors import RunError
from layermix.mixing import LabelWeights, Plan, Target, Targets

Active = tuple[Plan, bool | Tensor]
"""A plan, and True if its mix is used; with `one_graph`, a bool tensor () instead of True."""

# Returns the number that the next autograd node of this thread gets.
_sequence_number: Callable[[], int] = torch._C._autograd._get_sequence_nr  # pyright: ignore[reportAttributeAccessIssue]
_KEPT = 256  # forward passes whose plans are kept for their backward passes


class MixedForward:
    """Context manager for a forward pass with a plan; raises an error if nothing was mixed."""

    def __init__(self, state: "MixingState", plan: Plan) -> None:
        self.plan, self._state = plan, state
        self.label_weights: dict[str, LabelWeights] = {}  # by mix point, for blends that cut
        self.fired: set[str] = set()  # points at which a hook mixed
        self.pick: Tensor | None = None  # bool (P,): which of the points is the plan's
        self.thread: object = None  # one object for each thread, because thread ids are reused
        self.start = self.stop = -1  # range of the sequence numbers
        self.recorded = False  # True if it is kept for recomputations
        if state.points:
            # In one graph, a step without mixing picks no point.
            self.pick = state.pick(None if plan.skip else plan.point, plan.ratio.device)
            self.plan = plan.changed(*plan.pairs.tensors(), skip=False)

    def __enter__(self) -> "MixedForward":
        local = self._state.local
        self.thread = local.thread = getattr(local, "thread", None) or object()
        self.start = _sequence_number()
        local.graded, local.forward = torch.is_grad_enabled(), self
        if self._state.checkpointed:
            self._state.record(self)
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._state.local.forward = None
        self.stop = _sequence_number()
        if error is not None:
            self._explain(error)
        elif self.plan.point not in self.fired:
            raise RunError(
                f"nothing was mixed: no forward pass reached mix point {self.plan.point!r}, or the "
                "hooks of the mixer were removed. Call the model inside the block, build the mixer "
                "before the first call of a compiled model (after torch.compiler.reset() if "
                "another model of its class was compiled), and disable layers that are skipped at "
                "random (layerdrop=0)"
            )

    def _explain(self, error: BaseException) -> None:
        plan = self.plan
        unclear = isinstance(error, RuntimeError) and not isinstance(error, RunError)
        if plan.blend.changes_batch_size and self.fired and unclear:
            raise RunError(
                f"the forward pass failed after mix point {plan.point!r}: the blend "
                f"{plan.blend!r} returns more rows than the batch of {plan.batch_size} has, and "
                "later layers fail on them. Mix at a point after which no layer uses other tensors "
                "of the batch, such as 'final', and not inside a residual branch"
            ) from error

    @overload
    def target(self, labels: Tensor) -> Target: ...
    @overload
    def target(self, labels: Mapping[str, Tensor]) -> Targets: ...
    def target(self, labels: Tensor | Mapping[str, Tensor]) -> Target | Targets:
        """Mix labels (B, ...) with the weights of the forward pass; see `Plan.target`."""
        return self.plan.target(labels, self.label_weights.get(self.plan.point))


class MixingState:
    """The state that all hooks of one mixer share."""

    def __init__(self, points: Sequence[str] | None = None) -> None:
        # Has the `forward` of the current thread; torch.compile guards on its plain attributes.
        self.local = threading.local()
        self.points = points  # with one compiled graph; None if hooks compare names
        self.refused = False  # True if the last probe found a point that cannot be mixed
        self.checkpointed = False  # True if a forward pass may be repeated in its backward pass
        self.forwards: deque[MixedForward] = deque(maxlen=_KEPT)
        self._remove: Callable[[], None] | None = None
        self._picks: dict[tuple[str | None, torch.device], Tensor] = {}

    def pick(self, point: str | None, device: torch.device) -> Tensor:
        """Return which of the points is a given one, bool (P,); it is moved to a device once."""
        if (point, device) not in self._picks:
            picked = [each == point for each in self.points or ()]
            self._picks[point, device] = torch.tensor(picked, device=device)
        return self._picks[point, device]

    def record(self, forward: MixedForward) -> None:
        """Store a forward pass, so that its recomputations use the same plan."""
        forward.recorded = True
        self.forwards.append(forward)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Disable mixing inside the ``with`` block."""
        forward, self.local.forward = getattr(self.local, "forward", None), None
        try:
            yield
        finally:
            self.local.forward = forward

    def release(self, remove: Callable[[], None]) -> None:
        """Call `remove` now or, with activation checkpointing, at the next call of the model."""
        if self.checkpointed:
            self._remove = remove  # the last backward pass may still need the hooks
        else:
            remove()

    def active(self, points: Sequence[str]) -> Active | None:
        """Return the current plan if it mixes at one of these points, else None."""
        local = self.local
        forward: MixedForward | None = getattr(local, "forward", None)
        if not torch.compiler.is_compiling():
            if forward is None:
                forward = self._recomputed_or_none()
            elif not forward.recorded:
                # Reentrant checkpointing disables gradients; the other kind hooks saved tensors.
                hooked = torch._C._autograd._top_saved_tensors_default_hooks(True) is not None  # pyright: ignore[reportAttributeAccessIssue]
                if hooked or (local.graded and not torch.is_grad_enabled()):
                    self.checkpointed = True
                    self.record(forward)
        if forward is None:
            return None
        plan, pick = forward.plan, forward.pick
        if pick is None or self.points is None:
            return (plan, True) if plan.point in points else None
        picked = [pick[self.points.index(point)] for point in points]
        return plan, functools.reduce(torch.logical_or, picked)

    def _recomputed_or_none(self) -> MixedForward | None:
        if not in_backward():
            if self._remove is not None:
                self._remove()
            return None
        codes = [frame.f_code for frame in frames()]
        depth = codes.count(CheckpointFunction.backward.__code__)  # of nested recomputations
        passes: dict[int, MixedForward | None] = vars(self.local).setdefault("recomputed", {})
        passes[depth] = passes.get(depth - 1) if depth > 1 else self._of_current_node()
        return passes[depth]

    def _of_current_node(self) -> MixedForward | None:
        if not self.forwards:
            return None
        node = torch._C._current_autograd_node()
        number = node._sequence_nr()  # pyright: ignore[reportOptionalMemberAccess]
        found = [f for f in self.forwards if f.start <= number and not 0 <= f.stop <= number]
        if len({forward.thread for forward in found}) > 1:
            raise RunError(
                "two threads ran mixed forward passes of one model with activation checkpointing, "
                "whose backward passes cannot be distinguished: use a copy of model and mixer in "
                "each thread"
            )
        if not found and number < self.forwards[0].start and len(self.forwards) == _KEPT:
            raise RunError(
                f"more than {_KEPT} mixed forward passes with activation checkpointing wait for "
                "their backward pass: run backward() more often"
            )
        return found[-1] if found else None


def frames() -> list[FrameType]:
    """Return the frames of the Python stack, innermost first."""
    found, frame = list[FrameType](), sys._getframe(1)
    while frame is not None:
        found.append(frame)
        frame = frame.f_back
    return found


def in_backward() -> bool:
    """Return True during a backward pass; a forward pass is then a recomputation."""
    return not torch.compiler.is_compiling() and torch._C._current_graph_task_id() != -1
