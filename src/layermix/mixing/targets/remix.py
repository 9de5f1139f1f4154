"""Remix: mixes of a frequent class and a rare class get the label of the rare class.

Chou, Chang, Pan, Wei, Juan (2020), for imbalanced classes. If one class is at least kappa times as
frequent as the other, and the weight of the frequent label is below tau, the mix gets the rare
label alone. For classes with n_i and n_j examples, the weight of the first label is

    0    where n_i >= kappa n_j and lam < tau
    1    where n_j >= kappa n_i and 1 - lam < tau
    lam  otherwise
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from layermix.errors import InputError, brief
from layermix.mixing import checks
from layermix.mixing.checks import is_finite


@dataclass(frozen=True)
class Remix:
    """Assign the label of the rarer class to mixes of imbalanced classes.

    Attributes
    ----------
    counts
        Number of training examples of each class.
    kappa
        Ratio of frequencies, >= 1, from which the rare label is used alone.
    tau
        Weight of the frequent label, in [0, 1], from which it is kept.
    """

    counts: tuple[int, ...]
    kappa: float = 3.0
    tau: float = 0.5

    def __post_init__(self) -> None:
        given = getattr(self.counts, "tolist", lambda: self.counts)()
        counts = tuple(given) if isinstance(given, Iterable) else ()
        if not counts or not all(is_finite(n, 0) for n in counts):
            raise InputError(
                f"counts are {brief(self.counts)}, but Remix needs the number of training examples "
                "of each class: torch.bincount(labels).tolist()"
            )
        object.__setattr__(self, "counts", counts)
        checks.at_least(self, "kappa", 1)
        checks.share(self, "tau")

    def __call__(self, ratio: Tensor, labels: Tensor, partner_labels: Tensor) -> Tensor:
        """Return the weight of `labels`, float (B,), given the mixing ratio, () or (B,).

        The ratio is kept if one of the labels is negative, because the loss ignores that label.
        Raises an `InputError` unless the labels are integer classes (B,) that have a count.
        """
        if labels.is_floating_point() or labels.ndim != 1:
            raise InputError(
                f"Remix needs integer classes of shape (B,), but the labels are {labels.dtype} of "
                f"shape {tuple(labels.shape)}"
            )
        if (top := int(labels.max())) >= len(self.counts):
            raise InputError(
                f"the largest label is {top}, but Remix has counts for {len(self.counts)} classes: "
                "give a count for each class, and use -100 for ignored labels"
            )
        counts = torch.tensor(self.counts, device=labels.device)
        known = (labels >= 0) & (partner_labels >= 0)
        own, other = (counts[y.clamp_min(0)] for y in (labels, partner_labels))
        lam = ratio.expand(labels.shape)
        lam = torch.where(known & (own >= self.kappa * other) & (ratio < self.tau), 0.0, lam)
        return torch.where(known & (other >= self.kappa * own) & (1 - ratio < self.tau), 1.0, lam)
