"""Every blend written out by hand in float64: example by example, position by position.

A reference takes an activation with the channels last, (B, *size, C), and a plan, and returns the
mix, in the same layout, with the weight of every label in each row of it. It uses nothing of
layermix but the plan's numbers. A new blend needs a reference here: the tests go through all of
them.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor

import layermix as lm
from blend_references.parts import Mixed
from blend_references.positions import cut, fourier, grid, patches, resize, salient
from blend_references.values import aligned, beside, exchange, linear, many, noisy, style

__all__ = ["POSITIONS", "REFERENCES", "Mixed"]

REFERENCES: dict[str, Callable[[Tensor, lm.Plan, Any], Mixed]] = {
    "linear": linear,
    "cut": cut,
    "fourier": fourier,
    "grid": grid,
    "resize": resize,
    "salient": salient,
    "patches": patches,
    "noisy": noisy,
    "aligned": aligned,
    "moment_exchange": exchange,
    "mixstyle": style,
    "multimix": many,
    "append_clean": beside,
}

# Dimensions of positions that a blend can mix; all others take activations of any shape.
POSITIONS = {"resize": (2,), "salient": (2,)}
POSITIONS |= dict.fromkeys(["cut", "fourier", "grid", "patches", "aligned", "mixstyle"], (1, 2, 3))
