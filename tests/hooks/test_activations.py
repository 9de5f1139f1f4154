"""Tests of `activations`: the values at mix points, without side effects."""

import pytest
import torch
from torch import Tensor, nn

import layermix as lm
from tiny_nets import NETS, Mlp, ResNet, batch


@pytest.mark.parametrize("net", NETS)
def test_activations_equal_the_reference_forward(net: str) -> None:
    model, (x, _) = NETS[net][0]().double(), batch(net, 4, torch.float64)
    names = lm.points(model, x).names
    found = lm.activations(model, x, names)
    expected: dict[str, Tensor] = {}

    def at(name: str, a: Tensor) -> Tensor:
        return expected.setdefault(name, a)

    NETS[net][1](model.eval(), x, at)
    assert list(found) == names
    for name in names:
        torch.testing.assert_close(found[name], expected[name].detach())


def test_points_accept_a_string_a_row_or_a_table() -> None:
    net, (x, _) = Mlp(), batch("mlp", 4)
    table = lm.points(net, x)
    assert list(lm.activations(net, x, "final")) == ["final"]
    assert list(lm.activations(net, x, table[1])) == ["blocks.0"]
    assert list(lm.activations(net, x, table)) == table.names
    assert lm.Mixer(net, at=table).points == tuple(table.names)
    assert lm.Mixer(net, at=[table[0], "final"]).points == ("input", "final")


def test_activations_are_detached_and_computed_in_eval_mode() -> None:
    net, (x, _) = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 5)), batch("mlp", 4)
    found = lm.activations(net, x, ["0", "logits"])
    assert found["0"].equal(x)
    assert not found["logits"].requires_grad


def test_activations_preserve_mode_buffers_and_hooks() -> None:
    net, (x, _) = ResNet(), batch("resnet", 4)
    state = {name: value.clone() for name, value in net.state_dict().items()}
    lm.activations(net, x, ["input", "stage1", "final"])
    assert all(value.equal(state[name]) for name, value in net.state_dict().items())
    assert all(module.training for module in net.modules())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


def test_activations_restore_the_model_after_an_error() -> None:
    net, (x, _) = ResNet(), batch("mlp", 4)
    with pytest.raises(lm.InputError) as error:
        lm.activations(net, x, ["stage1"])
    assert str(error.value).startswith("ResNet failed on a batch of shape (4, 4): Expected 3D ")
    assert all(module.training for module in net.modules())
    assert not any(m._forward_hooks for m in net.modules())


def test_activations_ignore_an_attached_mixer() -> None:
    net, (x, _) = Mlp(), batch("mlp", 4)
    clean = lm.activations(net, x, ["blocks.0", "final"])
    lm.Mixer(net, at=["blocks.0", "final"], ratio=0.5).check(x)
    torch.testing.assert_close(lm.activations(net, x, ["blocks.0", "final"]), clean)


def test_unknown_mix_point_raises() -> None:
    with pytest.raises(lm.InputError, match=r"^unknown mix point 'block.0': did you mean 'blocks"):
        lm.activations(Mlp(), batch("mlp", 2)[0], ["block.0"])


def test_uncalled_module_raises() -> None:
    net = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    with pytest.raises(lm.InputError) as error:
        lm.activations(net, torch.zeros(2, 3, 8), ["self_attn.out_proj"])
    assert str(error.value) == (
        "mix point 'self_attn.out_proj' has no activations: it was not called in a forward pass of "
        "the model"
    )
