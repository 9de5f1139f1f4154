"""Tests of the errors for points that cannot be mixed."""

from typing import Any

import pytest
import torch
from timm.models.swin_transformer import SwinTransformer
from torch import Tensor, nn

import layermix as lm
from tiny_nets import Mlp, ResNet, batch, tiny_vit


class Folding(nn.Module):
    """A model with a module that applies `fold` to its input."""

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


def error_message(model: nn.Module, at: str | list[str], x: Tensor, **options: Any) -> str:
    """Return the message of the error that the first mixed step raises."""
    mixer = lm.Mixer(model, at=at, **options)
    with pytest.raises(lm.InputError) as error:
        mixer(x, torch.zeros(len(x), dtype=torch.int64))
    return str(error.value)


def test_unknown_mix_point_error_suggests_similar_names() -> None:
    with pytest.raises(lm.InputError) as error:
        lm.Mixer(ResNet(), at="stage1.0.conv")
    assert str(error.value) == (
        "unknown mix point 'stage1.0.conv': did you mean 'stage1.0.conv2' or 'stage1.0.conv1' or "
        "'stage2.0.conv2' or 'stage2.0.conv1'?"
    )


def test_misspelled_final_error_suggests_final() -> None:
    with pytest.raises(lm.InputError, match=r"^unknown mix point 'fnal': did you mean 'final'\?$"):
        lm.Mixer(Mlp(), at=["input", "fnal"])


def test_error_without_similar_names_lists_all_points() -> None:
    with pytest.raises(lm.InputError) as error:
        lm.Mixer(nn.Sequential(nn.Linear(2, 2)), at="zzzz")
    assert str(error.value) == (
        "unknown mix point 'zzzz': known are 'input', 'final', 'logits', '0'"
    )


def test_empty_mix_point_name_raises() -> None:
    with pytest.raises(lm.InputError, match=r"^unknown mix point '': known are 'input', 'final',"):
        lm.Mixer(Mlp(), at="")


def test_empty_list_of_mix_points_raises() -> None:
    with pytest.raises(
        lm.InputError, match=r"^no mix point was given: name at least one, for example 'final'$"
    ):
        lm.Mixer(Mlp(), at=[])


def test_module_called_twice_raises_with_the_call_count() -> None:
    assert error_message(ResNet(), "stage1.0.relu", batch("resnet", 4)[0]) == (
        "mix point 'stage1.0.relu' cannot be mixed: it is called 2 times in one forward pass, but "
        "a mix happens once. layermix.points(model, x) lists the points that can"
    )


def test_uncalled_module_raises() -> None:
    net = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    net.train()
    assert error_message(net, "self_attn.out_proj", torch.randn(4, 3, 8)) == (
        "mix point 'self_attn.out_proj' cannot be mixed: it is never called in a forward pass "
        "(0 calls), although it is part of the model. layermix.points(model, x) lists the points "
        "that can"
    )


def test_windows_folded_into_the_batch_raise_with_their_shape() -> None:
    swin = SwinTransformer(
        img_size=32, patch_size=4, window_size=4, embed_dim=8, depths=(1, 1), num_heads=(1, 2)
    )
    assert error_message(swin, "layers.0.blocks.0.attn", torch.randn(4, 3, 32, 32)) == (
        "mix point 'layers.0.blocks.0.attn' cannot be mixed: its output has shape (12, 16, 8) for "
        "a batch of 3, so its first dimension is not the batch. layermix.points(model, x) lists "
        "the points that can"
    )


@pytest.mark.parametrize(("rows", "probed"), [(1, 3), (2, 3), (3, 2), (4, 3)])
def test_first_dimension_with_accidental_batch_size_raises(rows: int, probed: int) -> None:
    net = Folding(lambda x: x.new_zeros(rows, 7))
    assert (
        f"its output has shape ({rows}, 7) for a batch of {probed}, so its first dimension is not "
        "the batch"
    ) in error_message(net, "inner", torch.randn(max(rows, 2), 4))


def test_sequence_first_output_raises() -> None:
    net = Folding(lambda x: x.T)
    assert "its output has shape (4, 3) for a batch of 3, so its first" in error_message(
        net, "inner", torch.randn(6, 4)
    )


def test_string_output_raises() -> None:
    assert "its output is of type str, without a tensor to mix" in error_message(
        Folding(lambda x: "nothing"), "inner", torch.randn(3, 4)
    )


@pytest.mark.parametrize("fold", [lambda x: None, lambda x: {"a": 1}, lambda x: ()])
def test_output_without_a_tensor_raises(fold: Any) -> None:
    kind = type(fold(0)).__name__
    assert f"its output is of type {kind}, without a tensor to mix" in error_message(
        Folding(fold), "inner", torch.randn(3, 4)
    )


def test_scalar_output_raises() -> None:
    message = error_message(Folding(lambda x: x.sum()), "inner", torch.randn(3, 4))
    assert "its output has shape () for a batch of 3" in message


def test_invalid_point_with_zero_weight_raises_at_the_first_step() -> None:
    weights = [1.0, 0.0]
    at = ["final", "stage1.0.relu"]
    message = error_message(ResNet(), at, batch("resnet", 4)[0], weights=weights)
    assert message.startswith("mix point 'stage1.0.relu' cannot be mixed: it is called 2 times")


def test_model_without_a_linear_layer_has_no_final_layer() -> None:
    net = nn.Sequential(nn.BatchNorm2d(3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(lm.InputError) as error:
        lm.Mixer(net, at="final")
    assert str(error.value) == (
        "Sequential has no linear layer, so it has no 'final' mix point: name the module to mix "
        "after, or use 'logits'"
    )


def test_timm_model_without_a_classifier_has_no_final_layer() -> None:
    net = tiny_vit()
    net.reset_classifier(0)
    with pytest.raises(
        lm.InputError, match=r"^the classifier of VisionTransformer is Identity, so"
    ):
        lm.Mixer(net, at="final")


def test_final_layer_can_be_a_convolution() -> None:
    net = nn.Sequential(nn.Linear(4, 6), nn.Unflatten(1, (1, 6)), nn.Conv1d(1, 2, 1), nn.Flatten())
    mixer, x = lm.Mixer(net.double(), at="final", seed=1), torch.randn(3, 4).double()
    plan = mixer.draw(3)
    with mixer.apply(plan):
        output = net(x)
    torch.testing.assert_close(output, net[2:](lm.mix(net[:2](x), plan)))
