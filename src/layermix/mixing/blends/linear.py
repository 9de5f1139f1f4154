"""Linear: ``lam * x + (1 - lam) * x[partner]``, everywhere.

mixup (Zhang, Cisse, Dauphin, Lopez-Paz, 2018) at the input, Manifold Mixup (Verma et al., 2019) in
hidden layers.
"""

from dataclasses import dataclass

from torch import Tensor

from layermix.mixing.blends.arrays import along, weighed
from layermix.mixing.blends.blend import Blended, ByRatio, Draws
from layermix.mixing.blends.pairs import Pairs


@dataclass(frozen=True)
class Linear(ByRatio):
    """The blend of mixup and Manifold Mixup."""

    def __call__(
        self, own: Tensor, other: Tensor, ratio: Tensor, draws: Draws, channels: int
    ) -> Blended:
        """Mix activations of any shape; see `Blend`."""
        return Blended(interpolate(own, other, ratio), ratio)

    def of_batch(
        self, x: Tensor, pairs: Pairs, ratio: Tensor, draws: Draws, channels: int
    ) -> Blended:
        """Mix a batch in one pass; see `Blend`."""
        return Blended(pairs.mix(x), ratio)


def interpolate(x1: Tensor, x2: Tensor, ratio: Tensor) -> Tensor:
    """Return ``ratio * x1 + (1 - ratio) * x2`` in the dtype and memory format of `x1`.

    Parameters
    ----------
    x1, x2
        Floating-point tensors of the same shape (B, ...).
    ratio
        Weight of `x1`: shape () or (B,).
    """
    return weighed(x1, x2, along(ratio, x1.ndim) if ratio.ndim else ratio)
