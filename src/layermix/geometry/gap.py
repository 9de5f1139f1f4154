"""Interpolation gap: is a network linear between two examples, from a mix point on?

With h the activations at a mix point and g the rest of the network up to the logits,

    gap = mean KL( softmax(g(mix of h)) || softmax(mix of g(h)) ),

zero where g is affine, so zero at a linear classifier's input. Where it is large, a mixed
activation means something else to the network than the mix of what both examples mean. Beside it
stands the cross-entropy of g(mix of h) with the mixed label: what training with that mix would have
to learn.

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
from layermix.geometry.intrusion import derangement
from layermix.hooks import Mixer, MixPoint
from layermix.hooks.batch import Batch, call, edit_batch
from layermix.hooks.mixpoint import names_of
from layermix.hooks.observe import silent
from layermix.hooks.structure import main_tensor
from layermix.mixing import MixedTarget, Plan, interpolate

RATIOS = (0.1, 0.3, 0.5)
IGNORED = -100  # label without a cross-entropy
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
    batch_size: int | None = None,
    seed: int = 0,
    on_forward: Callable[[], None] = lambda: None,
) -> dict[str, Gap]:
    """Measure the interpolation gap of examples at mix points, in eval mode.

    Every example is mixed with one other of its batch, the same at every point. One forward pass
    of each batch, and one more for each point and ratio.

    Parameters
    ----------
    model
        A classifier with logits (B, C), where C = 1 is that of the second of two classes; it is
        left as it was.
    x
        A batch of two or more, or a mapping of named inputs.
    labels
        Integer classes, shape (B,); -100 is ignored. Where others are not classes of the logits
        there is no cross-entropy with them, and it is NaN.
    points
        Mix points whose activations are floating point.
    ratios
        Weights of the first example, each in [0, 1].
    batch_size
        Most examples in a forward pass, one more where else one would be alone; all when left out.
    seed
        Seed of the partners.
    on_forward
        Called after every forward pass.

    Raises
    ------
    InputError
        For ratios outside [0, 1] or none, fewer than two examples, or logits of another shape.
    """
    if not ratios or not all(0 <= ratio <= 1 for ratio in ratios):
        raise InputError(f"ratios are {brief(ratios)}, but must be one or more numbers in [0, 1]")
    if len(labels) < 2 or (batch_size is not None and batch_size < 2):
        raise InputError(
            f"{len(labels)} examples in batches of {batch_size} cannot be mixed with one another: "
            "give two or more"
        )
    names, rng = names_of(points), np.random.default_rng(seed)
    counted = max(1, int((labels != IGNORED).sum()))
    sums = {name: {ratio: [0.0, 0.0] for ratio in ratios} for name in names}
    mixer = Mixer(model, at=names)
    try:
        with silent(model):
            for rows in parts(len(labels), batch_size or len(labels), least=2):
                batch = _Batch(mixer, edit_batch(x, lambda t, r=rows: t[r]), labels[rows], rng)
                shares = (rows.stop - rows.start) / len(labels), batch.counted / counted
                on_forward()
                for name, ratio in product(names, ratios):
                    for k, value in enumerate(batch.gap(name, ratio)):
                        sums[name][ratio][k] += value * shares[k]
                    on_forward()
    finally:
        mixer.remove()
    return {name: _gap(by_ratio) for name, by_ratio in sums.items()}


class _Batch:
    """A batch, the partner of each of its examples, and their unmixed logits."""

    def __init__(self, mixer: Mixer, x: Batch, labels: Tensor, rng: np.random.Generator) -> None:
        self._mixer, self._x, self._labels = mixer, x, labels.cpu()
        self._device, self.counted = labels.device, int((labels != IGNORED).sum())
        self._partner = torch.from_numpy(derangement(rng, len(labels)))
        self._clean = self._logits()

    def gap(self, name: str, ratio: float) -> tuple[float, float]:
        """Return KL and cross-entropy at a point and a ratio."""
        lam = torch.tensor(ratio, dtype=torch.float64)
        plan = Plan(name, lam, self._partner).to(self._device)
        with self._mixer.apply(plan):
            mixed = self._logits()
        wanted = interpolate(self._clean, self._clean[self._partner], lam)
        ours, theirs = mixed.log_softmax(1), wanted.log_softmax(1)
        terms = (ours.exp() * (ours - theirs)).where(ours != -math.inf, 0.0)  # 0 log 0 is 0
        kl = float(terms.sum() / len(terms))
        return (0.0 if kl <= _ROUNDING else kl), self._loss(mixed, lam)  # NaN stays NaN

    def _loss(self, mixed: Tensor, lam: Tensor) -> float:
        """Return the mean cross-entropy, 0 if all labels are ignored, NaN if some are no classes.

        Each label comes once as an example's own and once as a partner's, so that as many are
        ignored in both places.
        """
        if not self.counted:
            return 0.0
        found = self._labels[self._labels != IGNORED]
        if int(found.min()) < 0 or int(found.max()) >= mixed.shape[1]:
            return math.nan
        target = MixedTarget(self._labels, self._labels[self._partner], lam)
        return float(target.loss(mixed, ignore_index=IGNORED))

    def _logits(self) -> Tensor:
        """Return the logits of a forward pass, float64 (B, C), on the CPU."""
        found = main_tensor(call(self._mixer.model, self._x))
        if found.ndim != 2:
            raise InputError(
                f"the model returns {tuple(found.shape)} for {len(self._labels)} examples, but the "
                "interpolation gap needs logits of shape (B, C): leave it out with mixed=0"
            )
        logits = found.cpu().double()
        return F.pad(logits, (1, 0)) if logits.shape[1] == 1 else logits  # sigmoid(z): that of 0, z


def parts(n: int, most: int, least: int = 1) -> Iterator[slice]:
    """Yield consecutive parts of n examples, as even as can be.

    None is larger than `most`, but where one would be smaller than `least`.
    """
    count = min(-(-n // most), max(1, n // least))
    edges = [n * k // count for k in range(count + 1)]
    yield from (slice(start, stop) for start, stop in pairwise(edges))


def _gap(by_ratio: dict[float, list[float]]) -> Gap:
    """Return the mean over ratios, and each."""
    rows = {ratio: (kl, cross_entropy) for ratio, (kl, cross_entropy) in by_ratio.items()}
    kl, cross_entropy = (sum(v) / len(rows) for v in zip(*rows.values(), strict=True))
    return Gap(kl, cross_entropy, rows)
