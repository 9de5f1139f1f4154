"""A plain PyTorch loop on handwritten digits, mixed at the final layer.

    python examples/plain_loop.py

Two lines differ from a loop without mixing. A third one sets the epoch of the mixer for schedules.
"""

import os

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import layermix as lm
from layermix.mixing import Window

EPOCHS = int(os.environ.get("EPOCHS", "20"))

torch.manual_seed(0)
images, digits = load_digits(return_X_y=True)
x = torch.tensor(images / 16, dtype=torch.float32)
y = torch.tensor(digits)
x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.5, random_state=0)
loader = DataLoader(TensorDataset(x_train, y_train), batch_size=64, shuffle=True)

model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU())
model.append(nn.Linear(128, 10))
optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
# The last tenth of the epochs is not mixed.
unmixed_from = max(1, EPOCHS - EPOCHS // 10)
mixer = lm.Mixer(model, at="final", prob=Window(1.0, stop=unmixed_from), seed=0)

for epoch in range(EPOCHS):
    mixer.set_epoch(epoch)
    model.train()
    for xb, yb in loader:
        output, target = mixer(xb, yb)  # instead of output = model(xb)
        loss = target.loss(output)  # instead of cross_entropy(output, yb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

model.eval()  # in eval mode nothing is mixed
with torch.no_grad():
    accuracy = (model(x_test).argmax(1) == y_test).float().mean()
print(f"test accuracy {accuracy:.1%}")
