"""What one must know to read a profile: what was left out, and what cannot be relied on."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from layermix.geometry.gap import Gap
from layermix.geometry.profiles.examples import Examples
from layermix.geometry.profiles.pooling import Pooling
from layermix.geometry.quantities import QUANTITIES
from layermix.hooks import MixPoint
from layermix.hooks.structure import leaves

_FEW = 10  # members of a class below which its numbers are rough


def left_out(
    chosen: Examples, kept: Examples, wanted: int, fit: int, layers: Mapping[str, Pooling]
) -> list[str]:
    """Return which positions and examples were left out, and why."""
    n, drawn, found = len(kept.labels), min(wanted, chosen.seen), []
    masked = isinstance(kept.x, Mapping) and "attention_mask" in kept.x
    if masked and any(layer.positions and layer.how != "flatten" for layer in layers.values()):
        found.append("Positions are those that the attention mask keeps.")
    if chosen.ignored:
        one = "1 example whose label is ignored was left out."
        many = f"{chosen.ignored:,} examples whose labels are ignored were left out."
        found.append(one if chosen.ignored == 1 else many)
    if drawn < chosen.seen:
        found.append(f"{drawn:,} of {chosen.seen:,} examples were chosen at random.")
    if fit < len(chosen.labels):
        found.append(
            f"No more than {fit:,} of them fit into memory with what is measured of the widest "
            "layer: raise memory, or pool positions."
        )
    if alone := min(drawn, fit if fit < len(chosen.labels) else drawn) - n:
        one = "1 example that is alone in its class was left out."
        many = f"{alone:,} examples that are alone in their class were left out."
        found.append(one if alone == 1 else many)
    return found


def about_examples(examples: Examples) -> list[str]:
    """Return what is wrong with the examples themselves: some occur twice, or are too few."""
    found, n = [], len(examples.labels)
    if again := n - len(set(zip(*map(_hashes, _inputs(examples)), strict=True))):
        found.append(
            f"{again:,} of {n:,} examples repeat an earlier one. What looks at neighbours takes "
            "its twin for one: draw without replacement."
        )
    least = int(examples.labels.unique(return_counts=True)[1].min())
    if least < _FEW:
        found.append(f"The smallest class has {least} examples: all values are rough.")
    return found


def _inputs(examples: Examples) -> list[Tensor]:
    """Return the inputs that each example has one of its own of."""
    n = len(examples.labels)
    return [x.detach().cpu() for x in leaves(examples.x).values() if x.shape[:1] == (n,)]


def _hashes(x: Tensor) -> list[int]:
    """Return a number for each row, the same for rows that are the same."""
    rows = x.reshape(len(x), -1).contiguous().view(torch.uint8)
    return [hash(row.tobytes()) for row in rows.numpy()]


def class_token(model: nn.Module) -> list[str]:
    """Return what is to be said where a model may read one position only, by the usual names."""
    names = {name.rpartition(".")[2] for name, _ in model.named_parameters()}
    found = sorted(names & {"cls_token", "class_token"})
    return [f"The model has a {name}: pool='first' takes that position alone." for name in found]


def unmeasured(
    broken: Mapping[str, str],
    quantities: Sequence[str],
    classes: int,
    gaps: Mapping[str, Gap],
    rows: Sequence[MixPoint],
) -> list[str]:
    """Return why values are missing.

    Parameters
    ----------
    broken
        Points whose features are not finite, with which examples those are.
    quantities
        What was asked for.
    classes
        Number of classes.
    gaps
        Of each point at which the network can be mixed.
    rows
        The rows of the points.
    """
    found = [f"{name} is not measured: {why}." for name, why in broken.items()]
    if classes == 2 and "intrusion" in quantities:
        name = QUANTITIES["intrusion"].short
        found.append(f"{name} is not measured: of two classes there is no third to land in.")
    if round_them := [row.name for row in rows if row.cut]:
        names = ", ".join(round_them)
        found.append(f"gap is not measured at {names}: something of an example goes round it.")
    if nowhere := [name for name, gap in gaps.items() if math.isnan(gap.kl)]:
        found.append(
            f"gap is not measured at {', '.join(nowhere)}: the logits are NaN or infinite there."
        )
    elif any(math.isnan(gap.cross_entropy) for gap in gaps.values()):
        found.append("loss is not measured: some labels are no classes of the logits.")
    return found
