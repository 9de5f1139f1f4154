"""Any classifier of transformers, built from its configuration with fresh weights."""

from typing import Any

from torch import nn

from layermix.errors import InputError


def from_config(name: str, num_classes: int, image_size: int | None = None) -> nn.Module:
    """Return the classifier of a configuration: of images where an image size is given, or text.

    Parameters
    ----------
    name
        Folder that holds a ``config.json``, that file, or the hub id of a model.
    num_classes
        Number of logits.
    image_size
        Height and width of the images in pixels; left out, the net reads text.
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
    if image_size is None:
        return transformers.AutoModelForSequenceClassification.from_config(config)
    if hasattr(config, "image_size"):
        config.image_size = image_size
    return transformers.AutoModelForImageClassification.from_config(config)
