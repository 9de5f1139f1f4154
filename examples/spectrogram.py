"""Audio: five kinds of tones in noise, as log spectrograms, mixed at the input or the final layer.

    python examples/spectrogram.py

A spectrogram is a map (B, 1, frequencies, times). Each seed has its own sounds, weights and data
order, which are the same for the model with mixing and the model without (probability 0).
"""

import os

import numpy as np
import torch
from shared.twins import compare
from torch import nn

import layermix as lm

EPOCHS, SEEDS = int(os.environ.get("EPOCHS", "15")), int(os.environ.get("SEEDS", "6"))
RATE, WINDOW = 4000, torch.hann_window(128, dtype=torch.float64)  # Hz
KINDS = 5  # steady, rising, falling, warbling, beating


def sounds(rng, count):
    t = np.arange(RATE // 2) / RATE  # seconds
    kind = rng.integers(KINDS, size=count)
    k, pitch = kind[:, None], rng.uniform(400, 1200, (count, 1))  # Hz
    slide = np.choose(k, [0, 1, -1, 0, 0]) * 250 * (t - 0.25)  # Hz, over the half second
    warble = np.where(k == 3, 60 * np.sin(2 * np.pi * 8 * t), 0)
    loudness = np.where(k == 4, 0.5 + 0.5 * np.sin(2 * np.pi * 8 * t), 0.7)
    phase = 2 * np.pi * np.cumsum(pitch + slide + warble, axis=1) / RATE
    wave = loudness * np.sin(phase) + rng.normal(0, 0.7, phase.shape)
    spectrum = torch.stft(torch.tensor(wave), 128, 64, window=WINDOW, return_complex=True)
    return spectrum.abs().log1p().float().unsqueeze(1), torch.from_numpy(kind)  # (N, 1, 65, 32)


def held_out_loss(seed, mixed):
    rng = np.random.default_rng(seed)
    (x, y), (x_test, y_test) = sounds(rng, 300), sounds(rng, 500)
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Conv2d(1, 8, 5, 2), nn.BatchNorm2d(8), nn.ReLU())
    net.extend([nn.Conv2d(8, 16, 5, 2), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 32, 3)])
    net.extend([nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(32, KINDS)])
    mixer = lm.Mixer(net, at=["input", "final"], prob=mixed, seed=seed)
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3)
    for _ in range(EPOCHS):
        for i in torch.randperm(len(x)).split(30):
            output, target = mixer(x[i], y[i])
            optimizer.zero_grad()
            target.loss(output).backward()
            optimizer.step()
    return nn.functional.cross_entropy(net.eval()(x_test), y_test).item()


compare(held_out_loss, SEEDS)
