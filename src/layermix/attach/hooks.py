"""The permanent hooks of a mixer: pure functions of (plan, activation).

They are installed once, when the mixer is built, and do nothing while no plan is set. The plan is
drawn before the forward pass, so that a forward that runs twice (activation checkpointing) mixes
the same way twice. Copies of a model (EMA, deepcopy, pickles) get hooks that do nothing.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from layermix.attach.channels import Layout, layout
from layermix.attach.masks import is_mask, united
from layermix.attach.site import Site
from layermix.attach.structure import Path, leaves, replace
from layermix.attach.switch import Switch, only
from layermix.errors import InputError
from layermix.mixing import Plan
from layermix.mixing.further import follow, grouped

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
        self.handles: list[torch.utils.hooks.RemovableHandle] = []

    def after(self, module: nn.Module, args: tuple, output: Any) -> Any:
        """Forward hook: mix what the module returned."""
        return self._mixed(output, self.switch.current(module))

    def before(self, module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> Any:
        """Forward pre-hook: mix what the module is called with."""
        plan = self.switch.current(module)
        return None if self._waits(plan) else self._mixed((args, kwargs), plan)

    def behind(self, module: nn.Module, args: tuple, output: Any) -> Any:
        """Forward hook: mix what a linear layer returned in place of what it was called with."""
        plan = self.switch.current(module)
        if not self._waits(plan):
            return None
        called = self._mixed(((output,), {}), plan)  # in the place where the batch was looked for
        return None if called is None else called[0][0]

    def _waits(self, plan: Plan | None) -> bool:
        """Tell whether a plan mixes what a linear layer returns, which is the same there."""
        return plan is not None and len(self.handles) > 1 and plan.how.commutes

    def _mixed(self, value: Any, plan: Plan | None) -> Any:
        """Return the value with its tensors mixed, or None where nothing is mixed here."""
        here = plan is not None and self.switch.here(plan, self.point)
        if plan is None or here is False:
            return None
        try:
            new = {
                path: only(here, self._leaf(path, tensor, plan, main=number == 0), tensor)
                for number, (path, tensor) in enumerate(leaves(value).items())
            }
        except InputError as error:
            raise InputError(f"at mix point {self.point!r}: {error}") from None
        self.switch.fired.add(self.point)
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
        rows = tensor.movedim(dim, 0)
        channels = self.layout.channels(rows.shape[1:])
        return follow(rows, plan, self.point, channels).movedim(0, dim)

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
        """Mix the main tensor, which has the batch at a dimension, and note what is left."""
        rows = tensor.movedim(dim, 0) if dim else tensor
        blended = plan.carry_out(rows, self.layout.channels(rows.shape[1:]))
        plan.note(self.point, blended)
        return blended.values.movedim(0, dim) if dim else blended.values

    def _grouped(self, tensor: Tensor, plan: Plan) -> Tensor:
        """Mix a tensor with several rows for each example, one after another."""
        size, channels = len(tensor) // plan.batch_size, self.layout.channels(tensor.shape[1:])
        if plan.grows:
            rows, channels = tensor.unflatten(0, (-1, size)), {1: 2, -1: -1}[channels]
            return follow(rows, plan, self.point, channels).flatten(0, 1)
        return follow(tensor, grouped(plan, size), self.point, channels)

    def remove(self) -> None:
        """Take the hook out of the model."""
        for handle in self.handles:
            handle.remove()

    def __deepcopy__(self, memo: dict) -> "Hook":
        return Hook(Switch(), self.point)

    def __reduce__(self) -> tuple:
        return _inert, (self.point,)


def install(site: Site, switch: Switch, batch_dim: int = 0, late: bool = False) -> list[Hook]:
    """Put the hooks of one site into the model, for good: one, or one for each head.

    Where the blend had better follow a linear layer, it is `late`: heads get a hook behind them.
    """
    hooks = []
    for module in site.modules:
        hook = Hook(switch, site.name, batch_dim, layout(module, site.side))
        if site.side == "before":
            hook.handles.append(module.register_forward_pre_hook(hook.before, with_kwargs=True))
            if late and type(module) is nn.Linear:
                hook.handles.append(module.register_forward_hook(hook.behind))
        else:
            hook.handles.append(module.register_forward_hook(hook.after))
        hooks.append(hook)
    return hooks


def _inert(point: str) -> Hook:
    return Hook(Switch(), point)
