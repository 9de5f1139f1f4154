"""The soft nearest neighbor loss as a criterion to train with (Frosst, Papernot, Hinton, 2019).

Added to the loss of a classifier it shapes the features of a layer: with a positive weight it pulls
the members of a class together, with a negative one it entangles the classes.

Shapes: B batch, d features.
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from layermix.errors import unknown
from layermix.geometry.checks import check_features, check_temperature, labeled
from layermix.geometry.minimum import minimise, span_of

Sense = Literal["disentangle", "entangle"]
_SIGNS = {"disentangle": 1.0, "entangle": -1.0}


class SoftNearestNeighborLoss(nn.Module):
    """The soft nearest neighbor loss of a batch, differentiable in its features.

    Parameters
    ----------
    temperature
        A fixed T > 0, in squared units of the features; left out, each batch is taken at the T
        where its loss is least. The gradient is exact there too: at a minimum over T the derivative
        with respect to T is zero.
    sense
        ``"disentangle"``: small where the classes are apart, ``"entangle"``: its negative.
    ignore_index
        Label of examples that are left out; they get no gradient.

    Raises
    ------
    InputError
        For T that is not finite and above 0, or an unknown sense.

    Examples
    --------
    >>> features = torch.tensor([[0.0], [0.1], [5.0], [5.1]], requires_grad=True)
    >>> loss = SoftNearestNeighborLoss(temperature=1.0)(features, torch.tensor([0, 0, 1, 1]))
    >>> bool(loss < 1e-9)
    True
    """

    def __init__(
        self,
        temperature: float | None = None,
        sense: Sense = "disentangle",
        ignore_index: int = -100,
    ) -> None:
        super().__init__()
        if sense not in _SIGNS:
            raise unknown("sense", sense, _SIGNS)
        self.temperature, self.sense = check_temperature(temperature), sense
        self.ignore_index = ignore_index

    def forward(
        self, features: Tensor, labels: Tensor, temperature: Tensor | float | None = None
    ) -> Tensor:
        """Return the loss, shape (), float32, or float64 where the features are.

        It is computed in float64, under autocast too (on mps in float32): distances within tight
        classes are differences of large numbers.

        Parameters
        ----------
        features
            Floating point, shape (B, ...), flattened to (B, d).
        labels
            Integer classes, shape (B,). Examples alone in their class do not count; a batch of
            none but such has loss 0. Examples with the label `ignore_index` are left out.
        temperature
            T for this call, also a tensor () that is trained itself.

        Raises
        ------
        InputError
            For features and labels that do not fit, or a number T that is not finite and above 0.
        """
        check_features(features, labels)
        if not isinstance(temperature, Tensor):
            temperature = check_temperature(temperature) or self.temperature
        features, labels = labeled(features, labels, self.ignore_index)
        precise = torch.float32 if features.device.type == "mps" else torch.float64
        x = features.flatten(1).to(precise)
        same = labels[:, None] == labels
        alone = torch.eye(len(x), dtype=torch.bool, device=x.device)
        own, other = same & ~alone, ~same
        counted = own.any(1)
        if not counted.any():
            return 0.0 * features.sum()
        energies = -_squared_distances(x)
        if temperature is None:
            temperature = _best(energies.detach(), own, other, counted)
        loss = _rows(energies / temperature, own, other)[counted].mean()
        return _SIGNS[self.sense] * loss.to(torch.promote_types(features.dtype, torch.float32))

    def extra_repr(self) -> str:
        """Show the configuration."""
        return f"temperature={self.temperature}, sense={self.sense!r}"


def _squared_distances(x: Tensor) -> Tensor:
    """Return |x_i - x_j|^2, (B, B); centred first, so that it loses fewer digits."""
    x = x - x.mean(0).detach()
    norms = x.square().sum(1)
    return (norms[:, None] + norms - 2 * x @ x.T).clamp_min(0)


def _rows(logits: Tensor, own: Tensor, other: Tensor) -> Tensor:
    """Return log(1 + sum of the others' weights / sum of the own class's), (B,)."""
    # A masked row of nothing but -inf would have no gradient: the least number stands in.
    least = torch.finfo(logits.dtype).min
    near = logits.masked_fill(~own, least).logsumexp(1)
    far = logits.masked_fill(~other, least).logsumexp(1)
    return F.softplus(far - near)


def _best(energies: Tensor, own: Tensor, other: Tensor, counted: Tensor) -> float:
    """Return the T at which the loss is least."""

    def loss(temperatures: Tensor) -> Tensor:
        values = [_rows(energies / t, own, other)[counted].mean() for t in temperatures.tolist()]
        return torch.stack(values).cpu()

    pairs = own | other
    distances = -energies.masked_fill(~pairs, -math.inf)
    return minimise(loss, span_of(distances[pairs], distances.amin(1)))
