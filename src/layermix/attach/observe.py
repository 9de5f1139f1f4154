"""Read what flows through a model, and change nothing: no mode, no statistics, no random state."""

import inspect
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from layermix.attach.mixpoint import MixPoint, names_of
from layermix.attach.site import Site, find, unwrap
from layermix.attach.structure import main_input, main_tensor
from layermix.errors import InputError, LayermixError

Batch = Tensor | Mapping[str, Any]
"""A batch of examples: what a model is called with, or its inputs by name."""

See = Callable[[str, Any], None]


def activations(
    model: nn.Module, x: Batch, points: str | MixPoint | Iterable[str | MixPoint]
) -> dict[str, Tensor]:
    """Return the activations of a batch at mix points, from one forward pass in eval mode.

    Parameters
    ----------
    model
        Any model; it is left as it was, mode and random state included.
    x
        A batch, shape (B, ...), or a mapping of named inputs for ``model(**x)``.
    points
        One mix point or several: names, or rows of `points`.

    Returns
    -------
    dict
        For each point, by name, a detached tensor of shape (B, ...).
    """
    model = unwrap(model)
    seen: dict[str, Tensor] = {}
    sites = [find(model, point) for point in names_of(points)]
    observe(model, sites, x, lambda name, value: seen.update({name: main_tensor(value)}))
    missing = [site.name for site in sites if site.name not in seen]
    if missing:
        raise InputError(f"mix point {missing[0]!r} was not called in a forward pass of the model")
    return seen


def observe(model: nn.Module, sites: Iterable[Site], x: Batch, see: See) -> Any:
    """Run one silent forward pass and call ``see(point, value)`` whenever a site is passed.

    The value is what the module returned, or for a site before a module its first argument. An
    error of the model becomes an `InputError` that names the batch.
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
                f"{type(model).__name__} failed on a batch of {_described(x)}: {error}"
            ) from error


def takes(model: nn.Module, names: Iterable[str]) -> bool:
    """Tell whether a model takes an input by one of these names."""
    parameters = inspect.signature(model.forward).parameters
    by_name = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    return by_name or any(name in parameters for name in names)


def call(model: nn.Module, x: Batch) -> Any:
    """Call a model on a batch: ``model(x)``, or ``model(**x)`` for a mapping of named inputs."""
    return model(**x) if isinstance(x, Mapping) else model(x)


def first(x: Batch, size: int) -> Batch:
    """Return the first examples of a batch."""
    return edit_batch(x, lambda tensor: tensor[:size])


def edit_batch(x: Batch, edit: Callable[[Tensor], Tensor]) -> Batch:
    """Return a batch with every tensor edited that holds something for each example."""
    if not isinstance(x, Mapping):
        return edit(x)
    size = batch_size(x)

    def edited(value: Any) -> Any:
        own = isinstance(value, Tensor) and value.ndim and len(value) == size
        return edit(value) if own else value

    return {name: edited(value) for name, value in x.items()}


def batch_size(x: Batch) -> int:
    """Return the number of examples in a batch."""
    if not isinstance(x, Mapping):
        return len(x)
    sizes = [len(v) for v in x.values() if isinstance(v, Tensor) and v.ndim]
    if not sizes:
        raise InputError(
            f"the batch has the entries {sorted(x)}, none of which is a tensor: it needs at least "
            "one with the examples along its first dimension"
        )
    return sizes[0]


def _described(x: Batch) -> str:
    if isinstance(x, Mapping):
        return ", ".join(f"{k} {tuple(getattr(v, 'shape', ()))}" for k, v in x.items())
    return f"shape {tuple(x.shape)}"


@contextmanager
def silent(model: nn.Module) -> Iterator[None]:
    """Evaluate a model without a trace: eval mode, no gradient, eager; all restored at the end."""
    modes = [(module, module.training) for module in model.modules()]
    parameter = next(model.parameters(), None)
    cuda = [parameter.device] if parameter is not None and parameter.is_cuda else []
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
        see(site.name, main_input(args, kwargs))

    def after(module: nn.Module, args: tuple, output: Any) -> None:
        see(site.name, output)

    if site.side == "before":
        return site.module.register_forward_pre_hook(before, with_kwargs=True)
    return site.module.register_forward_hook(after)
