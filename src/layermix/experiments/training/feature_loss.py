"""The soft nearest neighbor loss as a term of the training loss, at any mix point.

Frosst, Papernot, Hinton (2019) add it to the cross-entropy of a classifier: with a positive weight
the classes of a layer come apart, with a negative one they are entangled.
"""

import torch
from torch import Tensor, nn

from layermix.errors import InputError
from layermix.geometry import SoftNearestNeighborLoss
from layermix.hooks import FeatureCapture
from layermix.hooks.isolation import observe
from layermix.hooks.sites import find, unwrap
from layermix.mixing import MixedTarget, Target


class FeatureLoss:
    """The weighted loss of the features at a mix point.

    Where the features were mixed on their way, an example counts for the class of the heavier of
    its two parents.

    Parameters
    ----------
    model
        The net, compiled or not; before a mixer is attached to it.
    point
        Mix point of the features.
    weight
        What the loss is multiplied by.
    x
        A few examples, to see which mix points come before that one.
    mix_at
        Mix points of the run.
    """

    def __init__(
        self, model: nn.Module, point: str, weight: float, x: Tensor, mix_at: tuple[str, ...]
    ) -> None:
        self.point, self.weight = point, weight
        self._capture = FeatureCapture(model, point)
        self._capture.check(x)
        self._criterion = SoftNearestNeighborLoss()
        inner, passed = unwrap(model), []
        sites = [find(inner, name) for name in dict.fromkeys((point, *mix_at))]
        observe(inner, sites, x, lambda name, _: passed.append(name))
        self._before = set(passed[: passed.index(point)])

    def __call__(self, labels: Tensor, target: Target, mixed_at: str | None) -> Tensor:
        """Return the loss of the last forward pass, shape ().

        Parameters
        ----------
        labels
            Of its batch, (B,).
        target
            The same labels as they were mixed.
        mixed_at
            The mix point of that pass; None where nothing was mixed.

        Raises
        ------
        InputError
            When the features were mixed of more than two examples, so that they have no class.
        """
        if mixed_at in self._before:
            if not isinstance(target, MixedTarget):
                raise InputError(
                    f"the features at {self.point!r} come after {mixed_at!r}, where whole batches "
                    "are mixed, so they have no class: take the loss at an earlier mix point"
                )
            labels = torch.where(target.ratio >= 0.5, labels, target.partner_labels)
        return self.weight * self._criterion(self._capture[self.point], labels)
