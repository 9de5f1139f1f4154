"""Hooks of a `FeatureCapture`: a recorder, and a slot that stores the features of each mix point.

Only training passes of the whole model are recorded, but not recomputations in a backward pass.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from layermix.errors import InputError
from layermix.hooks.mixing_state import in_backward
from layermix.hooks.nested import main_tensor
from layermix.hooks.registry import ModelHook
from layermix.hooks.sites import Site


class Recorder(ModelHook):
    """Start and stop the recording of a forward pass; store its features in slots."""

    def __init__(self, points: Iterable[str] = (), always: bool = False) -> None:
        super().__init__()
        self.always = always
        self.running = False  # True while a forward pass is recorded
        self.used = False  # True if a pass was recorded since `clear`
        self.slots = {point: Slot(point, self) for point in points}

    def install(self, model: nn.Module, sites: Mapping[str, Site]) -> list[RemovableHandle]:
        """Register the hooks of the recorder and of its slots, and return their handles."""
        # The recorder starts before, and stops after, the hooks of sites at the model itself.
        self.register_before(model, self.begin)
        for point, slot in self.slots.items():
            slot.register(sites[point])
        self.register_after(model, self.end, always_call=True)
        return [handle for hook in (self, *self.slots.values()) for handle in hook.handles]

    def begin(self, module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        """Forward pre-hook of the model: start recording."""
        if in_backward():  # the whole model is checkpointed and runs again
            return
        self.running = torch.is_grad_enabled() and (module.training or self.always)
        if self.running:
            self.clear()
            self.used = True

    def end(self, module: nn.Module, args: tuple, output: Any) -> None:
        """Forward hook of the model: stop recording."""
        self.running = False

    def clear(self) -> None:
        """Delete the features of all mix points."""
        self.used = False
        for slot in self.slots.values():
            slot.empty()


class Slot(ModelHook):
    """The features at one mix point in the last recorded pass, and the hook that stores them."""

    def __init__(self, point: str = "", recorder: Recorder | None = None) -> None:
        super().__init__()
        self.point, self.recorder = point, recorder or Recorder()
        self.empty()

    def empty(self) -> None:
        """Delete the recorded features."""
        self.value: Tensor | None = None
        self.calls = 0
        self.without_gradient = False
        self.version: int | None = None  # of `value` when it was kept; None for a copy

    def register(self, site: Site) -> None:
        """Register the hook that stores the features at a site."""
        if site.side == "before":
            self.register_before(site.module, self._before)
        else:
            self.register_after(site.module, self._after)

    def _after(self, module: nn.Module, args: tuple, output: Any) -> None:
        if self.recorder.running:
            self._keep(output)

    def _before(self, module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        if self.recorder.running:
            self._keep((args, kwargs))

    def _keep(self, value: Any) -> None:
        try:
            tensor = main_tensor(value)
        except InputError as error:
            raise InputError(f"at mix point {self.point!r}: {error}") from None
        self.calls += 1
        self.without_gradient = not torch.is_grad_enabled()
        if torch.compiler.is_compiling():
            # A compiled graph hides versions; a copy cannot be changed in place.
            self.value = tensor.clone()
        else:
            self.value = tensor
            self.version = None if tensor.is_inference() else tensor._version

    def read(self) -> Tensor:
        """Return the features, or raise an `InputError` if they cannot be used."""
        if self.value is None:
            raise InputError(self._nothing())
        if wrong := self._wrong(self.value):
            raise InputError(f"mix point {self.point!r} cannot be captured: {wrong}")
        return self.value

    def _nothing(self) -> str:
        if not self.recorder.used:
            return (
                f"nothing was captured at mix point {self.point!r} yet: call the model first, in "
                "training mode (or build the capture with always=True) and with gradients on"
            )
        return (
            f"nothing was captured at mix point {self.point!r}: the last forward pass did not call "
            "it. Build the capture before the first call of a compiled model, and capture a "
            "module that every forward calls"
        )

    def _wrong(self, value: Tensor) -> str | None:
        if self.calls > 1:
            return (
                f"it was called {self.calls} times in the last forward pass. "
                "layermix.points(model, x) lists the points that are called once"
            )
        if self.without_gradient and not value.requires_grad:
            return (
                "it ran without gradients, like blocks inside reentrant activation checkpointing: "
                "use use_reentrant=False, or capture the output of the checkpointed block itself"
            )
        if self.version is not None and value._version != self.version:
            return (
                "its features were changed in place by a later layer, such as "
                "ReLU(inplace=True): build that layer with inplace=False, or capture its output"
            )
        return None
