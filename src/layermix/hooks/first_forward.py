"""Call a function before the first forward pass of a model, alone or inside a wrapper."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from itertools import takewhile
from types import FrameType
from typing import Any

import torch
from torch import nn

from layermix.hooks.batch import Inputs
from layermix.hooks.registry import ModelHook

Probing = Callable[[nn.Module, Inputs], None]
"""A function of the model that is called and of its arguments."""


@contextmanager
def before_first_forward(model: nn.Module, function: Probing, eager: bool) -> Iterator[None]:
    """Call a function before the first forward pass inside the ``with`` block.

    A compiled model cannot be probed while it is compiled; if `eager`, it runs eagerly in this
    block.
    """
    first = _FirstForward(model, function)
    try:
        with torch.compiler.set_stance("force_eager") if eager else nullcontext():
            yield
    finally:
        first.remove()


class _FirstForward(ModelHook):
    """Calls a function before the first forward pass of a model, alone or inside a wrapper.

    The wrapper is the outermost module that contains the model among those whose calls began after
    this object was made; it is found on the stack of Python.
    """

    def __init__(self, model: nn.Module, function: Probing) -> None:
        super().__init__()
        self._function = function
        self._frames = list(_frames())  # kept, so that no new frame has the identity of one
        self.register_before(model, self.before, prepend=True)

    def before(self, module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        """Forward pre-hook: call the function once; its own passes do not call it again."""
        if torch.compiler.is_compiling():
            return
        self.remove()
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
