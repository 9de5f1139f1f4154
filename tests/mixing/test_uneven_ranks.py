"""With cross_rank, unequal batch sizes of two processes raise an error on both."""

from pathlib import Path

import pytest
import torch
from torch.multiprocessing.spawn import spawn

import layermix as lm
from layermix.mixing import PlanSampler
from process_groups import leave_group

SIZES = ([4, 3], [0, 4], [5, 5])


def draw_on_rank(rank: int, folder: str) -> None:
    """Draw plans for batches of several sizes, and save the partners or error messages."""
    store = f"file://{folder}/store"
    torch.distributed.init_process_group("gloo", init_method=store, rank=rank, world_size=2)
    sampler, found = PlanSampler(["final"], cross_rank=True, seed=0), []
    for sizes in SIZES:
        try:
            found.append(sampler.draw(sizes[rank]).partner)
        except lm.InputError as error:
            found.append(str(error))
    alone = PlanSampler(["final"], seed=0).draw(3 + rank)  # without cross_rank
    torch.save([*found, alone.partner], Path(folder) / f"{rank}.pt")
    leave_group()


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[list[object]]:
    folder = tmp_path_factory.mktemp("uneven")
    spawn(draw_on_rank, (str(folder),), nprocs=2)
    return [torch.load(folder / f"{rank}.pt") for rank in (0, 1)]


@pytest.mark.parametrize("case", [0, 1])
def test_unequal_batch_sizes_raise_an_error_on_every_rank(
    ranks: list[list[object]], case: int
) -> None:
    one, other = SIZES[case]
    for rank in ranks:
        assert rank[case] == (
            f"the batches of the ranks have {one}, {other} examples, but partners across ranks "
            "need equal batch sizes: load data with drop_last=True, or leave out cross_rank"
        )


def test_equal_batch_sizes_still_work_after_an_error(ranks: list[list[object]]) -> None:
    both = torch.cat([rank[2] for rank in ranks])  # pyright: ignore[reportArgumentType, reportCallIssue]
    assert sorted(both.tolist()) == list(range(10))


def test_batch_sizes_may_differ_without_cross_rank(ranks: list[list[object]]) -> None:
    assert [len(rank[3]) for rank in ranks] == [3, 4]  # pyright: ignore[reportArgumentType]
