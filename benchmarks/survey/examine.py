"""Test if a model can be mixed at its final layer and after every default block.

On the CPU, tensors have data, and a probe tests if each of these points is a cut of the network
(see `layermix.hooks.bypass`). On the meta device, tensors have shapes but no data. Here the probe
records the activations of each point. Then all points are mixed in one forward pass in training
mode: each must be used exactly once, and the output must have the same shape as without mixing.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import nn

from benchmarks.survey.row import MIXED, REAL, SHAPES, Row
from layermix.errors import LayermixError, RunError
from layermix.hooks.batch import Batch, batch_size, call, described
from layermix.hooks.blocks import repeated_blocks
from layermix.hooks.hook_manager import HookManager
from layermix.hooks.isolation import silent
from layermix.hooks.mixing_state import MixedForward
from layermix.hooks.nested import main_tensor
from layermix.hooks.probe import Probe
from layermix.mixing import Plan


def examine(library: str, name: str, family: str, model: nn.Module, x: Batch) -> Row:
    """Examine a model that is called with `x`, three examples, and return its table row."""
    blocks = repeated_blocks(model)
    names = [*blocks, "final"]
    numbers = SHAPES if main_tensor(x).is_meta else REAL
    try:
        probe = Probe(model, names, x)
        refused = {name: why for name in names if (why := probe.obstacle(name))}
        if numbers == SHAPES:
            _mix(model, x, [point for point in names if point not in refused], probe)
    except LayermixError as error:
        refused = dict.fromkeys(names, str(error))
    verdict = next((f"{point}: {why}" for point, why in refused.items()), MIXED)
    return Row(
        library=library,
        model=name,
        family=family,
        input=described(x).replace("shape ", ""),
        numbers=numbers,
        parameters=sum(p.numel() for p in model.parameters()),
        blocks=len(blocks),
        mixed_blocks=sum(point not in refused for point in blocks),
        final="no" if "final" in refused else "yes",
        verdict=" ".join(verdict.split()),
    )


def _mix(model: nn.Module, x: Batch, points: Sequence[str], probe: Probe) -> None:
    """Mix at all points in one pass; raise a `RunError` if the shape of the output changes."""
    with silent(model):
        model.train()
        output = main_tensor(_mixed(model, x, points, probe))
    if output.shape[1:] != probe.output_shape or len(output) != batch_size(x):
        raise RunError(f"its output has shape {tuple(output.shape)} when it is mixed")


def _mixed(model: nn.Module, x: Batch, points: Sequence[str], probe: Probe) -> Any:
    """Return the output of one pass mixed at all points; each must be used exactly once."""
    passed: list[str] = []
    with ExitStack() as stack:
        for point in points:
            manager = HookManager(model, [point])
            stack.callback(manager.remover())
            manager.learn([point], probe)
            for module in probe.sites[point].modules:
                hook = module.register_forward_pre_hook(lambda *_, p=point: passed.append(p))
                stack.callback(hook.remove)
            stack.enter_context(MixedForward(manager.state, _plan(point, x)))
        output = call(model, x)
    counts = {point: passed.count(point) for point in points}
    expected = {point: len(probe.sites[point].modules) for point in points}
    if counts != expected:
        raise RunError(f"its points are passed {counts} times, not {expected}")
    return output


def _plan(point: str, x: Batch) -> Plan:
    device = main_tensor(x).device
    partner = torch.arange(batch_size(x), device=device).roll(1)
    return Plan(point, torch.full((), 0.5, device=device), partner)
