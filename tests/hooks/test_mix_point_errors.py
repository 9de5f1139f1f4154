"""A point that cannot be mixed is refused, in words that name it, show it and help."""

from typing import Any

import pytest
import torch
from timm.models.swin_transformer import SwinTransformer
from torch import Tensor, nn

import layermix as lm
from tiny_nets import Mlp, ResNet, batch, tiny_vit


class Folding(nn.Module):
    """A model with a module that does `fold` to its output."""

    def __init__(self, fold: Any) -> None:
        super().__init__()
        self.inner = Fold(fold)
        self.fc = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        self.inner(x)
        return self.fc(x)


class Fold(nn.Module):
    def __init__(self, fold: Any) -> None:
        super().__init__()
        self.fold = fold

    def forward(self, x: Tensor) -> Any:
        return self.fold(x)


def refused(model: nn.Module, at: str | list[str], x: Tensor, **options: Any) -> str:
    """Return the message of the error that the first mixed step raises."""
    mixer = lm.Mixer(model, at=at, **options)
    with pytest.raises(lm.InputError) as error:
        mixer(x, torch.zeros(len(x), dtype=torch.int64))
    return str(error.value)


def test_an_unknown_mix_point_gets_the_closest_names() -> None:
    with pytest.raises(lm.InputError) as error:
        lm.Mixer(ResNet(), at="stage1.0.conv")
    assert str(error.value) == (
        "unknown mix point 'stage1.0.conv': did you mean 'stage1.0.conv2' or 'stage1.0.conv1' or "
        "'stage2.0.conv2' or 'stage2.0.conv1'?"
    )


def test_a_misspelt_special_mix_point_gets_the_right_spelling() -> None:
    with pytest.raises(lm.InputError, match=r"^unknown mix point 'fnal': did you mean 'final'\?$"):
        lm.Mixer(Mlp(), at=["input", "fnal"])


def test_a_mix_point_like_nothing_gets_the_list() -> None:
    with pytest.raises(lm.InputError) as error:
        lm.Mixer(nn.Sequential(nn.Linear(2, 2)), at="zzzz")
    assert str(error.value) == (
        "unknown mix point 'zzzz': known are 'input', 'final', 'logits', '0'"
    )


def test_the_empty_name_is_no_mix_point() -> None:
    with pytest.raises(lm.InputError, match=r"^unknown mix point '': known are 'input', 'final',"):
        lm.Mixer(Mlp(), at="")


def test_an_empty_list_of_mix_points_is_refused() -> None:
    with pytest.raises(
        lm.InputError, match=r"^no mix point was given: name at least one, for example 'final'$"
    ):
        lm.Mixer(Mlp(), at=[])


def test_a_reused_module_is_refused_with_its_count() -> None:
    assert refused(ResNet(), "stage1.0.relu", batch("resnet", 4)[0]) == (
        "mix point 'stage1.0.relu' cannot be mixed: it is called 2 times in one forward pass, but "
        "a mix happens once. layermix.points(model, x) lists the points that can"
    )


def test_a_module_that_is_never_called_is_refused() -> None:
    net = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    net.train()
    assert refused(net, "self_attn.out_proj", torch.randn(4, 3, 8)) == (
        "mix point 'self_attn.out_proj' cannot be mixed: it is never called in a forward pass "
        "(0 calls), although it is part of the model. layermix.points(model, x) lists the points "
        "that can"
    )


def test_windows_folded_into_the_batch_are_refused_with_their_shape() -> None:
    swin = SwinTransformer(
        img_size=32, patch_size=4, window_size=4, embed_dim=8, depths=(1, 1), num_heads=(1, 2)
    )
    assert refused(swin, "layers.0.blocks.0.attn", torch.randn(4, 3, 32, 32)) == (
        "mix point 'layers.0.blocks.0.attn' cannot be mixed: its output has shape (12, 16, 8) for "
        "a batch of 3, so its first dimension is not the batch. layermix.points(model, x) lists "
        "the points that can"
    )


@pytest.mark.parametrize(("rows", "probed"), [(1, 3), (2, 3), (3, 2), (4, 3)])
def test_a_first_dimension_that_equals_the_batch_by_chance_is_refused(
    rows: int, probed: int
) -> None:
    net = Folding(lambda x: x.new_zeros(rows, 7))
    assert (
        f"its output has shape ({rows}, 7) for a batch of {probed}, so its first dimension is not "
        "the batch"
    ) in refused(net, "inner", torch.randn(max(rows, 2), 4))


def test_a_sequence_first_output_is_refused() -> None:
    net = Folding(lambda x: x.T)
    assert "its output has shape (4, 3) for a batch of 3, so its first" in refused(
        net, "inner", torch.randn(6, 4)
    )


def test_an_output_without_a_tensor_is_refused() -> None:
    assert "its output is of type str, without a tensor to mix" in refused(
        Folding(lambda x: "nothing"), "inner", torch.randn(3, 4)
    )


@pytest.mark.parametrize("fold", [lambda x: None, lambda x: {"a": 1}, lambda x: ()])
def test_outputs_that_hold_no_tensor_are_refused(fold: Any) -> None:
    kind = type(fold(0)).__name__
    assert f"its output is of type {kind}, without a tensor to mix" in refused(
        Folding(fold), "inner", torch.randn(3, 4)
    )


def test_a_scalar_output_is_refused() -> None:
    message = refused(Folding(lambda x: x.sum()), "inner", torch.randn(3, 4))
    assert "its output has shape () for a batch of 3" in message


def test_a_bad_point_in_a_list_is_found_at_the_first_step_whatever_was_drawn() -> None:
    weights = [1.0, 0.0]
    at = ["final", "stage1.0.relu"]
    message = refused(ResNet(), at, batch("resnet", 4)[0], weights=weights)
    assert message.startswith("mix point 'stage1.0.relu' cannot be mixed: it is called 2 times")


def test_a_model_without_a_linear_layer_has_no_final_layer() -> None:
    net = nn.Sequential(nn.BatchNorm2d(3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(lm.InputError) as error:
        lm.Mixer(net, at="final")
    assert str(error.value) == (
        "Sequential has no linear layer, so it has no 'final' mix point: name the module to mix "
        "after, or use 'logits'"
    )


def test_a_timm_model_without_classifier_has_no_final_layer() -> None:
    net = tiny_vit()
    net.reset_classifier(0)
    with pytest.raises(
        lm.InputError, match=r"^the classifier of VisionTransformer is Identity, so"
    ):
        lm.Mixer(net, at="final")


def test_the_last_layer_is_the_head_though_it_is_not_linear_by_name() -> None:
    net = nn.Sequential(nn.Linear(4, 6), nn.Unflatten(1, (1, 6)), nn.Conv1d(1, 2, 1), nn.Flatten())
    mixer, x = lm.Mixer(net.double(), at="final", seed=1), torch.randn(3, 4).double()
    plan = mixer.draw(3)
    with mixer.apply(plan):
        output = net(x)
    torch.testing.assert_close(output, net[2:](lm.mix(net[:2](x), plan)))
