"""Can a blend mix what passes a mix point? It is tried on a tensor without numbers."""

import torch

from layermix.attach.probe import Probe
from layermix.errors import InputError
from layermix.mixing import Blend, Planner


def unmixable(blend: str | Blend, probe: Probe, names: list[str]) -> dict[str, str]:
    """Return the points whose activation a blend refuses, and why."""
    found = {}
    for name in names:
        shape = probe.shape(name)
        x = torch.empty(2, *(shape or ()), device="meta")
        plan = Planner([name], blend=blend).draw(2, "meta")
        try:
            plan.carry_out(x, probe.channels(name) or 1)
        except InputError as error:
            found[name] = str(error)
    return found
