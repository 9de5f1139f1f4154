"""Read what flows through a model, and change nothing: no mode, no statistics, no random state."""

import inspect
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from layermix.attach.batch import Batch, call, described
from layermix.attach.site import Site, device_of
from layermix.errors import InputError, LayermixError

See = Callable[[str, Any], None]


def observe(model: nn.Module, sites: Iterable[Site], x: Batch, see: See) -> Any:
    """Run one silent forward pass and call ``see(point, value)`` whenever a site is passed.

    The value is what the module returned, or for a site before a module (args, kwargs). An error
    of the model becomes an `InputError` that names the batch.
    """
    with ExitStack() as stack:
        for site in sites:
            stack.callback(_watch(site, see).remove)
        stack.enter_context(silent(model))
        try:
            return call(model, x)
        except LayermixError:
            raise
        except Exception as error:
            raise InputError(
                f"{type(model).__name__} failed on a batch of {described(x)}: {error}"
            ) from error


def takes(model: nn.Module, names: Iterable[str]) -> bool:
    """Tell whether a model takes an input by one of these names."""
    parameters = inspect.signature(model.forward).parameters
    by_name = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    return by_name or any(name in parameters for name in names)


@contextmanager
def silent(model: nn.Module) -> Iterator[None]:
    """Evaluate a model without a trace: eval mode, no gradient, eager; all restored at the end."""
    modes = [(module, module.training) for module in model.modules()]
    device = device_of(model)
    cuda = [device] if device.type == "cuda" else []
    model.eval()
    try:
        with (
            torch.no_grad(),
            torch.random.fork_rng(devices=cuda),
            torch.compiler.set_stance("force_eager"),
            warnings.catch_warnings(),
        ):
            # Reentrant activation checkpointing complains of a forward without gradients.
            warnings.filterwarnings("ignore", "None of the inputs have requires_grad")
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def _watch(site: Site, see: See) -> torch.utils.hooks.RemovableHandle:
    def before(module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        see(site.name, (args, kwargs))

    def after(module: nn.Module, args: tuple, output: Any) -> None:
        see(site.name, output)

    if site.side == "before":
        return site.module.register_forward_pre_hook(before, with_kwargs=True)
    return site.module.register_forward_hook(after)
