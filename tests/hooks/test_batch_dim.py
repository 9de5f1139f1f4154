"""Tests of batch_dim=1: models with the batch in the second dimension."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import layermix as lm
from layermix.mixing import MultiMix

B = 4


class Recurrent(nn.Module):
    """A sequence-first LSTM, (L, B, d), and a classifier of its mean output."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.fc = nn.LSTM(4, 6), nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.lstm(x)[0].mean(0))


class Encoder(nn.Module):
    """A sequence-first transformer with a batch-first padding mask."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.fc = nn.Linear(8, 5)

    def forward(self, src: Tensor, padding_mask: Tensor | None = None) -> Tensor:
        return self.fc(self.encoder(src, src_key_padding_mask=padding_mask).mean(0))


@pytest.mark.parametrize("length", [7, B])
def test_recurrent_layer_is_mixed_along_dim_1(length: int) -> None:
    net, x, y = Recurrent().double(), torch.randn(length, B, 4).double(), torch.arange(B)
    output, target = lm.Mixer(net, at="lstm", batch_dim=1, seed=1)(x, y)
    plan = lm.Mixer(net, at="lstm", batch_dim=1, seed=1).draw(B)
    lam = plan.ratio.double()
    hidden = net.lstm(x)[0]
    expected = net.fc((lam * hidden + (1 - lam) * hidden[:, plan.partner]).mean(0))
    torch.testing.assert_close(output, expected)
    assert target.dense(B).shape == (B, B)


def test_multimix_at_the_final_layer_uses_batch_dim() -> None:
    class Sequences(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn, self.fc = nn.GRU(4, 6), nn.Linear(6, B)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.rnn(x)[1][0])

    mixer = lm.Mixer(Sequences(), at="final", blend=MultiMix(k=2), batch_dim=1, seed=1)
    output, target = mixer(torch.randn(7, B, 4), torch.arange(B))
    assert output.shape == (2 * B, B)
    assert target.loss(output).isfinite()


def test_input_is_mixed_along_dim_1() -> None:
    net, x = Recurrent().double(), torch.randn(7, B, 4).double()
    output, _ = lm.Mixer(net, at="input", batch_dim=1, seed=1)(x, torch.arange(B))
    plan = lm.Mixer(net, at="input", batch_dim=1, seed=1).draw(B)
    lam = plan.ratio.double()
    torch.testing.assert_close(output, net(lam * x + (1 - lam) * x[:, plan.partner]))


def test_batch_first_points_are_mixed_along_dim_0() -> None:
    net, x = Recurrent().double(), torch.randn(7, B, 4).double()
    output, _ = lm.Mixer(net, at="final", batch_dim=1, seed=1)(x, torch.arange(B))
    plan = lm.Mixer(net, at="final", batch_dim=1, seed=1).draw(B)
    torch.testing.assert_close(output, lm.mix(net(x), plan))


def test_points_report_shapes_without_the_batch_dim() -> None:
    rows = lm.points(Recurrent(), torch.randn(7, B, 4), all=True, batch_dim=1)
    assert {row.name: row.shape for row in rows} == {
        "input": (7, 4),
        "lstm": (7, 6),
        "fc": (5,),
        "final": (6,),
        "logits": (5,),
    }
    assert all(row.obstacle is None for row in rows)


def test_activations_move_the_batch_to_dim_0() -> None:
    net, x = Recurrent(), torch.randn(7, B, 4)
    found = lm.activations(net, x, ["input", "lstm", "final"], batch_dim=1)
    assert found["input"].equal(x.transpose(0, 1))
    assert {name: tuple(a.shape) for name, a in found.items()} == {
        "input": (B, 7, 4),
        "lstm": (B, 7, 6),
        "final": (B, 6),
    }


def test_capture_check_accepts_batch_dim() -> None:
    net, x = Recurrent(), torch.randn(7, B, 4)
    capture = lm.FeatureCapture(net, "lstm", batch_dim=1)
    capture.check(x)
    net(x)
    assert capture["lstm"].shape == (7, B, 6)


@pytest.mark.parametrize("length", [7, B])
def test_padding_mask_stays_batch_first(length: int) -> None:
    net, src, y = Encoder(), torch.randn(length, B, 8), torch.arange(B)
    x = {"src": src, "padding_mask": torch.zeros(B, length, dtype=torch.bool)}
    output, _ = lm.Mixer(net, at="encoder.layers.0", batch_dim=1)(x, y)
    assert output.shape == (B, 5)


def test_apply_without_check_distinguishes_dims_of_equal_size() -> None:
    net, x = Recurrent().double(), torch.randn(B, B, 4).double()
    mixer = lm.Mixer(net, at="input", batch_dim=1)
    plan = mixer.draw(B)
    with mixer.apply(plan):
        output = net(x)
    lam = plan.ratio.double()
    torch.testing.assert_close(output, net(lam * x + (1 - lam) * x[:, plan.partner]))


@pytest.mark.parametrize("at", ["input", "lstm", "final"])
def test_sequence_length_equal_to_batch_size_raises_without_batch_dim(at: str) -> None:
    with pytest.raises(lm.InputError, match=r"not the batch"):
        lm.Mixer(Recurrent(), at=at)(torch.randn(B, B, 4), torch.arange(B))


def test_apply_without_check_uses_batch_dim() -> None:
    net, x = Recurrent(), torch.randn(7, B, 4)
    mixer = lm.Mixer(net, at=["lstm", "logits"], batch_dim=1)
    for _ in range(4):
        with mixer.apply(mixer.draw(B)):
            assert net(x).shape == (B, 5)


def test_missing_batch_dim_error_suggests_batch_dim() -> None:
    net, x, y = Recurrent(), torch.randn(7, B, 4), torch.arange(B)
    with pytest.raises(lm.InputError) as error:
        lm.Mixer(net, at="lstm")(x, y)
    assert str(error.value) == (
        "the labels have shape (4,), but x has 7 examples along dimension 0: if the batch is "
        "another dimension of the model, pass batch_dim=1"
    )


def test_sequence_first_module_error_suggests_batch_dim() -> None:
    class Transposed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.fc = Encoder().encoder, nn.Linear(8, 5)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(self.encoder(x.transpose(0, 1)).mean(0))

    with pytest.raises(lm.InputError) as error:
        lm.Mixer(Transposed(), at="encoder.layers.0").check(torch.randn(B, 7, 8))
    assert (
        "its output has shape (7, 3, 8) for a batch of 3, so its first dimension is not the batch; "
        "if the batch is dimension 1 in the whole model, pass batch_dim=1"
    ) in str(error.value)


@pytest.mark.parametrize("dim", [-1, "1", 1.0, True])
def test_invalid_batch_dim_raises(dim: Any) -> None:
    with pytest.raises(lm.InputError) as error:
        lm.Mixer(Recurrent(), at="final", batch_dim=dim)
    assert str(error.value) == (
        f"batch_dim is {dim!r}, but must be a dimension counted from the front: 0, 1, ..."
    )
