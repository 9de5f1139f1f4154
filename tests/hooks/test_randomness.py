"""Tests of the random state: a mixer uses only its generators, not the global ones."""

import copy
import json
import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import layermix as lm
from tiny_nets import Mlp, ResNet, batch

POINTS = ["input", "blocks.0", "final"]


def global_states() -> tuple[Any, ...]:
    """Return the states of torch's, numpy's and Python's global generators."""
    return torch.get_rng_state().tolist(), str(np.random.get_state()), random.getstate()


@pytest.mark.parametrize("per", ["batch", "sample", "epoch"])
def test_mixing_does_not_change_global_generators(per: Any) -> None:
    net, (x, y) = Mlp(), batch("mlp", 6)
    before = global_states()
    mixer = lm.Mixer(net, at=POINTS, per=per)
    mixer.check(x)
    for epoch in range(3):
        mixer(x, y)
        mixer.set_epoch(epoch)
    lm.points(net, x)
    lm.activations(net, x, POINTS)
    assert global_states() == before


def test_probing_a_random_model_does_not_change_global_generators() -> None:
    class Noise(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + torch.randn_like(x)

    net, (x, _) = nn.Sequential(Noise(), nn.Linear(4, 5)), batch("mlp", 6)
    before = global_states()
    lm.Mixer(net, at="0").check(x)
    lm.points(net, x)
    lm.activations(net, x, ["0"])
    assert global_states() == before


def test_mixing_does_not_change_dropout() -> None:
    net, (x, y) = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 5)), batch("mlp", 6)
    torch.manual_seed(1)
    dropped = net[0](x)
    torch.manual_seed(1)
    output, _ = lm.Mixer(net, at="logits", ratio=1.0)(x, y)
    torch.testing.assert_close(output, net[1](dropped))


def test_resumed_run_equals_an_uninterrupted_run() -> None:
    net, (x, y) = Mlp().double(), batch("mlp", 6, torch.float64)
    mixer = lm.Mixer(net, at=POINTS, per="sample")
    resumed = lm.Mixer(copy.deepcopy(net), at=POINTS, per="sample", seed=9)
    for _ in range(3):
        mixer(x, y)
    resumed.load_state_dict(json.loads(json.dumps(mixer.state_dict())))
    for _ in range(5):
        torch.testing.assert_close(mixer(x, y)[0], resumed(x, y)[0])


def test_ranks_share_points_and_draw_different_partners() -> None:
    plans = [[m.draw(8) for _ in range(4)] for m in rank_mixers()]
    for one, other in zip(*plans, strict=True):
        assert (one.point, one.ratio) == (other.point, other.ratio)
        assert not one.partner.equal(other.partner)


def rank_mixers() -> list[lm.Mixer]:
    return [lm.Mixer(Mlp(), at=POINTS, rank=rank) for rank in (0, 1)]


def test_rank_is_zero_without_data_parallel_training() -> None:
    alone, first = lm.Mixer(Mlp(), at="final"), lm.Mixer(Mlp(), at="final", rank=0)
    assert alone.draw(8).partner.equal(first.draw(8).partner)


def test_ratio_per_epoch_is_constant_within_an_epoch() -> None:
    mixer = lm.Mixer(ResNet(), at="final", per="epoch")
    first = {float(mixer.draw(4).ratio) for _ in range(4)}
    mixer.set_epoch(1)
    second = {float(mixer.draw(4).ratio) for _ in range(4)}
    assert len(first) == len(second) == 1
    assert first != second
