"""Tests of Lookahead: slow weights every five steps, norm statistics and shared weights."""

import pytest
import torch
from torch import nn

from layermix.lab.training.optimization import Lookahead


def test_lookahead_interpolates_weights_every_five_steps() -> None:
    net = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(net.weight)
    ahead, slow, fast = Lookahead(net, steps=12), 0.0, 0.0
    for step in range(1, 13):
        fast += 1
        net.weight.data += 1
        ahead.after(step)
        if step % 5 == 0:
            kept = 0.95**5 * (step / 12) ** 3
            slow = fast = kept * slow + (1 - kept) * fast
        assert net.weight.item() == pytest.approx(slow if step == 12 else fast)


def test_lookahead_interpolates_batch_norm_statistics() -> None:
    net = nn.BatchNorm1d(2)
    ahead = Lookahead(net, steps=6)
    net(torch.randn(8, 2) + 5)
    seen = net.running_mean
    assert seen is not None
    expected = (1 - 0.95**5 * (5 / 6) ** 3) * seen
    for step in range(1, 7):
        ahead.after(step)
    torch.testing.assert_close(net.running_mean, expected)


@pytest.mark.parametrize("steps", [1, 5])
def test_lookahead_keeps_the_weights_after_few_steps(steps: int) -> None:
    net = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(net.weight)
    ahead = Lookahead(net, steps)
    for step in range(1, steps + 1):
        net.weight.data += 1
        ahead.after(step)
    assert net.weight.item() == steps


def test_lookahead_updates_shared_weights_once() -> None:
    found = []
    for times in (1, 2):
        layer = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(layer.weight)
        ahead = Lookahead(nn.Sequential(*[layer] * times), steps=6)
        for step in range(1, 7):
            layer.weight.data += 1
            ahead.after(step)
        found.append(layer.weight.item())
    assert found[0] == found[1] != 6
