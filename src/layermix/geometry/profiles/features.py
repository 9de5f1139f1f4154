"""One pass over the examples: the features of every layer, in memory or, where large, on disk.

Shapes: N examples, d features of a layer.
"""

import math
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from layermix.errors import InputError
from layermix.geometry.gap import parts
from layermix.geometry.profiles.pooling import Pooling
from layermix.hooks.batch import Batch, batch_size, edit_batch
from layermix.hooks.observe import observe
from layermix.hooks.site import device_of, find, unwrap
from layermix.hooks.structure import main_tensor

_OF_PAIR = 128  # bytes that measuring a layer takes for each pair of examples, as measured
_FEWEST = 32  # examples below which a profile would say nothing


@contextmanager
def gathered(
    model: nn.Module,
    x: Batch,
    layers: Mapping[str, Pooling],
    batch: int,
    memory: int,
    step: Callable[[int], None],
) -> Iterator[dict[str, Tensor]]:
    """Run a model over all examples in eval mode and hand out each layer's features, (N, d).

    Parameters
    ----------
    model
        Any model; it is left as it was.
    x
        The N examples.
    layers
        For each mix point how its activations become vectors.
    batch
        Examples in a forward pass.
    memory
        Bytes that the features of all layers may take together in memory; where they are more they
        go to a temporary file for each layer, which is gone at the end of the block.
    step
        Called with the number of examples done.
    """
    n = batch_size(x)
    dtype = torch.float64 if _precise(model) else torch.float32
    on_disk = n * dtype.itemsize * sum(layer.features for layer in layers.values()) > memory
    with tempfile.TemporaryDirectory(prefix="layermix-", ignore_cleanup_errors=True) as folder:
        found = {
            name: _room(n, layer.features, dtype, Path(folder) / str(k) if on_disk else None)
            for k, (name, layer) in enumerate(layers.items())
        }
        try:
            _fill(model, x, layers, batch, found, step)
            yield found
        finally:
            found.clear()  # a file that is still in use could not be removed everywhere


def examples_that_fit(model: nn.Module, layers: Mapping[str, Pooling], n: int, memory: int) -> int:
    """Return how many of n examples can be measured, the same number at every layer.

    A layer's features must fit into memory, and so must what its measures hold, some N x N numbers;
    the features of all layers must fit on the disk.

    Raises
    ------
    InputError
        Where these are too few to measure anything.
    """
    size = 8 if _precise(model) else 4
    widest = max(layers, key=lambda name: layers[name].features)
    of_one = size * layers[widest].features
    of_all = size * sum(layer.features for layer in layers.values())
    free = shutil.disk_usage(tempfile.gettempdir()).free // 2
    fit = min(n, memory // of_one, math.isqrt(memory // _OF_PAIR), max(memory, free) // of_all)
    if fit < min(n, _FEWEST):
        raise InputError(
            f"only {fit} examples fit into {memory:,} bytes of memory and {free:,} of disk, where "
            f"{widest!r} has {layers[widest].features:,} features: give more memory, pool='mean', "
            "or fewer points"
        )
    return fit


def on_device(x: Batch, device: torch.device) -> Any:
    """Return a batch on a device."""
    if isinstance(x, Mapping):
        return {k: v.to(device) if isinstance(v, Tensor) else v for k, v in x.items()}
    if isinstance(x, tuple | list):
        return tuple(v.to(device) if isinstance(v, Tensor) else v for v in x)
    return x.to(device)


def _room(n: int, d: int, dtype: torch.dtype, path: Path | None) -> Tensor:
    if path is None:
        return torch.empty(n, d, dtype=dtype)
    kind = np.float64 if dtype == torch.float64 else np.float32
    return torch.from_numpy(np.memmap(path, kind, "w+", shape=(n, d)))


def _fill(
    model: nn.Module,
    x: Batch,
    layers: Mapping[str, Pooling],
    batch: int,
    found: dict[str, Tensor],
    step: Callable[[int], None],
) -> None:
    model, device = unwrap(model), device_of(model)
    sites = [find(model, name) for name in layers]
    for rows in parts(batch_size(x), batch):
        part = on_device(edit_batch(x, lambda tensor, rows=rows: tensor[rows]), device)
        mask = part.get("attention_mask") if isinstance(part, Mapping) else None

        def see(name: str, value: Any, rows: slice = rows, mask: Tensor | None = mask) -> None:
            found[name][rows] = layers[name](main_tensor(value), mask).cpu()

        observe(model, sites, part, see)
        step(rows.stop)


def _precise(model: nn.Module) -> bool:
    """Tell whether a model computes in float64."""
    parameter = next(model.parameters(), None)
    return parameter is not None and parameter.dtype == torch.float64
