"""Interpolation gap: is a network linear between two examples, from a mix point on?

With h the activations at a mix point and g the rest of the network up to the logits,

    gap = mean KL( softmax(g(mix of h)) || softmax(mix of g(h)) ),

zero where g is affine, so zero at a linear classifier's input. Where it is large, a mixed
activation means something else to the network than the mix of what both examples mean. Beside it
stands the cross-entropy of g(mix of h) with the mixed label: what training with that mix would have
to learn.

Shapes: B batch, C classes.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from layermix.attach import Mixer, MixPoint
from layermix.attach.mixpoint import names_of
from layermix.attach.observe import Batch, call, main_tensor, silent
from layermix.geometry.intrusion import derangement
from layermix.mixing import MixedTarget, Plan

RATIOS = (0.1, 0.3, 0.5)
_ROUNDING = 1e-12  # nats below which a gap is that of logits in float32


class Gap(NamedTuple):
    """What mixing at a point does to the predictions of a network.

    Attributes
    ----------
    kl
        The gap in nats, the mean over pairs and over the ratios of the grid.
    cross_entropy
        Of the mixed forward with the mixed labels, in nats, the same mean.
    by_ratio
        Both for each ratio.
    """

    kl: float
    cross_entropy: float
    by_ratio: dict[float, tuple[float, float]]


def interpolation_gap(
    model: nn.Module,
    x: Batch,
    labels: Tensor,
    points: str | MixPoint | Iterable[str | MixPoint],
    *,
    ratios: tuple[float, ...] = RATIOS,
    seed: int = 0,
) -> dict[str, Gap]:
    """Measure the interpolation gap of a batch at mix points, in eval mode.

    Every example is mixed with one other, the same at every point. One forward pass, and one more
    for each point and ratio.

    Parameters
    ----------
    model
        A classifier; it is left as it was.
    x
        A batch of two or more, or a mapping of named inputs.
    labels
        Integer classes, shape (B,).
    points
        Mix points whose activations are floating point.
    ratios
        Weights of the first example, each in [0, 1].
    seed
        Seed of the partners.
    """
    names, size = names_of(points), len(labels)
    partner = torch.from_numpy(derangement(np.random.default_rng(seed), size)).to(labels.device)
    found: dict[str, Gap] = {}
    mixer = Mixer(model, at=names)
    try:
        with silent(model):
            clean = main_tensor(call(model, x)).double()
            for name in names:
                rows = {
                    ratio: _gap(mixer, x, labels, clean, name, ratio, partner) for ratio in ratios
                }
                kl, cross_entropy = (sum(v) / len(ratios) for v in zip(*rows.values(), strict=True))
                found[name] = Gap(kl, cross_entropy, rows)
    finally:
        mixer.remove()
    return found


def _gap(
    mixer: Mixer,
    x: Any,
    labels: Tensor,
    clean: Tensor,
    name: str,
    ratio: float,
    partner: Tensor,
) -> tuple[float, float]:
    lam = torch.tensor(ratio, device=labels.device)
    with mixer.apply(Plan(name, lam, partner)):
        mixed = main_tensor(call(mixer.model, x)).double()
    wanted = torch.lerp(clean, clean[partner], 1 - lam)
    ours, theirs = mixed.log_softmax(1), wanted.log_softmax(1)
    kl = F.kl_div(theirs, ours, log_target=True, reduction="batchmean")
    target = MixedTarget(labels, labels[partner], lam)
    nats = float(kl)
    return nats if nats > _ROUNDING else 0.0, float(target.loss(mixed))
