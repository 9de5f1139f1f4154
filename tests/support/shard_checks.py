"""Divide the weights of models that need care in two processes of torchrun, and check them."""

import pytest
import torch
from torch import Tensor, nn

from layermix.errors import InputError, RunError
from layermix.lab.training.ranks import equal_buffers, process_group
from layermix.lab.training.sharding import BlockOrder, shard_model, whole_tensor

CPU = torch.device("cpu")


class Nested(nn.Module):
    """Blocks in lists of lists, one of them twice, and one whose parts are called alone."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        pair = [nn.Sequential(nn.Linear(4, 4), nn.ReLU()) for _ in range(2)]
        self.layers = nn.ModuleList([nn.ModuleList(pair), nn.ModuleList(pair[:1])])
        self.parts = nn.ModuleList([nn.Sequential(nn.Linear(4, 4), nn.ReLU())])

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            for block in layer:  # pyright: ignore[reportGeneralTypeIssues]
                x = block(x)
        return self.parts[0][0](x)  # pyright: ignore[reportIndexIssue]


class Chosen(nn.Module):
    """One of two blocks is called, which may differ between processes."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(4, 4), nn.ReLU()) for _ in range(2))
        self.chosen: tuple[int, ...] = (0, 1)

    def forward(self, x: Tensor) -> Tensor:
        for number in self.chosen:
            x = self.blocks[number](x)
        return x


class Scaled(nn.Module):
    """A weight is a scalar."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * x


def check_gradients(x: Tensor) -> None:
    """Compare the gradients of a divided model with those of a whole one."""
    whole, divided = Nested(), shard_model(Nested(), CPU, x)
    divided(x).sum().backward()
    whole(x).sum().backward()
    for one, other in zip(divided.parameters(), whole.parameters(), strict=True):
        assert (one.grad is None) == (other.grad is None)
        if one.grad is not None and other.grad is not None:
            torch.testing.assert_close(whole_tensor(one.grad), other.grad)


def check_order(x: Tensor, rank: int) -> None:
    """Call different blocks in the two processes."""
    chosen = shard_model(Chosen(), CPU, x)
    order = BlockOrder(chosen)
    chosen(x)
    order.check()
    vars(chosen)["chosen"] = (rank,)
    chosen(x)
    with pytest.raises(RunError, match="in different orders"):
        order.check()


def check_buffers(x: Tensor, rank: int) -> None:
    """Copy different norm statistics of the two processes."""
    norm = nn.BatchNorm1d(4)
    norm(x + rank)
    equal_buffers(norm)
    assert norm.running_mean is not None
    torch.testing.assert_close(norm.running_mean, 0.1 * x.mean(0))


def main() -> None:
    """Run the checks."""
    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    with process_group() as (rank, _):
        check_gradients(x)
        check_order(x, rank)
        check_buffers(x, rank)
        with pytest.raises(InputError, match="the weight 'scale' is a scalar"):
            shard_model(Scaled(), CPU, x)
    print("all checks passed")


if __name__ == "__main__":
    main()
