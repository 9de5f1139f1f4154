"""A compiled mix across two processes equals the mix of the joined batch."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.multiprocessing.spawn import spawn

import layermix as lm
from process_groups import leave_group

PARTNER = torch.tensor([3, 0, 1, 2])  # of the joined batch, two examples for each process
RATIO = torch.tensor(0.3)


def data() -> tuple[Tensor, Tensor]:
    """Return the joined batch and the weights of the mixed values in the loss."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(4, 3, generator=generator), torch.randn(4, 3, generator=generator)


def mix_on_rank(rank: int, folder: str) -> None:
    """Mix the batch of one process, compiled and eager, and save the mix and its gradient."""
    torch.set_num_threads(1)
    store = f"file://{folder}/store"
    torch.distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=2)
    own = slice(2 * rank, 2 * rank + 2)
    plan = lm.Plan("final", RATIO, PARTNER[own], cross_rank=True)
    x, weights = (part[own] for part in data())
    found = []
    for compiled in (False, True):
        mix = torch.compile(lm.mix, backend="aot_eager") if compiled else lm.mix
        x = x.detach().clone().requires_grad_()
        mixed = mix(x.sin(), plan)
        (gradient,) = torch.autograd.grad((mixed * weights).sum(), x)
        found += [mixed.detach(), gradient]
    torch.save(found, Path(folder) / f"{rank}.pt")
    leave_group()


@pytest.mark.slow
def test_compiled_cross_rank_mix_equals_mix_of_joined_batch(tmp_path: Path) -> None:
    spawn(mix_on_rank, (str(tmp_path),), nprocs=2)
    ranks = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    mixed, gradient, compiled, compiled_gradient = map(torch.cat, zip(*ranks, strict=True))
    x, weights = data()
    x.requires_grad_()
    expected = RATIO * x.sin() + (1 - RATIO) * x.sin()[PARTNER]
    (expected_gradient,) = torch.autograd.grad((expected * weights).sum(), x)
    for found in (mixed, compiled):
        torch.testing.assert_close(found, expected.detach())
    for found in (gradient, compiled_gradient):
        torch.testing.assert_close(found, expected_gradient)
