"""Text: classify twelve words by the scikit-learn data set whose description contains them.

    python examples/text.py

Token ids cannot be mixed, so the sentence embeddings (module "0") are. Each seed has its own split,
weights and data order, the same for the model with mixing and the model without (probability 0).
"""

import os
import re
from importlib import resources

import torch
from shared.twins import compare
from sklearn.model_selection import train_test_split
from torch import nn

import layermix as lm

EPOCHS, SEEDS = int(os.environ.get("EPOCHS", "30")), int(os.environ.get("SEEDS", "8"))
FILES = sorted(resources.files("sklearn.datasets.descr").iterdir(), key=lambda file: file.name)
TEXTS = [re.findall("[a-z]+", f.read_text(encoding="utf-8").lower()) for f in FILES
         if f.name.endswith(".rst")]  # fmt: skip
IDS = {word: i for i, word in enumerate(sorted({word for text in TEXTS for word in text}))}
X = [[IDS[w] for w in t[i : i + 12]] for t in TEXTS for i in range(0, len(t) - 11, 12)]
Y = [label for label, t in enumerate(TEXTS) for _ in range(0, len(t) - 11, 12)]


def held_out_loss(seed, mixed):
    parts = train_test_split(X, Y, test_size=0.5, random_state=seed, stratify=Y)
    x, x_test, y, y_test = (torch.tensor(part) for part in parts)
    torch.manual_seed(seed)
    net = nn.Sequential(nn.EmbeddingBag(len(IDS), 64), nn.Linear(64, 64), nn.ReLU())
    net.append(nn.Linear(64, len(TEXTS)))
    mixer = lm.Mixer(net, at="0", prob=mixed, seed=seed)
    optimizer = torch.optim.AdamW(net.parameters(), lr=5e-3)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x)).split(50):
            output, target = mixer(x[rows], y[rows])
            optimizer.zero_grad()
            target.loss(output).backward()
            optimizer.step()
    return nn.functional.cross_entropy(net.eval()(x_test), y_test).item()


compare(held_out_loss, SEEDS)
