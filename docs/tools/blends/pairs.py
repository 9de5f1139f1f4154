"""Two photographs and their mix at three ratios, with masks and the weights of both labels.

A mask is drawn in the colors of both examples.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from docs.tools.blends.examples import photographs
from docs.tools.blends.sheet import Sheet, sheet
from layermix.mixing import Blend, PlanSampler
from layermix.reporting.figures.style import Figure, finish

RATIOS = (0.75, 0.5, 0.25)
_SEED = 3


class Mix(NamedTuple):
    """What a blend makes of both photographs.

    Attributes
    ----------
    values
        Mixed images, (N, 3, H, W).
    labels
        Weights of both labels in each, (N, 2).
    mask
        How much of the first each position keeps, (H, W), where the blend has a mask.
    """

    values: Tensor
    labels: Tensor
    mask: Tensor | None


def mixed(blend: Blend, ratio: float, x: Tensor | None = None) -> Mix:
    """Mix the photographs, or two other images (2, 3, H, W), each with the other."""
    sampler = PlanSampler(["input"], ratio=ratio, blend=blend, partner="derangement", seed=_SEED)
    plan, x = sampler.draw(2), photographs() if x is None else x
    blended = plan.mix(x)
    labels = plan.target(torch.arange(2), blended.label_weights).dense(2)
    return Mix(blended.values, labels, None if blended.mask is None else blended.mask[0])


class Column(NamedTuple):
    """A mix to draw.

    Attributes
    ----------
    head
        What stands above it.
    blend, ratio
        What mixes, and how much.
    """

    head: str
    blend: Blend
    ratio: float


def at_ratios(blend: Blend) -> list[Column]:
    """Return a column for each of three ratios."""
    return [Column(f"λ = {ratio:g}", blend, ratio) for ratio in RATIOS]


def pairs(name: str, columns: Sequence[Column]) -> Figure:
    """Draw both photographs and up to three mixes, with their masks where the blend has masks."""
    found = [mixed(column.blend, column.ratio) for column in columns]
    page = sheet(below=found[0].mask is not None)
    originals(page)
    for place, (column, one) in enumerate(zip(columns, found, strict=True), start=2):
        page.image(place, one.values[0], column.head)
        page.weights(place, one.labels[0])
        if one.mask is not None:
            page.below(place, one.mask)
    shown = ", ".join(column.head for column in columns)
    alt = f"Two photographs and their mix by the blend {name}, with the weights of both labels"
    return finish(page.drawing, name, alt, f"{alt}: {shown}")


def originals(page: Sheet) -> None:
    """Show both photographs with their labels."""
    for column, (x, head) in enumerate(zip(photographs(), ("own", "partner"), strict=True)):
        page.image(column, x, head, own=column)
        page.weights(column, torch.eye(2)[column])
