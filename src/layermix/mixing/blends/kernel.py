"""The linear mix on a GPU as one kernel: each row is read twice and written once.

In triton, which comes with torch where it has a GPU. Halves are computed in float32. A program
mixes one block of one row, so that the two rows it reads stream through once.

Shapes: B rows of n numbers.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 2048  # numbers in a program: 16 for each of its 128 threads


@triton.jit
def _mix(x, out, ratio, partner, n, per_row: tl.constexpr, back: tl.constexpr, block: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    other = tl.load(partner + row)
    there = (other >= 0) & (other < tl.num_programs(0))  # nothing else of the memory is read
    if per_row:
        own = tl.load(ratio + row).to(tl.float32)
        rest = 1 - (tl.load(ratio + other, mask=there).to(tl.float32) if back else own)
    else:
        own = tl.load(ratio).to(tl.float32)
        rest = 1 - own
    at = tl.program_id(1) * block + tl.arange(0, block)
    within = at < n
    # A row of weight 0 is not read, for 0 times infinity is NaN.
    ends, other_ends = tl.where(own != 0, n, 0), tl.where(rest != 0, n, 0)
    first = tl.load(x + row * n + at, mask=at < ends, other=0).to(tl.float32)
    second = tl.load(x + other * n + at, mask=there & (at < other_ends), other=0).to(tl.float32)
    second = tl.where(there, second, float("nan"))
    tl.store(out + row * n + at, (own * first + rest * second).to(out.dtype.element_ty), within)


def mix_rows(x: Tensor, ratio: Tensor, partner: Tensor, back: bool) -> Tensor:
    """Return each row mixed with its partner's, in the dtype of `x`.

    Parameters
    ----------
    x
        Dense rows, (B, n), in float32, float16 or bfloat16.
    ratio
        Weight of each row beside its partner, float (B,), or one number for all; contiguous as is
        `partner`.
    partner
        Of each row, int64 (B,); one that is none of the rows makes NaN of its row.
    back
        Whether the other row has the weight that its own pair gives its partner.
    """
    out = torch.empty_like(x)
    size, n = x.shape
    block = min(_BLOCK, triton.next_power_of_2(n))
    grid = (size, triton.cdiv(n, block))
    with torch.cuda.device_of(x):
        _mix[grid](x, out, ratio, partner, n, ratio.numel() > 1, back, block)  # pyright: ignore[reportArgumentType]
    return out
