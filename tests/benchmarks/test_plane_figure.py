"""The plane: mixed points counted as a plain loop counts them, in a net that works."""

import re

import torch

from docs.tools.plane import HIDDEN, POINTS, layers, plane, rings
from figure_parts import texts


def test_plane_counts_what_a_plain_loop_counts():
    x, y = rings()
    for layer in layers(_StandIn(), x, y):
        count = 0
        for i in range(0, POINTS, 10):
            distance = (layer.real.double() - layer.mixed[i].double()).square().sum(1)
            distance[i] = distance[layer.partner[i]] = torch.inf
            own = {int(y[i]), int(y[layer.partner[i]])}
            count += int(y[distance.argmin()]) not in own
        assert count == int(layer.intruders[::10].sum())


class _StandIn(torch.nn.Module):
    """A hidden layer that turns the plane, so that both layers must give the same count."""

    def __init__(self) -> None:
        super().__init__()
        self.add_module(HIDDEN, torch.nn.Linear(2, 2))
        self.head = torch.nn.Linear(2, 3)

    def forward(self, x):
        return self.head(self.get_submodule(HIDDEN)(x))


def test_plane_shows_the_counts_and_a_net_that_separates_the_classes():
    at_input, hidden = plane()
    count = re.search(r"(\d+) of 1,000 mixed points \((\d+\.\d)%\)", at_input.caption)
    assert count is not None
    assert int(count[1]) / 10 == float(count[2]) > 10
    assert count[0] in "".join(texts(at_input))
    accuracy = re.search(r"classifies (\d+\.\d)%", hidden.caption)
    assert accuracy is not None
    assert float(accuracy[1]) > 98
