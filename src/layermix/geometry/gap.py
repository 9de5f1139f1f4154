"""Interpolation gap: deviation of a network from linearity between two examples.

Let h be the activations at a mix point and g the rest of the network up to the logits. Then

    gap = mean KL( softmax(g(mix of h)) || softmax(mix of g(h)) ).

The gap is zero if g is affine, for example at the input of a linear classifier. The cross-entropy
of g(mix of h) with the mixed labels, which is the training loss of the mix, is also measured.

Shapes: B batch, C classes.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from layermix.errors import InputError, brief
from layermix.hooks import Mixer, MixPoint
from layermix.hooks.batch import Batch, call, edit_batch
from layermix.hooks.isolation import silent
from layermix.hooks.nested import main_tensor
from layermix.hooks.points import names_of
from layermix.mixing import Derangement, MixedTarget, Plan, interpolate

MixPoints = str | MixPoint | Iterable[str | MixPoint]
GAP_RATIOS = (0.1, 0.3, 0.5)
_ROUNDING = 1e-12  # nats; a smaller gap is rounding error of float32 logits


class Gap(NamedTuple):
    """Interpolation gap and cross-entropy with mixed labels, in nats: means and values by ratio."""

    kl: float
    cross_entropy: float
    by_ratio: dict[float, tuple[float, float]]


def interpolation_gap(
    model: nn.Module,
    x: Batch,
    labels: Tensor,
    at: MixPoints,
    *,
    ratios: tuple[float, ...] = GAP_RATIOS,
    batch_size: int | None = None,
    batch_dim: int = 0,
    ignore_index: int = -100,
    seed: int = 0,
    on_forward: Callable[[], None] = lambda: None,
) -> dict[str, Gap]:
    """Measure the interpolation gap at mix points, in eval mode.

    Each example is mixed with one partner from its batch, the same one at all points. Each batch
    needs one forward pass, plus one for each point and ratio.

    Parameters
    ----------
    model
        A classifier with logits (B, C), where C = 1 means two classes. It is not changed.
    x, labels
        Two or more examples, as for `layermix.profile`, and their integer classes, shape (B,). The
        cross-entropy is NaN if the logits lack one of these classes.
    at
        Mix points with floating-point activations.
    ratios, seed
        Weights of the first example, each in [0, 1], and seed for choosing partners.
    batch_size, batch_dim
        Maximum number of examples in a forward pass (one more, if otherwise a batch would have a
        single example), and the batch dimension of `x`.
    ignore_index, on_forward
        Label that is ignored in the cross-entropy, and a function called after each forward pass.

    Raises
    ------
    InputError
        If `ratios` are empty or outside [0, 1], or `x` or the logits have an invalid shape.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    >>> gaps = interpolation_gap(model, torch.randn(6, 4), torch.arange(6) % 3, ["input", "final"])
    >>> gaps["final"].kl < 1e-6  # only a linear layer follows
    True
    """
    if not ratios or not all(0 <= ratio <= 1 for ratio in ratios):
        raise InputError(f"ratios are {brief(ratios)}, but must be one or more numbers in [0, 1]")
    n = len(labels)
    if n < 2 or (batch_size is not None and batch_size < 2):
        raise InputError(
            f"{n} examples in batches of {batch_size} cannot be mixed: both numbers must be 2 or "
            "more"
        )
    names, rng = names_of(at), np.random.default_rng(seed)
    known = max(1, int((labels != ignore_index).sum()))
    sums = {mix: np.zeros(2) for mix in product(names, ratios)}
    mixer = Mixer(model, at=names, batch_dim=batch_dim)
    try:
        with silent(model):
            for rows in batch_slices(n, batch_size or n, least=2):
                part, y = edit_batch(x, lambda t, r=rows: t[r], batch_dim), labels[rows]
                weights = np.array([len(y) / n, int((y != ignore_index).sum()) / known])
                partner = torch.from_numpy(Derangement()(rng, len(y), None))
                clean = _logits(model, part, len(y))
                on_forward()
                for (name, ratio), total in sums.items():
                    lam = torch.tensor(ratio, dtype=torch.float64)
                    with mixer.apply(Plan(name, lam, partner).to(y.device)):
                        mixed = _logits(model, part, len(y))
                    kl = _kl(mixed, interpolate(clean, clean[partner], lam))
                    target = MixedTarget(y.cpu(), y.cpu()[partner], lam)
                    total += np.array([kl, _cross_entropy(mixed, target, ignore_index)]) * weights
                    on_forward()
    finally:
        mixer.remove()
    return {name: _gap({ratio: sums[name, ratio].tolist() for ratio in ratios}) for name in names}


def batch_slices(n: int, most: int, least: int = 1) -> Iterator[slice]:
    """Yield nearly equal slices of n examples: at least `least`, and if possible at most `most`."""
    count = min(-(-n // most), max(1, n // least))
    yield from (slice(*edges) for edges in pairwise(n * k // count for k in range(count + 1)))


def _gap(by_ratio: dict[float, list[float]]) -> Gap:
    kl, cross_entropy = (sum(v) / len(v) for v in zip(*by_ratio.values(), strict=True))
    return Gap(kl, cross_entropy, {ratio: (v[0], v[1]) for ratio, v in by_ratio.items()})


def _logits(model: nn.Module, x: Batch, n: int) -> Tensor:
    """Return the logits of a forward pass, float64 (B, C), on the CPU."""
    found = main_tensor(call(model, x))
    if found.ndim != 2:
        raise InputError(
            f"the model returns shape {tuple(found.shape)} for {n} examples, but the interpolation "
            "gap needs logits of shape (B, C). Disable it with gap_examples=0"
        )
    logits = found.cpu().double()
    return F.pad(logits, (1, 0)) if logits.shape[1] == 1 else logits  # sigmoid(z) as softmax


def _kl(mixed: Tensor, clean: Tensor) -> float:
    p, q = mixed.log_softmax(1), clean.log_softmax(1)
    terms = (p.exp() * (p - q)).where(p != -math.inf, 0.0)  # 0 log 0 is 0
    kl = float(terms.sum() / len(terms))
    return 0.0 if kl <= _ROUNDING else kl  # NaN stays NaN


def _cross_entropy(mixed: Tensor, target: MixedTarget, ignore_index: int) -> float:
    """Return the mean cross-entropy; 0 if all labels are ignored, NaN if a label is invalid."""
    known = target.labels[target.labels != ignore_index]
    if not len(known):
        return 0.0
    if int(known.min()) < 0 or int(known.max()) >= mixed.shape[1]:
        return math.nan
    return float(target.loss(mixed, ignore_index=ignore_index))
