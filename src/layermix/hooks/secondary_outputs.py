"""Secondary outputs of a mix point: tensors beside the main one are mixed as that was.

The states of a recurrent layer beside its output, maps of several sizes, attention heads as rows of
a batch. A blend that cuts takes the same positions of all of them.
"""

from torch import Tensor

from layermix.errors import InputError
from layermix.hooks.activation_info import Layout
from layermix.mixing import Blended, Plan
from layermix.mixing.blends.mask import apply_mask, resized_mask
from layermix.mixing.tensors import without_autocast


def mix_secondary(tensor: Tensor, dim: int, plan: Plan, main: Blended, layout: Layout) -> Tensor:
    """Mix a tensor with the batch in dimension `dim` as the main tensor was mixed.

    In dimension 0 there may be several rows for each example, one after another.

    Raises
    ------
    InputError
        For a tensor whose positions are not those of the main one; maps may have another size.
    """
    if dim == 0 and len(tensor) != plan.batch_size:
        size, channels = len(tensor) // plan.batch_size, layout.channels(tensor.shape[1:])
        if plan.blend.changes_batch_size and not plan.skip:
            rows = tensor.unflatten(0, (-1, size))
            return _mixed(rows, plan, main, {1: 2, -1: -1}[channels]).flatten(0, 1)
        mask = main.mask
        if mask is not None and len(mask) > 1:
            mask = mask.repeat_interleave(size, 0)
        return _mixed(tensor, plan.repeated(size), main._replace(mask=mask), channels)
    rows = tensor.movedim(dim, 0)
    return _mixed(rows, plan, main, layout.channels(rows.shape[1:])).movedim(0, dim)


def _mixed(x: Tensor, plan: Plan, main: Blended, channels: int) -> Tensor:
    """Mix a tensor (B, ...), with the mask of the main one if there is one."""
    if plan.skip or not plan.blend.positional:
        return plan.mix(x, channels).values
    mask = None
    if main.mask is not None and not plan.blend.moves_positions:
        mask = resized_mask(main.mask, x, channels)
    if mask is None:
        raise InputError(
            f"the blend {plan.blend!r} treats positions differently, but the tensors here have "
            f"different positions, one of them the shape {tuple(x.shape)}: mix with "
            "blend='linear', or after a module that returns one tensor"
        )
    with without_autocast(x):
        return apply_mask(x, plan.of_partners(x), mask, channels)
