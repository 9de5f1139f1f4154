"""`layermix points`: list the mix points of a net."""

from layermix.experiments.console import open_console, say
from layermix.experiments.models import points_of
from layermix.experiments.presets import PLAIN


def points(
    net: str = PLAIN.net,
    image_size: int = 32,
    channels: int = 3,
    classes: int = 10,
    all: bool = False,
) -> None:
    """layermix points --net resnet18

    List the mix points of a net, the names that --variant and --variants take.

    Args:
        net: resnet-small, resnet18, preactresnet18, speed, mlp, timm:NAME, package.module:factory.
        image_size: Height and width of the images in pixels.
        channels: Channels of the images.
        classes: Number of classes.
        all: Every module, those too that cannot be mixed, with the reason. Otherwise of the
            modules only the repeated blocks or stages of two layers or more.
    """
    say(open_console(), str(points_of(net, image_size, channels, classes, all=all)))
