"""`layermix points`: list the mix points of a model."""

import torch

from layermix.hooks import points
from layermix.lab.data import DataConfig, load
from layermix.lab.data.modalities import ImageInputs
from layermix.lab.data.modality import map_arguments
from layermix.lab.display import open_console, print_text
from layermix.lab.models import build
from layermix.lab.run_setup import fresh_model, model_name
from layermix.lab.typed import require_range

_MOST = {"image-size": 4096, "channels": 4096, "classes": 1_000_000}


def list_points(
    model: str = "auto",
    data: str | None = None,
    image_size: int = 32,
    channels: int = 3,
    classes: int = 10,
    all: bool = False,
) -> None:
    """layermix points --model resnet18

    List the mix points of a model. --variant and --variants accept their names.

    Args:
        model: A model of `compare`, such as resnet-small or timm:NAME, or package.module:factory.
            Default: that of the data.
        data: Data of `compare`, whose examples the model gets. Default: images of the given size.
        image_size: Height and width of the images in pixels.
        channels: Number of channels of the images.
        classes: Number of classes.
        all: List all modules, including those that cannot be mixed, with the reason. By default,
            only repeated blocks or stages with two layers or more are listed.
    """
    sizes = {"image-size": image_size, "channels": channels, "classes": classes}
    for name, value in sizes.items():
        require_range(name, value, 1, _MOST[name])
    console = open_console()
    if data is None:
        shape = (channels, image_size, image_size)
        name = ImageInputs.default_model if model == "auto" else model
        net, x = build(name, classes, map_arguments(shape)), torch.zeros(3, *shape)
    else:
        found = load(DataConfig(data))
        net, x = (
            fresh_model(model_name(model, found), found, 0),
            found.preprocess(found.train.inputs[:3]),
        )
    print_text(console, str(points(net, x, all=all)))
