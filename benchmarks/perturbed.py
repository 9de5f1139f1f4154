"""The default model with initial weights that are perturbed by one millionth.

layermix compare --data digits --model benchmarks.perturbed:first --out runs/perturbed

Processors round differently, which changes a training as much as another seed does. The verdict of
a study should not depend on it: these three models show if it does.
"""

import torch

from layermix.lab.models.networks import SmallResNet

_RELATIVE = 1e-6


def first(num_classes: int, in_channels: int, image_size: int) -> SmallResNet:
    """Return the model with the first perturbation."""
    return _perturbed(1, num_classes, in_channels, image_size)


def second(num_classes: int, in_channels: int, image_size: int) -> SmallResNet:
    """Return the model with the second perturbation."""
    return _perturbed(2, num_classes, in_channels, image_size)


def third(num_classes: int, in_channels: int, image_size: int) -> SmallResNet:
    """Return the model with the third perturbation."""
    return _perturbed(3, num_classes, in_channels, image_size)


@torch.no_grad()
def _perturbed(number: int, *sizes: int) -> SmallResNet:
    """Multiply each weight by 1 + 1e-6 * noise, with normal noise of its own for each number."""
    model, generator = SmallResNet(*sizes), torch.Generator().manual_seed(number)
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        parameter.mul_(1 + _RELATIVE * noise)
    return model
