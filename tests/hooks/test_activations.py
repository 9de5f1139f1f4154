"""Reading what flows at mix points, without leaving a trace."""

import pytest
import torch
from torch import Tensor, nn

import layermix as lm
from tiny_nets import NETS, Mlp, ResNet, batch


@pytest.mark.parametrize("net", NETS)
def test_activations_are_those_of_the_written_out_forward(net: str) -> None:
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


def test_points_are_named_by_a_string_a_row_or_the_whole_table() -> None:
    net, (x, _) = Mlp(), batch("mlp", 4)
    table = lm.points(net, x)
    assert list(lm.activations(net, x, "final")) == ["final"]
    assert list(lm.activations(net, x, table[1])) == ["blocks.0"]
    assert list(lm.activations(net, x, table)) == table.names
    assert lm.Mixer(net, at=table).points == tuple(table.names)
    assert lm.Mixer(net, at=[table[0], "final"]).points == ("input", "final")


def test_activations_are_detached_and_come_from_eval_mode() -> None:
    net, (x, _) = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 5)), batch("mlp", 4)
    found = lm.activations(net, x, ["0", "logits"])
    assert found["0"].equal(x)
    assert not found["logits"].requires_grad


def test_reading_changes_neither_mode_nor_statistics_nor_hooks() -> None:
    net, (x, _) = ResNet(), batch("resnet", 4)
    state = {name: value.clone() for name, value in net.state_dict().items()}
    lm.activations(net, x, ["input", "stage1", "final"])
    assert all(value.equal(state[name]) for name, value in net.state_dict().items())
    assert all(module.training for module in net.modules())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())


def test_a_model_that_fails_is_left_as_it_was_too() -> None:
    net, (x, _) = ResNet(), batch("mlp", 4)
    with pytest.raises(lm.InputError) as error:
        lm.activations(net, x, ["stage1"])
    assert str(error.value).startswith("ResNet failed on a batch of shape (4, 4): Expected 3D ")
    assert all(module.training for module in net.modules())
    assert not any(m._forward_hooks for m in net.modules())


def test_a_mixer_in_the_model_does_not_disturb_the_reading() -> None:
    net, (x, _) = Mlp(), batch("mlp", 4)
    clean = lm.activations(net, x, ["blocks.0", "final"])
    lm.Mixer(net, at=["blocks.0", "final"], ratio=0.5).check(x)
    torch.testing.assert_close(lm.activations(net, x, ["blocks.0", "final"]), clean)


def test_an_unknown_mix_point_is_refused() -> None:
    with pytest.raises(lm.InputError, match=r"^unknown mix point 'block.0': did you mean 'blocks"):
        lm.activations(Mlp(), batch("mlp", 2)[0], ["block.0"])


def test_a_module_that_is_not_called_is_refused() -> None:
    net = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    with pytest.raises(lm.InputError) as error:
        lm.activations(net, torch.zeros(2, 3, 8), ["self_attn.out_proj"])
    assert str(error.value) == (
        "mix point 'self_attn.out_proj' has no activations: it was not called in a forward pass of "
        "the model"
    )
