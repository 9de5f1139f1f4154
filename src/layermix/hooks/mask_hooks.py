"""Hooks that unite attention masks and lengths behind a mix point.

Behind the mix point every mask or length that a module is called with is replaced by its union with
the partner's; before it each example keeps its own. Modules are behind the mix point if they are so
in the module tree, and only the outermost that take a mask unite it: they pass it on. At the input
the hook that mixes unites the masks. A model's use of its mask in its own forward, after its
blocks, is out of reach; the probe finds that such a block is not a cut.
"""

import functools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from layermix.hooks.hooks import kept
from layermix.hooks.masks import Role, parameter_names, role_of, united
from layermix.hooks.mixing_state import MixingState
from layermix.hooks.registry import ModelHook, register_before
from layermix.hooks.sites import SPECIAL, Site
from layermix.mixing import Plan


class MaskHook(ModelHook):
    """Unite the masks and lengths that a module takes, when the plan names a point before it.

    Parameters
    ----------
    state
        The mixing state of the mixer.
    points
        The points behind which the module lies.
    masks
        Index, name and role of each mask among the parameters of the module.

    Attributes
    ----------
    shared
        Names of masks that are the same for all examples, such as causal masks (T, T), as a probe
        found them.
    handle
        Removes the hook.
    """

    handle: torch.utils.hooks.RemovableHandle

    def __init__(
        self,
        state: MixingState,
        points: tuple[str, ...],
        masks: tuple[tuple[int, str, Role], ...],
    ) -> None:
        self.state = state
        self.points = points
        self.masks = masks
        self.shared: frozenset[str] = frozenset()

    def before(self, module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> Any:
        """Forward pre-hook: replace the masks that the module is called with."""
        active = self.state.active(self.points)
        if active is None:
            return None
        plan, here = active
        new_args, new_kwargs = list(args), dict(kwargs)
        for place, name, role in self.masks:
            if name in self.shared:
                continue
            if place < len(args) and isinstance(args[place], Tensor):
                mixed = self._unite(role, name, args[place], plan)
                new_args[place] = kept(here, mixed, args[place])
            if isinstance(kwargs.get(name), Tensor):
                mixed = self._unite(role, name, kwargs[name], plan)
                new_kwargs[name] = kept(here, mixed, kwargs[name])
        return tuple(new_args), new_kwargs

    def _unite(self, role: Role, name: str, tensor: Tensor, plan: Plan) -> Tensor:
        return united(role, name, tensor, plan)

    def __deepcopy__(self, memo: dict) -> "MaskHook":
        return MaskHook(MixingState(), self.points, self.masks)

    def __reduce__(self) -> tuple:
        return _inert, (self.points, self.masks)


def install_masks(
    model: nn.Module,
    sites: Iterable[Site],
    state: MixingState,
    kind: type[MaskHook] = MaskHook,
) -> dict[nn.Module, MaskHook]:
    """Register hooks before the modules that take a mask behind any of the sites."""
    points: dict[nn.Module, set[str]] = {}
    for site in sites:
        for module in readers(model, site):
            points.setdefault(module, set()).add(site.name)
    hooks = {}
    for module, names in points.items():
        hook = kind(state, tuple(names), mask_parameters(type(module)))
        hook.handle = register_before(module, hook.before)
        hooks[module] = hook
    return hooks


class MaskShapes:
    """The shapes of masks with which modules behind some sites are called, in several passes."""

    def __init__(self, model: nn.Module, sites: Iterable[Site]) -> None:
        self._shapes: dict[nn.Module, dict[str, list[torch.Size]]] = {
            module: {} for site in sites for module in readers(model, site)
        }

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record the shapes of the passes inside the ``with`` block."""
        handles = [m.register_forward_pre_hook(self._see, with_kwargs=True) for m in self._shapes]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _see(self, module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        for place, name, _ in mask_parameters(type(module)):
            value = args[place] if place < len(args) else kwargs.get(name)
            if isinstance(value, Tensor):
                self._shapes[module].setdefault(name, []).append(value.shape)

    def shared(self, sizes: Sequence[int]) -> dict[nn.Module, frozenset[str]]:
        """Return the names of masks whose first dimension is not the batch in all passes.

        `sizes` are the batch sizes of the passes.
        """

        def follows(shapes: Sequence[torch.Size]) -> bool:
            each = len(shapes) // len(sizes)
            return [shape[:1] for shape in shapes] == [(s,) for s in sizes for _ in range(each)]

        return {
            module: frozenset(name for name, shapes in masks.items() if not follows(shapes))
            for module, masks in self._shapes.items()
        }


def readers(model: nn.Module, site: Site) -> list[nn.Module]:
    """Return the outermost modules behind a site, in the module tree, that take a mask."""
    if site.name in SPECIAL:
        return []
    found: list[nn.Module] = []
    behind, inside = False, set(map(id, site.module.modules()))
    for module in model.modules():
        behind = behind or module is site.module
        if behind and id(module) not in inside and mask_parameters(type(module)):
            found.append(module)
            inside |= set(map(id, module.modules()))
    return found


@functools.cache
def mask_parameters(kind: type[nn.Module]) -> tuple[tuple[int, str, Role], ...]:
    """Return index, name and role of the masks among the parameters of a class's forward."""
    return tuple(
        (place, name, role)
        for place, name in enumerate(parameter_names(kind))
        if (role := role_of(name)) is not None
    )


def _inert(points: tuple[str, ...], masks: tuple[tuple[int, str, Role], ...]) -> MaskHook:
    return MaskHook(MixingState(), points, masks)
