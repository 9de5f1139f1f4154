"""Any classifier of transformers, built from its configuration with fresh weights."""

from typing import Any

from torch import nn

from layermix.errors import InputError


def from_config(
    name: str, num_classes: int, in_channels: int | None = None, image_size: int | None = None
) -> nn.Module:
    """Return the classifier of a configuration: of images where an image size is given, or text.

    Parameters
    ----------
    name
        Folder that holds a ``config.json``, that file, or the hub id of a model.
    num_classes
        Number of logits.
    in_channels
        Channels of the images.
    image_size
        Height and width of the images in pixels; left out, the net reads text.

    Raises
    ------
    InputError
        When there is no such configuration, or no classifier of its kind.
    """
    try:
        import transformers
    except ImportError as error:
        raise InputError(f"transformers:{name} needs transformers: pip install it") from error
    try:
        config: Any = transformers.AutoConfig.from_pretrained(name)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"there is no configuration {name!r}: {reason}") from error
    config.num_labels = num_classes
    kind, family = "texts", transformers.AutoModelForSequenceClassification
    if image_size is not None:
        kind, family = "images", transformers.AutoModelForImageClassification
    for setting, value in (("image_size", image_size), ("num_channels", in_channels)):
        if value is not None and hasattr(config, setting):
            setattr(config, setting, value)
    try:
        return family.from_config(config)
    except ValueError as error:
        if not str(error).startswith("Unrecognized configuration class"):
            raise
        other = {"texts": "images", "images": "texts"}[kind]
        raise InputError(
            f"the data hold {kind}, for which transformers has no classifier with a "
            f"{type(config).__name__}: name a net for {kind}, or data with {other}"
        ) from error
