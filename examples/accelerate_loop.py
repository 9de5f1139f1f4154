"""The same loop under Hugging Face Accelerate: one process, or many with `torchrun`.

    python examples/accelerate_loop.py

Build the mixer after `prepare`: it sees through the wrappers of data parallel training, and knows
its rank. Each process saves its own draws, for `register_for_checkpointing` would keep those of the
first alone; a resumed run then draws what an uninterrupted one would have drawn.
"""

import json
import os
import tempfile
from pathlib import Path

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
optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
model, optimiser, loader = accelerator.prepare(model, optimiser, loader)
mixer = lm.Mixer(model, at=["input", "final"], seed=0)  # one of them each step, on all ranks

for _ in range(EPOCHS):
    mixer.next_epoch()
    model.train()
    for xb, yb in loader:
        output, target = mixer(xb, yb)
        optimiser.zero_grad()
        accelerator.backward(target.loss(output))
        optimiser.step()

with tempfile.TemporaryDirectory() as folder:  # or where accelerator.save_state puts the rest
    file = Path(folder, f"mixer-{accelerator.process_index}.json")
    file.write_text(json.dumps(mixer.state_dict()))
    drawn = mixer.draw(64).partner
    mixer.load_state_dict(json.loads(file.read_text()))
    same = torch.equal(drawn, mixer.draw(64).partner)

model.eval()
with torch.no_grad():
    accuracy = (model(x_test).argmax(1) == y_test).float().mean()
accelerator.print(f"resumed with the same draws: {same}; test accuracy {accuracy:.1%}")
