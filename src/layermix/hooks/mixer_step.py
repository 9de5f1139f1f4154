"""One step of a mixer: draw a plan, run the model with it, and mix the labels."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from itertools import takewhile
from typing import Any, overload

import torch
from torch import Tensor, nn

from layermix.errors import InputError, RunError
from layermix.hooks.batch import Batch, Inputs, call
from layermix.hooks.clean_norm_stats import CleanNormStats
from layermix.hooks.mixer_probe import SINGLE_TENSOR, MixerProbe, form_of
from layermix.hooks.mixing_state import MixedForward, frames
from layermix.hooks.nested import main_tensor
from layermix.hooks.registry import ModelHook
from layermix.hooks.sites import unwrap
from layermix.mixing import Plan, Target, Targets
from layermix.mixing.targets.label_checks import check_labels
from layermix.mixing.targets.mapping import clean

_NOTHING = nullcontext()


class MixerStep(MixerProbe):
    """The part of a mixer that runs in every step."""

    _needs_inputs: bool  # True if partners depend on the inputs
    _clean_norms: CleanNormStats | None

    @overload
    def __call__(
        self, x: Batch, y: Tensor, model: nn.Module | None = None
    ) -> tuple[Any, Target]: ...
    @overload
    def __call__(
        self, x: Batch, y: Mapping[str, Tensor], model: nn.Module | None = None
    ) -> tuple[Any, Targets]: ...
    def __call__(
        self, x: Batch, y: Tensor | Mapping[str, Tensor], model: nn.Module | None = None
    ) -> tuple[Any, Target | Targets]:
        """Run one forward pass with a new plan; in eval mode nothing is mixed.

        Parameters
        ----------
        x
            Batch (B, ...), a tuple of inputs for ``model(*x)``, or a mapping of inputs for
            ``model(**x)``; not modified.
        y
            Labels, shape (B, ...), or a mapping of several such tensors.
        model
            Model to call instead: a wrapper of the mixer's model, such as that of a trainer.

        Returns
        -------
        output, target
            Output of the model, in its own type, and the labels mixed by the same plan.
        """
        model = self.model if model is None else model
        if not (model.training or self._always):
            self._warn_of_eval()
            return call(model, x), clean(y)
        hooks = self._hooks or self._attach()
        single = isinstance(x, Tensor) and not x.is_nested and hooks.batch_dim == 0
        if single and isinstance(y, Tensor) and y.shape[:1] == x.shape[:1] != ():  # pyright: ignore[reportAttributeAccessIssue]
            size = len(x)
        else:
            size = hooks.batch_size(x, y)
            check_labels(y, size)
        if size and not self._is_current(model, x):  # `draw` raises an error for an empty batch
            self._check(x, model, called=True)
        self.last = plan = self.draw(size, labels=y, inputs=x)
        with self._frozen_norms(model, x, plan), MixedForward(hooks.state, plan) as mixed:
            output = model(x) if single else call(model, x)
        return output, mixed.target(y)

    def _frozen_norms(self, model: nn.Module, x: Batch, plan: Plan) -> AbstractContextManager[None]:
        """Update clean statistics of batch norms; return a context that does not change them."""
        if self._clean_norms is None or plan.skip:
            return _NOTHING
        if self._hooks and self._hooks.state.checkpointed:
            raise RunError(
                "norm_stats='clean' does not work with activation checkpointing, which updates the "
                "statistics again in the backward pass: use layermix.update_norm_stats instead"
            )
        self._clean_norms.update(model, x, self._sampler.clock.step - 1)
        return self._clean_norms.frozen()

    def draw(
        self,
        batch_size: int,
        *,
        labels: Tensor | Mapping[str, Tensor] | None = None,
        inputs: Batch | None = None,
    ) -> Plan:
        """Draw the plan of a step on the model's device.

        Parameters
        ----------
        batch_size
            Number of examples B.
        labels, inputs
            The batch, for partners that depend on it. Only the first of several inputs is used.
        """
        main, parameter = None, _first_parameter(self.model)
        if inputs is not None and self._needs_inputs:
            main = main_tensor(inputs).movedim(self._attach().batch_dim, 0)
        if parameter is None:
            return self._sampler.draw(batch_size, labels=labels, inputs=main)
        dtype = torch.float64 if parameter.dtype == torch.float64 else None
        return self._sampler.draw(
            batch_size, parameter.device, labels=labels, inputs=main, dtype=dtype
        )

    @contextmanager
    def apply(self, plan: Plan) -> Iterator[MixedForward]:
        """Mix at `plan.point` in the forward pass inside the ``with`` block, in eval mode too.

        The points are checked before the first forward pass, as by `check`. Only forward passes of
        this thread are mixed.

        Yields
        ------
        MixedForward
            Its ``target(labels)`` mixes labels with the weights of the forward pass, including
            those of blends that cut.

        Raises
        ------
        InputError
            If the mixer was not built for `plan.point`, has ``norm_stats="clean"``, or `check`
            fails.
        RunError
            If the forward pass did not reach the mix point, so that nothing was mixed, or the
            mixer's hooks were removed.
        """
        if plan.point not in self._sampler.points:
            raise self._unknown_point(plan.point)
        if self._clean_norms is not None:
            raise InputError(
                "with norm_stats='clean' the mixer needs the unmixed batch: call mixer(x, y) "
                "instead of mixer.apply(plan)"
            )
        hooks, current, first = self._attach(), self._is_current(), nullcontext()
        if hooks.is_removed(plan.point):
            raise RunError("the hooks of this mixer were removed from the model: build a new one")
        if not (current and self._probed and self._probed.called):
            check = partial(self._check_before, plan.point)
            first = _before_first_forward(hooks.model, check, eager=not current)
        with first, MixedForward(hooks.state, plan) as mixed:
            self.last = plan
            yield mixed

    def _check_before(self, point: str, model: nn.Module, inputs: Batch) -> None:
        if self._probed and self._is_current() and self._probed.model() is unwrap(model):
            self._probed.called = True
            return
        self._check(inputs, model, called=True)
        if point not in self._sampler.points:
            raise self._unknown_point(point)

    def _is_current(self, model: nn.Module | None = None, x: Batch | None = None) -> bool:
        """Return True if the last probe is still valid; if given, for `model` and `x` too."""
        probed = self._probed
        if probed is None or probed.training != self.model.training:
            return False
        for modules, name, module in probed.links:
            if modules.get(name) is not module:
                return False
        if model is None or x is None:
            return True
        form = SINGLE_TENSOR if isinstance(x, Tensor) else form_of(x)
        if form != probed.form:
            return False
        return model is self.model or probed.model() is unwrap(model)


def _first_parameter(module: nn.Module) -> nn.Parameter | None:
    # Needed at each step; parameters() takes seven times as long.
    for parameter in module._parameters.values():
        if parameter is not None:
            return parameter
    for child in module._modules.values():
        if child is not None and (parameter := _first_parameter(child)) is not None:
            return parameter
    return None


@contextmanager
def _before_first_forward(
    model: nn.Module, function: Callable[[nn.Module, Inputs], None], eager: bool
) -> Iterator[None]:
    """Inside the block, call ``function(model, inputs)`` before the first forward pass."""
    first = _FirstForward(model, function)
    try:
        # A compiled model cannot be probed while it is compiled.
        with torch.compiler.set_stance("force_eager") if eager else nullcontext():
            yield
    finally:
        first.remove()


class _FirstForward(ModelHook):
    """Call a function once, before the first forward pass of a model or of a wrapper of it."""

    def __init__(self, model: nn.Module, function: Callable[[nn.Module, Inputs], None]) -> None:
        super().__init__()
        self._function = function
        self._frames = frames()  # kept, so that no new frame gets one of their ids
        self.register_before(model, self.before, prepend=True)

    def before(self, module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        if torch.compiler.is_compiling():
            return
        self.remove()  # passes of the function do not call it again
        # The wrapper is the outermost module around the model that was called after `__init__`.
        called, inputs, old = module, Inputs(args, kwargs), set(map(id, self._frames))
        for frame in takewhile(lambda frame: id(frame) not in old, frames()):
            if frame.f_code is nn.Module._wrapped_call_impl.__code__:
                outer = frame.f_locals["self"]
                if any(part is module for part in outer.modules()):
                    called = outer
                    inputs = Inputs(frame.f_locals["args"], frame.f_locals["kwargs"])
        self._frames.clear()
        self._function(called, inputs)
