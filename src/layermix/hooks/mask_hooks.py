"""Hooks that replace attention masks after a mix point by those of the mixed examples.

A position counts in a mixed example if it counts for the example or its partner: its mask is the
union of both. If a module after the mix point (in the order of ``model.modules()``) gets a mask or
lengths, a hook replaces them by this union. Only the outermost such modules have a hook, because
they pass the masks on to inner modules. At the input, the mixing hook does this. Masks that a model
uses in its own `forward`, after its blocks, cannot be changed: the probe measures their effect.
"""

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from layermix.hooks.masks import Role, Unite, mask_parameters, united
from layermix.hooks.mixing_hook import kept
from layermix.hooks.mixing_state import MixingState
from layermix.hooks.registry import ModelHook
from layermix.hooks.sites import SPECIAL, Site


class MaskHook(ModelHook):
    """Hook that replaces masks in a module's arguments, if the plan mixes before the module."""

    def __init__(
        self,
        state: MixingState | None = None,
        points: tuple[str, ...] = (),  # points before the module
        masks: tuple[tuple[int, str, Role], ...] = (),  # index, name and role of parameters
        unite: Unite = united,
    ) -> None:
        super().__init__()
        self.state, self.points = state or MixingState(), points
        self.masks, self.unite = masks, unite
        self.shared: set[str] = set()  # shared by all examples (causal); found by a probe

    def before(self, module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> Any:
        """Forward pre-hook: replace each mask by the union of an example's and its partner's."""
        active = self.state.active(self.points)
        if active is None:
            return None
        plan, here = active
        new_args, new_kwargs = list(args), dict(kwargs)
        for place, name, role in self.masks:
            positional = place < len(args)
            own = args[place] if positional else kwargs.get(name)
            if not isinstance(own, Tensor) or name in self.shared:
                continue
            mixed = kept(here, self.unite(role, name, own, plan), own)
            if positional:
                new_args[place] = mixed
            else:
                new_kwargs[name] = mixed
        return tuple(new_args), new_kwargs


def install_masks(
    model: nn.Module, sites: Iterable[Site], state: MixingState, unite: Unite = united
) -> dict[nn.Module, MaskHook]:
    """Register a `MaskHook` on the outermost modules that follow a mix point and take a mask."""
    points: dict[nn.Module, set[str]] = {}
    for site in sites:
        for module in mask_readers(model, site):
            points.setdefault(module, set()).add(site.name)
    hooks = {}
    for module, names in points.items():
        hook = hooks[module] = MaskHook(state, tuple(names), mask_parameters(type(module)), unite)
        hook.register_before(module, hook.before)
    return hooks


def mask_readers(model: nn.Module, site: Site) -> list[nn.Module]:
    """Return the outermost modules, after a site in the module tree, that have a mask parameter."""
    if site.name in SPECIAL:
        return []
    found: list[nn.Module] = []
    after, inside = False, set(map(id, site.module.modules()))
    for module in model.modules():
        after = after or module is site.module
        if after and id(module) not in inside and mask_parameters(type(module)):
            found.append(module)
            inside |= set(map(id, module.modules()))
    return found


def shared_masks(module: nn.Module, args: tuple, kwargs: dict[str, Any], size: int) -> set[str]:
    """Return the names of masks without a batch dimension, which all `size` examples share."""
    found = set()
    for place, name, _ in mask_parameters(type(module)):
        mask = args[place] if place < len(args) else kwargs.get(name)
        if isinstance(mask, Tensor) and mask.shape[:1] != (size,):
            found.add(name)
    return found
