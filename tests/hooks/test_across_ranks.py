"""Tests that cross-rank mixing in two processes equals mixing the joined batch in one."""

from pathlib import Path

import across_worker
import torch
from torch.multiprocessing.spawn import spawn

import layermix as lm


def test_cross_rank_mixing_equals_mixing_the_joined_batch(tmp_path: Path) -> None:
    spawn(across_worker.train, (str(tmp_path),), nprocs=2)
    ranks = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    partner = torch.cat([rank["partner"] for rank in ranks])
    assert sorted(partner.tolist()) == list(range(8))
    assert (partner[:4] >= 4).any()  # at least one partner is from the other process

    plan = lm.Plan(across_worker.POINT, torch.tensor(0.3), partner)
    whole = across_worker.step(across_worker.model(), plan, *across_worker.data())
    output = torch.cat([rank["output"] for rank in ranks])
    torch.testing.assert_close(output, whole["output"])
    gradients = zip(*(rank["gradients"] for rank in ranks), whole["gradients"], strict=True)
    for one, other, joined in gradients:
        torch.testing.assert_close((one + other) / 2, joined)
