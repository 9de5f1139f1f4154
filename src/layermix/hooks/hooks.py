"""The permanent hooks of a mixer: pure functions of (plan, activation).

They are installed when the mixer is built, and do nothing while no plan is set. As the plan is
drawn before the forward pass, a pass that runs twice (activation checkpointing) mixes the same way
twice.

Only the hook of the plan's point mixes, so that a compiled model has one graph for each point. With
`one_graph` every hook mixes in every step, and a tensor selects the result that is kept.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from layermix.errors import InputError, RunError
from layermix.hooks.activation_info import Layout, layout
from layermix.hooks.masks import Role, name_at, parameter_names, role_of, united
from layermix.hooks.mixing_state import MixingState
from layermix.hooks.nested import Path, leaves, replaced
from layermix.hooks.registry import ModelHook, register_after, register_before
from layermix.hooks.secondary_outputs import mix_secondary
from layermix.hooks.sites import Site
from layermix.mixing import Blended, LabelWeights, Plan
from layermix.mixing.blends.base import RatioBlend

_UNKNOWN = Layout()
_OUTPUT: Mapping[Path, int | None] = {(): 0}  # one tensor, batch first
_ARGUMENT: Mapping[Path, int | None] = {(0, 0): 0}


def kept(here: bool | Tensor, mixed: Tensor, own: Tensor) -> Tensor:
    """Return the mixed tensor if the plan mixes here, else the unmixed one."""
    return torch.where(here, mixed, own) if isinstance(here, Tensor) else mixed


class Hook(ModelHook):
    """Mix one site when the plan names it: every tensor there that carries the batch.

    Parameters
    ----------
    state, point
        The state of the mixer, and the name of the mix point.
    layout
        Layout of the channels there.
    names
        Parameters of the module, if its arguments are mixed.

    Attributes
    ----------
    dims
        Maps the path of each tensor to its batch dimension, None if it does not carry the batch.
        None before a probe; the hook then refuses to mix.
    roles
        Tensors that select positions, as the probe found them; others are known by their names.
    """

    def __init__(
        self,
        state: MixingState,
        point: str,
        layout: Layout = _UNKNOWN,
        names: tuple[str, ...] = (),
    ) -> None:
        self.state, self.point, self.layout, self.names = state, point, layout, names
        self._points = (point,)
        self.handles: list[torch.utils.hooks.RemovableHandle] = []
        self.dims: Mapping[Path, int | None] | None = None
        self.roles: Mapping[Path, Role | None] = {}

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
        # The output takes the path of the argument, whose batch dimension is known.
        return self._mixed(((output,), {}), *active)[0][0]

    def _is_late(self, plan: Plan) -> bool:
        """Return True if a plan mixes a linear layer's output, which is the same and cheaper."""
        return len(self.handles) > 1 and plan.blend.linear_equivariant

    def _mixed(self, value: Any, plan: Plan, here: bool | Tensor) -> Any:
        """Return the value with its tensors mixed."""
        if self.dims is None:
            raise RunError(
                f"mix point {self.point!r} was not probed yet, so it is not known where the batch "
                "is: call mixer.check(x) first"
            )
        main, new = None, {}
        for path, tensor in leaves(value).items():
            if main is None:
                main = self._main(tensor, plan, self.dims.get(path) or 0)
                new[path] = kept(here, main.values, tensor)
            else:
                new[path] = kept(here, self._other(path, tensor, plan, main), tensor)
        return replaced(value, new)

    def _main(self, tensor: Tensor, plan: Plan, dim: int) -> Blended:
        """Mix the main tensor, and record the label weights."""
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
                # One number in shape (1,), for the reason of `Pairs.rows`.
                weight = torch.atleast_1d(blended.weight.detach())
                forward.label_weights[self.point] = LabelWeights(weight, blended.mask)
        return blended._replace(values=blended.values.movedim(0, dim)) if dim else blended

    def _other(self, path: Path, tensor: Tensor, plan: Plan, main: Blended) -> Tensor:
        """Mix another tensor; one that does not carry the batch is returned unchanged."""
        name = name_at(path, self.names)
        if role := self._role(path, name, tensor):
            return self._unite(role, name, tensor, plan)
        dim = self._dim(path, name, tensor, plan)
        if dim is None or not tensor.is_floating_point():
            return tensor
        if tensor.is_nested:
            raise InputError(
                f"at mix point {self.point!r}: {name!r} is a nested tensor beside the main one, "
                "but mixing needs dense tensors"
            )
        try:
            return self._follow(tensor, dim, plan, main)
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
        """Return the batch dimension of a tensor, None if it does not carry the batch."""
        assert self.dims is not None
        if path in self.dims:
            return self.dims[path]
        if plan.batch_size not in tensor.shape:
            return None
        raise InputError(
            f"at mix point {self.point!r}: the tensor {name!r} of shape {tuple(tensor.shape)} was "
            "not there when the mixer probed the model: call mixer.check(x) with a batch like this"
        )

    def _follow(self, tensor: Tensor, dim: int, plan: Plan, main: Blended) -> Tensor:
        """Mix another tensor as the main one was mixed."""
        return mix_secondary(tensor, dim, plan, main, self.layout)

    def _unite(self, role: Role, name: str, tensor: Tensor, plan: Plan) -> Tensor:
        return united(role, name, tensor, plan)

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

    If the blend is cheaper after a linear layer than before it (`late`), linear heads get a second
    hook after them.
    """
    hooks = []
    for module in site.modules:
        names = parameter_names(type(module)) if site.side == "before" else ()
        hook = kind(state, site.name, layout(module, site.side), names)
        if site.side == "before":
            hook.handles.append(register_before(module, hook.before))
            if late and type(module) is nn.Linear:
                hook.handles.append(register_after(module, hook.late))
        else:
            hook.handles.append(register_after(module, hook.after))
        hooks.append(hook)
    return hooks


def _inert(point: str) -> Hook:
    return Hook(MixingState(), point)
