"""Tests of the probe: it runs in the mode of the model, without randomness."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import layermix as lm
from layermix.hooks.deterministic import Deterministic

X = torch.randn(6, 5)


class Padded(nn.Module):
    """A model with a TransformerEncoder, whose fast path does not call the layers."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
        self.embed, self.encoder = nn.Linear(4, 16), nn.TransformerEncoder(layer, 2)
        self.fc = nn.Linear(16, 3)

    def forward(self, x: Tensor, padding_mask: Tensor) -> Tensor:
        h = self.encoder(self.embed(x), src_key_padding_mask=padding_mask)
        return self.fc(h[:, 0])


@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True")
@pytest.mark.parametrize("training", [True, False])
def test_encoder_with_a_fast_path_is_listed_and_mixed(training: bool) -> None:
    net, y = Padded().train(training), torch.arange(12) % 3
    mask = torch.zeros(12, 5, dtype=torch.bool)
    mask[::3, 3:] = True
    x = {"x": torch.randn(12, 5, 4), "padding_mask": mask}
    layers = ["encoder.layers.0", "encoder.layers.1"]
    assert lm.points(net, x).names == ["input", *layers, "final", "logits"]
    assert net.training is training
    output, _ = lm.Mixer(net, at=layers[0], always=True)(x, y)
    assert output.shape == (12, 3)
    assert lm.activations(net, x, layers[0])[layers[0]].shape == (12, 5, 16)


def test_probe_keeps_training_mode_and_frozen_norms() -> None:
    """Frozen norms stay frozen, and outputs that only training returns are probed."""

    class Auxiliary(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.f, self.bn = nn.Linear(5, 8), nn.BatchNorm1d(8)
            self.aux, self.fc = nn.Linear(8, 3), nn.Linear(8, 3)
            self.modes: set[tuple[bool, bool]] = set()

        def forward(self, x: Tensor) -> Any:
            h = self.bn(self.f(x))
            self.modes = self.modes | {(self.training, self.bn.training)}
            modes.update(self.modes)
            return (self.fc(h.relu()), self.aux(h)) if self.training else self.fc(h.relu())

    modes: set[tuple[bool, bool]] = set()
    net = Auxiliary()
    net.bn.eval()
    net.eval()
    net.training = True
    for module in (net.f, net.aux, net.fc):
        module.train()
    rows = {row.name: row for row in lm.points(net, X, all=True)}
    assert modes == {(True, False)}
    assert (rows["bn"].cut, rows["fc"].obstacle is None, rows["final"].cut) == (0.0, False, 0.0)


def test_random_operations_return_constants() -> None:
    x, q = torch.ones(2, 3), torch.randn(2, 3, 4)
    attention = nn.MultiheadAttention(4, 2, dropout=0.5, batch_first=True)
    lstm = nn.LSTM(4, 4, 2, dropout=0.5)
    with torch.no_grad(), Deterministic():
        assert F.dropout(x, 0.5, True).unique().tolist() == [2.0]
        assert torch.native_dropout(x, 0.5, True)[0].equal(x)
        assert F.alpha_dropout(x, 0.5, True).unique().numel() == 1
        assert x.clone().bernoulli_(0.7).equal(x)
        assert torch.bernoulli(0.3 * x).equal(0 * x)
        assert torch.rand(2).tolist() == [0.5, 0.5]
        assert torch.rand_like(x).equal(0.5 * x)
        assert torch.randn(2).tolist() == [1.0, 1.0]
        assert torch.empty(2).exponential_().tolist() == [1.0, 1.0]
        assert torch.randn_like(x).equal(x)
        assert torch.normal(x, 2 * x).equal(3 * x)
        assert torch.empty(2).uniform_(2, 4).tolist() == [3.0, 3.0]
        assert torch.empty(2).normal_(1, 3).tolist() == [4.0, 4.0]
        assert F.rrelu(-x, training=True).unique().numel() == 1
        assert attention(q, q, q)[0].equal(attention(q, q, q)[0])
        assert lstm(q)[0].equal(lstm(q)[0])


@torch.library.custom_op("layermix_tests::fused", mutates_args=())
def fused(x: Tensor, dropout_p: float) -> Tensor:
    """An operation with internal dropout, like fused attention and recurrent layers on a GPU."""
    return x * dropout_p


def test_fused_operations_apply_no_dropout() -> None:
    x = torch.ones(3)
    with torch.no_grad(), Deterministic():
        assert fused(x, 0.5).tolist() == [0.0] * 3
        assert fused(x, dropout_p=0.5).tolist() == [0.0] * 3
    assert fused(x, 0.5).tolist() == [0.5] * 3


def test_model_that_runs_only_in_eval_mode_is_probed_there() -> None:
    class Detector(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.f, self.fc = nn.Linear(5, 8), nn.Linear(8, 3)

        def forward(self, x: Tensor, targets: Any = None) -> Tensor:
            if self.training and targets is None:
                raise ValueError("targets are needed in training mode")
            return self.fc(self.f(x).relu())

    net = Detector().eval()
    assert lm.points(net, X).names == ["input", "final", "logits"]
    with pytest.raises(lm.InputError, match="targets are needed in training mode"):
        lm.points(net.train(), X)
