"""Several labels at once: four properties of a handwritten digit, binary cross-entropy.

    python examples/multi_label.py

Binary labels are floats (B, 4) with BCEWithLogitsLoss. Each seed has its own split, weights and
data order, which are the same for the model with mixing and the model without (probability 0).
"""

import os

import numpy as np
import torch
from shared.twins import compare
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

import layermix as lm

EPOCHS, SEEDS = int(os.environ.get("EPOCHS", "40")), int(os.environ.get("SEEDS", "8"))
X, DIGITS = load_digits(return_X_y=True)
EVEN, PRIME, LARGE, CLOSED = {0, 2, 4, 6, 8}, {2, 3, 5, 7}, {5, 6, 7, 8, 9}, {0, 6, 8, 9}
Y = np.array([[digit in one for one in (EVEN, PRIME, LARGE, CLOSED)] for digit in DIGITS])


def held_out_loss(seed, mixed):
    x, x_test, y, y_test = (
        torch.tensor(a, dtype=torch.float32)
        for a in train_test_split(X / 16, Y, train_size=300, random_state=seed)
    )
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU())
    net.append(nn.Linear(128, 4))
    mixer = lm.Mixer(net, at="final", prob=mixed, seed=seed)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x)).split(50):
            output, target = mixer(x[rows], y[rows])
            optimizer.zero_grad()
            target.loss(output, nn.BCEWithLogitsLoss()).backward()
            optimizer.step()
    return nn.functional.binary_cross_entropy_with_logits(net.eval()(x_test), y_test).item()


compare(held_out_loss, SEEDS)
