"""Worker process of the cross-rank tests: mixes padded tokens with partners from both ranks."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import layermix as lm
from process_groups import leave_group

EXAMPLES = 4  # per process
POINT = "layers.0"


class Net(nn.Module):
    """Two transformer layers and a classifier of the mean over positions."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).layers
        self.head = nn.Linear(8, 3)

    def forward(self, src: Tensor, padding_mask: Tensor) -> Tensor:
        for layer in self.layers:
            src = layer(src, src_key_padding_mask=padding_mask)
        return self.head(src.mean(1))


def model() -> nn.Module:
    """Return the initial model, equal on both processes."""
    torch.manual_seed(0)
    return Net().double()


def data() -> tuple[dict[str, Tensor], Tensor]:
    """Return the joined batch: the examples of rank 0, then those of rank 1."""
    torch.manual_seed(1)
    lengths = torch.tensor([3, 7, 5, 1, 7, 2, 6, 4])
    ignored = torch.arange(7) >= lengths[:, None]
    x = {"src": torch.randn(2 * EXAMPLES, 7, 8).double(), "padding_mask": ignored}
    return x, torch.randint(3, (2 * EXAMPLES,))


def step(net: nn.Module, plan: lm.Plan, x: dict[str, Tensor], y: Tensor) -> dict[str, Any]:
    """Run one mixed step; return its partners, output and gradients."""
    with lm.Mixer(net, at=POINT).apply(plan) as applied:
        output = net(**x)
    loss = applied.target(y).loss(output)
    loss.backward()
    gradients = [p.grad.clone() for p in net.parameters() if p.grad is not None]
    return {"partner": plan.partner, "output": output.detach(), "gradients": gradients}


def train(rank: int, folder: str) -> None:
    """Run one mixed step with cross-rank partners, and save the result."""
    torch.set_num_threads(1)
    store = f"file://{folder}/store"
    torch.distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=2)
    net, (x, y), own = model(), data(), slice(rank * EXAMPLES, (rank + 1) * EXAMPLES)
    plan = lm.Mixer(net, at=POINT, ratio=0.3, cross_rank=True).draw(EXAMPLES)
    done = step(net, plan, {name: value[own] for name, value in x.items()}, y[own])
    torch.save(done, Path(folder) / f"{rank}.pt")
    leave_group()
