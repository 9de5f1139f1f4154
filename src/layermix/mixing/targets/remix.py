"""Remix: labels of rare classes win.

Chou, Chang, Pan, Wei, Juan (2020), for imbalanced classes: where the class of one example is kappa
times as frequent as that of the other, and the weight of the rarer one's label is not too small,
the mix takes the rare label whole. Of n_i and n_j examples of both classes, lam for the first:

    0    where n_i >= kappa n_j and lam < tau
    1    where n_j >= kappa n_i and 1 - lam < tau
    lam  otherwise
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from layermix.errors import InputError


@dataclass(frozen=True)
class Remix:
    """Give the mixed label to the rarer class.

    Attributes
    ----------
    counts
        Training examples of each class.
    kappa
        How many times as frequent the other class must be.
    tau
        Weight of the frequent label from which it is kept.
    """

    counts: tuple[int, ...]
    kappa: float = 3.0
    tau: float = 0.5

    def __post_init__(self) -> None:
        if not self.counts or min(self.counts) < 0:
            raise InputError(
                f"counts are {self.counts}, but Remix needs the number of training examples of "
                "each class: torch.bincount(labels).tolist()"
            )

    def __call__(self, ratio: Tensor, labels: Tensor, partner_labels: Tensor) -> Tensor:
        """Return the weight of `labels`, float (B,), from the ratio, () or (B,).

        Raises
        ------
        InputError
            For labels that are not integer classes (B,).
        """
        if labels.is_floating_point() or labels.ndim != 1:
            raise InputError(
                f"Remix needs integer classes of shape (B,), but the labels are {labels.dtype} of "
                f"shape {tuple(labels.shape)}"
            )
        counts = torch.tensor(self.counts, device=labels.device)
        own, other = counts[labels], counts[partner_labels]
        lam = ratio.expand(labels.shape)
        lam = torch.where((own >= self.kappa * other) & (ratio < self.tau), 0.0, lam)
        return torch.where((other >= self.kappa * own) & (1 - ratio < self.tau), 1.0, lam)
