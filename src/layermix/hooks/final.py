"""Find the final layers of a model: the linear layers or convolutions that compute its outputs."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from layermix.errors import InputError
from layermix.hooks.deterministic import noise
from layermix.hooks.nested import Path, leaves
from layermix.hooks.operation_graph import Dataflow
from layermix.hooks.rotation import share_of
from layermix.hooks.sites import Site, find_heads

_AFFINE = {torch.float64: 1e-9, torch.float32: 1e-4}  # largest relative rounding error


def features_in(flow: Dataflow, output: Any) -> set[Path]:
    """Return the paths of features in an output that also has logits; no loss uses them."""
    named = getattr(output, "logits", None)
    logits = output.get("logits") if named is None and isinstance(output, Mapping) else named
    if output is logits or not isinstance(logits, Tensor):
        return set()
    # Other entries of a mapping may be logits, so its features are inputs of the last layer only.
    is_feature = flow.enters if named is None else flow.leads_to
    return {
        path
        for path, tensor in leaves(output).items()
        if tensor is not logits and is_feature(tensor, logits)
    }


def final_site(flow: Dataflow, output: Any, model: nn.Module) -> Site | str:
    """Return the hook site of the final layers, or a text with the reason why there is none."""
    calls, compound, other = flow.final_calls(output)
    # A layer and its low-rank adapters (LoRA: Hu et al., 2022) return a sum of several products: if
    # the module around them is an affine map of its input, it is the final layer.
    around = {parent for call in (*calls, *compound) for parent in _parents(flow, call)}
    for call in sorted({*compound, *around}, reverse=True):  # the innermost first
        inside = [inner for inner in calls if call in _parents(flow, inner)]
        if call not in compound and len(inside) < 2:
            continue
        if _is_affine(flow, call):
            calls = [inner for inner in calls if inner not in inside] + [call]
        elif call in compound:
            other = other or type(flow.calls[call].module).__name__
    if calls:
        modules = [flow.calls[call].module for call in sorted(calls)]
        return Site("final", tuple(dict.fromkeys(modules)), "before")
    if other:
        return (
            f"its output comes from {other}, not from a linear layer, so it has no final layer: "
            "name the module to mix after, or use 'logits'"
        )
    try:  # by names, if the dataflow has no layers
        return Site("final", tuple(find_heads(model).values()), "before")
    except InputError as error:
        return str(error)


def _parents(flow: Dataflow, call: int) -> list[int]:
    found: list[int] = []
    parent = flow.calls[call].parent
    while parent is not None:
        found.append(parent)
        parent = flow.calls[parent].parent
    return found[:-1]  # without the call of the whole model


def _is_affine(flow: Dataflow, call: int) -> bool:
    """Return True if the called module f has f((a + b) / 2) = (f(a) + f(b)) / 2 for random a, b."""
    module, _, info = flow.calls[call]
    if list(info.tensors) != [(0, 0)]:
        return False
    shape, dtype, _ = info.tensors[0, 0]
    if not dtype.is_floating_point:
        return False
    device = next(module.parameters()).device
    if device.type == "meta":
        return False
    a, b = (noise(shape, seed).to(device, dtype) for seed in range(2))
    try:
        one, other, middle = (leaves(module(x)) for x in (a, b, (a + b) / 2))
    except Exception:  # the module needs more than this input
        return False
    tolerance = _AFFINE.get(dtype, 3e-2)
    return all(
        share_of(middle[path], one[path], (one[path] + other[path]) / 2, other[path]) < tolerance
        for path in one
        if one[path].is_floating_point()
    )
