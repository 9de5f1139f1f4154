"""Worker process of the execution tests: trains mixed models with DDP and FSDP2."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from timm.layers.norm import GroupNorm
from timm.models.resnet import BasicBlock, ResNet
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

import layermix as lm
from layermix.mixing import PlanSampler
from process_groups import leave_group
from tiny_nets import tiny_vit

EXAMPLES = 6  # per process
RANKS = 2


def resnet() -> nn.Module:
    """Return a small timm ResNet with group norm; batch norm would depend on the local batch."""
    return ResNet(
        BasicBlock,  # pyright: ignore[reportArgumentType]
        layers=(1, 1, 1, 1),
        channels=(4, 4, 8, 8),
        num_classes=5,
        norm_layer=partial(GroupNorm, num_groups=2),
    )


NETS: dict[str, Any] = {"resnet": resnet, "vit": tiny_vit}
POINTS = {
    ("resnet", "linear"): ["input", "layer1.0", "layer4.0", "final", "logits"],
    ("resnet", "cut"): ["input", "layer2.0", "layer3.0"],
    ("vit", "linear"): ["input", "blocks.0", "norm", "final", "logits"],
    ("vit", "cut"): ["blocks.0", "blocks.1"],
}
CASES = [(net, blend, point) for (net, blend), points in POINTS.items() for point in points]


def model(net: str) -> nn.Module:
    """Return the initial model, equal on all processes."""
    torch.manual_seed(0)
    return NETS[net]().double()


def data() -> tuple[Tensor, Tensor]:
    """Return the joined batch: the examples of rank 0, then those of rank 1."""
    torch.manual_seed(1)
    return torch.randn(RANKS * EXAMPLES, 3, 16, 16).double(), torch.randint(5, (RANKS * EXAMPLES,))


def plan_of(rank: int, blend: str, point: str) -> lm.Plan:
    """Return the plan of a process, with float64 ratios."""
    sampler = PlanSampler([point], seed=5, per="sample", blend=blend, rank=rank)
    plan = sampler.draw(EXAMPLES)
    return replace(plan, ratio=plan.ratio.double())


def gradients(net: nn.Module) -> dict[str, Tensor]:
    """Return all gradients by name. Sharded gradients are gathered."""
    found = {}
    for name, parameter in net.named_parameters():
        grad = parameter.grad
        if grad is not None:
            whole = grad.full_tensor() if isinstance(grad, DTensor) else grad
            found[name.removeprefix("module.")] = whole.clone()
    return found


def step(mixer: lm.Mixer, called: Any, plan: lm.Plan, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    """Run one step with a plan and return the gradients."""
    mixer.model.zero_grad()
    with mixer.apply(plan) as applied:
        output = called(x)
    applied.target(y).loss(output).backward()
    return gradients(mixer.model)


def sharded(net: str) -> nn.Module:
    """Return a model with ``fully_shard`` applied to its blocks and to itself."""
    whole, mesh = model(net), init_device_mesh("cpu", (RANKS,))
    blocks: Any = whole.layer2 if net == "resnet" else whole.blocks
    for block in blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(whole, mesh=mesh)
    return whole


def is_unchanged_by_probe() -> bool:
    """Probe a sharded model whose weights are gathered; return True if its output remains."""
    net, x = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)), torch.randn(4, 4)
    nn.init.zeros_(net[2].bias)  # pyright: ignore[reportArgumentType]
    fully_shard(net, mesh=init_device_mesh("cpu", (RANKS,)))
    with torch.no_grad():
        before = net(x)
        lm.Mixer(net, at="final").check(x)
        return torch.equal(net(x), before)


def train(rank: int, folder: str) -> None:
    """Run one step per case with DDP and with FSDP2, and save the gradients."""
    torch.set_num_threads(1)
    plain = {net: model(net) for net in NETS}
    early = {key: lm.Mixer(plain[key[0]], at=points) for key, points in POINTS.items()}
    store = f"file://{folder}/store"
    torch.distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=RANKS)
    parallel = {net: DistributedDataParallel(inner) for net, inner in plain.items()}
    shards = {net: sharded(net) for net in NETS}
    late = {key: lm.Mixer(shards[key[0]], at=points) for key, points in POINTS.items()}
    own = slice(rank * EXAMPLES, (rank + 1) * EXAMPLES)
    x, y = (part[own] for part in data())
    found: dict[str, Any] = {"data parallel": {}, "sharded": {}}
    for net, blend, point in CASES:
        runs = (early[net, blend], parallel[net]), (late[net, blend], shards[net])
        for kind, (mixer, called) in zip(found, runs, strict=True):
            done = step(mixer, called, plan_of(rank, blend, point), x, y)
            found[kind][net, blend, point] = done
    found["unchanged by a probe"] = is_unchanged_by_probe()
    torch.save(found, Path(folder) / f"{rank}.pt")
    leave_group()
