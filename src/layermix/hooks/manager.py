"""The hook manager of a mixer: its hooks in one model, and the state that they share.

Hooks of mix points mix, hooks behind them unite masks and lengths.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from itertools import chain, takewhile
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn

from layermix.errors import InputError
from layermix.hooks.batch import Batch, Inputs, batch_size, checked, lengths_of
from layermix.hooks.hooks import Hook, install
from layermix.hooks.mask_hooks import MaskHook, install_masks
from layermix.hooks.probe import Probe
from layermix.hooks.registry import ModelHook, hooks_of, register_before
from layermix.hooks.site import Site, find
from layermix.hooks.state import MixingState
from layermix.hooks.structure import main_tensor
from layermix.mixing import Plan

Probing = Callable[[nn.Module, Inputs], None]
"""A function of the model that is called and of its arguments."""


class _FirstForward(ModelHook):
    """Calls a function before the first forward pass of a model, alone or inside a wrapper.

    The wrapper is the outermost module that contains the model among those whose calls began after
    this object was made; it is found on the stack of Python.
    """

    def __init__(self, model: nn.Module, function: Probing) -> None:
        self._function = function
        self._frames = list(_frames())  # kept, so that no new frame has the identity of one
        self.handle = register_before(model, self.before, prepend=True)

    def before(self, module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        """Forward pre-hook: call the function once; its own passes do not call it again."""
        if torch.compiler.is_compiling():
            return
        self.handle.remove()
        called, inputs, known = module, Inputs(args, kwargs), set(map(id, self._frames))
        for frame in takewhile(lambda frame: id(frame) not in known, _frames()):
            if frame.f_code is nn.Module._wrapped_call_impl.__code__:
                outer = frame.f_locals["self"]
                if any(part is module for part in outer.modules()):
                    called = outer
                    inputs = Inputs(frame.f_locals["args"], frame.f_locals["kwargs"])
        self._frames.clear()
        self._function(called, inputs)


def _frames() -> Iterator[FrameType]:
    """Yield the frames of the stack of Python, the innermost first."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


class HookManager:
    """Permanent hooks at some mix points of an unwrapped model.

    Parameters
    ----------
    model
        The model.
    names
        Mix points.
    batch_dim
        Batch dimension of the main input.
    one_graph
        Mix at every point and keep what the plan's point mixed.
    late
        The blend is cheaper behind a linear layer than before it, and the same there.

    Raises
    ------
    InputError
        For an unknown mix point, or a batch dimension that is none.
    """

    def __init__(
        self,
        model: nn.Module,
        names: Sequence[str],
        batch_dim: int = 0,
        one_graph: bool = False,
        late: bool = False,
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
        self._paths = _paths(model, self._sites)

    def probe(self, x: Batch, root: nn.Module | None = None, train: bool = True) -> Probe:
        """Probe all points in silent forward passes; nothing is mixed in them."""
        with self.state.paused():
            return Probe(self.model, self._sites, x, self.batch_dim, root=root, train=train)

    def learn(self, names: Sequence[str], probe: Probe) -> None:
        """Take over where the batch is in each tensor; hooks of other points are removed."""
        for name in set(self._hooks) - set(names):
            for hook in self._hooks.pop(name):
                hook.remove()
        for name in names:
            site = probe.sites[name]
            if site.modules != self._sites[name].modules:  # `final` was looked for by names so far
                for hook in self._hooks[name]:
                    hook.remove()
                self._sites[name], self._hooks[name] = site, install(site, self.state, self._late)
            for hook, dims in zip(self._hooks[name], probe.dims(name), strict=True):
                hook.dims = dims
                hook.roles = probe.roles if name == "input" else {}
        for module, hook in self._masks.items():
            hook.shared = probe.shared_masks.get(module, frozenset())
        self._paths = _paths(self.model, {name: self._sites[name] for name in names})

    def is_stale(self) -> bool:
        """Return True if a module with a hook was replaced or wrapped since it was probed."""
        return any(_at(self.model, path) is not module for path, module in self._paths)

    @contextmanager
    def mixing(
        self, plan: Plan, probe: Probing | None = None, probed: bool = False
    ) -> Iterator[None]:
        """Carry out a plan in the forward pass inside the ``with`` block.

        Parameters
        ----------
        plan
            The plan.
        probe
            Called before the first forward pass; None if that is not needed.
        probed
            The points were probed in the model itself, which may be called by a wrapper.
        """
        if probe is None:
            with self.state.on(plan):
                yield
            return
        first = _FirstForward(self.model, probe)
        # A compiled model cannot be probed while it is compiled: it runs as it is once.
        eager = nullcontext() if probed else torch.compiler.set_stance("force_eager")
        try:
            with eager, self.state.on(plan):
                yield
        finally:
            first.handle.remove()

    def batch_size(self, x: Batch, y: Any) -> int:
        """Return the number of examples, or say what to declare where the labels have another."""
        size = batch_size(x, self.batch_dim)
        labels = len(y) if getattr(y, "ndim", 0) else size
        if labels == size or labels in lengths_of(x):
            return labels
        main = main_tensor(x)
        sequences = main.ndim > 2 or not main.is_floating_point()
        if labels in main.shape and sequences:
            raise InputError(
                f"the labels have shape {tuple(y.shape)}, but x has {size} examples along "
                f"dimension {self.batch_dim}: where the batch is another dimension of the model, "
                f"declare batch_dim={list(main.shape).index(labels)}"
            )
        return size

    def examples(self, x: Batch) -> Tensor:
        """Return the main tensor of a batch with the examples first."""
        return main_tensor(x).movedim(self.batch_dim, 0)

    def has_company(self) -> bool:
        """Return True if an earlier mixer has hooks in the model, and was not refused."""
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
        """Return a function that removes all hooks and does not keep the model alive."""
        return partial(self.state.release, partial(_remove, self._hooks, self._masks))


def _remove(hooks: Mapping[str, list[Hook]], masks: Mapping[nn.Module, MaskHook]) -> None:
    for hook in chain.from_iterable(hooks.values()):
        hook.remove()
    for mask in masks.values():
        mask.handle.remove()


def _paths(model: nn.Module, sites: Mapping[str, Site]) -> list[tuple[tuple[str, ...], nn.Module]]:
    """Return the path of each module of some sites, as attributes to follow."""
    modules = [module for site in sites.values() for module in site.modules]
    names = {id(module): name for name, module in model.named_modules()}
    return [(tuple(names[id(m)].split(".")), m) for m in modules if names.get(id(m))]


def _at(model: nn.Module, path: tuple[str, ...]) -> nn.Module | None:
    module: nn.Module | None = model
    for name in path:
        module = None if module is None else module._modules.get(name)
    return module
