"""A timm model with timm's optimizer, schedule, averaged weights and metrics; mixed at "final".

    python examples/timm_training.py

It replaces `timm.data.Mixup` and its soft-target loss. The averaged model is not mixed.
"""

import os

import timm
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from timm.utils import AverageMeter, ModelEmaV3, accuracy
from torch.utils.data import DataLoader, TensorDataset

import layermix as lm

EPOCHS = int(os.environ.get("EPOCHS", "8"))

torch.manual_seed(0)
bunch = load_digits()
x = torch.tensor(bunch.images / 16, dtype=torch.float32).unsqueeze(1)
x = torch.nn.functional.interpolate(x, scale_factor=4.0)  # (N, 1, 32, 32)
x_train, x_test, y_train, y_test = train_test_split(
    x, torch.tensor(bunch.target), test_size=0.5, random_state=0
)
loader = DataLoader(TensorDataset(x_train, y_train), 64, shuffle=True, drop_last=True)

model = timm.create_model("test_resnet", num_classes=10, in_chans=1)
mixer = lm.Mixer(model, at="final", alpha=1.0, seed=0)
optimizer = create_optimizer_v2(model, opt="adamw", lr=3e-3, weight_decay=0.02)
scheduler, epochs = create_scheduler_v2(
    optimizer, sched="cosine", num_epochs=EPOCHS, warmup_epochs=1, warmup_lr=1e-4, min_lr=1e-5
)
average = ModelEmaV3(model, decay=0.95)

for epoch in range(epochs):
    mixer.set_epoch(epoch)
    model.train()
    losses = AverageMeter()
    for xb, yb in loader:
        output, target = mixer(xb, yb)
        loss = target.loss(output, label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        average.update(model)
        losses.update(loss.item(), len(xb))
    scheduler.step(epoch + 1)

average.eval()
with torch.no_grad():
    (top1,) = accuracy(average(x_test), y_test)
print(f"training loss {losses.avg:.3f}, test accuracy of the averaged weights {top1:.1f}%")
