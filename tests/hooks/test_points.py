"""Tests of `points`: the default candidates, and all points with their obstacles."""

import pytest
import timm
import torch
from timm.models.swin_transformer import SwinTransformer
from torch import Tensor, nn

import layermix as lm
from tiny_nets import Mlp, ResNet, batch, tiny_vit

IMAGES = torch.zeros(2, 3, 32, 32)


def small_swin() -> nn.Module:
    return SwinTransformer(
        img_size=32, patch_size=4, window_size=4, embed_dim=8, depths=(2, 1), num_heads=(1, 2)
    )


@pytest.mark.parametrize(
    ("model", "blocks"),
    [
        (lambda: timm.create_model("resnet18", num_classes=5), [f"layer{k}" for k in (1, 2, 3, 4)]),
        (
            lambda: timm.create_model("convnext_atto", num_classes=5),
            [f"stages.{k}" for k in range(4)],
        ),
        (small_swin, ["layers.0", "layers.1"]),
    ],
    ids=["resnet18", "convnext_atto", "swin"],
)
def test_default_candidates_are_input_stages_final_and_logits(model, blocks) -> None:
    found = lm.points(model(), IMAGES)
    assert found.names == ["input", *blocks, "final", "logits"]
    assert found.blocks == blocks
    assert [row.kind for row in found] == ["input", *["block"] * len(blocks), "final", "logits"]


def test_vit_candidates_include_its_blocks() -> None:
    found = lm.points(tiny_vit(), batch("vit", 2)[0])
    assert found.names == ["input", "blocks.0", "blocks.1", "final", "logits"]
    assert [row.shape for row in found] == [(3, 16, 16), (5, 16), (5, 16), (16,), (5,)]
    assert [row.module for row in found][1:3] == ["Block", "Block"]


def test_model_without_repeated_blocks_has_no_hidden_candidates() -> None:
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 5))
    assert lm.points(net, torch.zeros(2, 4)).names == ["input", "final", "logits"]


def test_model_that_ends_with_a_norm_has_no_final_point() -> None:
    net, x = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6)), torch.randn(3, 4)
    assert lm.points(net, x).names == ["input", "logits"]
    (final,) = (row for row in lm.points(net, x, all=True) if row.kind == "final")
    assert final.obstacle == (
        "its output comes from BatchNorm1d, not from a linear layer, so it has no final layer: "
        "name the module to mix after, or use 'logits'"
    )


def test_convolution_can_be_the_final_layer() -> None:
    net = nn.Sequential(nn.Linear(4, 6), nn.Unflatten(1, (1, 6)), nn.Conv1d(1, 2, 1), nn.Flatten())
    (final,) = (row for row in lm.points(net, torch.randn(3, 4)) if row.kind == "final")
    assert (final.module, final.shape, final.cut) == ("Conv1d", (1, 6), 0.0)


def test_table_explains_missing_hidden_candidates() -> None:
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 5))
    words = "This model has no repeated blocks"
    assert words in str(lm.points(net, torch.zeros(2, 4)))
    assert words not in str(lm.points(net, torch.zeros(2, 4), all=True))


def test_unmixable_candidate_is_not_listed() -> None:
    class Shared(Mlp):
        """A model that calls its second block twice."""

        def forward(self, x: Tensor) -> Tensor:
            first, second = self.blocks
            return self.head(second(second(first(x))))

    net, (x, _) = Shared(), batch("mlp", 2)
    assert [row.name for row in lm.points(net, x)] == ["input", "blocks.0", "final", "logits"]
    assert lm.points(net, x, all=True).blocks == ["blocks.0"]


def test_every_listed_point_can_be_mixed() -> None:
    net, (x, y) = ResNet(), batch("resnet", 4)
    for name in lm.points(net, x, all=True).names:
        output, target = lm.Mixer(net, at=name, ratio=0.5)(x, y)
        assert target.loss(output).isfinite()


def test_given_names_are_listed_in_the_given_order() -> None:
    net, x = ResNet(), batch("resnet", 3)[0]
    every = {row.name: row for row in lm.points(net, x, all=True)}
    names = ["logits", *list(every)[3:6], "input"]
    assert list(lm.points(net, x, names)) == [every[name] for name in names]
    assert lm.points(net, x, every["final"]).names == ["final"]


def test_unknown_name_error_suggests_similar_names() -> None:
    with pytest.raises(lm.InputError, match="unknown mix point 'finale': did you mean 'final'"):
        lm.points(ResNet(), batch("resnet", 3)[0], ["input", "finale"])


def test_all_lists_every_module_with_its_obstacle() -> None:
    net, (x, _) = ResNet(), batch("resnet", 3)
    found = lm.points(net, x, all=True)
    modules = [name for name, _ in net.named_modules() if name]
    assert [row.name for row in found] == ["input", *modules, "final", "logits"]
    twice = {row.name for row in found if str(row.obstacle).startswith("it is called 2 times")}
    assert twice == {name for name in modules if name.endswith("relu")}
    partial = {row.name for row in found if row.cut}
    inside = ("conv1", "bn1", "conv2", "bn2", "shortcut", "shortcut.0", "shortcut.1")
    assert partial == {name for name in modules if ".".join(name.split(".")[2:]) in inside}


def test_all_lists_obstacles_of_windows_and_uncalled_modules() -> None:
    obstacles = {row.name: row.obstacle for row in lm.points(small_swin(), IMAGES, all=True)}
    assert obstacles["layers.0.blocks.0.attn"] == (
        "its output has shape (12, 16, 8) for a batch of 3, so its first dimension is not the batch"
    )
    net = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    rows = {row.name: row.obstacle for row in lm.points(net, torch.zeros(2, 3, 8), all=True)}
    assert rows["self_attn.out_proj"] == (
        "it is never called in a forward pass (0 calls), although it is part of the model"
    )


def test_points_print_as_an_aligned_table() -> None:
    assert str(lm.points(Mlp(), torch.zeros(2, 4))) == (
        "mix point  kind    module      shape of one example\n"
        "input      input   Mlp         4\n"
        "blocks.0   block   Sequential  8\n"
        "blocks.1   block   Sequential  8\n"
        "final      final   Linear      8\n"
        "logits     logits  Mlp         5"
    )


def test_table_shows_obstacles_and_shapes() -> None:
    lines = str(lm.points(ResNet(), batch("resnet", 2)[0], all=True)).splitlines()
    start = lines[0].index("shape of one example")
    cells = {line.split()[0]: line[start:] for line in lines[1:]}
    assert cells["stage1"] == "6 × 8 × 8"
    assert cells["stage1.0.relu"].startswith("it is called 2 times in one forward pass")
    assert all(line[start - 2 : start] == "  " for line in lines)


def test_points_are_a_sequence() -> None:
    found = lm.points(Mlp(), torch.zeros(2, 4))
    assert len(found) == 5
    assert found[0] == lm.MixPoint("input", "input", "Mlp", (4,), channels=1, cut=0.0)


def test_points_do_not_change_the_model() -> None:
    net, (x, _) = ResNet(), batch("resnet", 4)
    net.bn.eval()
    state = {name: value.clone() for name, value in net.state_dict().items()}
    lm.points(net, x, all=True)
    assert all(value.equal(state[name]) for name, value in net.state_dict().items())
    assert [name for name, module in net.named_modules() if not module.training] == ["bn"]
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


def test_points_unwrap_data_parallel() -> None:
    net, (x, _) = Mlp(), batch("mlp", 2)
    wrapped = nn.DataParallel(net)
    assert lm.points(wrapped, x) == lm.points(net, x)
