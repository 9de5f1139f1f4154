"""Can a model be mixed at its final layer and after every default block?

Two forward passes probe all its points. Then it is mixed: each point must be passed exactly once,
its hook must mix, and the output must keep its shape. On the meta device, where there are shapes
and no numbers, all points are mixed in one pass in training mode, so that a model costs three
passes however deep it is; elsewhere each point has a pass of its own, in eval mode, and the output
must differ from the unmixed one.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import nn

from layermix.attach.batch import Batch, batch_size, call, described
from layermix.attach.blocks import repeated_blocks
from layermix.attach.head import has_head
from layermix.attach.observe import silent
from layermix.attach.probe import Probe
from layermix.attach.site import find
from layermix.attach.structure import main_tensor
from layermix.attach.wiring import Wiring
from layermix.errors import LayermixError, RunError
from layermix.lab.survey.row import MIXED, Row
from layermix.mixing import Plan

_NO_HEAD = "it has no classifier, and so no final layer"


def examine(library: str, name: str, model: nn.Module, x: Batch) -> Row:
    """Return the row of a model that is called with `x`, three examples."""
    blocks = repeated_blocks(model)
    names = [*blocks, *(["final"] if has_head(model) else [])]
    device = main_tensor(x).device.type
    refused: dict[str, str] = {} if "final" in names else {"final": _NO_HEAD}
    try:
        probe = Probe(model, [find(model, point) for point in names], x)
        refused |= probe.obstacles()
        _mix(model, x, [point for point in names if point not in refused], probe, device == "meta")
    except LayermixError as error:
        refused = dict.fromkeys([*blocks, "final"], str(error))
    verdict = next((f"{point}: {why}" for point, why in refused.items()), MIXED)
    mixed = sum(point not in refused for point in blocks)
    final = "no" if "final" in refused else "yes"
    shapes = described(x).replace("shape ", "")
    return Row(library, name, shapes, device, len(blocks), mixed, final, " ".join(verdict.split()))


def _mix(model: nn.Module, x: Batch, points: Sequence[str], probe: Probe, together: bool) -> None:
    """Mix at each point, and raise a `RunError` for what is not as it must be."""
    with silent(model):
        clean = None if together else main_tensor(call(model, x))
        model.train(together)
        for chosen in [points] if together else [[point] for point in points]:
            output = main_tensor(_mixed(model, x, chosen, probe))
            if output.shape[1:] != probe.output or len(output) != batch_size(x):
                raise RunError(f"its output has shape {tuple(output.shape)} when it is mixed")
            if clean is not None and output.equal(clean):
                raise RunError(f"mixing at {chosen[0]} changed nothing")


def _mixed(model: nn.Module, x: Batch, points: Sequence[str], probe: Probe) -> Any:
    """Return the output of one forward pass that is mixed at all the points."""
    passed: list[str] = []
    with ExitStack() as stack:
        for point in points:
            wiring = Wiring(model, [point])
            stack.callback(wiring.remove)
            wiring.learn([point], probe)
            for module in wiring.sites[point].modules:
                hook = module.register_forward_pre_hook(lambda *_, p=point: passed.append(p))
                stack.callback(hook.remove)
            stack.enter_context(wiring.switch.on(_plan(point, x)))
        output = call(model, x)
        expected = {point: len(find(model, point).modules) for point in points}
    counts = {point: passed.count(point) for point in points}
    if counts != expected:
        raise RunError(f"its points are passed {counts} times, not {expected}")
    return output


def _plan(point: str, x: Batch) -> Plan:
    device = main_tensor(x).device
    partner = torch.arange(batch_size(x), device=device).roll(1)
    return Plan(point, torch.full((), 0.5, device=device), partner)
