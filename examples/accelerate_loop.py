"""The plain loop with Hugging Face Accelerate: one process, or several with `torchrun`.

    python examples/accelerate_loop.py

The mixer works with the wrappers of data parallel training, and reads its rank at each draw. Its
state is the same on all ranks, so the checkpoint of rank 0 resumes all of them. Then each rank
draws the same plans as in an uninterrupted run.
"""

import os
import tempfile

import torch
from accelerate import Accelerator
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import layermix as lm

EPOCHS = int(os.environ.get("EPOCHS", "10"))

torch.manual_seed(0)
accelerator = Accelerator(cpu=True)
images, digits = load_digits(return_X_y=True)
x = torch.tensor(images / 16, dtype=torch.float32)
y = torch.tensor(digits)
x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.5, random_state=0)
loader = DataLoader(TensorDataset(x_train, y_train), batch_size=64, shuffle=True)

model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
mixer = lm.Mixer(model, at=["input", "final"], seed=0)  # one of them each step, on all ranks
accelerator.register_for_checkpointing(mixer)

for epoch in range(EPOCHS):
    mixer.set_epoch(epoch)
    model.train()
    for xb, yb in loader:
        output, target = mixer(xb, yb)
        optimizer.zero_grad()
        accelerator.backward(target.loss(output))
        optimizer.step()

with tempfile.TemporaryDirectory() as folder:
    accelerator.save_state(folder)
    drawn = mixer.draw(64).partner
    accelerator.load_state(folder)
    same = torch.equal(drawn, mixer.draw(64).partner)

model.eval()
with torch.no_grad():
    accuracy = (model(x_test).argmax(1) == y_test).float().mean()
accelerator.print(f"resumed with the same draws: {same}; test accuracy {accuracy:.1%}")
