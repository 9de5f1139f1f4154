"""The part of a mixer that holds its hooks, and probes the model in which they are."""

import warnings
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Self

import torch
from torch import nn

from layermix.attach.batch import Batch, Inputs
from layermix.attach.drawing import Drawing
from layermix.attach.manager import HookManager
from layermix.attach.probe import Probe
from layermix.attach.site import unwrap
from layermix.attach.trial import refusal
from layermix.errors import InputError, LayermixError, unknown
from layermix.mixing import Planner


class Attached(Drawing):
    """Hooks in a model, and the errors and warnings that follow from probing it.

    Attributes
    ----------
    model
        The model of the mixer, as it was given.
    """

    model: nn.Module
    _group: str | None  # the word for several points that was given
    _allow_partial: bool
    _hooking: dict[str, Any]  # further arguments of the hook manager
    _attached: HookManager | None
    _probed: tuple[Any, ...]  # what was probed: the model that is called, the form of its inputs
    _warned: set[str]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()

    def __getstate__(self) -> dict[str, Any]:
        """Return the settings; a copy of mixer and model together gets hooks of its own."""
        fresh = {"_attached": None, "_probed": (), "_warned": set()}
        return {**{k: v for k, v in vars(self).items() if k != "_finalizer"}, **fresh}

    def _attach(self) -> HookManager:
        """Return the hook manager; a copy registers its hooks when it is first used."""
        if self._attached is None:
            names = self._planner.choice.names
            manager = HookManager(unwrap(self.model), names, **self._hooking)
            self._attached = manager
            self._finalizer = weakref.finalize(self, manager.remover())
        return self._attached

    def remove(self) -> None:
        """Remove the mixer's hooks from the model."""
        if self._attached is not None:
            self._attached.remove()

    def _check(self, x: Batch, model: nn.Module) -> None:
        inner, outer = unwrap(self.model), unwrap(model)
        manager = self._attach()
        around = outer is not inner and any(m is inner for m in outer.modules())
        probe = manager.probe(x, outer if around else inner)
        if self._group:
            refused = {p: why for p in self.points if (why := self._refusal(probe, p))}
            self._planner.choice.drop(refused)
            if self._group == "last":
                self._planner.choice.drop(dict.fromkeys(self.points[:-1], _NOT_LAST))
        for name in self.points:
            probe.require(name)
            if why := self._refusal(probe, name):
                raise InputError(_refused(name, why, probe.leak(name)))
        manager.learn(self.points, probe)
        self._probed = (weakref.ref(model), _form(x))
        self._warn_of("partial", "no cuts of the network", probe.leak)
        self._warn_of("masks", "mixed with masks that cannot be united", probe.mask_leak)
        self._warn_of_company()

    def _refusal(self, probe: Probe, name: str) -> str | None:
        """Return why a point cannot be mixed by this mixer, or None if it can."""
        if why := probe.obstacle(name, partial=self._allow_partial):
            return why
        plan = Planner([name], blend=self._planner.blend).draw(2)
        return refusal(plan, probe.shape(name) or (), probe.channels(name))

    def _check_before(self, point: str, inputs: Batch) -> None:
        """Probe before the first forward pass of a plan that was drawn without a probe."""
        self._check(inputs, self.model)
        if point not in self.points:
            raise self._unknown_point(point)

    def _is_unprobed(self, model: nn.Module, x: Batch) -> bool:
        if not self._probed or self._probed[1] != _form(x) or self._attach().is_stale():
            return True
        return model is not self.model and self._probed[0]() is not model

    def _unknown_point(self, point: str) -> LayermixError:
        if why := self.dropped.get(point):
            return InputError(
                f"the plan mixes at {point!r}, which was dropped: {why}. Call mixer.check(x) "
                "before plans are drawn"
            )
        return unknown("mix point of this mixer", point, self.points)

    def _warn(self, topic: str, message: str) -> None:
        if topic not in self._warned:
            self._warned.add(topic)
            warnings.warn(message, stacklevel=4)

    def _warn_of_eval(self) -> None:
        if torch.is_grad_enabled():
            self._warn(
                "eval",
                "the model is in eval mode, so that nothing is mixed although gradients are "
                "enabled: build the mixer with always=True to mix all the same, or evaluate under "
                "torch.no_grad()",
            )

    def _warn_of(self, topic: str, what: str, leak: Callable[[str], str | None]) -> None:
        leaks = [f"{point!r}: {why}" for point in self.points if (why := leak(point))]
        if leaks:
            self._warn(topic, f"some mix points are {what}. {'; '.join(leaks)}")

    def _warn_of_company(self) -> None:
        if self.model.training and self._attach().has_company():
            self._warn(
                "company",
                "another mixer has hooks on this model, and each mixes its own steps: call "
                "remove() on the one that is not needed, or use `with layermix.Mixer(...)`",
            )


_NOT_LAST = "a later block can be mixed"


def _form(x: Batch) -> object:
    """Return how a batch is handed over: a tensor, how many, or which names."""
    if isinstance(x, Inputs):
        return len(x.args), frozenset(x.kwargs)
    if isinstance(x, Mapping):
        return 0, frozenset(x)
    return (len(x) if isinstance(x, tuple | list) else 1), frozenset()


def _refused(name: str, why: str, leak: str | None) -> str:
    if why != leak:
        return f"at mix point {name!r}: {why}"
    return (
        f"mix point {name!r} is no cut of the network: {why}. Choose one of "
        "layermix.points(model, x), or mix it all the same with allow_partial=True"
    )
