"""Regression with C-Mixup: partners have similar targets. Data: scikit-learn's diabetes table.

    python examples/regression_cmixup.py

Regression targets are float labels (B, 1) with a custom loss. Each seed has its own split, weights
and data order, which are the same for the model with mixing and the model without (probability 0).
"""

import os

import torch
from shared.twins import compare
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split
from torch import nn

import layermix as lm

EPOCHS, SEEDS = int(os.environ.get("EPOCHS", "60")), int(os.environ.get("SEEDS", "8"))
X, Y = load_diabetes(return_X_y=True)  # (442, 10), scaled; disease progression after one year


def held_out_loss(seed, mixed):
    x, x_test, y, y_test = (
        torch.tensor(a, dtype=torch.float32)
        for a in train_test_split(X / X.std(0), Y[:, None], test_size=142, random_state=seed)
    )
    mean, std = y.mean(), y.std()
    y, y_test = (y - mean) / std, (y_test - mean) / std
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU())
    net.append(nn.Linear(64, 1))
    mixer = lm.Mixer(net, at="input", alpha=2.0, partner="label_kernel", prob=mixed,
                     seed=seed)  # fmt: skip
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x)).split(50):
            output, target = mixer(x[rows], y[rows])
            optimizer.zero_grad()
            target.loss(output, nn.MSELoss()).backward()
            optimizer.step()
    return nn.functional.mse_loss(net.eval()(x_test), y_test).item()


compare(held_out_loss, SEEDS)
