"""The soft nearest neighbor loss as a training criterion (Frosst, Papernot, Hinton, 2019).

Shapes: B batch, d features.
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from layermix.errors import unknown
from layermix.geometry.layer import checked_features
from layermix.geometry.temperature import best_temperature, check_temperature

_SIGNS = {"disentangle": 1.0, "entangle": -1.0}


class SoftNearestNeighborLoss(nn.Module):
    """Compute the soft nearest neighbor loss, which pulls the features of each class together.

    Parameters
    ----------
    temperature
        T > 0, in squared units of the features. By default, each batch uses the T at which its loss
        is lowest. The gradient is exact there, because the derivative with respect to T is zero.
    sense
        ``"disentangle"`` separates the classes; ``"entangle"`` returns the negative loss.
    ignore_index
        Label of examples to ignore; they do not contribute to the gradient.

    Raises
    ------
    InputError
        If T is not finite and > 0, `sense` is unknown, or features and labels do not match.

    Examples
    --------
    >>> features = torch.tensor([[0.0], [0.1], [5.0], [5.1]], requires_grad=True)
    >>> loss = SoftNearestNeighborLoss(temperature=1.0)(features, torch.tensor([0, 0, 1, 1]))
    >>> loss.backward()
    >>> bool(loss < 1e-9), features.grad.shape
    (True, torch.Size([4, 1]))
    """

    def __init__(
        self,
        temperature: float | None = None,
        sense: Literal["disentangle", "entangle"] = "disentangle",
        ignore_index: int = -100,
    ) -> None:
        super().__init__()
        if sense not in _SIGNS:
            raise unknown("sense", sense, _SIGNS)
        self.temperature = check_temperature(temperature)
        self.sense, self.ignore_index = sense, ignore_index

    def forward(
        self, features: Tensor, labels: Tensor, temperature: Tensor | float | None = None
    ) -> Tensor:
        """Return the loss, shape (), float32, or float64 if the features are float64.

        The loss is computed in float64, also under autocast, because small distances within a class
        are differences of large numbers.

        Parameters
        ----------
        features, labels
            Floating point (B, ...), flattened to (B, d), and integer classes (B,). Classes with a
            single example are ignored. If no other class remains, the loss is 0.
        temperature
            T for this call. It may be a trainable tensor of shape ().
        """
        features, labels = checked_features(features, labels, self.ignore_index)
        if not isinstance(temperature, Tensor):
            temperature = check_temperature(temperature) or self.temperature
        precise = torch.float32 if features.device.type == "mps" else torch.float64
        x = features.flatten(1).to(precise)
        oneself, equal = torch.eye(len(x), device=x.device).bool(), labels[:, None] == labels
        same = equal & ~oneself
        counted = same.any(1)
        if not counted.any():
            return 0.0 * features.sum()

        def mean_loss(logits: Tensor) -> Tensor:
            # Mask with the smallest finite number: a row of -inf only would give NaN gradients.
            least = torch.finfo(logits.dtype).min
            near, far = (logits.masked_fill(~pairs, least).logsumexp(1) for pairs in (same, ~equal))
            return F.softplus(far - near)[counted].mean()

        x = x - x.mean(0).detach()  # reduces the rounding error of the products
        norms = x.square().sum(1)
        distances = (norms[:, None] + norms - 2 * x @ x.T).clamp_min(0)
        if temperature is None:
            fixed = distances.detach()
            temperature = best_temperature(
                lambda t, _: torch.stack([mean_loss(-fixed / each) for each in t.tolist()]).cpu(),
                fixed[~oneself],
                lambda: fixed.masked_fill(oneself, math.inf).amin(1),
            )
        loss = mean_loss(-distances / temperature)
        return _SIGNS[self.sense] * loss.to(torch.promote_types(features.dtype, torch.float32))

    def extra_repr(self) -> str:
        """Return the settings as text for ``repr``."""
        return f"temperature={self.temperature}, sense={self.sense!r}"
