"""Running statistics of batch norms over unmixed examples.

If training mixes activations, every batch norm after the mix point averages the mean and variance
of mixed activations, but evaluation normalizes unmixed ones with them. `update_norm_stats` computes
the statistics again after training. It puts batch norms alone in training mode, because dropout
changes the variance of activations (Li et al., 2019, "Understanding the Disharmony between Dropout
and Batch Normalization").
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # what `torch.optim.swa_utils` uses
from torch.utils.data import DataLoader, Dataset, IterableDataset

from layermix.errors import InputError
from layermix.hooks.batch import Batch, call, edit_batch, tensors_of
from layermix.hooks.batch import batch_size as batch_size_of
from layermix.hooks.isolation import takes
from layermix.hooks.mixing_hook import Hook
from layermix.hooks.nested import replaced
from layermix.hooks.registry import hooks_of
from layermix.hooks.sites import as_module, device_of, unwrap

_BATCH = 256
_STATS = ("running_mean", "running_var", "num_batches_tracked")


def update_norm_stats(
    model: nn.Module | Callable[..., Any], data: Batch | Iterable[Any], *, batch_size: int = _BATCH
) -> None:
    """Compute the running statistics of all batch norms again, over unmixed examples.

    Call it after training with mixing, before the evaluation. Like
    `torch.optim.swa_utils.update_bn`, it resets the statistics and averages those of all batches
    with equal weights. Unlike it, it leaves other layers in eval mode, so that dropout and other
    norms are not changed, and it does not mix. A batch norm that no batch reaches keeps its
    statistics.

    Parameters
    ----------
    model
        Any model; its modes are restored.
    data
        Training examples in random order: an iterable of batches such as a `DataLoader`, a data
        set of single examples, or one batch of all examples. A batch is a tensor (N, ...), a tuple
        (x, y, ...) of which x is the input of the model (a tuple for several inputs), or a mapping,
        of which the entries that ``model.forward`` accepts are its inputs.
    batch_size
        A data set, a tensor or a tuple is split into nearly equal batches of at most this size.

    Raises
    ------
    InputError
        If there are no batches, a batch has no inputs, or `batch_size` is below 2.

    Examples
    --------
    >>> import torch, layermix as lm
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8))
    >>> x = torch.randn(100, 4)
    >>> lm.update_norm_stats(model, x)
    >>> torch.allclose(model[1].running_mean, model[0](x).mean(0), atol=1e-6)
    True
    """
    if batch_size < 2:
        raise InputError(f"batch_size is {batch_size}, but a batch norm needs 2 examples or more")
    module = as_module(model)
    norms = batch_norms(unwrap(module))
    with _restored_on_error(norms) as stats, ExitStack() as stack:
        for norm in norms:
            stack.callback(setattr, norm, "momentum", norm.momentum)
            norm.reset_running_stats()
            norm.momentum = None  # the average of all batches
        if not _forward_all(module, norms, _batches(data, batch_size)):
            raise InputError("data has no batches, so that there are no statistics: give examples")
        for norm, old in zip(norms, stats, strict=True):
            if not norm.num_batches_tracked:
                _restore(norm, old)


def batch_norms(model: nn.Module) -> list[_BatchNorm]:
    """Return the batch norms of a model that have running statistics."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    return [norm for norm in norms if norm.track_running_stats and norm.running_mean is not None]


@contextmanager
def restored_norm_stats(model: nn.Module) -> Iterator[None]:
    """Restore the running statistics of all batch norms at the end of the block."""
    norms = batch_norms(model)
    stats = [_copied(norm) for norm in norms]
    try:
        yield
    finally:
        for norm, old in zip(norms, stats, strict=True):
            _restore(norm, old)


@contextmanager
def only_training(model: nn.Module, norms: Sequence[_BatchNorm]) -> Iterator[None]:
    """Put these norms in training mode and all other modules in eval mode, in the block."""
    before = [(module, module.training) for module in model.modules()]
    chosen = set(map(id, norms))
    try:
        for module, _ in before:
            module.training = id(module) in chosen
        yield
    finally:
        for module, training in before:
            module.training = training


def _forward_all(model: nn.Module, norms: Sequence[_BatchNorm], batches: Iterable[Batch]) -> int:
    """Run the model on all batches, unmixed and without gradients; return their number."""
    device, count = device_of(model), 0
    with (
        only_training(model, norms),
        _not_mixed(model),
        torch.no_grad(),
        torch.compiler.set_stance("force_eager"),
    ):
        for x in batches:
            if isinstance(x, Mapping):
                x = _inputs_of(unwrap(model), x)
            moved = {path: tensor.to(device) for path, tensor in tensors_of(x).items()}
            call(model, replaced(x, moved))
            count += 1
    return count


def _inputs_of(model: nn.Module, batch: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: value for name, value in batch.items() if takes(model, [name])}
    if not found:
        raise InputError(
            f"the batch has the entries {list(batch)}, none of which is an argument of the forward "
            f"method of {type(model).__name__}: rename them"
        )
    return found


def _batches(data: Any, batch_size: int) -> Iterator[Batch]:
    """Yield the inputs of each batch."""
    if isinstance(data, Dataset) and not isinstance(data, IterableDataset):
        size = len(data)  # pyright: ignore[reportArgumentType]
        count = max(1, -(-size // batch_size))
        data = DataLoader(data, -(-size // count) or 1)
    if isinstance(data, Mapping):
        yield data
    elif isinstance(data, Tensor | tuple):
        x = data[0] if isinstance(data, tuple) and data else data
        yield from _parts(x, batch_size)
    elif isinstance(data, Iterable):
        for batch in data:
            yield batch[0] if isinstance(batch, tuple | list) else batch
    else:
        raise InputError(
            f"data is of type {type(data).__name__}, but must be a tensor, a tuple (x, y), a "
            "mapping, a data set, or an iterable of batches"
        )


def _parts(x: Batch, batch_size: int) -> Iterator[Batch]:
    """Divide the input of a model into nearly equal batches."""
    size = batch_size_of(x)
    if size == 1:
        raise InputError("data has one example, but a batch norm needs 2 or more")
    for rows in torch.arange(size).tensor_split(-(-size // batch_size)) if size else ():
        yield edit_batch(x, lambda tensor, rows=rows: tensor[rows.to(tensor.device)])


@contextmanager
def _not_mixed(model: nn.Module) -> Iterator[None]:
    """Disable the mixers of a model in the block."""
    hooks = (hook for module in model.modules() for hook in hooks_of(module))
    with ExitStack() as stack:
        for state in {hook.state for hook in hooks if isinstance(hook, Hook)}:
            stack.enter_context(state.paused())
        yield


@contextmanager
def _restored_on_error(norms: Sequence[_BatchNorm]) -> Iterator[list[dict[str, Tensor]]]:
    """Yield copies of the statistics, and restore them if the block raises an error."""
    stats = [_copied(norm) for norm in norms]
    try:
        yield stats
    except BaseException:
        for norm, old in zip(norms, stats, strict=True):
            _restore(norm, old)
        raise


def _copied(norm: _BatchNorm) -> dict[str, Tensor]:
    return {name: getattr(norm, name).clone() for name in _STATS}


def _restore(norm: _BatchNorm, stats: Mapping[str, Tensor]) -> None:
    with torch.no_grad():
        for name, value in stats.items():
            getattr(norm, name).copy_(value)
