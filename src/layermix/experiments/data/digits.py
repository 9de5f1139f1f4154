"""Handwritten digits, 8 x 8, offline: 1,797 images that come with scikit-learn.

A copy of the test set of the UCI ML hand-written digits data (Alpaydin, Kaynak, 1998). Grey
levels 0 to 16 become 0 to 255. Digits are easy, so few are for training and many for testing: 300
to train, 300 to validate, 1,197 to test.
"""

import torch

from layermix.experiments.data.dataset import Images, Split
from layermix.experiments.data.split import cut


def digits() -> Images:
    """Load the digits: images (1, 8, 8) of ten classes in three splits."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    images = torch.from_numpy(pixels).mul(255 / 16).round().to(torch.uint8)
    everything = Split(images.view(-1, 1, 8, 8), torch.from_numpy(labels).long())
    train, rest = cut(everything, 300, 10)
    val, test = cut(rest, 300, 10)
    splits = {"train": train, "validation": val, "test": test}
    return Images(splits, tuple(str(label) for label in range(10)))
