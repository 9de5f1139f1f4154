"""Cut the splits a run needs out of those a source has, the same way every time.

What a source lacks is cut in proportion to how frequent each class is; what is asked for by size
holds every class equally often, or in proportion if a class has too few images. No cut depends on a
run's seed, so that all runs of a study see the same images.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from layermix.errors import InputError
from layermix.experiments.data.dataset import Chosen, Dataset, Images, Split

_SEED = 20190601
_VAL_SHARE, _VAL_MOST = 0.1, 2000
_TEST_SHARE = 1 / 3


def three_way(images: Images, train_size: int | None) -> Dataset:
    """Return training, validation and test data.

    A split that the source names so is used; a missing test split is a third of the training
    images, a missing validation split a tenth of them (at most 2,000), both `stratified`. Where
    a class has so few members that its share is none, a test split still takes one of them, a
    validation split two if one remains to train on.

    Parameters
    ----------
    images
        The data set as its source delivers it.
    train_size
        Number of training images: as many of each class, or, where a class has too few for that,
        of each class in proportion to its frequency. All that are left over when None.

    Raises
    ------
    InputError
        When there is no training split, a class has too few images to be in every split, or
        `train_size` is more than there are, or too few for every class.
    """
    splits = dict(images.splits)
    if "train" not in splits:
        raise InputError(f"there is no split 'train' among {sorted(splits)}")
    train, classes = splits["train"], images.classes
    missing = [name for name in ("test", "validation") if name not in splits]
    _require_members(train.labels, missing, classes)
    if "test" in missing:
        size = round(len(train) * _TEST_SHARE)
        keep = 3 if "validation" in missing else 1
        part = stratified(train.labels, size, len(classes), least=1, keep=keep)
        splits["test"], train = _divide(train, part)
    if "validation" in missing:
        size = min(_VAL_MOST, round(len(train) * _VAL_SHARE))
        part = stratified(train.labels, size, len(classes), least=2)
        splits["validation"], train = _divide(train, part)
    chosen: Chosen = "all"
    if train_size is not None:
        train, chosen = _subset(train, train_size, classes)
    return Dataset(train, splits["validation"], splits["test"], classes, chosen)


def _subset(train: Split, size: int, classes: tuple[str, ...]) -> tuple[Split, Chosen]:
    """Return a subset of the training images, balanced if the classes allow it, and which it is."""
    count, counts = len(classes), _counts(train.labels, len(classes))
    if size > len(train):
        raise InputError(
            f"train_size is {size}, but there are {len(train)} training images: ask for "
            f"{len(train)} or fewer"
        )
    if (counts >= _even(count, size)).all() or not counts.min() or size < count:
        return train[balanced(train.labels, size, count, classes)], "balanced"
    rng = np.random.default_rng(_SEED)
    wanted = _proportional(counts, size, rng.permutation(count)).clip(1, counts)
    while excess := wanted.sum() - size:  # the bounds of rare classes changed the sum
        if excess > 0:
            wanted[wanted.argmax()] -= 1
        else:
            wanted[(counts - wanted).argmax()] += 1
    return train[_choose(train.labels, wanted, rng)], "stratified"


def stratified(
    labels: Tensor, size: int, num_classes: int, *, least: int = 1, keep: int = 1
) -> Tensor:
    """Choose about `size` examples, of each class in proportion to its frequency.

    Shares are rounded by the largest remainder; classes that differ by one example at most count
    as equally frequent and are chosen as `balanced` does. The bounds for rare classes come on
    top, so that the number chosen may differ from `size`.

    Parameters
    ----------
    labels
        Classes, int64 (N,), in [0, `num_classes`), each at least twice.
    size
        About how many to choose.
    num_classes
        Number of classes.
    least
        Take this many of each class at least, as long as one of it remains.
    keep
        Leave this many of each class, as long as that lets `least` be taken.

    Returns
    -------
    Tensor
        Sorted indices, int64; the same for the same arguments.
    """
    rng = np.random.default_rng(_SEED)
    counts = _counts(labels, num_classes)
    wanted = _proportional(counts, size, rng.permutation(num_classes))
    low = np.minimum(least, counts - 1)
    return _choose(labels, wanted.clip(low, np.maximum(low, counts - keep)), rng)


def balanced(labels: Tensor, size: int, num_classes: int, names: Sequence[str] = ()) -> Tensor:
    """Choose `size` examples, each class as often as any other (or once more or less).

    Parameters
    ----------
    labels
        Classes, int64 (N,), in [0, `num_classes`).
    size
        How many to choose.
    num_classes
        Number of classes.
    names
        Names of the classes, for the error.

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
    wanted, counts = _even(num_classes, size), _counts(labels, num_classes)
    if (counts < wanted).any():
        rarest = int(np.where(counts < wanted, counts, len(labels)).argmin())
        have = int(counts[rarest])
        remedy = f"ask for {have * num_classes} or fewer" if have else "add some, or drop the class"
        raise InputError(
            f"a balanced subset of {size} needs {wanted[rarest]} examples of class "
            f"{repr(names[rarest]) if names else rarest}, but there are {have}: {remedy}"
        )
    rng = np.random.default_rng(_SEED)
    rng.permutation(num_classes)  # as `_even` drew it; the rest of the stream chooses the images
    return _choose(labels, wanted, rng)


def cut(split: Split, size: int, num_classes: int) -> tuple[Split, Split]:
    """Return a balanced part of `size` images and the rest."""
    return _divide(split, balanced(split.labels, size, num_classes))


def _require_members(labels: Tensor, missing: list[str], classes: tuple[str, ...]) -> None:
    """Refuse to cut the missing splits where a class cannot be in all of them and in training."""
    counts, needed = _counts(labels, len(classes)), 1 + len(missing)
    rarest = int(counts.argmin())
    if missing and counts[rarest] < needed:
        raise InputError(
            f"there is no {' and no '.join(missing)} split, and to cut one takes {needed} or more "
            f"training images of each class, but there are {counts[rarest]} of class "
            f"{classes[rarest]!r}: add images of it, take the class out, or give the data set a "
            f"{' and a '.join(missing)} split"
        )


def _counts(labels: Tensor, num_classes: int) -> np.ndarray:
    return labels.cpu().bincount(minlength=num_classes).numpy()


def _proportional(counts: np.ndarray, size: int, order: np.ndarray) -> np.ndarray:
    """Divide `size` in proportion to `counts`, int64 (K,); equal remainders rank by `order`."""
    if np.ptp(counts) <= 1:
        counts = np.ones_like(counts)
    shares, remainders = np.divmod(size * counts, counts.sum())
    ranked = order[np.argsort(-remainders[order], kind="stable")]
    shares[ranked[: size - shares.sum()]] += 1
    return shares


def _even(num_classes: int, size: int) -> np.ndarray:
    """Divide `size` evenly, int64 (K,); which classes get one more is the same every time."""
    order = np.random.default_rng(_SEED).permutation(num_classes)
    return _proportional(np.ones(num_classes, np.int64), size, order)


def _choose(labels: Tensor, wanted: np.ndarray, rng: np.random.Generator) -> Tensor:
    """Draw `wanted[k]` examples of each class k; return their indices, sorted."""
    chosen = []
    for label, count in enumerate(wanted):
        members = rng.permutation((labels == label).nonzero().flatten().cpu().numpy())
        chosen.append(members[:count])
    return torch.from_numpy(np.sort(np.concatenate(chosen)))


def _divide(split: Split, part: Tensor) -> tuple[Split, Split]:
    """Return the images of these indices, and the others."""
    rest = torch.ones(len(split), dtype=torch.bool)
    rest[part] = False
    return split[part], split[rest]
