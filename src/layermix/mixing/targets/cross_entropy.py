"""Cross-entropy of each label, which can be weighted before the mean is computed.

``mean = sum(w * loss) / sum(w * norm)``, where `w` is the weight of a label in the mix, and `norm`
its weight in torch's mean: the class weight for a class label, 0 for an ignored label, and 1 for
probabilities. Label smoothing is linear in the target, so it may be done before mixing.

Shapes: B batch, N mixes, C classes, `...` positions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from layermix.errors import InputError
from layermix.mixing.targets.label_checks import check_classes, one_column
from layermix.mixing.tensors import along, times, wide


class Parts(NamedTuple):
    """Losses (B, ...), and the weight `norm` of each loss in the mean (None if all are 1)."""

    loss: Tensor
    norm: Tensor | None

    def norms(self) -> Tensor:
        """Return the weight of each label in the mean, (B, ...)."""
        return torch.ones_like(self.loss) if self.norm is None else self.norm

    def mean(self) -> Tensor:
        """Return the sum of losses divided by that of their weights, (), float32 or float64."""
        dtype = wide(self.loss.dtype)
        if self.norm is None:
            return self.loss.mean(dtype=dtype)
        return self.loss.sum(dtype=dtype) / self.norm.sum(dtype=dtype)


def joined(several: Sequence[Parts]) -> Parts:
    """Flatten and concatenate the losses, and their weights in the mean, of several batches."""
    losses = torch.cat([part.loss.flatten() for part in several])
    if all(part.norm is None for part in several):
        return Parts(losses, None)
    return Parts(losses, torch.cat([part.norms().flatten() for part in several]))


@dataclass(frozen=True)
class CrossEntropy:
    """Cross-entropy as in torch, before the mean."""

    weight: Tensor | None = None  # of each class, (C,)
    label_smoothing: float = 0.0
    ignore_index: int = -100
    of_logs: bool = False  # the outputs are log-probabilities, as for `torch.nn.NLLLoss`

    @property
    def name(self) -> str:
        """The name of the loss in error messages."""
        return "NLLLoss" if self.of_logs else "the default loss"

    def of_labels(self, logits: Tensor, labels: Tensor) -> Parts:
        """Return losses and their weights for logits (B, C, ...) and labels: classes or floats."""
        if labels.is_floating_point() and labels.shape == logits.shape:
            return self.of_probabilities(logits, labels)
        if logits.ndim < 2 or logits.shape[1] == 1:
            raise one_column(labels, logits.shape)
        ignored = check_classes(labels, logits, self.name, self.ignore_index)
        loss = self._of_classes(logits, labels)
        if self.weight is None and not ignored:
            return Parts(loss, None)
        counted = labels != self.ignore_index
        if self.weight is None:
            return Parts(loss, counted.to(loss.dtype))
        norm = self.weight.to(loss)[torch.where(counted, labels, 0)]
        return Parts(loss, norm * counted)

    def of_probabilities(self, logits: Tensor, target: Tensor) -> Parts:
        """Return losses and their weights for logits and float labels, both (B, C, ...).

        The weights are 1 even with class weights, as in torch. Raises an `InputError` for NLLLoss,
        which needs classes, and for an output with one column.
        """
        if self.of_logs:
            raise InputError(
                f"NLLLoss needs integer class labels, but the labels are {target.dtype} of shape "
                f"{tuple(target.shape)}: use torch.nn.CrossEntropyLoss(), which accepts logits and "
                "log-probabilities"
            )
        if logits.ndim < 2 or logits.shape[1] == 1:
            raise InputError(
                f"the labels are floats of shape {tuple(target.shape)}, like the output, and "
                "the default loss of one column is always zero: pass a criterion, "
                "torch.nn.MSELoss() for regression or torch.nn.BCEWithLogitsLoss() for two classes"
            )
        return Parts(self._of_probabilities(logits, target.to(logits.dtype)), None)

    def of_mixtures(self, logits: Tensor, mass: Tensor, unweighted: Tensor) -> Parts:
        """Return losses and their weights for logits and label weights of each class, both (N, C).

        Rows of `mass`, the label weights, may sum to less than 1, because ignored labels are left
        out. The weights use `unweighted`, the label weights without sample weights.
        """
        mass, norm = mass.to(logits.dtype), unweighted.to(logits.dtype)
        total = mass.sum(1)
        soft = mass / torch.where(total > 0, total, 1)[:, None]
        if self.weight is not None:
            norm = unweighted * self.weight.to(logits)
        return Parts(total * self._of_probabilities(logits, soft), norm.sum(1))

    def _of_classes(self, logits: Tensor, labels: Tensor) -> Tensor:
        weight = None if self.weight is None else self.weight.to(logits)
        settings: Any = {"ignore_index": self.ignore_index, "reduction": "none"}
        if self.of_logs:
            return F.nll_loss(logits, labels, weight, **settings)
        smoothing = self.label_smoothing
        return F.cross_entropy(logits, labels, weight, label_smoothing=smoothing, **settings)

    def _of_probabilities(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the losses (B, ...) of float labels; 0 times a log-probability of -inf is 0."""
        if self.label_smoothing:
            target = target * (1 - self.label_smoothing) + self.label_smoothing / logits.shape[1]
        if self.weight is not None:
            target = target * along(self.weight.to(logits), logits.ndim - 1)
        return -times(target, logits if self.of_logs else F.log_softmax(logits, 1)).sum(1)
