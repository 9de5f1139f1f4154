"""Choose a few examples to probe a model.

The examples must differ, or no effect of mixing can be measured. So noise is added to equal
examples, and equal integers are changed. In one batch all examples have the same attention mask,
in another batch their masks differ.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from layermix.hooks.batch import Inputs, batch_size
from layermix.hooks.deterministic import noise
from layermix.hooks.masks import is_mask, marks_ignored, name_at, parameter_names, role_of
from layermix.hooks.nested import Dims, Path, leaves, packed_sequences, replaced

_NOISE = 0.5  # standard deviations of the batch
_LEAST = 4  # least number of positions of a mask that is shortened
_SEARCHED = 64  # number of examples that are searched for a different one


def rows_of(x: Inputs, dims: Dims, rows: Sequence[int]) -> Inputs:
    """Return a batch with the examples at the indices `rows`, which may be repeated."""
    tensors = leaves(x)
    new: dict[Path, Any] = {
        path: _taken(tensors[path], dim, rows) for path, dim in dims.items() if dim is not None
    }
    for path, packed in packed_sequences(x).items():
        padded, lengths = pad_packed_sequence(packed, batch_first=True)
        index = torch.tensor(rows)
        new = {p: t for p, t in new.items() if p[: len(path)] != path}
        new[path] = pack_padded_sequence(
            padded[index.to(padded.device)],
            lengths[index],
            batch_first=True,
            enforce_sorted=packed.sorted_indices is None and sorted(rows) == list(rows),
        )
    return replaced(x, new)


def chosen_rows(x: Inputs, dims: Dims, batch_dim: int, count: int) -> list[int]:
    """Return sorted indices of `count` examples with different padding and integer inputs."""
    size = batch_size(x, batch_dim)
    vectors, padded = list[Tensor](), list[int]()
    for path, dim in dims.items():
        tensor = leaves(x)[path]
        if dim is None or tensor.is_floating_point() or tensor.is_nested or tensor.is_meta:
            continue
        rows = tensor.movedim(dim, 0).reshape(size, -1)
        if rows.shape[1] == 1:
            vectors.append(rows[:, 0])
        elif rows.shape[1]:
            runs = _trailing_run(rows)
            padded += [int(runs.argmax()), int(runs.argmin())]
    order = list(dict.fromkeys([*padded[:2], *range(size)]))
    chosen = order[:1]
    while len(chosen) < min(count, size):
        rest = [k for k in order if k not in chosen]
        chosen.append(max(rest[:_SEARCHED], key=lambda k: _new(vectors, chosen, k)))
    chosen.sort()  # keeps the order of sequences sorted by length
    return [chosen[k % len(chosen)] for k in range(count)]


def _new(vectors: Sequence[Tensor], chosen: Sequence[int], k: int) -> int:
    return sum(all(bool(v[k] != v[j]) for j in chosen) for v in vectors)  # vectors with a new value


def few_examples(
    model: nn.Module, x: Inputs, dims: Dims, rows: Sequence[int]
) -> tuple[list[Inputs], Inputs | None]:
    """Return batches of a few examples to try in turn, and a batch with different masks or None."""
    few = _made_different(rows_of(x, dims, rows), dims)
    equal = _with_equal_masks(model, few)
    # From the most to the least edited batch, because the model may fail on edited ones.
    several = [_with_different_companions(model, equal, dims), equal, few]
    return several, _with_different_masks(model, few)


def _made_different(x: Inputs, dims: Dims) -> Inputs:
    """Make equal examples different: add noise to floats, and shift the values of integers."""
    rows = _rows(x, dims)

    def is_repeated(k: int) -> bool:
        return any(all(t[k].equal(t[j]) for t in rows.values()) for j in range(k))

    def edit(path: Path, values: Tensor) -> Tensor | None:
        if is_mask(path):
            return None
        values = values.clone()
        for k in filter(is_repeated, range(1, len(values))):
            values[k] = _changed(values[k], k)
        return values

    return _edited(x, dims, edit)


def _with_equal_masks(model: nn.Module, x: Inputs) -> Inputs:
    """Return a batch in which all examples have the same mask, the union of all masks."""
    new = {
        path: (mask.amin(0) if marks_ignored(name, mask) else mask.amax(0)).expand_as(mask).clone()
        for path, name, mask in _masks(model, x)
        if mask.ndim > 1
    }
    return replaced(x, new)


def _with_different_masks(model: nn.Module, x: Inputs) -> Inputs | None:
    """Return a batch in which each next mask hides one more position; None if it has no mask."""
    names, tensors = parameter_names(type(model)), leaves(x)
    # Hidden token ids become the padding id of the model's configuration, if it has one.
    padding = getattr(getattr(model, "config", None), "pad_token_id", None)
    new: dict[Path, Tensor] = {}
    for path, name, mask in _masks(model, x):
        if mask.ndim != 2 or mask.is_floating_point() or mask.shape[1] < _LEAST:
            continue
        count, length = mask.shape
        steps = torch.arange(count, device=mask.device)[:, None]
        cut = torch.arange(length, device=mask.device) >= length - steps
        new[path] = torch.where(cut, int(name.endswith("padding_mask")), mask).to(mask.dtype)
        for other, ids in tensors.items():
            if padding is not None and name_at(other, names) == "input_ids" and len(ids) == count:
                new[other] = torch.where(cut, padding, ids)
    return replaced(x, new) if new else None


def _with_different_companions(model: nn.Module, x: Inputs, dims: Dims) -> Inputs:
    """Replace inputs that are constant over the batch, except masks, by values that differ."""
    masks = {path for path, _, _ in _masks(model, x)}

    def edit(path: Path, values: Tensor) -> Tensor | None:
        rows = values.reshape(len(values), -1)
        constant = rows.numel() and bool((rows == rows[0, 0]).all())
        if path in masks or values.is_complex() or not constant:
            return None
        return _stepped(rows).view(values.shape)  # lengths and categories may be equal by chance

    return _edited(x, dims, edit)


def _rows(x: Inputs, dims: Dims) -> dict[Path, Tensor]:
    """Return the dense tensors that have a batch dimension, with the batch in dimension 0."""
    return {
        path: tensor.movedim(dim, 0)
        for path, tensor in leaves(x).items()
        if (dim := dims.get(path)) is not None
        and not (tensor.is_nested or tensor.is_meta or tensor.layout != torch.strided)
    }


def _edited(x: Inputs, dims: Dims, edit: Callable[[Path, Tensor], Tensor | None]) -> Inputs:
    """Apply `edit` to each tensor of `_rows`; tensors are unchanged if `edit` returns None."""
    new = {path: edit(path, rows) for path, rows in _rows(x, dims).items()}
    return replaced(x, {p: t.movedim(0, dims[p] or 0) for p, t in new.items() if t is not None})


def _stepped(rows: Tensor) -> Tensor:
    """Make the rows of a constant tensor (n, k) different: change more values in each next row."""
    count, width = rows.shape
    steps = torch.arange(count, device=rows.device)[:, None]
    cut = torch.arange(width, device=rows.device) >= width - (steps * width / count).ceil()
    value = rows[0, 0].item()
    if rows.dtype == torch.bool:
        return rows ^ cut
    if rows.is_floating_point():
        other = value * (1 - steps / (2 * count)) if value else steps / (2 * count)
    else:
        # Values get smaller, so that they stay valid.
        other = value - steps if value >= count else (steps + int(value)) % 2
    return torch.where(cut, other, rows).to(rows.dtype)


def _masks(model: nn.Module, x: Inputs) -> Iterator[tuple[Path, str, Tensor]]:
    names = parameter_names(type(model))
    for path, tensor in leaves(x).items():
        name = name_at(path, names)
        if role_of(name) == "mask" and not tensor.is_meta:
            yield path, name, tensor


def _taken(tensor: Tensor, dim: int, rows: Sequence[int]) -> Tensor:
    if tensor.is_nested:
        parts = tensor.unbind()
        return torch.nested.as_nested_tensor([parts[k] for k in rows], layout=tensor.layout)
    index = torch.tensor(rows, device=tensor.device)
    if tensor.layout == torch.strided:
        return tensor.index_select(dim, index)
    coo = tensor if tensor.layout == torch.sparse_coo else tensor.to_sparse_coo()
    return coo.index_select(dim, index).to_sparse(layout=tensor.layout)


def _trailing_run(rows: Tensor) -> Tensor:
    """Count the equal values at the end of each row of a tensor (B, n); return int (B,)."""
    same = rows.flip(1) == rows[:, -1:]
    return same.int().cumprod(1).sum(1)


def _changed(value: Tensor, k: int) -> Tensor:
    if value.is_floating_point():
        spread = value.std(correction=0) if value.numel() > 1 else value.abs().mean()
        return value + _NOISE * noise(value.shape, k).to(value) * torch.where(spread > 0, spread, 1)
    return value.roll(k, 0) if value.ndim else value
