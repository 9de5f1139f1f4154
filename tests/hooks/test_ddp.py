"""Tests of `Mixer` with DistributedDataParallel on two processes."""

from typing import Any

import ddp_worker
import pytest
import torch
from torch.multiprocessing.spawn import spawn

import layermix as lm

Steps = list[dict[str, Any]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Steps]]:
    """Return the saved steps of two ranks, for ratios per batch and per sample."""
    folder = tmp_path_factory.mktemp("ddp")
    spawn(ddp_worker.train, (str(folder),), nprocs=2)
    ranks = [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]
    return {per: [rank[per] for rank in ranks] for per in ("batch", "sample")}


@pytest.mark.parametrize("per", ["batch", "sample"])
def test_ranks_mix_at_the_same_points(trained: dict[str, list[Steps]], per: str) -> None:
    points = [[step["point"] for step in rank] for rank in trained[per]]
    assert points[0] == points[1]
    assert len(set(points[0])) > 1


def test_ranks_share_the_ratio_of_a_batch(trained: dict[str, list[Steps]]) -> None:
    for one, other in zip(*trained["batch"], strict=True):
        assert one["ratio"].equal(other["ratio"])


def test_ranks_draw_different_ratios_per_sample(
    trained: dict[str, list[Steps]],
) -> None:
    for one, other in zip(*trained["sample"], strict=True):
        assert not one["ratio"].equal(other["ratio"])


@pytest.mark.parametrize("per", ["batch", "sample"])
def test_ranks_draw_different_partners(trained: dict[str, list[Steps]], per: str) -> None:
    for one, other in zip(*trained[per], strict=True):
        assert not one["partner"].equal(other["partner"])


@pytest.mark.parametrize("per", ["batch", "sample"])
def test_gradients_are_the_mean_over_ranks(trained: dict[str, list[Steps]], per: str) -> None:
    for one, other in zip(*trained[per], strict=True):
        mean = [
            sum(pair) / 2
            for pair in zip(
                single_rank_gradients(0, one), single_rank_gradients(1, other), strict=True
            )
        ]
        torch.testing.assert_close(one["gradients"], mean)
        torch.testing.assert_close(other["gradients"], mean)


def single_rank_gradients(rank: int, step: dict[str, Any]) -> list[torch.Tensor]:
    """Return the gradients of the step of one rank, computed without DDP."""
    net, (x, y) = ddp_worker.model(), ddp_worker.data(rank)
    plan = lm.Plan(step["point"], step["ratio"], step["partner"])
    with lm.Mixer(net, at=ddp_worker.POINTS).apply(plan) as applied:
        output = net(x)
    applied.target(y).loss(output).backward()
    return [p.grad for p in net.parameters() if p.grad is not None]
