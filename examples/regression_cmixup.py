"""Regression: C-Mixup, partners with similar targets, on scikit-learn's diabetes table.

    python examples/regression_cmixup.py

Numbers to predict are float labels (B, 1) with a loss of your own. Each seed has its own split,
weights and data order, shared by the mixed net and its unmixed twin (probability 0).
"""

import os

import numpy as np
import torch
from scipy import stats
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
    mixer = lm.Mixer(net, at="input", alpha=2.0, partner="label_kernel", probability=mixed,
                     seed=seed)  # fmt: skip
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x)).split(50):
            output, target = mixer(x[rows], y[rows])
            optimiser.zero_grad()
            target.loss(output, nn.MSELoss()).backward()
            optimiser.step()
    return nn.functional.mse_loss(net.eval()(x_test), y_test).item()


plain, mixed = (np.array([held_out_loss(s, p) for s in range(SEEDS)]) for p in (0.0, 1.0))
mean = (mixed - plain).mean()
low, high = stats.t.interval(0.95, SEEDS - 1, mean, stats.sem(mixed - plain))
answer = "mixing helps" if high < 0 else "mixing hurts" if low > 0 else "no difference is shown"
print(f"held-out loss over {SEEDS} seeds: unmixed {plain.mean():.4f}, mixed {mixed.mean():.4f}")
print(f"mixed - unmixed {mean:+.4f} (95% interval {low:+.4f} to {high:+.4f}): {answer}")
