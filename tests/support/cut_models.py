"""Network with two heads, and the fraction of an example that bypasses a mix point."""

from typing import Any

import torch
from torch import Tensor, nn

import layermix as lm
from layermix.hooks.nested import leaves

REFUSED = "is not a cut of the network"


def gap(model: nn.Module, x: Any, point: str, **options: Any) -> float:
    """Return |mixed - partner| / |unmixed - partner| of the outputs for a ratio of 0."""
    args = x if isinstance(x, tuple) else (x,)
    with lm.Mixer(model, at=point, ratio=0.0, partner="derangement", **options) as mixer:
        mixer.check(x)
        plan = mixer.draw(len(args[0]))
        with torch.no_grad():
            own, want = model(*args), model(*(a[plan.partner] for a in args))
            with mixer.apply(plan):
                got = model(*args)
    own, want, got = (
        torch.cat([t.flatten() for t in leaves(v).values()]) for v in (own, want, got)
    )
    return float((got - want).norm() / (own - want).norm())


class Heads(nn.Module):
    """Network of two tasks with several ways to store its heads and to return their outputs."""

    def __init__(self, kept: str, returned: str) -> None:
        super().__init__()
        self.kept, self.returned = kept, returned
        self.trunk = nn.Sequential(nn.Linear(5, 8), nn.ReLU())
        heads = {"age": nn.Linear(8, 3), "sex": nn.Linear(8, 3)}
        if kept == "dict":
            self.heads = nn.ModuleDict(heads)
        elif kept == "list":
            self.heads = nn.ModuleList(heads.values())
        else:
            self.age_head, self.sex_head = heads.values()

    def forward(self, x: Tensor) -> Any:
        h = self.trunk(x)
        if self.kept == "attributes":
            own: Any = self
            first, second = own.age_head(h), own.sex_head(h)
        else:
            kept: Any = self.heads
            heads = kept.values() if self.kept == "dict" else kept
            first, second = (head(h) for head in heads)
        if self.returned == "dict":
            return {"age": first, "sex": second}
        if self.returned == "sum":
            return first + second.tanh()
        return (first + second) / 2 if self.returned == "mean" else [first, second]
