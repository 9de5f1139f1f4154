"""Run the forward passes of a probe on a few examples, and restore the model after each one.

The model runs in training mode, except for layers that the user has frozen, and random operations
return constants. Parameters with all values below 0.001 are replaced by noise, because a gate,
layer scale or adapter that starts near zero would hide a branch that has an effect later.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from layermix.errors import InputError
from layermix.hooks.activation_info import shape_of
from layermix.hooks.batch import (
    Batch,
    Inputs,
    as_inputs,
    batch_size,
    has_ragged_list,
    lengths_of,
    likely_dims,
)
from layermix.hooks.deterministic import Deterministic, noise
from layermix.hooks.examples import chosen_rows, few_examples, rows_of
from layermix.hooks.isolation import Snapshot, forward, untouched
from layermix.hooks.nested import Path, leaves, main_tensor, replaced
from layermix.hooks.sites import device_of
from layermix.mixing.distributed import is_sharded

Found = TypeVar("Found")

COUNT = 3  # examples
_NOISE = 0.1
_TINY = 1e-3


class Passes:
    """Runner of a model on a few examples of a batch; create with `opened`, then call `begin`."""

    def __init__(self, model: nn.Module, x: Batch, batch_dim: int, guard: Deterministic) -> None:
        self.model, self.batch_dim, self._guard = model, batch_dim, guard
        self._x, self._count = as_inputs(x), batch_size(x, batch_dim)
        self._snapshot = Snapshot(model)
        self.dims: dict[Path, int | None] = {}  # batch dimension of each input
        self.inputs = self._x
        self.sizes = [self._count]  # batch sizes that run: of `inputs`, and a smaller one
        self.padded: Inputs | None = None  # examples whose attention masks differ
        self.ragged = False  # examples are concatenated or in a list, and cannot be rotated

    def run(self, inputs: Inputs | None = None) -> Any:
        """Return the output for `inputs` (default: the examples), and restore the model's state."""
        # Random indices are not replaced, so each pass draws them from the same states.
        torch.default_generator.manual_seed(0)
        device = device_of(self.model)
        if device.type == "cuda":
            torch.cuda.default_generators[device.index or 0].manual_seed(0)
        random.seed(0)
        np.random.seed(0)
        try:
            return forward(self.model, self.inputs if inputs is None else inputs)
        finally:
            self._guard.restore()
            self._snapshot.restore()

    def rotated(self) -> Inputs:
        """Return the batch with its examples rotated by one position."""
        if self.ragged:
            raise InputError("the examples of a ragged batch cannot be rotated")
        return rows_of(self.inputs, self.dims, [*range(1, self.sizes[0]), 0])

    def nudged(self) -> Inputs:
        """Return the examples with each floating-point input changed by one rounding error."""
        new = {}
        for path, tensor in leaves(self.inputs).items():
            if tensor.is_floating_point() and tensor.layout == torch.strided:
                signs = noise(tensor.shape, len(new)).sign().to(tensor)
                new[path] = tensor * (1 + torch.finfo(tensor.dtype).eps * signs)
        return replaced(self.inputs, new)

    def begin(self, record: Callable[[Inputs], Found]) -> Found:
        """Choose examples, call `record` on all but one of them, and return the call's result."""
        self.dims = dict(likely_dims(self._x, self.batch_dim))
        if has_ragged_list(self._x):
            return self._begin_whole(record, None)
        rows = chosen_rows(self._x, self.dims, self.batch_dim, COUNT)
        self._leave_out_constants(rows)
        several, self.padded = few_examples(self.model, self._x, self.dims, rows)
        error: InputError | None = None
        for self.inputs in several:
            self.sizes = [COUNT, COUNT - 1]
            try:
                return record(rows_of(self.inputs, self.dims, range(COUNT - 1)))
            except InputError as failed:
                error = failed
        return self._begin_whole(record, error)

    def _begin_whole(self, record: Callable[[Inputs], Found], error: InputError | None) -> Found:
        """Use the whole batch, for models with a fixed batch size and for ragged batches."""
        self.inputs, self.padded = self._x, None
        try:
            shape, size = shape_of(main_tensor(self.run())), self._count
            # A ragged batch has as many examples as its output.
            self.ragged = shape[:1] not in ((), (size,)) and shape[0] in lengths_of(self._x)
            if self.ragged:
                size, tensors = shape[0], leaves(self._x)
                self.dims = {
                    p: 0 if shape_of(t)[:1] == (size,) else None for p, t in tensors.items()
                }
            self.sizes = [size]
            return record(self._x)
        except InputError:
            few = f" (mix points are probed on {COUNT} of your {self._count} examples)"
            if error is None:
                raise
            raise InputError(f"{error}{few if self._count > COUNT else ''}") from error

    def _leave_out_constants(self, rows: list[int]) -> None:
        """Set the batch dimension to None for inputs whose size equals the batch size by chance."""
        if self._count == 1:
            return
        # Example: class embeddings (C, d) with C = B. The model runs if only other inputs are cut.
        main = next(iter(leaves(self._x)))
        few = rows if self._count != COUNT else rows[:-1]
        for path in [path for path, dim in self.dims.items() if dim is not None and path != main]:
            try:
                output = leaves(self.run(rows_of(self._x, {**self.dims, path: None}, few)))
            except InputError:
                continue  # it must have as many rows as the other inputs
            if self._is_constant(output, few):
                self.dims[path] = None

    def _is_constant(self, output: Mapping[Path, Tensor], few: Sequence[int]) -> bool:
        """Return True if an input has the batch size by chance, and no row for each example."""
        try:
            other = leaves(self.run(rows_of(self._x, self.dims, few)))
        except InputError:
            return any(len(few) in shape_of(tensor)[:2] for tensor in output.values())
        if output.keys() != other.keys():
            return False
        followed = [
            shape_of(output[path])[dim : dim + 1] == (len(few),)
            for path, tensor in other.items()
            for dim in {0, self.batch_dim}
            if shape_of(tensor)[dim : dim + 1] == (len(few),)
        ]
        # The output has a row for each of the few examples, and depends on the input.
        same = (not t.is_nested and t.equal(other[path]) for path, t in output.items())
        return all(followed) and not all(same)


@contextmanager
def opened(model: nn.Module, x: Batch, batch_dim: int, train: bool) -> Iterator[Passes]:
    """Prepare a model for `Passes` in the block, then restore it; `train` sets training mode."""
    if any(isinstance(module, torch.jit.ScriptModule) for module in model.modules()):
        raise InputError(
            "the model is scripted or traced, so its layers cannot have hooks: mix the "
            "original model, and script a copy of it"
        )
    if any(map(is_lazy, (*model.parameters(), *model.buffers()))):
        raise InputError(
            "the model has lazy parameters without a shape: call it once before it is mixed"
        )
    with untouched(model, random_free=True) as guard:
        if train and not model.training:
            model.train()
        _open_gates(model)
        yield Passes(model, x, batch_dim, guard)


def _open_gates(model: nn.Module) -> None:
    """Replace parameters that are 0, such as those of a closed gate, by noise.

    Parameters of a sharded model, which a `Snapshot` does not restore, remain.
    """
    if is_sharded(model):
        return
    for seed, parameter in enumerate(model.parameters()):
        plain = type(parameter.data) is torch.Tensor and not parameter.is_meta
        if not (plain and parameter.is_floating_point() and parameter.numel()):
            continue
        if torch.linalg.vector_norm(parameter.float(), torch.inf) < _TINY:
            parameter.data = (_NOISE * noise(parameter.shape, seed)).to(parameter)
