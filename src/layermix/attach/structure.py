"""Reach the one tensor inside what a module takes or returns, and put another in its place.

Tensors, tuples, lists, named tuples and mappings (Hugging Face's outputs) keep their type; the
original is left as it was.
"""

import copy
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from layermix.errors import InputError

Edit = Callable[[Tensor], Tensor]

# Which entry of a mapping is the activation, in the order in which they are tried.
# Token ids cannot be mixed; they are named so that no mask beside them is taken for the activation.
_MAIN_KEYS = (
    *("logits", "last_hidden_state", "pixel_values", "inputs_embeds", "input_values"),
    "input_ids",
)


def main_tensor(output: Any) -> Tensor:
    """Return the main tensor of what a module returned, the one that `edit_output` edits."""
    if isinstance(output, Tensor):
        return output
    if isinstance(output, Mapping):
        return output[_main_key(output)]
    if isinstance(output, tuple | list) and output:
        return main_tensor(output[0])
    raise InputError(f"there is no tensor to mix in an output of type {type(output).__name__}")


def main_input(args: tuple, kwargs: dict[str, Any]) -> Tensor:
    """Return the main tensor of what a module was called with, the one that `edit_inputs` edits."""
    return main_tensor(args or kwargs)


def edit_output(output: Any, edit: Edit) -> Any:
    """Return what a module returned, with its main tensor edited.

    The main tensor is the output itself, the first item of a tuple or list, or of a mapping the
    logits, the last hidden state, or else the first entry that is a floating-point tensor.
    """
    if isinstance(output, Tensor):
        return edit(output)
    if isinstance(output, Mapping):
        key = _main_key(output)
        changed: Any = copy.copy(output)
        changed[key] = edit(output[key])
        return changed
    if isinstance(output, tuple | list) and output:
        items = [edit_output(output[0], edit), *output[1:]]
        return output._make(items) if hasattr(output, "_make") else type(output)(items)  # pyright: ignore[reportAttributeAccessIssue]
    raise InputError(f"there is no tensor to mix in an output of type {type(output).__name__}")


def edit_inputs(args: tuple, kwargs: dict[str, Any], edit: Edit) -> tuple[tuple, dict[str, Any]]:
    """Return what a module was called with, with its first argument edited."""
    if args:
        return edit_output(args, edit), kwargs
    return args, edit_output(kwargs, edit)


def _main_key(values: Mapping[str, Any]) -> str:
    for key in _MAIN_KEYS:
        if isinstance(values.get(key), Tensor):
            return key
    tensors = [key for key, value in values.items() if isinstance(value, Tensor)]
    floating = [key for key in tensors if values[key].is_floating_point()]
    if not tensors:
        raise InputError(f"there is no tensor to mix among the entries {sorted(values)}")
    return (floating or tensors)[0]
