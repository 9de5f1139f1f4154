"""The default hidden candidates: the group of alike siblings that holds the most layers."""

from collections import OrderedDict

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from layermix.hooks.blocks import repeated_blocks


def numbered(prefix: str, count: int, start: int = 0) -> list[str]:
    return [f"{prefix}{number}" for number in range(start, start + count)]


TIMM = {
    "resnet18": numbered("layer", 4, 1),
    "convnext_atto": numbered("stages.", 4),
    "vit_tiny_patch16_224": numbered("blocks.", 12),
    # stems of several alike parts
    "botnet26t_256": numbered("stages.", 4),
    "bat_resnext26ts": numbered("stages.", 4),
    "fastvit_t8": numbered("stages.", 4),
    "test_resnet": numbered("layer", 4, 1),
    # four alike patch embeddings, and blocks in which branches run side by side
    "coat_tiny": numbered("parallel_blocks.", 6),
    "crossvit_9_240": numbered("blocks.", 3),
    # two alike heads
    "levit_128": numbered("stages.", 3),
    # a first stage unlike the others: one block only, or none with attention
    "efficientnet_b0": numbered("blocks.", 7),
    "mobilenetv3_small_050": numbered("blocks.", 6),
    "mobilevit_s": numbered("stages.", 5),
    # blocks below the first level, as attributes with numbers or of one class
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
def test_stages_or_blocks_of_timm_models(name: str) -> None:
    with torch.device("meta"):
        model = timm.create_model(name, num_classes=10)
    assert repeated_blocks(model) == TIMM[name]


@pytest.mark.parametrize("name", TORCHVISION)
def test_stages_or_blocks_of_torchvision_models(name: str) -> None:
    auxiliary = {"init_weights": False} if name in ("inception_v3", "googlenet") else {}
    with torch.device("meta"):
        model = torchvision.models.get_model(name, weights=None, **auxiliary)
    assert repeated_blocks(model) == TORCHVISION[name]


class Block(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Linear(4, 4), nn.Linear(4, 4))


class Branches(nn.Module):
    """Lists of blocks that are themselves never called."""

    def __init__(self) -> None:
        super().__init__()
        self.list1 = nn.ModuleList([Block(), Block()])
        self.list2 = nn.ModuleList([Block(), Block()])

    def forward(self, x: Tensor) -> Tensor:
        for block in (*self.list1, *self.list2):
            x = block(x)
        return x


def test_lists_that_are_never_called_are_replaced_by_their_blocks() -> None:
    assert repeated_blocks(Branches()) == ["list1.0", "list1.1", "list2.0", "list2.1"]


def test_of_groups_with_equally_many_layers_the_outermost_counts() -> None:
    stages = nn.Sequential(nn.Sequential(Block(), Block()), nn.Sequential(Block(), Block()))
    assert repeated_blocks(stages) == ["0", "1"]


def test_the_group_with_the_most_layers_counts_however_deep_it_is() -> None:
    body = nn.Sequential(*(Block() for _ in range(3)))
    model = nn.Sequential(OrderedDict(stem=Block(), body=body, tail=Block()))
    assert repeated_blocks(model) == ["body.0", "body.1", "body.2"]


def test_alike_heads_are_no_blocks() -> None:
    model = nn.Module()
    model.head1, model.head2, model.aux1, model.aux2 = Block(), Block(), Block(), Block()
    assert repeated_blocks(model) == []


def test_layers_with_one_set_of_parameters_are_no_blocks() -> None:
    assert repeated_blocks(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))) == []
