"""The linear mix of pairs on a GPU as one Triton kernel: each row is read twice and written once.

Half precision is computed in float32. A Triton program mixes one block of one row.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 2048  # elements per program: 16 for each of its 128 threads


@triton.jit
def _mix(
    x, out, own, other, n,
    per_row: tl.constexpr, transposed: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    second_row = tl.load(other + row)
    valid = (second_row >= 0) & (second_row < tl.num_programs(0))  # read no other memory
    first_weight = tl.load(own + (row if per_row else 0)).to(tl.float32)
    if per_row and transposed:
        second_weight = 1 - tl.load(own + second_row, mask=valid, other=0).to(tl.float32)
    else:
        second_weight = 1 - first_weight
    place = tl.program_id(1) * block + tl.arange(0, block)
    within = place < n
    # A row of weight 0 is not read, because 0 times infinity is NaN.
    first_end = tl.where(first_weight != 0, n, 0)
    second_end = tl.where(second_weight != 0, n, 0)
    first = tl.load(x + row * n + place, mask=place < first_end, other=0).to(tl.float32)
    second = tl.load(x + second_row * n + place, mask=valid & (place < second_end), other=0)
    second = tl.where(valid, second.to(tl.float32), float("nan"))
    mixed = first_weight * first + second_weight * second
    tl.store(out + row * n + place, mixed.to(out.dtype.element_ty), within)


def mix_rows(x: Tensor, own: Tensor, other: Tensor, transposed: bool = False) -> Tensor:
    """Return ``own * x + rest * x[other]`` for rows (B, n), in the dtype of `x`.

    The weight `rest` is ``1 - own``, or ``1 - own[other]`` if `transposed`. Weights are contiguous
    floats, (B,) or (1,); the index of the other rows is a contiguous int64 tensor (B,). An invalid
    index makes its row NaN.
    """
    out, (size, n) = torch.empty_like(x), x.shape
    block = min(_BLOCK, triton.next_power_of_2(n))
    grid = (size, triton.cdiv(n, block))
    with torch.cuda.device_of(x):
        _mix[grid](x, out, own, other, n, own.numel() > 1, transposed, block)  # pyright: ignore[reportArgumentType]
    return out
