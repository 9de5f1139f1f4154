"""A base class of `Mixer`, which attaches hooks to a model and probes its mix points."""

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import nn

from layermix.errors import InputError, LayermixError, unknown, warn
from layermix.functional import obstacle
from layermix.hooks.batch import Batch, as_inputs
from layermix.hooks.blocks import token_embedding
from layermix.hooks.hook_manager import HookManager
from layermix.hooks.probe import Probe
from layermix.hooks.sites import unwrap
from layermix.mixing import MethodSampler, Plan, PlanSampler


class MixerProbe:
    """The part of a mixer that attaches hooks, probes the mix points, and reports problems."""

    model: nn.Module  # as it was given
    _sampler: PlanSampler
    last: Plan | None  # the last plan that was applied
    _words: list[str | None]  # for each method, its group of points such as "auto"
    _allow_partial: bool
    _always: bool
    _hook_settings: dict[str, Any]
    _hooks: HookManager | None
    _probed: "Probed | None"
    _warned: set[str]

    def __repr__(self) -> str:
        shown = [type(unwrap(self.model)).__name__]
        for word, method in zip(self._words, self._sampler.methods, strict=True):
            at = word or method.points.only or list(method.points.weights)
            shown.append(f"at={at!r}, per={method.per!r}, blend={method.blend!r}")
        return f"Mixer({', '.join(shown)})"

    def check(self, x: Batch) -> None:
        """Check that every point can be mixed, in forward passes without side effects.

        The first mixed step does the same check. The points of ``"auto"``, ``"random"``,
        ``"hidden"`` and ``"last"`` that cannot be mixed are dropped.

        Parameters
        ----------
        x
            Batch as in a call of the mixer; at most three of its examples are used.

        Raises
        ------
        InputError
            If a module is not called exactly once in a forward pass, or its activation is not a
            floating-point tensor with the batch first, or the blend cannot mix it. Without
            `allow_partial` also if a point is not a cut of the network: mixed with ratio 0 there,
            the output differs from that of the partners. For a group such as ``"auto"``, only if
            no point remains.

        Warns
        -----
        UserWarning
            Once, with `allow_partial`, for points that are not cuts.
        """
        self._check(x, self.model, called=False, train=not self._always)

    def remove(self) -> None:
        """Remove the hooks from the model; with activation checkpointing, at its next call."""
        if self._hooks is not None:
            self._hooks.remover()()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without hooks; a copy adds new hooks to its own copy of the model."""
        fresh = {"_hooks": None, "_probed": None, "_warned": set(), "last": None}
        return {**{k: v for k, v in vars(self).items() if k != "_finalizer"}, **fresh}

    def _attach(self) -> HookManager:
        if self._hooks is None:
            names = [name for method in self._sampler.methods for name in method.points.names]
            names = list(dict.fromkeys(names))
            self._hooks = HookManager(unwrap(self.model), names, **self._hook_settings)
            self._finalizer = weakref.finalize(self, self._hooks.remover())
        return self._hooks

    def _check(self, x: Batch, model: nn.Module, *, called: bool, train: bool = False) -> None:
        """Probe a model that is or contains the mixer's model; `train` forces training mode."""
        inner, outer = unwrap(self.model), unwrap(model)
        hooks = self._attach()
        hooks.state.refused = True
        around = outer is not inner and any(m is inner for m in outer.modules())
        probe = hooks.probe(x, outer if around else inner, train)
        for word, method in zip(self._words, self._sampler.methods, strict=True):
            names = tuple(method.points.weights)
            reasons = {p: self._obstacle(probe, p, method) for p in names}
            if word:
                self._sampler.drop(method, {p: w for p, w in reasons.items() if w})
            token = token_embedding(inner) if word in ("auto", "random") else None
            if token and {"input", token} <= method.points.weights.keys():
                self._sampler.drop(method, {token: "the input can be mixed"})
            if word == "last":
                left = tuple(method.points.weights)
                self._sampler.drop(method, dict.fromkeys(left[:-1], "a later block can be mixed"))
            for name in method.points.weights:
                probe.require(name)
                if why := reasons[name]:
                    raise InputError(_refusal(name, why, probe.leak(name)))
        hooks.learn(self._sampler.points, probe)
        hooks.state.refused = False
        self._probed = Probed(
            weakref.ref(unwrap(model)), form_of(x), train or model.training, called, hooks.links
        )
        self._warn_of("partial", "not cuts of the network", probe.leak)
        self._warn_of("masks", "mixed with masks that cannot be united", probe.mask_leak)
        self._warn_of_other_mixers()

    def _obstacle(self, probe: Probe, name: str, method: MethodSampler) -> str | None:
        if why := probe.obstacle(name, partial=self._allow_partial):
            return why
        plan = PlanSampler([name], blend=method.blend, seed=0).draw(2)
        return obstacle(plan, probe.shape(name) or (), probe.channels(name))

    def _unknown_point(self, point: str) -> LayermixError:
        if why := self._sampler.dropped.get(point):
            return InputError(
                f"the plan mixes at {point!r}, which was dropped: {why}. Call mixer.check(x) "
                "before plans are drawn"
            )
        return unknown("mix point of this mixer", point, self._sampler.points)

    def _warn(self, topic: str, message: str) -> None:
        if topic not in self._warned:
            self._warned.add(topic)
            warn(message)

    def _warn_of_eval(self) -> None:
        if torch.is_grad_enabled() and any(p.requires_grad for p in self.model.parameters()):
            self._warn(
                "eval",
                "the model is in eval mode, so that nothing is mixed although gradients are "
                "enabled: build the mixer with always=True to mix in eval mode, or evaluate under "
                "torch.no_grad()",
            )

    def _warn_of(self, topic: str, what: str, leak: Callable[[str], str | None]) -> None:
        leaks = [f"{point!r}: {why}" for point in self._sampler.points if (why := leak(point))]
        if leaks:
            self._warn(topic, f"some mix points are {what}. {'; '.join(leaks)}")

    def _warn_of_other_mixers(self) -> None:
        if self.model.training and self._attach().is_second():
            self._warn(
                "second",
                "another mixer has hooks on this model, and each mixes its own steps: call "
                "remove() on the one that is not needed, or use `with layermix.Mixer(...)`",
            )


@dataclass
class Probed:
    """The conditions of the last probe: the model, the form of its inputs, and its mode."""

    model: Callable[[], nn.Module | None]  # a reference to the model that was called, unwrapped
    form: object  # form of its inputs; see `form_of`
    training: bool
    called: bool  # True if no wrapper around it is called
    links: list[tuple[dict[str, nn.Module | None], str, nn.Module]]  # see `HookManager`


SINGLE_TENSOR: object = ((True,), frozenset())  # the form of a batch that is one tensor


def form_of(x: Batch) -> object:
    """Return the form of a batch: which positional and which named inputs are not None."""
    args, kwargs = as_inputs(x)
    given = tuple(value is not None for value in args)
    return given, frozenset(name for name, value in kwargs.items() if value is not None)


def _refusal(name: str, why: str, leak: str | None) -> str:
    if why != leak:
        return f"at mix point {name!r}: {why}"
    return (
        f"mix point {name!r} is not a cut of the network: {why}. Choose one of "
        "layermix.points(model, x), or mix it anyway with allow_partial=True"
    )
