"""Tests of `repeated_blocks`: the group of similar sibling modules with the most layers."""

from collections import OrderedDict

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from layermix.hooks.blocks import repeated_blocks, token_embedding


def numbered(prefix: str, count: int, start: int = 0) -> list[str]:
    return [f"{prefix}{number}" for number in range(start, start + count)]


TIMM = {
    "resnet18": numbered("layer", 4, 1),
    "convnext_atto": numbered("stages.", 4),
    "vit_tiny_patch16_224": numbered("blocks.", 12),
    # stems with repeated parts
    "botnet26t_256": numbered("stages.", 4),
    "bat_resnext26ts": numbered("stages.", 4),
    "fastvit_t8": numbered("stages.", 4),
    "test_resnet": numbered("layer", 4, 1),
    # four similar patch embeddings, and blocks with parallel branches
    "coat_tiny": numbered("parallel_blocks.", 6),
    "crossvit_9_240": numbered("blocks.", 3),
    # two similar heads
    "levit_128": numbered("stages.", 3),
    # a different first stage: only one block, or no attention
    "efficientnet_b0": numbered("blocks.", 7),
    "mobilenetv3_small_050": numbered("blocks.", 6),
    "mobilevit_s": numbered("stages.", 5),
    # nested blocks: numbered attributes, or attributes of one class
    "densenet121": numbered("features.denseblock", 4, 1),
    "selecsls42": numbered("features.", 6),
    "hrnet_w18_small": numbered("stage", 3, 2),
    "vgg11": [],
}

MIXED = [f"Mixed_{name}" for name in ("5b", "5c", "5d", *(f"6{c}" for c in "abcde"))]
MIXED += [f"Mixed_7{c}" for c in "abc"]
INCEPTIONS = [f"inception{name}" for name in ["3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"]]
TORCHVISION = {
    "vit_b_16": numbered("encoder.layers.encoder_layer_", 12),
    "mobilenet_v2": numbered("features.", 17, 1),
    "squeezenet1_0": [f"features.{number}" for number in (3, 4, 5, 7, 8, 9, 10, 12)],
    "shufflenet_v2_x0_5": numbered("stage", 3, 2),
    "inception_v3": MIXED,
    "googlenet": INCEPTIONS,
    "alexnet": [],
}


@pytest.mark.parametrize("name", TIMM)
def test_blocks_of_timm_models(name: str) -> None:
    with torch.device("meta"):
        model = timm.create_model(name, num_classes=10)
    assert repeated_blocks(model) == TIMM[name]


@pytest.mark.parametrize("name", TORCHVISION)
def test_blocks_of_torchvision_models(name: str) -> None:
    auxiliary = {"init_weights": False} if name in ("inception_v3", "googlenet") else {}
    with torch.device("meta"):
        model = torchvision.models.get_model(name, weights=None, **auxiliary)
    assert repeated_blocks(model) == TORCHVISION[name]


class Block(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Linear(4, 4), nn.Linear(4, 4))


class Branches(nn.Module):
    """A model with lists of blocks. The lists are not called."""

    def __init__(self) -> None:
        super().__init__()
        self.list1 = nn.ModuleList([Block(), Block()])
        self.list2 = nn.ModuleList([Block(), Block()])

    def forward(self, x: Tensor) -> Tensor:
        for block in (*self.list1, *self.list2):
            x = block(x)
        return x


def test_uncalled_lists_are_replaced_by_their_blocks() -> None:
    assert repeated_blocks(Branches()) == ["list1.0", "list1.1", "list2.0", "list2.1"]


def test_outermost_group_is_used_for_equal_layer_counts() -> None:
    stages = nn.Sequential(nn.Sequential(Block(), Block()), nn.Sequential(Block(), Block()))
    assert repeated_blocks(stages) == ["0", "1"]


def test_group_with_most_layers_is_used_at_any_depth() -> None:
    body = nn.Sequential(*(Block() for _ in range(3)))
    model = nn.Sequential(OrderedDict(stem=Block(), body=body, tail=Block()))
    assert repeated_blocks(model) == ["body.0", "body.1", "body.2"]


def test_similar_heads_are_not_blocks() -> None:
    model = nn.Module()
    model.head1, model.head2, model.aux1, model.aux2 = Block(), Block(), Block(), Block()
    assert repeated_blocks(model) == []


def test_single_layers_are_not_blocks() -> None:
    assert repeated_blocks(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))) == []


def test_token_embedding_is_not_that_of_positions() -> None:
    net = nn.ModuleDict({"wpe": nn.Embedding(512, 4), "wte": nn.Embedding(20, 4)})
    net["head"] = nn.Linear(4, 2)
    assert token_embedding(net) == "wte"
