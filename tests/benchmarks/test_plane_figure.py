"""Tests of the plane figure: its counts, its captions, and the accuracy of its model."""

import re

import torch

from docs.tools.plane import HIDDEN, POINTS, layers, plane, rings
from figure_parts import texts


def test_plane_counts_equal_a_plain_loop():
    x, y = rings()
    for layer in layers(_UntrainedModel(), x, y):
        count = 0
        for i in range(0, POINTS, 10):
            distance = (layer.real.double() - layer.mixed[i].double()).square().sum(1)
            distance[i] = distance[layer.partner[i]] = torch.inf
            own = {int(y[i]), int(y[layer.partner[i]])}
            count += int(y[distance.argmin()]) not in own
        assert count == int(layer.intruders[::10].sum())


class _UntrainedModel(torch.nn.Module):
    """Untrained model with a hidden layer of two features."""

    def __init__(self) -> None:
        super().__init__()
        self.add_module(HIDDEN, torch.nn.Linear(2, 2))
        self.head = torch.nn.Linear(2, 3)

    def forward(self, x):
        return self.head(self.get_submodule(HIDDEN)(x))


def test_plane_captions_contain_counts_and_accuracy():
    at_input, hidden = plane()
    count = re.search(r"(\d+) of 1,000 mixed points \((\d+\.\d)%\)", at_input.caption)
    assert count is not None
    assert int(count[1]) / 10 == float(count[2]) > 10
    assert count[0] in "".join(texts(at_input))
    accuracy = re.search(r"classifies (\d+\.\d)%", hidden.caption)
    assert accuracy is not None
    assert float(accuracy[1]) > 98
