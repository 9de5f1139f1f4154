"""Tests of models that accept only some batch sizes; they are probed on the whole batch."""

import pytest
import torch
from torch import Tensor, nn

import layermix as lm


class Even(nn.Module):
    """A model that accepts only an even number of examples, at least `least`."""

    def __init__(self, least: int, side: bool = False) -> None:
        super().__init__()
        self.least, self.side = least, nn.Linear(5, 3) if side else None
        self.body = nn.Sequential(nn.Linear(5, 8), nn.Tanh())
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        if len(x) < self.least or len(x) % 2:
            raise RuntimeError(f"{len(x)} examples make no pairs")
        output = self.head(self.body(x))
        return output if self.side is None else output + self.side(x)


X, Y = torch.randn(6, 5), torch.arange(6) % 3
SIZES = [2, 4, 6]  # the smallest batch that runs; the probe uses two examples, then three


@pytest.mark.parametrize("least", SIZES)
@pytest.mark.parametrize("at", ["input", "body", "final"])
def test_model_with_even_batches_is_mixed(least: int, at: str) -> None:
    net = Even(least)
    mixer = lm.Mixer(net, at=at)
    plan = mixer.draw(len(X))
    with mixer.apply(plan):
        output = net(X)
    x = lm.mix(X, plan) if at == "input" else X
    h = net.body(x) if at == "input" else lm.mix(net.body(x), plan)
    torch.testing.assert_close(output, net.head(h))


@pytest.mark.parametrize("least", SIZES)
def test_bypass_is_found_in_a_model_with_even_batches(least: int) -> None:
    net = Even(least, side=True)
    assert {row.name for row in lm.points(net, X)} == {"input", "final", "logits"}
    with pytest.raises(lm.InputError, match="bypasses"):
        lm.Mixer(net, at="body")(X, Y)


def test_odd_batch_raises_the_error_of_the_model() -> None:
    with pytest.raises(lm.InputError, match="examples make no pairs"):
        lm.Mixer(Even(2), at="body")(X[:5], Y[:5])
