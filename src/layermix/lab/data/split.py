"""Cut the splits a run needs out of those a source has: class-balanced, and the same every time.

The cut does not depend on a run's seed, so that all runs of a study see the same images.
"""

import numpy as np
import torch
from torch import Tensor

from layermix.errors import InputError
from layermix.lab.data.dataset import Dataset, Images, Split

_SEED = 20190601
_VAL_SHARE, _VAL_MOST = 0.1, 2000
_TEST_SHARE = 1 / 3


def three_way(images: Images, train_size: int | None) -> Dataset:
    """Return training, validation and test data.

    A split that the source names so is used; a missing test split is a third of the training
    images, a missing validation split a tenth of them (at most 2,000), each class in equal parts.

    Parameters
    ----------
    images
        The data set as its source delivers it.
    train_size
        Number of training images, class-balanced; all that are left over when None.
    """
    splits = dict(images.splits)
    if "train" not in splits:
        raise InputError(f"there is no split 'train' among {sorted(splits)}")
    train = splits["train"]
    val, test = splits.get("validation"), splits.get("test")
    count = len(images.classes)
    if test is None:
        test, train = cut(train, round(len(train) * _TEST_SHARE), count)
    if val is None:
        val, train = cut(train, min(_VAL_MOST, round(len(train) * _VAL_SHARE)), count)
    if train_size is not None:
        train, _ = cut(train, train_size, count)
    return Dataset(train, val, test, images.classes)


def balanced(labels: Tensor, size: int, num_classes: int) -> Tensor:
    """Choose `size` examples, each class as often as any other (or once more or less).

    Parameters
    ----------
    labels
        Classes, int64 (N,), in [0, `num_classes`).
    size
        How many to choose.
    num_classes
        Number of classes.

    Returns
    -------
    Tensor
        Sorted indices, int64 (size,); the same for the same arguments.

    Raises
    ------
    InputError
        When there are fewer examples than classes, or a class has too few.
    """
    if size < num_classes:
        raise InputError(
            f"{size} examples cannot cover {num_classes} classes: ask for {num_classes} or more"
        )
    rng = np.random.default_rng(_SEED)
    wanted = np.full(num_classes, size // num_classes)
    wanted[rng.permutation(num_classes)[: size % num_classes]] += 1
    chosen = []
    for label, count in enumerate(wanted):
        members = rng.permutation((labels == label).nonzero().flatten().cpu().numpy())
        if len(members) < count:
            raise InputError(
                f"a balanced subset of {size} needs {count} examples of class {label}, but there "
                f"are {len(members)}: ask for {len(members) * num_classes} or fewer"
            )
        chosen.append(members[:count])
    return torch.from_numpy(np.sort(np.concatenate(chosen)))


def cut(split: Split, size: int, num_classes: int) -> tuple[Split, Split]:
    """Return a balanced part of `size` images and the rest."""
    part = balanced(split.labels, size, num_classes)
    rest = torch.ones(len(split), dtype=torch.bool)
    rest[part] = False
    return split[part], split[rest]


def watch_batch(split: Split, num_classes: int) -> Split:
    """Choose the fixed batch on which geometry is watched: at least 4 of a class, 256 in all."""
    most = int(split.labels.bincount(minlength=num_classes).min()) * num_classes
    size = min(most, max(256, 4 * num_classes))
    return split[balanced(split.labels, size, num_classes)]
