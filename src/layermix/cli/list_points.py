"""`layermix points`: list the mix points of a model."""

import torch

from layermix.errors import InputError
from layermix.hooks import points
from layermix.lab.data.modalities import ImageInputs
from layermix.lab.data.modality import map_arguments
from layermix.lab.display import open_console, print_text
from layermix.lab.models import build


def list_points(
    model: str = ImageInputs.default_model,
    image_size: int = 32,
    channels: int = 3,
    classes: int = 10,
    all: bool = False,
) -> None:
    """layermix points --model resnet18

    List the mix points of a model. --variant and --variants accept their names.

    Args:
        model: A model of `compare`, such as resnet-small or timm:NAME, or package.module:factory.
        image_size: Height and width of the images in pixels.
        channels: Number of channels of the images.
        classes: Number of classes.
        all: List all modules, including those that cannot be mixed, with the reason. By default,
            only repeated blocks or stages with two layers or more are listed.
    """
    for name, value in (("image-size", image_size), ("channels", channels), ("classes", classes)):
        if value < 1:
            raise InputError(f"{name} is {value}, but must be 1 or more")
    shape = (channels, image_size, image_size)
    listed = points(build(model, classes, map_arguments(shape)), torch.zeros(3, *shape), all=all)
    print_text(open_console(), str(listed))
