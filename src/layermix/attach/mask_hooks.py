"""Hooks that unite attention masks behind a mix point, for models of tokens.

A mixed sequence has two examples in it, so that a position counts if it does for either. Behind
the mix point every mask that a module is called with is replaced by its union with the partner's;
before it each example keeps its own. Modules come behind the mix point when they do so in the
module tree, and only the outermost that take a mask unite it: they hand it on. Like all hooks these
are pure functions of (plan, arguments), so that checkpointing repeats them.

At the input the hook that mixes unites the masks itself. What a model does with its mask after its
blocks, in its own forward, cannot be reached: a mean over the positions that the mask keeps takes
those of the first example.
"""

import functools
import inspect
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from layermix.attach.masks import is_mask, united
from layermix.attach.site import SPECIAL, Site
from layermix.attach.switch import Switch, only


class MaskHook:
    """Unite the masks that a module takes, when the plan names a point before it."""

    def __init__(self, switch: Switch, points: frozenset[str], masks: tuple[tuple[int, str], ...]):
        self.switch = switch
        self.points = points
        self.masks = masks

    def before(self, module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> Any:
        """Forward pre-hook: replace the masks that the module is called with."""
        plan = self.switch.current(module)
        here = plan is not None and self.switch.here(plan, *self.points)
        if plan is None or here is False:
            return None
        new_args, new_kwargs = list(args), dict(kwargs)
        for place, name in self.masks:
            if place < len(args) and isinstance(args[place], Tensor):
                new_args[place] = only(here, united(name, args[place], plan), args[place])
            if isinstance(kwargs.get(name), Tensor):
                new_kwargs[name] = only(here, united(name, kwargs[name], plan), kwargs[name])
        return tuple(new_args), new_kwargs

    def __deepcopy__(self, memo: dict) -> "MaskHook":
        return MaskHook(Switch(), self.points, self.masks)

    def __reduce__(self) -> tuple:
        return _inert, (self.points, self.masks)


def install_masks(
    model: nn.Module, sites: Iterable[Site], switch: Switch
) -> list[torch.utils.hooks.RemovableHandle]:
    """Put hooks before the modules that take a mask behind any of the sites, for good."""
    points: dict[nn.Module, set[str]] = {}
    for site in sites:
        for module in readers(model, site):
            points.setdefault(module, set()).add(site.name)
    handles = []
    for module, names in points.items():
        hook = MaskHook(switch, frozenset(names), mask_parameters(type(module)))
        handles.append(module.register_forward_pre_hook(hook.before, with_kwargs=True))
    return handles


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
def mask_parameters(kind: type[nn.Module]) -> tuple[tuple[int, str], ...]:
    """Return place and name of the masks among the arguments of a class's forward."""
    try:
        parameters = list(inspect.signature(kind.forward).parameters)[1:]  # without self
    except (TypeError, ValueError):
        return ()
    return tuple((place, name) for place, name in enumerate(parameters) if is_mask((name,)))


def _inert(points: frozenset[str], masks: tuple[tuple[int, str], ...]) -> MaskHook:
    return MaskHook(Switch(), points, masks)
