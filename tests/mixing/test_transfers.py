"""Plans are moved to a device together, and no code waits for values there.

Tensors on the meta device have no values, so that code that reads one raises an error.
"""

from typing import Any

import pytest
import torch
from torch import nn

import layermix as lm
from benchmarks.counting import Counting
from layermix.mixing import PlanSampler


@pytest.mark.parametrize("blend", ["linear", "cut"])
@pytest.mark.parametrize("per", ["batch", "sample"])
def test_plans_need_one_transfer_for_many_steps(blend: str, per: str) -> None:
    sampler = PlanSampler(["input"], blend=blend, per=per, seed=0)  # pyright: ignore[reportArgumentType]
    x, labels = torch.empty(8, 3, 6, 6, device="meta"), torch.empty(8, device="meta").long()
    logits = torch.empty(8, 4, device="meta", requires_grad=True)
    with Counting() as counting:
        for _ in range(127):  # drawn in blocks of 1, 2, 4, ..., 64
            mixed, target = lm.mix(x, sampler.draw(8, "meta"), labels)
            target.loss(logits + mixed.sum()).backward()
            target.accuracy(logits)
    found = {kind: count for (_, kind), count in counting.counts.items()}
    assert found["transfers"] == 7
    assert "waits" not in found


def test_mixing_in_one_graph_moves_its_selection_once() -> None:
    net = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))
    mixer = lm.Mixer(net, ["input", "0", "final"], one_graph=True, seed=0)
    x, labels = torch.randn(6, 4), torch.arange(6) % 3
    created, tensor = [], torch.tensor

    def counted(*args: Any, **settings: Any) -> torch.Tensor:
        created.append(args)
        return tensor(*args, **settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "tensor", counted)
        for _ in range(20):
            output, target = mixer(x, labels)
            target.loss(output)
    picks = [
        args[0] for args in created if isinstance(args[0], list) and isinstance(args[0][0], bool)
    ]
    assert len(picks) == 3  # one for each point
