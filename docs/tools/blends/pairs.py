"""Draw two photographs and their mixes at three ratios, with masks and label weights.

Masks are drawn in the colors of the two examples.
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
    """The mix of both photographs by a blend.

    Attributes
    ----------
    values
        Mixed images, (N, 3, H, W).
    labels
        Weights of both labels in each image, (N, 2).
    mask
        Weight of the first image at each position, (H, W); None if the blend has no mask.
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
    """A mix to draw in a column of a figure.

    Attributes
    ----------
    head
        Text above the image.
    blend, ratio
        Blend and mixing ratio.
    """

    head: str
    blend: Blend
    ratio: float


def at_ratios(blend: Blend) -> list[Column]:
    """Return the columns of a figure: the mixes by a blend at three ratios."""
    return [Column(f"λ = {ratio:g}", blend, ratio) for ratio in RATIOS]


def pairs(name: str, columns: Sequence[Column]) -> Figure:
    """Draw both photographs and up to three mixes, with masks if the blend has them."""
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
    """Draw both photographs with their labels."""
    for column, (x, head) in enumerate(zip(photographs(), ("own", "partner"), strict=True)):
        page.image(column, x, head, own=column)
        page.weights(column, torch.eye(2)[column])
