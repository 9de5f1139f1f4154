"""Choose examples by class: the splits of a run, and the batches for measuring geometry.

The choice depends only on the labels, so that all runs of a study use the same examples. scikit-
learn's stratified splitters are not used: they reject classes with one member and parts with fewer
examples than classes, and may leave a class out of a part.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from layermix.errors import InputError
from layermix.lab.data.dataset import Dataset, Source, Split, Subset

_SEED = 20190601
_VAL_SHARE, _VAL_MAX = 0.1, 2000
_TEST_SHARE = 1 / 3
_BATCH, _BATCH_PER_CLASS = 256, 4
_BATCHES = 4

Entropy = int | tuple[int, int]
"""The seed of a NumPy generator."""


def split_entropy(seed: int | None) -> Entropy:
    """Return the entropy of the split of a seed, or of the fixed split if the seed is None."""
    return _SEED if seed is None else (_SEED, seed)


def three_way(source: Source, train_size: int | None, seed: int | None = None) -> Dataset:
    """Divide examples into training, validation and test data, by a seed or by the fixed split.

    If there is no test split, a third of the training examples is used; if there is no validation
    split, a tenth of them (at most 2,000). Both are stratified. Each rare class has at least one
    test example and two validation examples, as long as one remains for training. With a seed, a
    validation split of the source is drawn again from all its examples that are not for testing.
    Then `train_size` examples are chosen: equal numbers of each class, or proportional ones if a
    class has too few. If there are too few examples, in total or of a class, an `InputError` is
    raised.
    """
    splits, classes, entropy = dict(source.splits), source.classes, split_entropy(seed)
    if "train" not in splits:
        raise InputError(f"there is no split 'train', only {sorted(splits)}")
    train = splits["train"]
    size = min(_VAL_MAX, round(len(train) * _VAL_SHARE))
    if seed is not None and "validation" in splits:
        size = len(splits["validation"])
        train = join(train, splits.pop("validation"))
    missing = [name for name in ("test", "validation") if name not in splits]
    _require_members(train.labels, missing, classes)
    if "test" in missing:
        test_size, keep = round(len(train) * _TEST_SHARE), 3 if "validation" in missing else 1
        part = stratified(train.labels, test_size, len(classes), entropy, keep=keep)
        splits["test"], train = divide(train, part)
        size = min(_VAL_MAX, round(len(train) * _VAL_SHARE))
    if "validation" in missing:
        part = stratified(train.labels, size, len(classes), entropy, least=2)
        splits["validation"], train = divide(train, part)
    subset: Subset = "all"
    if train_size is not None:
        train, subset = _subset(train, train_size, classes, entropy)
    return Dataset(train, splits["validation"], splits["test"], classes, source.modality, subset)


def _require_members(labels: Tensor, missing: list[str], classes: tuple[str, ...]) -> None:
    """Raise an `InputError` if a class has too few examples for all missing splits and training."""
    counts, needed = _counts(labels, len(classes)), 1 + len(missing)
    rarest = int(counts.argmin())
    if missing and counts[rarest] < needed:
        raise InputError(
            f"there is no {' and no '.join(missing)} split, and creating one needs {needed} "
            f"examples of each class, but class {classes[rarest]!r} has {counts[rarest]}: "
            f"add examples or a {' and a '.join(missing)} split"
        )


def _subset(
    train: Split, size: int, classes: tuple[str, ...], entropy: Entropy
) -> tuple[Split, Subset]:
    """Return a subset of the training examples: balanced, or stratified if a class has too few."""
    counts = _counts(train.labels, len(classes))
    if size > len(train):
        raise InputError(f"train_size is {size}, but there are only {len(train)} training examples")
    rng = np.random.default_rng(entropy)
    order = rng.permutation(len(classes))
    if (counts >= _shares(np.ones_like(counts), size, order)).all() or not counts.min():
        part = balanced(train.labels, size, len(classes), entropy, names=classes)
        return train[part], "balanced"
    wanted = _bounded_shares(counts, size, order, np.ones_like(counts), counts)
    return train[_draw(train.labels, wanted, rng)], "stratified"


def stratified(
    labels: Tensor,
    size: int,
    num_classes: int,
    entropy: Entropy = _SEED,
    *,
    least: int = 1,
    keep: int = 1,
) -> Tensor:
    """Return sorted indices of about `size` examples, each class in proportion to its frequency.

    `labels` are int64 (N,), with each class at least twice. At least `least` examples of each class
    are chosen (but one must remain), and at least `keep` remain if possible, whatever the `size`.
    The number of examples does not depend on the `entropy`.
    """
    rng, counts = np.random.default_rng(entropy), _counts(labels, num_classes)
    low = np.minimum(least, counts - 1)
    high = np.maximum(low, counts - keep)
    wanted = _bounded_shares(counts, size, rng.permutation(num_classes), low, high)
    return _draw(labels, wanted, rng)


def balanced(
    labels: Tensor,
    size: int,
    num_classes: int,
    entropy: Entropy = _SEED,
    *,
    names: Sequence[str] = (),
) -> Tensor:
    """Return sorted indices of `size` examples, whose class counts differ by at most one.

    `labels` are int64 (N,). If a class has too few examples, an `InputError` is raised.
    """
    if size < num_classes:
        raise InputError(
            f"{size} examples cannot cover {num_classes} classes: use {num_classes} or more"
        )
    rng, counts = np.random.default_rng(entropy), _counts(labels, num_classes)
    wanted = _shares(np.ones_like(counts), size, rng.permutation(num_classes))
    if (counts < wanted).any():
        rarest = int(np.where(counts < wanted, counts, len(labels)).argmin())
        have = int(counts[rarest])
        remedy = f"use {have * num_classes} or fewer" if have else "add some, or remove the class"
        raise InputError(
            f"a balanced subset of {size} needs {wanted[rarest]} examples of class "
            f"{repr(names[rarest]) if names else rarest}, but there are {have}: {remedy}"
        )
    return _draw(labels, wanted, rng)


def with_label_noise(train: Split, share: float, num_classes: int, entropy: Entropy) -> Split:
    """Return a split in which a share of the labels is replaced by a random other class."""
    rng, labels = np.random.default_rng(entropy), train.labels.clone()
    chosen = torch.from_numpy(rng.permutation(len(labels))[: round(share * len(labels))])
    shift = torch.from_numpy(rng.integers(1, num_classes, len(chosen)))
    labels[chosen] = (labels[chosen] + shift) % num_classes
    return Split(train.inputs, labels)


def geometry_batch(data: Dataset, name: Literal["training", "validation"]) -> Split:
    """Choose a class-balanced batch of a split, on which geometry is measured.

    It has 256 examples, or 4 of each class if there are more than 64 classes, but no more of each
    class than the rarest class has. A class with fewer than 2 examples raises an `InputError`.
    """
    split, classes = {"training": data.train, "validation": data.val}[name], data.classes
    counts = _counts(split.labels, len(classes))
    rarest = int(counts.argmin())
    if counts[rarest] < 2:
        raise InputError(
            f"the {name} split has {counts[rarest]} of class {classes[rarest]!r}, but SNNL needs a "
            f"pair of each class: give a larger {name} split, or more examples of that class"
        )
    most = max(_BATCH, _BATCH_PER_CLASS * len(classes))
    size = min(int(counts[rarest]) * len(classes), most)
    return split[balanced(split.labels, size, len(classes))]


def geometry_batches(data: Dataset, seed: int) -> list[Split]:
    """Choose four disjoint class-balanced batches of held-out examples, and a half of each of them.

    They are validation and test examples, drawn by the seed. Each batch has 256 examples, or 4 of
    each class if there are more than 64 classes, but no more of each class than a quarter of the
    rarest class. Without 4 examples of each class for each batch, the list is empty.
    """
    rest, classes = join(data.val, data.test), len(data.classes)
    share = int(_counts(rest.labels, classes).min()) // _BATCHES
    size = min(share * classes, max(_BATCH, _BATCH_PER_CLASS * classes))
    if size < _BATCH_PER_CLASS * classes:
        return []
    batches = []
    for _ in range(_BATCHES):
        part = balanced(rest.labels, size, classes, split_entropy(seed))
        batch, rest = divide(rest, part)
        batches.append(batch)
    return batches + [b[balanced(b.labels, size // 2, classes)] for b in batches]


def join(first: Split, second: Split) -> Split:
    """Return the examples of two splits in one."""
    inputs = torch.cat([first.inputs, second.inputs])
    return Split(inputs, torch.cat([first.labels, second.labels]))


def divide(split: Split, part: Tensor) -> tuple[Split, Split]:
    """Divide a split into the examples at the indices `part` and all other examples."""
    rest = torch.ones(len(split), dtype=torch.bool, device=split.labels.device)
    rest[part] = False
    return split[part], split[rest]


def _counts(labels: Tensor, num_classes: int) -> np.ndarray:
    return labels.cpu().bincount(minlength=num_classes).numpy()


def _shares(counts: np.ndarray, size: int, order: np.ndarray) -> np.ndarray:
    """Divide the number `size` in proportion to `counts`, (K,), by the largest remainder method.

    Equal remainders are ranked by `order`. Counts that differ by at most one are treated as equal.
    """
    if np.ptp(counts) <= 1:
        counts = np.ones_like(counts)
    shares, remainders = np.divmod(size * counts, counts.sum())
    ranked = order[np.argsort(-remainders[order], kind="stable")]
    shares[ranked[: size - shares.sum()]] += 1
    return shares


def _bounded_shares(
    counts: np.ndarray, size: int, order: np.ndarray, low: np.ndarray, high: np.ndarray
) -> np.ndarray:
    """Divide a number like `_shares`, with bounds for each class, (K,).

    The sum is `size`, or the nearest number that the bounds allow.
    """
    shares = _shares(counts, size, order).clip(low, high)
    total = int(np.clip(size, low.sum(), high.sum()))
    while excess := shares.sum() - total:  # classes were clipped
        if excess > 0:
            shares[(shares - low).argmax()] -= 1
        else:
            shares[(high - shares).argmax()] += 1
    return shares


def _draw(labels: Tensor, wanted: np.ndarray, rng: np.random.Generator) -> Tensor:
    """Draw `wanted[k]` examples of each class k; return their sorted indices."""
    drawn = [
        rng.permutation((labels == label).nonzero().flatten().cpu().numpy())[:count]
        for label, count in enumerate(wanted)
    ]
    return torch.from_numpy(np.sort(np.concatenate(drawn)))
