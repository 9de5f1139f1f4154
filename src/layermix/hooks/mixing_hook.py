"""The hooks of a mixer, which stay on the model: pure functions of (plan, activation).

They do nothing if no plan is set. The plan is drawn before the forward pass, so that a pass that
runs twice (activation checkpointing) mixes the same way. Only the hook of the plan's point mixes,
so a compiled model has one graph for each point. With `one_graph` every hook computes the mix, and
a bool tensor selects where it is used. Secondary tensors (states of a recurrent layer, attention
heads as rows) are mixed like the main tensor, and cut at the same positions.
"""

from typing import Any

import torch
from torch import Tensor, nn

from layermix.errors import InputError, RunError
from layermix.hooks.channels import Layout, layout
from layermix.hooks.masks import Role, Unite, name_at, parameter_names, role_of, united
from layermix.hooks.mixing_state import MixingState
from layermix.hooks.nested import Dims, Path, leaves, replaced
from layermix.hooks.registry import ModelHook
from layermix.hooks.sites import Site
from layermix.mixing import Blended, LabelWeights, Plan
from layermix.mixing.blends.base import RatioBlend
from layermix.mixing.blends.mask import apply_mask, resized_mask
from layermix.mixing.tensors import without_autocast

_UNKNOWN = Layout()
_OUTPUT: Dims = {(): 0}  # one tensor, batch first
_ARGUMENT: Dims = {(0, 0): 0}


def kept(here: bool | Tensor, mixed: Tensor, own: Tensor) -> Tensor:
    """Return the mixed tensor if the plan mixes here, else the unmixed one."""
    return torch.where(here, mixed, own) if isinstance(here, Tensor) else mixed


class Hook(ModelHook):
    """Mix all tensors of one site that have a batch dimension, if the plan mixes there."""

    def __init__(
        self,
        state: MixingState | None = None,
        point: str = "",
        layout: Layout = _UNKNOWN,
        names: tuple[str, ...] = (),  # parameter names, if the module's arguments are mixed
        unite: Unite = united,
    ) -> None:
        super().__init__()
        self.state, self.point = state or MixingState(), point
        self.layout, self.names, self.unite = layout, names, unite
        self._points = (point,)
        self.dims: Dims | None = None  # None before a probe; the hook then raises an error
        self.roles: dict[Path, Role | None] = {}  # from a probe; other roles follow from names

    def after(self, module: nn.Module, args: tuple, output: Any) -> Any:
        """Forward hook: mix the module's output."""
        active = self.state.active(self._points)
        if active is None:
            return None
        if active[1] is True and self.dims == _OUTPUT and isinstance(output, Tensor):
            return self._main(output, active[0], 0).values
        return self._mixed(output, *active)

    def before(self, module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> Any:
        """Forward pre-hook: mix the module's arguments."""
        active = self.state.active(self._points)
        if active is None or self._is_late(active[0]):
            return None
        if active[1] is True and self.dims == _ARGUMENT and len(args) == 1 and not kwargs:
            return (self._main(args[0], active[0], 0).values,), {}
        return self._mixed((args, kwargs), *active)

    def late(self, module: nn.Module, args: tuple, output: Any) -> Any:
        """Forward hook: mix a linear layer's output instead of its argument."""
        active = self.state.active(self._points)
        if active is None or not self._is_late(active[0]):
            return None
        # Use the path of the argument for the output, because its batch dimension is known.
        return self._mixed(((output,), {}), *active)[0][0]

    def _is_late(self, plan: Plan) -> bool:
        return len(self.handles) > 1 and plan.blend.linear_equivariant

    def _mixed(self, value: Any, plan: Plan, here: bool | Tensor) -> Any:
        if self.dims is None:
            raise RunError(
                f"mix point {self.point!r} was not probed yet, so its batch dimension is unknown: "
                "call mixer.check(x) first"
            )
        main, new = None, {}
        for path, tensor in leaves(value).items():
            if main is None:
                main = self._main(tensor, plan, self.dims.get(path) or 0)
                new[path] = kept(here, main.values, tensor)
            else:
                new[path] = kept(here, self._secondary(path, tensor, plan, main), tensor)
        return replaced(value, new)

    def _main(self, tensor: Tensor, plan: Plan, dim: int) -> Blended:
        """Mix the main tensor, and store the label weights."""
        rows = tensor.movedim(dim, 0) if dim else tensor
        channels = 1 if rows.ndim < 3 else self.layout.channels(rows.shape[1:])
        try:
            blended = plan.mix(rows, channels)
        except InputError as error:
            raise self._located(error) from None
        forward = getattr(self.state.local, "forward", None)  # None in a backward thread
        if forward is not None:
            forward.fired.add(self.point)
            if not isinstance(plan.blend, RatioBlend) and self.point not in forward.label_weights:
                # Shape (1,) instead of (), because of compiled graphs; see `Pairs`.
                weight = torch.atleast_1d(blended.weight.detach())
                forward.label_weights[self.point] = LabelWeights(weight, blended.mask)
        return blended._replace(values=blended.values.movedim(0, dim)) if dim else blended

    def _secondary(self, path: Path, tensor: Tensor, plan: Plan, main: Blended) -> Tensor:
        """Mix a secondary tensor; return it unchanged if it has no batch dimension."""
        name = name_at(path, self.names)
        if role := self._role(path, name, tensor):
            return self.unite(role, name, tensor, plan)
        dim = self._dim(path, name, tensor, plan)
        if dim is None or not tensor.is_floating_point():
            return tensor
        try:
            return _follow(name, tensor, dim, plan, main, self.layout)
        except InputError as error:
            raise self._located(error) from None

    def _located(self, error: InputError) -> InputError:
        return InputError(f"at mix point {self.point!r}: {error}")

    def _role(self, path: Path, name: str, tensor: Tensor) -> Role | None:
        if path in self.roles:
            return self.roles[path]
        role = role_of(name)
        return None if role == "lengths" and tensor.ndim > 2 else role

    def _dim(self, path: Path, name: str, tensor: Tensor, plan: Plan) -> int | None:
        assert self.dims is not None
        if path in self.dims:
            return self.dims[path]
        if plan.batch_size not in tensor.shape:
            return None
        raise InputError(
            f"at mix point {self.point!r}: the tensor {name!r} of shape {tuple(tensor.shape)} was "
            "not there when the mixer probed the model: call mixer.check(x) with a batch like this"
        )


def install(
    site: Site, state: MixingState, late: bool = False, unite: Unite = united
) -> list[Hook]:
    """Register a hook on each module of a site; `late` adds one for the output of linear heads."""
    hooks = []
    for module in site.modules:
        names = parameter_names(type(module)) if site.side == "before" else ()
        hook = Hook(state, site.name, layout(module, site.side), names, unite)
        if site.side == "after":
            hook.register_after(module, hook.after)
        else:
            hook.register_before(module, hook.before)
            if late and type(module) is nn.Linear:
                hook.register_after(module, hook.late)
        hooks.append(hook)
    return hooks


def _follow(
    name: str, tensor: Tensor, dim: int, plan: Plan, main: Blended, layout: Layout
) -> Tensor:
    """Mix a secondary tensor, whose batch dimension is `dim`, in the same way as the main one."""
    if tensor.is_nested:
        raise InputError(f"{name!r} is a nested tensor, but mixing needs dense tensors")
    if dim == 0 and len(tensor) != plan.batch_size:  # several rows for each example
        size, channels = len(tensor) // plan.batch_size, layout.channels(tensor.shape[1:])
        if plan.blend.changes_batch_size and not plan.skip:
            rows = tensor.unflatten(0, (-1, size))
            return _mixed_like(main, rows, plan, {1: 2, -1: -1}[channels]).flatten(0, 1)
        mask = main.mask
        if mask is not None and len(mask) > 1:
            mask = mask.repeat_interleave(size, 0)
        return _mixed_like(main._replace(mask=mask), tensor, plan.repeated(size), channels)
    rows = tensor.movedim(dim, 0)
    return _mixed_like(main, rows, plan, layout.channels(rows.shape[1:])).movedim(0, dim)


def _mixed_like(main: Blended, x: Tensor, plan: Plan, channels: int) -> Tensor:
    if plan.skip or not plan.blend.positional:
        return plan.mix(x, channels).values
    mask = None
    if main.mask is not None and not plan.blend.moves_positions:
        mask = resized_mask(main.mask, x, channels)
    if mask is None:
        raise InputError(
            f"the blend {plan.blend!r} treats positions differently, so that it cannot mix "
            f"another tensor here, of shape {tuple(x.shape)}, in the same way: mix with "
            "blend='linear', or after a module that returns one tensor"
        )
    with without_autocast(x):
        return apply_mask(x, plan.of_partners(x), mask, channels)
