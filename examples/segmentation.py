"""Segmentation: the blend "cut" replaces the same box in an image and in its mask.

    python examples/segmentation.py

An image has two handwritten digits and noise; a pixel is background, or part of a 0, a 1 or a 2.
Labels (B, H, W) are cut in the same pixels. Each seed has its own images, weights and data order,
which are the same for the model with mixing and the model without (probability 0).
"""

import os

import numpy as np
import torch
from shared.twins import compare
from sklearn.datasets import load_digits
from torch import nn

import layermix as lm

EPOCHS, SEEDS = int(os.environ.get("EPOCHS", "25")), int(os.environ.get("SEEDS", "6"))
BUNCH = load_digits(n_class=3)


def scenes(rng, rows, count):
    images = rng.normal(0, 0.2, (count, 1, 12, 24)).astype(np.float32)
    masks = np.zeros((count, 12, 24), dtype=np.int64)
    for image, mask in zip(images, masks, strict=True):
        for half in (0, 12):
            row, top, left = rng.choice(rows), rng.integers(5), half + rng.integers(5)
            place = slice(top, top + 8), slice(left, left + 8)
            image[0][place] += BUNCH.images[row] / 16
            mask[place] = np.where(BUNCH.images[row] > 4, 1 + BUNCH.target[row], 0)
    return torch.from_numpy(images), torch.from_numpy(masks)


def held_out_loss(seed, mixed):
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(BUNCH.target))  # held-out digits are not in training
    (x, y), (x_test, y_test) = scenes(rng, rows[:100], 100), scenes(rng, rows[100:], 200)
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Conv2d(1, 16, 5, padding=2), nn.ReLU())
    net.extend([nn.Conv2d(16, 16, 5, padding=4, dilation=2), nn.ReLU(), nn.Conv2d(16, 4, 1)])
    mixer = lm.Mixer(net, at="input", blend="cut", prob=mixed, seed=seed)
    optimizer = torch.optim.AdamW(net.parameters(), lr=5e-3)
    for _ in range(EPOCHS):
        for i in torch.randperm(len(x)).split(10):
            output, target = mixer(x[i], y[i])
            optimizer.zero_grad()
            target.loss(output).backward()
            optimizer.step()
    return nn.functional.cross_entropy(net.eval()(x_test), y_test).item()


compare(held_out_loss, SEEDS)
