"""The hook manager of a mixer: its hooks in one model, and their shared state."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any

from torch import nn

from layermix.errors import InputError
from layermix.hooks.batch import Batch, batch_size, checked, lengths_of
from layermix.hooks.mask_hooks import MaskHook, install_masks
from layermix.hooks.mixing_hook import Hook, install
from layermix.hooks.mixing_state import MixingState
from layermix.hooks.nested import main_tensor
from layermix.hooks.probe import Probe
from layermix.hooks.registry import hooks_of
from layermix.hooks.sites import Site, find


class HookManager:
    """Manager of a mixer's hooks in an unwrapped model, which mix activations and masks."""

    def __init__(
        self,
        model: nn.Module,
        names: Sequence[str],
        batch_dim: int = 0,
        one_graph: bool = False,  # mix at every point, and keep the result of the plan's point
        late: bool = False,  # mix after linear layers if a blend is equal and cheaper there
    ) -> None:
        self.batch_dim = checked(batch_dim)
        self.model = model
        self.state = MixingState(names if one_graph else None)
        self._late = late
        self._sites = {name: find(model, name) for name in names}
        self._hooks: dict[str, list[Hook]] = {}
        for name, site in self._sites.items():
            self._hooks[name] = install(site, self.state, late)
        self._masks = install_masks(model, self._sites.values(), self.state)
        self.links = _links(model, self._sites)  # modules on the paths to hooked modules

    def probe(self, x: Batch, root: nn.Module | None = None, train: bool = True) -> Probe:
        """Probe all points, in forward passes without mixing and without side effects."""
        with self.state.paused():
            return Probe(self.model, self._sites, x, self.batch_dim, root=root, train=train)

    def learn(self, names: Sequence[str], probe: Probe) -> None:
        """Configure the hooks of the points `names` from a probe; remove those of other points."""
        for name in set(self._hooks) - set(names):
            for hook in self._hooks.pop(name):
                hook.remove()
        for name in names:
            site = probe.sites[name]
            if site.modules != self._sites[name].modules:  # `final` was guessed from names
                for hook in self._hooks[name]:
                    hook.remove()
                self._sites[name], self._hooks[name] = site, install(site, self.state, self._late)
        probe.configure(self._hooks, self._masks)
        self.links = _links(self.model, {name: self._sites[name] for name in names})

    def batch_size(self, x: Batch, y: Any) -> int:
        """Return the number of examples; raise an `InputError` if the labels have another size."""
        size = batch_size(x, self.batch_dim)
        labels = len(y) if getattr(y, "ndim", 0) else size
        if labels == size or labels in lengths_of(x):
            return labels
        main = main_tensor(x)
        sequences = main.ndim > 2 or not main.is_floating_point()
        if labels in main.shape and sequences:
            raise InputError(
                f"the labels have shape {tuple(y.shape)}, but x has {size} examples along "
                f"dimension {self.batch_dim}: if the batch is another dimension of the model, "
                f"pass batch_dim={list(main.shape).index(labels)}"
            )
        return size

    def is_second(self) -> bool:
        """Return True if an earlier mixer has hooks in the model, unless its probe failed."""
        found = (h for module in self.model.modules() for h in hooks_of(module))
        hooks = [h for h in found if isinstance(h, Hook) and not h.state.refused]
        numbers = {id(h.state): h.handles[0].id for h in hooks}
        own = numbers.get(id(self.state), 0)
        return any(number < own for number in numbers.values())

    def is_removed(self, point: str) -> bool:
        """Return True if the hooks at a point were removed from the model."""
        return not any(
            hook in hooks_of(module)
            for module, hook in zip(self._sites[point].modules, self._hooks[point], strict=True)
        )

    def remover(self) -> Callable[[], None]:
        """Return a function that removes all hooks; it does not refer to the model."""
        return partial(self.state.release, partial(_remove, self._hooks, [*self._masks.values()]))


def _remove(hooks: Mapping[str, list[Hook]], masks: Sequence[MaskHook]) -> None:
    for hook in (*chain.from_iterable(hooks.values()), *masks):
        hook.remove()


def _links(
    model: nn.Module, sites: Mapping[str, Site]
) -> list[tuple[dict[str, nn.Module | None], str, nn.Module]]:
    names = {id(module): name for name, module in model.named_modules()}
    links = {}
    for module in (module for site in sites.values() for module in site.modules):
        parent = model
        for name in filter(None, names.get(id(module), "").split(".")):
            child = parent.get_submodule(name)
            links[id(parent), name] = (parent._modules, name, child)
            parent = child
    return list(links.values())
