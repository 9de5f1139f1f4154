"""The permanent hooks of a mixer: pure functions of (plan, activation).

They are installed once, when the mixer is built, and do nothing while no plan is set. The plan is
drawn before the forward pass, so that a forward that runs twice (activation checkpointing) mixes
the same way twice. Copies of a model (EMA, deepcopy, pickles) get hooks that do nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from layermix.attach.channels import Layout, layout
from layermix.attach.site import Site
from layermix.attach.structure import edit_inputs, edit_output
from layermix.errors import InputError, RunError
from layermix.mixing import Plan, mix


class Switch:
    """The plan that all hooks of one mixer look at."""

    def __init__(self) -> None:
        self.plan: Plan | None = None  # set during a mixed forward
        self.replay: Plan | None = None  # of the last forward: what a recomputation must repeat
        self.fired = False  # did a hook mix during the present forward?

    @contextmanager
    def on(self, plan: Plan) -> Iterator[None]:
        """Carry out a plan in the forward pass inside the ``with`` block; it must be one."""
        self.plan = self.replay = plan
        self.fired = False
        try:
            yield
        finally:
            self.plan = None
        if not self.fired:
            raise RunError(
                f"nothing was mixed: no forward pass came by mix point {plan.point!r}. "
                "Call the model inside the block, and build the mixer before the first call "
                "of a compiled model"
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


class Hook:
    """Mix one site when the plan names it."""

    def __init__(self, switch: Switch, point: str, layout: Layout) -> None:
        self.switch = switch
        self.point = point
        self.layout = layout

    def after(self, module: nn.Module, args: tuple, output: Any) -> Any:
        """Forward hook: mix what the module returned."""
        plan = self.switch.current(module)
        if plan is None or plan.point != self.point:
            return None
        return edit_output(output, lambda tensor: self._mix(tensor, plan))

    def before(self, module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> Any:
        """Forward pre-hook: mix what the module is called with."""
        plan = self.switch.current(module)
        if plan is None or plan.point != self.point:
            return None
        return edit_inputs(args, kwargs, lambda tensor: self._mix(tensor, plan))

    def _mix(self, tensor: Tensor, plan: Plan) -> Tensor:
        try:
            mixed = mix(tensor, plan, self.layout.channels(tensor.shape))
        except InputError as error:
            raise InputError(f"at mix point {self.point!r}: {error}") from None
        self.switch.fired = True
        return mixed

    def __deepcopy__(self, memo: dict) -> "Hook":
        return _inert(self.point)

    def __reduce__(self) -> tuple:
        return _inert, (self.point,)


def install(model: nn.Module, site: Site, switch: Switch) -> torch.utils.hooks.RemovableHandle:
    """Put the hook of one site into the model, for good."""
    hook = Hook(switch, site.name, layout(model, site))
    if site.side == "before":
        return site.module.register_forward_pre_hook(hook.before, with_kwargs=True)
    return site.module.register_forward_hook(hook.after)


def _inert(point: str) -> Hook:
    return Hook(Switch(), point, Layout())


def in_backward() -> bool:
    """Return whether a backward pass is under way, whose forwards are those of checkpointing."""
    return not torch.compiler.is_compiling() and torch._C._current_graph_task_id() != -1
