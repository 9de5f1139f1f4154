"""Running statistics of batch norms over unmixed examples.

If training mixes activations, every batch norm after the mix point averages the mean and variance
of mixed activations, but evaluation normalizes unmixed ones with them. `update_norm_stats` computes
the statistics again after training. `CleanNormStats` updates them on unmixed batches only, during
training. Both put batch norms alone in training mode, because dropout changes the variance of
activations (Li et al., 2019, "Understanding the Disharmony between Dropout and Batch
Normalization").
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # what `torch.optim.swa_utils` uses

from layermix.errors import InputError
from layermix.hooks.batch import Batch, call, tensors_of
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
        Training examples in random order: an iterable of batches, such as a `DataLoader`, or one
        tensor (N, ...), tuple (x, y) or mapping. Of a batch (x, y, ...), x is the input; of a
        mapping, the entries that ``model.forward`` accepts.
    batch_size
        A tensor, or x of a tuple, is split into nearly equal batches of at most this size.

    Raises
    ------
    InputError
        If there are no batches, or `batch_size` is below 2.

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


class CleanNormStats:
    """Update the running statistics of batch norms on unmixed batches only, during training.

    Every `every` steps, `update` runs the model on the unmixed batch, without gradients. With
    momentum m it then uses 1 - (1 - m)^every, so that old batches are forgotten as fast as with one
    update per step. In the block of `frozen`, mixed forward passes leave the statistics unchanged.
    Batch norms in eval mode are not updated.
    """

    def __init__(self, model: nn.Module, every: int) -> None:
        if every < 1:
            raise InputError(f"norm_stats_every is {every}, but must be 1 or more")
        self._model, self._every = unwrap(model), every

    def update(self, model: nn.Module, x: Batch, step: int) -> None:
        """Update the statistics with a batch, if it is time at this step (0, 1, ...)."""
        if step % self._every:
            return
        norms = self._trained()
        slower = _momenta(norms, lambda m: 1 - (1 - m) ** self._every)
        with slower, _only_training(model, norms), torch.no_grad():
            call(model, x)

    def frozen(self) -> Any:
        """Return a context manager in which training does not change the statistics."""
        return _momenta(self._trained(), lambda _: 0.0)

    def _trained(self) -> list[_BatchNorm]:
        return [norm for norm in batch_norms(self._model) if norm.training]


@contextmanager
def _momenta(norms: Sequence[_BatchNorm], change: Callable[[float], float]) -> Iterator[None]:
    """Change the momentum of batch norms in the block; None, an average, is not supported."""
    before = [norm.momentum for norm in norms]
    if None in before:
        raise InputError(
            "a batch norm has momentum=None, with which its statistics cannot be kept clean during "
            "training: set a momentum, or use layermix.update_norm_stats after training"
        )
    try:
        for norm, momentum in zip(norms, before, strict=True):
            norm.momentum = change(momentum or 0.0)
        yield
    finally:
        for norm, momentum in zip(norms, before, strict=True):
            norm.momentum = momentum


@contextmanager
def _only_training(model: nn.Module, norms: Sequence[_BatchNorm]) -> Iterator[None]:
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
        _only_training(model, norms),
        _not_mixed(model),
        torch.no_grad(),
        torch.compiler.set_stance("force_eager"),
    ):
        for x in batches:
            if isinstance(x, Mapping):
                x = {name: value for name, value in x.items() if takes(unwrap(model), [name])}
            moved = {path: tensor.to(device) for path, tensor in tensors_of(x).items()}
            call(model, replaced(x, moved))
            count += 1
    return count


def _batches(data: Any, batch_size: int) -> Iterator[Batch]:
    """Yield the inputs of each batch."""
    if isinstance(data, Mapping):
        yield data
        return
    if isinstance(data, tuple):
        data = data[0]
    if isinstance(data, Tensor):
        yield from data.tensor_split(-(-len(data) // batch_size)) if len(data) else ()
        return
    for batch in data:
        yield batch[0] if isinstance(batch, tuple | list) else batch


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
