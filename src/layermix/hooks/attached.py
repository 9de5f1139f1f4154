"""The part of a mixer that holds its hooks, and probes the model in which they are."""

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import nn

from layermix.errors import InputError, LayermixError, unknown, warn
from layermix.hooks.batch import Batch, as_inputs
from layermix.hooks.drawing import Drawing
from layermix.hooks.manager import HookManager
from layermix.hooks.probe import Probe
from layermix.hooks.site import unwrap
from layermix.hooks.trial import refusal
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
    _always: bool
    _probed: "_Probed | None"
    _warned: set[str]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()

    def __getstate__(self) -> dict[str, Any]:
        """Return the settings; a copy of mixer and model together gets hooks of its own."""
        fresh = {"_attached": None, "_probed": None, "_warned": set()}
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
        """Remove the mixer's hooks from the model.

        With activation checkpointing a backward pass may still need them; they are then removed
        when the model is next called.
        """
        if self._attached is not None:
            self._attached.remover()()

    def _check(self, x: Batch, model: nn.Module, *, called: bool, train: bool = False) -> None:
        """Probe a model that is or contains the mixer's.

        Parameters
        ----------
        x, model
            The batch, and the model that takes it.
        called
            True if this is known to be the model that is called, and not a part of a wrapper.
        train
            Probe in training mode, even if the model is in eval mode.
        """
        inner, outer = unwrap(self.model), unwrap(model)
        manager = self._attach()
        manager.state.refused = True
        around = outer is not inner and any(m is inner for m in outer.modules())
        probe = manager.probe(x, outer if around else inner, train)
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
        manager.state.refused = False
        mode = train or model.training
        self._probed = _Probed(weakref.ref(unwrap(model)), _form(x), mode, called)
        self._warn_of("partial", "no cuts of the network", probe.leak)
        self._warn_of("masks", "mixed with masks that cannot be united", probe.mask_leak)
        self._warn_of_company()

    def _refusal(self, probe: Probe, name: str) -> str | None:
        """Return why a point cannot be mixed by this mixer, or None if it can."""
        if why := probe.obstacle(name, partial=self._allow_partial):
            return why
        plan = Planner([name], blend=self._planner.blend).draw(2)
        return refusal(plan, probe.shape(name) or (), probe.channels(name))

    def _check_before(self, point: str, model: nn.Module, inputs: Batch) -> None:
        """Probe before a forward pass, unless the model that is called was probed."""
        if self._is_probed() and self._probed and self._probed.model() is unwrap(model):
            self._probed.called = True
            return
        self._check(inputs, model, called=True)
        if point not in self.points:
            raise self._unknown_point(point)

    def _is_probed(self) -> bool:
        """Return True if the hooked model was probed as it is now, in its present mode."""
        probed = self._probed
        if probed is None or self._attach().is_stale():
            return False
        return probed.training == self.model.training

    def _is_probed_with(self, model: nn.Module, x: Batch) -> bool:
        probed = self._probed
        if probed is None or not self._is_probed() or probed.form != _form(x):
            return False
        return model is self.model or probed.model() is unwrap(model)

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
            warn(message)

    def _warn_of_eval(self) -> None:
        if torch.is_grad_enabled() and any(p.requires_grad for p in self.model.parameters()):
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


@dataclass
class _Probed:
    """The model, the inputs and the mode of the last probe.

    Attributes
    ----------
    model
        Returns the model that was called, unwrapped.
    form
        How its inputs were handed over.
    training
        True if it was in training mode.
    called
        True if this model is known to be the one that is called, and not a part of a wrapper.
    """

    model: Callable[[], nn.Module | None]
    form: object
    training: bool
    called: bool


_NOT_LAST = "a later block can be mixed"


def _form(x: Batch) -> object:
    """Return how a batch is handed over: a tensor, how many, or which names."""
    args, kwargs = as_inputs(x)
    given = tuple(value is not None for value in args)
    return given, frozenset(name for name, value in kwargs.items() if value is not None)


def _refused(name: str, why: str, leak: str | None) -> str:
    if why != leak:
        return f"at mix point {name!r}: {why}"
    return (
        f"mix point {name!r} is no cut of the network: {why}. Choose one of "
        "layermix.points(model, x), or mix it all the same with allow_partial=True"
    )
