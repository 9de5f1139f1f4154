"""Tests of the channel dimension: 1 for maps and signals, the last one for tokens."""

from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn
from transformers import BertConfig, BertForSequenceClassification

import layermix as lm
from layermix.hooks.channels import layout


def channels(model: nn.Module, x: Any) -> dict[str, int | None]:
    return {row.name: row.channels for row in lm.points(model, x)}


def timm_channels(name: str, size: int = 224, **options: Any) -> dict[str, int | None]:
    with torch.device("meta"):
        return channels(timm.create_model(name, **options), torch.zeros(2, 3, size, size))


@pytest.mark.parametrize("name", ["resnet18", "convnext_atto", "efficientnet_b0"])
def test_convolutional_maps_have_channels_in_dim_1(name: str) -> None:
    assert set(timm_channels(name).values()) == {1}


def test_vit_tokens_have_channels_last() -> None:
    blocks = {f"blocks.{k}": -1 for k in range(12)}
    found = timm_channels("vit_tiny_patch16_224")
    assert found == {"input": 1, **blocks, "final": 1, "logits": 1}


@pytest.mark.parametrize("size", [224, 384])
def test_swin_maps_have_channels_last(size: int) -> None:
    # At 384 pixels the first map of 96 channels is 96 x 96.
    blocks = {f"layers.{k}": -1 for k in range(4)}
    found = timm_channels("swin_tiny_patch4_window7_224", size, img_size=size)
    assert found == {"input": 1, **blocks, "final": 1, "logits": 1}


def test_ambiguous_map_is_resolved_by_its_convolutions() -> None:
    # At 160 pixels the first map of 40 channels is 40 x 40.
    assert set(timm_channels("convnext_atto", 160).values()) == {1}


class Signals(nn.Module):
    """A one-dimensional convolutional network."""

    def __init__(self) -> None:
        super().__init__()
        self.stage1 = nn.Sequential(nn.Conv1d(2, 6, 3), nn.BatchNorm1d(6), nn.ReLU())
        self.stage2 = nn.Sequential(nn.Conv1d(6, 8, 3), nn.BatchNorm1d(8), nn.ReLU())
        self.fc = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.stage2(self.stage1(x)).mean(2))


@pytest.mark.parametrize("length", [20, 8, 6, 2])
def test_signals_have_channels_in_dim_1(length: int) -> None:
    x = torch.zeros(3, 2, max(length, 5))
    assert set(channels(Signals(), x).values()) == {1}


@pytest.mark.parametrize("both", [False, True])
def test_recurrent_layer_has_channels_last(both: bool) -> None:
    net, x = nn.LSTM(4, 6, batch_first=True, bidirectional=both), torch.zeros(3, 7, 4)
    rows = lm.points(net, x, all=True)
    assert {row.name: row.channels for row in rows if row.name in ("input", "logits")} == {
        "input": -1,
        "logits": -1,
    }


def test_language_model_layers_have_channels_last() -> None:
    config = BertConfig(
        vocab_size=50,
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
    )
    ids = torch.randint(50, (3, 8))  # the number of positions equals the number of channels
    found = channels(BertForSequenceClassification(config), {"input_ids": ids})
    assert found == {
        "bert.embeddings": -1,
        "bert.encoder.layer.0": -1,
        "bert.encoder.layer.1": -1,
        "final": 1,
        "logits": 1,
    }


def test_unmixable_point_has_no_channel_dimension() -> None:
    rows = lm.points(nn.Sequential(nn.Embedding(9, 4)), torch.zeros(3, 5).long(), all=True)
    assert [row.channels for row in rows if row.name in ("input", "0")] == [None, -1]


@pytest.mark.parametrize(
    ("example", "expected"),
    [((7,), 1), ((7, 9), -1), ((7, 9, 9), 1), ((7, 3, 9, 9), 1)],
)
def test_layout_without_layers_depends_on_the_number_of_dims(
    example: tuple[int, ...], expected: int
) -> None:
    assert layout(nn.ReLU(), "after").channels(example) == expected


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (nn.Conv1d(2, 6, 1), 1),
        (nn.BatchNorm1d(6), 1),
        (nn.Linear(2, 6), -1),
        (nn.LayerNorm(6), -1),
        (nn.Embedding(9, 6), -1),
    ],
)
@pytest.mark.parametrize("example", [(6, 6), (5, 7)])
def test_ambiguous_layout_depends_on_the_layer_type(
    layer: nn.Module, expected: int, example: tuple[int, ...]
) -> None:
    assert layout(layer, "after").channels(example) == expected


def test_input_layout_depends_on_the_first_layer() -> None:
    module = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 8))
    assert layout(module, "before").channels((4, 9)) == 1
    assert layout(module, "before").channels((9, 4)) == -1
