"""The permanent hooks of a mixer: pure functions of (plan, activation).

They are installed once, when the mixer is built, and do nothing while no plan is set. The plan is
drawn before the forward pass, so that a forward pass that runs twice (activation checkpointing)
mixes the same way twice.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from layermix.errors import InputError, RunError
from layermix.hooks.channels import Layout, layout
from layermix.hooks.companions import Role, name_at, parameter_names, role_of, united
from layermix.hooks.registry import ModelHook, register_after, register_before
from layermix.hooks.site import Site
from layermix.hooks.state import MixingState, only
from layermix.hooks.structure import Path, leaves, replace
from layermix.mixing import Plan
from layermix.mixing.further import follow, grouped

_UNKNOWN = Layout()


class Hook(ModelHook):
    """Mix one site when the plan names it: every tensor there that carries the batch.

    Parameters
    ----------
    state
        The mixing state of the mixer.
    point
        Name of the mix point.
    layout
        What the layers there say about their channels.
    names
        Parameters of the module, where its arguments are mixed.

    Attributes
    ----------
    dims
        Maps the path of each tensor to its batch dimension, None if it does not carry the batch.
        None before a probe; the hook then refuses to mix.
    roles
        Tensors that select positions, as the probe found them; others go by their names.
    """

    def __init__(
        self,
        state: MixingState,
        point: str,
        layout: Layout = _UNKNOWN,
        names: tuple[str, ...] = (),
    ) -> None:
        self.state = state
        self.point = point
        self.layout = layout
        self.names = names
        self.dims: Mapping[Path, int | None] | None = None
        self.roles: Mapping[Path, Role | None] = {}
        self.handles: list[torch.utils.hooks.RemovableHandle] = []

    def after(self, module: nn.Module, args: tuple, output: Any) -> Any:
        """Forward hook: mix what the module returned."""
        found = self.state.plan_at(self.point)
        return None if found is None else self._mixed(output, *found)

    def before(self, module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> Any:
        """Forward pre-hook: mix what the module is called with."""
        found = self.state.plan_at(self.point)
        if found is None or self._waits(found[0]):
            return None
        return self._mixed((args, kwargs), *found)

    def behind(self, module: nn.Module, args: tuple, output: Any) -> Any:
        """Forward hook: mix what a linear layer returned in place of what it was called with."""
        found = self.state.plan_at(self.point)
        if found is None or not self._waits(found[0]):
            return None
        # The output takes the path of the argument, whose batch dimension is known.
        return self._mixed(((output,), {}), *found)[0][0]

    def _waits(self, plan: Plan) -> bool:
        """Return True if a plan mixes what a linear layer returns, which is the same there."""
        return len(self.handles) > 1 and plan.how.commutes

    def _mixed(self, value: Any, plan: Plan, here: bool | Tensor) -> Any:
        """Return the value with its tensors mixed."""
        if self.dims is None:
            raise RunError(
                f"mix point {self.point!r} was not probed yet, so it is not known where the batch "
                "is: call mixer.check(x) first"
            )
        try:
            new = {
                path: only(here, self._leaf(path, tensor, plan, main=number == 0), tensor)
                for number, (path, tensor) in enumerate(leaves(value).items())
            }
        except InputError as error:
            raise InputError(f"at mix point {self.point!r}: {error}") from None
        self.state.record(self.point)
        return replace(value, new)

    def _leaf(self, path: Path, tensor: Tensor, plan: Plan, main: bool) -> Tensor:
        """Mix one tensor; one that does not carry the batch is returned as it is."""
        name = name_at(path, self.names)
        if not main and (role := self._role(path, name, tensor)):
            return self._unite(role, name, tensor, plan)
        dim = self._dim(path, name, tensor, plan)
        if main:
            return self._main(tensor, plan, dim or 0)
        if dim is None or not tensor.is_floating_point():
            return tensor
        if tensor.is_nested:
            raise InputError(
                f"{name!r} is a nested tensor beside the main one, but mixing needs dense tensors"
            )
        if dim == 0 and len(tensor) != plan.batch_size:
            return self._grouped(tensor, plan)
        rows = tensor.movedim(dim, 0)
        channels = self.layout.channels(rows.shape[1:])
        return self._follow(rows, plan, channels).movedim(0, dim)

    def _role(self, path: Path, name: str, tensor: Tensor) -> Role | None:
        if path in self.roles:
            return self.roles[path]
        role = role_of(name)
        return None if role == "lengths" and tensor.ndim > 2 else role

    def _dim(self, path: Path, name: str, tensor: Tensor, plan: Plan) -> int | None:
        """Return the batch dimension of a tensor, None if it does not carry the batch."""
        assert self.dims is not None
        if path in self.dims:
            return self.dims[path]
        if plan.batch_size not in tensor.shape:
            return None
        raise InputError(
            f"the tensor {name!r} of shape {tuple(tensor.shape)} was not there when the mixer "
            "probed the model: call mixer.check(x) with a batch like this one"
        )

    def _main(self, tensor: Tensor, plan: Plan, dim: int) -> Tensor:
        """Mix the main tensor, and record how much of the labels is left."""
        rows = tensor.movedim(dim, 0) if dim else tensor
        blended = plan.carry_out(rows, self.layout.channels(rows.shape[1:]))
        plan.note(self.point, blended)
        return blended.values.movedim(0, dim) if dim else blended.values

    def _follow(self, rows: Tensor, plan: Plan, channels: int) -> Tensor:
        """Mix a further tensor, batch first, as the main one was mixed."""
        return follow(rows, plan, self.point, channels)

    def _unite(self, role: Role, name: str, tensor: Tensor, plan: Plan) -> Tensor:
        return united(role, name, tensor, plan)

    def _grouped(self, tensor: Tensor, plan: Plan) -> Tensor:
        """Mix a tensor with several rows for each example, one after another."""
        size, channels = len(tensor) // plan.batch_size, self.layout.channels(tensor.shape[1:])
        if plan.grows:
            rows, channels = tensor.unflatten(0, (-1, size)), {1: 2, -1: -1}[channels]
            return self._follow(rows, plan, channels).flatten(0, 1)
        return self._follow(tensor, grouped(plan, size), channels)

    def remove(self) -> None:
        """Remove the hook from the model."""
        for handle in self.handles:
            handle.remove()

    def __deepcopy__(self, memo: dict) -> "Hook":
        return type(self)(MixingState(), self.point)

    def __reduce__(self) -> tuple:
        return _inert, (self.point,)


def install(
    site: Site, state: MixingState, late: bool = False, kind: type[Hook] = Hook
) -> list[Hook]:
    """Register the hooks of one site: one for each of its modules.

    If the blend is cheaper behind a linear layer than before it (`late`), linear heads get a second
    hook behind them.
    """
    hooks = []
    for module in site.modules:
        names = parameter_names(type(module)) if site.side == "before" else ()
        hook = kind(state, site.name, layout(module, site.side), names)
        if site.side == "before":
            hook.handles.append(register_before(module, hook.before))
            if late and type(module) is nn.Linear:
                hook.handles.append(register_after(module, hook.behind))
        else:
            hook.handles.append(register_after(module, hook.after))
        hooks.append(hook)
    return hooks


def _inert(point: str) -> Hook:
    return Hook(MixingState(), point)
