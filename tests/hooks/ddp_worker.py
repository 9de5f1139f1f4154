"""Worker process of the DDP tests: trains a small model and saves its plans and gradients."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

import layermix as lm
from process_groups import leave_group

POINTS = ["input", "0", "final", "logits"]
STEPS = 6


def data(rank: int) -> tuple[Tensor, Tensor]:
    """Return the batch of a rank. Each rank has different data."""
    torch.manual_seed(100 + rank)
    return torch.randn(7, 4), torch.randint(5, (7,))


def model() -> nn.Module:
    """Return the initial model, equal on all ranks."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 5))


def train(rank: int, folder: str) -> None:
    """Train with one ratio per batch, then with one per sample, and save the results."""
    torch.set_num_threads(1)
    store = f"file://{folder}/store"
    torch.distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=2)
    steps = {per: mixed_steps(rank, per) for per in ("batch", "sample")}
    torch.save(steps, Path(folder) / f"{rank}.pt")
    leave_group()


def mixed_steps(rank: int, per: Any) -> list[dict[str, Any]]:
    """Run mixed steps at random points; return their plans and synchronized gradients."""
    net, (x, y), steps = DistributedDataParallel(model()), data(rank), []
    mixer = lm.Mixer(net, at=POINTS, per=per)
    mixer.check(x)
    for _ in range(STEPS):
        plan = mixer.draw(len(x))
        with mixer.apply(plan) as applied:
            output = net(x)
        net.zero_grad()
        applied.target(y).loss(output).backward()
        gradients = [p.grad.clone() for p in net.parameters() if p.grad is not None]
        drawn = {"point": plan.point, "ratio": plan.ratio, "partner": plan.partner}
        steps.append({**drawn, "gradients": gradients})
    return steps
