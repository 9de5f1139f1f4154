"""The permanent hooks of a mixer: pure functions of (plan, activation).

They are installed once, when the mixer is built, and do nothing while no plan is set. The plan is
drawn before the forward pass, so that a forward that runs twice (activation checkpointing) mixes
the same way twice. Copies of a model (EMA, deepcopy, pickles) get hooks that do nothing.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from layermix.attach.channels import Layout, layout
from layermix.attach.masks import is_mask, united
from layermix.attach.site import Site
from layermix.attach.structure import Path, leaves, replace
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


_UNKNOWN = Layout()


class Hook:
    """Mix one site when the plan names it: every tensor there that carries the batch.

    `dims` says along which dimension each does, as a probe found it. Of a tensor that was not
    there when it was probed (training adds outputs), and before any probe, the first dimension is
    taken for the batch where it has its size; for the main tensor `batch_dim` is.
    """

    def __init__(
        self, switch: Switch, point: str, batch_dim: int = 0, layout: Layout = _UNKNOWN
    ) -> None:
        self.switch = switch
        self.point = point
        self.batch_dim = batch_dim
        self.layout = layout
        self.dims: Mapping[Path, int | None] = {}
        self.handle: torch.utils.hooks.RemovableHandle | None = None

    def after(self, module: nn.Module, args: tuple, output: Any) -> Any:
        """Forward hook: mix what the module returned."""
        plan = self.switch.current(module)
        if plan is None or plan.point != self.point:
            return None
        return self._mixed(output, plan)

    def before(self, module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> Any:
        """Forward pre-hook: mix what the module is called with."""
        plan = self.switch.current(module)
        if plan is None or plan.point != self.point:
            return None
        return self._mixed((args, kwargs), plan)

    def _mixed(self, value: Any, plan: Plan) -> Any:
        try:
            new = {
                path: self._leaf(path, tensor, plan, main=number == 0)
                for number, (path, tensor) in enumerate(leaves(value).items())
            }
        except InputError as error:
            raise InputError(f"at mix point {self.point!r}: {error}") from None
        self.switch.fired = True
        return replace(value, new)

    def _leaf(self, path: Path, tensor: Tensor, plan: Plan, main: bool) -> Tensor:
        """Mix one tensor, or return what does not carry the batch as it is."""
        if main:
            return self._along(tensor, plan, self._main_dim(path, tensor, plan))
        if is_mask(path):
            return united(str(path[-1]), tensor, plan)
        dim = self.dims.get(path, 0 if tensor.shape[:1] == (plan.batch_size,) else None)
        if dim is None or not tensor.is_floating_point():
            return tensor
        if dim == 0 and len(tensor) != plan.batch_size:
            return self._grouped(tensor, plan)
        return self._along(tensor, plan, dim)

    def _main_dim(self, path: Path, tensor: Tensor, plan: Plan) -> int:
        """Return the dimension of the batch in the main tensor."""
        if path in self.dims or not self.batch_dim:
            return self.dims.get(path) or 0
        likely = [d for d in (self.batch_dim, 0) if tensor.shape[d : d + 1] == (plan.batch_size,)]
        if len(likely) > 1:
            raise InputError(
                f"dimensions 0 and {self.batch_dim} of a tensor of shape {tuple(tensor.shape)} "
                f"both have the size of the batch: call mixer.check(x) first, to tell them apart"
            )
        return likely[0] if likely else 0

    def _along(self, tensor: Tensor, plan: Plan, dim: int) -> Tensor:
        """Mix a tensor that has the batch at a dimension."""
        rows = tensor.movedim(dim, 0) if dim else tensor
        mixed = mix(rows, plan, self.layout.channels(rows.shape[1:]))
        return mixed.movedim(0, dim) if dim else mixed

    def _grouped(self, tensor: Tensor, plan: Plan) -> Tensor:
        """Mix a tensor with several rows for each example, one after another."""
        channels = {1: 2, -1: -1}[self.layout.channels(tensor.shape[1:])]
        return mix(tensor.unflatten(0, (plan.batch_size, -1)), plan, channels).flatten(0, 1)

    def remove(self) -> None:
        """Take the hook out of the model."""
        if self.handle:
            self.handle.remove()

    def __deepcopy__(self, memo: dict) -> "Hook":
        return Hook(Switch(), self.point)

    def __reduce__(self) -> tuple:
        return _inert, (self.point,)


def install(site: Site, switch: Switch, batch_dim: int = 0) -> list[Hook]:
    """Put the hooks of one site into the model, for good: one, or one for each head."""
    hooks = []
    for module in site.modules:
        hook = Hook(switch, site.name, batch_dim, layout(module, site.side))
        if site.side == "before":
            hook.handle = module.register_forward_pre_hook(hook.before, with_kwargs=True)
        else:
            hook.handle = module.register_forward_hook(hook.after)
        hooks.append(hook)
    return hooks


def _inert(point: str) -> Hook:
    return Hook(Switch(), point)


def in_backward() -> bool:
    """Return whether a backward pass is under way, whose forwards are those of checkpointing."""
    return not torch.compiler.is_compiling() and torch._C._current_graph_task_id() != -1
