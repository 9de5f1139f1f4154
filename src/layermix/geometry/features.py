"""Collect the features of all layers in one pass over the examples, in memory or on disk.

Vectors and feature maps are flattened. Tokens are averaged over the positions that the attention
mask selects. A layer has tokens if an example's activation is a matrix (L, d) and the model has a
LayerNorm of width d, or if L is the length of the attention mask. Other matrices, as in one-
dimensional convolutions, have the shape (d, L).

Shapes: B batch, N examples, L positions, d features of a layer.
"""

import math
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor, nn

from layermix.errors import InputError, unknown
from layermix.geometry.gap import batch_slices
from layermix.geometry.profile_data import Examples
from layermix.hooks.batch import Batch, edit_batch, tensors_of
from layermix.hooks.isolation import observe
from layermix.hooks.nested import main_tensor, replaced
from layermix.hooks.sites import Site, device_of

Pool = Literal["auto", "flatten", "mean", "first", "last"]

_BYTES_PER_PAIR = 128  # memory for measuring a layer, for each pair of examples (measured)
_FEWEST = 32  # minimum number of examples of a profile


class Pooling(NamedTuple):
    """Pool the activations of one layer to vectors of length `features`.

    The batch is dimension `batch_dim`. When it is moved to the front, the dimensions `positions`
    have `length` positions, which are flattened or reduced to the mean, the first or the last one.
    """

    how: Literal["flatten", "mean", "first", "last"]
    positions: tuple[int, ...]
    length: int
    features: int
    batch_dim: int = 0

    def __call__(self, activation: Tensor, mask: Tensor | None = None) -> Tensor:
        """Pool activations to vectors (B, d), over the positions where the mask (B, L) is True."""
        x = activation.movedim(self.batch_dim, 0)
        x = x if x.dtype == torch.float64 else x.float()
        if self.how == "flatten":
            return x.flatten(1)
        x = x.movedim(self.positions, tuple(range(1, 1 + len(self.positions))))
        x = x.flatten(1, len(self.positions)).flatten(2)  # (B, L, d)
        if mask is None or mask.shape != x.shape[:2]:
            return {"mean": x.mean(1), "first": x[:, 0], "last": x[:, -1]}[self.how]
        keep = mask.to(x)
        if self.how == "mean":
            return (x * keep[..., None]).sum(1) / keep.sum(1, keepdim=True).clamp_min(1)
        order = torch.arange(1, x.shape[1] + 1, device=x.device)
        index = (keep * (order if self.how == "last" else order.flip(0))).argmax(1)
        return x[torch.arange(len(x), device=x.device), index]

    def __str__(self) -> str:
        how = "flattened" if self.how == "flatten" else f"{self.how} of {self.length} positions"
        return how if self.positions else "as it is"


def pooling_of(
    shape: Sequence[int],
    pool: Pool,
    widths: set[int],
    batch_dim: int = 0,
    length: int | None = None,
) -> Pooling:
    """Return the `Pooling` of activations, from the shape of one example and the norm widths.

    `length` is the number of positions of the attention mask, if there is one.
    """
    if pool not in get_args(Pool):
        raise unknown("pool", pool, get_args(Pool))
    size = math.prod(shape)
    if len(shape) < 2:
        return Pooling("flatten", (), 1, size, batch_dim)
    last = shape[-1] in widths and (len(shape) == 2 or shape[0] not in widths)
    last = last or (len(shape) == 2 and shape[0] == length)
    channels = len(shape) if last else 1  # dimension of the features, counting the batch
    positions = tuple(d for d in range(1, len(shape) + 1) if d != channels)
    tokens = last and len(shape) == 2
    how = ("mean" if tokens else "flatten") if pool == "auto" else pool
    width = shape[channels - 1]
    return Pooling(how, positions, size // width, size if how == "flatten" else width, batch_dim)


def norm_widths(model: nn.Module) -> set[int]:
    """Return the widths of all layers that normalize the last dimension (LayerNorm, RMSNorm)."""
    others = nn.modules.batchnorm._NormBase | nn.GroupNorm
    found = set()
    for module in model.modules():
        if "Norm" in type(module).__name__ and not isinstance(module, others):
            weight = getattr(module, "weight", None)
            shape = getattr(module, "normalized_shape", None) or getattr(weight, "shape", ())
            if isinstance(shape, tuple) and len(shape) == 1:
                found.add(int(shape[0]))
    return found


@contextmanager
def all_features(
    model: nn.Module,
    examples: Examples,
    sites: Mapping[str, Site],
    layers: Mapping[str, Pooling],
    batch_size: int,
    memory: int,
    on_forward: Callable[[str], None],
) -> Iterator[dict[str, Tensor]]:
    """Run a model over all examples in eval mode and yield the features of each layer, (N, d).

    If all features need more than `memory` bytes, they are stored in temporary files that exist
    inside the block. `on_forward` is called after each batch with a progress text.
    """
    n, dtype = len(examples), _dtype(model)
    on_disk = n * dtype.itemsize * sum(layer.features for layer in layers.values()) > memory
    with tempfile.TemporaryDirectory(prefix="layermix-", ignore_cleanup_errors=True) as folder:
        found: dict[str, Tensor] = {}
        for k, (name, layer) in enumerate(layers.items()):
            path, kind, shape = f"{folder}/{k}", str(dtype)[6:], (n, layer.features)
            found[name] = torch.from_numpy(
                np.memmap(path, kind, "w+", shape=shape) if on_disk else np.empty(shape, kind)
            )
        try:
            for rows in batch_slices(n, batch_size):
                x = edit_batch(examples.x, lambda t, r=rows: t[r], examples.batch_dim)
                x = on_device(x, device_of(model))
                mask = x.get("attention_mask") if isinstance(x, Mapping) else None

                def store(name: str, value: Any, rows: slice = rows, mask: Any = mask) -> None:
                    found[name][rows] = layers[name](main_tensor(value), mask).cpu()

                observe(model, sites.values(), x, store)
                on_forward(f"{rows.stop:,} of {n:,} examples")
            yield found
        finally:
            found.clear()  # some systems cannot remove a file in use


def examples_that_fit(model: nn.Module, layers: Mapping[str, Pooling], n: int, memory: int) -> int:
    """Return the number of examples, at most n, that fit into memory and on disk.

    The features of one layer and the N x N matrices of its measures must fit into memory, and the
    features of all layers on the disk. If too few examples fit, an `InputError` is raised.
    """
    widest = max(layers, key=lambda name: layers[name].features)
    of_one = _dtype(model).itemsize * layers[widest].features
    of_all = _dtype(model).itemsize * sum(layer.features for layer in layers.values())
    free = shutil.disk_usage(tempfile.gettempdir()).free // 2
    pairs = math.isqrt(memory // _BYTES_PER_PAIR)
    fit = min(n, memory // of_one, pairs, max(memory, free) // of_all)
    if fit < min(n, _FEWEST):
        raise InputError(
            f"only {fit} examples fit into {memory:,} bytes of memory and {free:,} bytes of disk; "
            f"the widest layer {widest!r} has {layers[widest].features:,} features. Increase "
            "memory, use pool='mean', or choose fewer mix points"
        )
    return fit


def on_device(x: Batch, device: torch.device) -> Any:
    """Move a batch to a device."""
    return replaced(x, {path: tensor.to(device) for path, tensor in tensors_of(x).items()})


def _dtype(model: nn.Module) -> torch.dtype:
    parameter = next(model.parameters(), torch.empty(0))
    return torch.float64 if parameter.dtype == torch.float64 else torch.float32
