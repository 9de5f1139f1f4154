"""The batches on which the geometry of layers is measured: held-out images, and training images."""

from layermix.errors import InputError
from layermix.experiments.data.dataset import Dataset, Split
from layermix.experiments.data.split import balanced

_IMAGES, _IMAGES_OF_CLASS = 256, 4


def watch_batch(data: Dataset) -> Split:
    """Choose the fixed batch of validation images on which geometry is watched.

    Each class as often as any other (or once more or less): 256 images in all, or 4 of each of
    more than 64 classes, but of no class more than the rarest has.

    Raises
    ------
    InputError
        When a class has fewer than 2 validation images: SNNL compares pairs of a class.
    """
    return _batch_of(data.val, "validation", data.classes)


def adapt_batch(data: Dataset) -> Split:
    """Choose the fixed batch of training images to which a training adapts where it mixes.

    The validation images choose the winner of a study, so that no training may adapt to them. The
    number of images is chosen as in `watch_batch`.

    Raises
    ------
    InputError
        If a class has fewer than 2 training images.
    """
    return _batch_of(data.train, "training", data.classes)


def _batch_of(split: Split, name: str, classes: tuple[str, ...]) -> Split:
    count = len(classes)
    of_class = split.labels.cpu().bincount(minlength=count)
    rarest = int(of_class.argmin())
    if of_class[rarest] < 2:
        raise InputError(
            f"the {name} split has {of_class[rarest]} of class {classes[rarest]!r}, but "
            f"SNNL compares pairs and needs 2 or more of each class: give a larger {name} "
            "split, or more images of that class"
        )
    size = min(int(of_class[rarest]) * count, max(_IMAGES, _IMAGES_OF_CLASS * count))
    return split[balanced(split.labels, size, count)]
