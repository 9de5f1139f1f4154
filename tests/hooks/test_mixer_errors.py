"""Tests of the errors of `Mixer` for invalid steps and arguments."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import layermix as lm
from tiny_nets import Mlp, batch


class Float(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.float()


def test_token_ids_raise_at_the_input_and_mix_after_the_embedding() -> None:
    net = nn.Sequential(nn.Embedding(10, 4), nn.Flatten(), nn.Linear(12, 5))
    x = torch.randint(10, (6, 3))
    with pytest.raises(lm.InputError) as error:
        lm.Mixer(net, at="input")(x, torch.zeros(6, dtype=torch.int64))
    assert str(error.value) == (
        "mix point 'input' cannot be mixed: its values are integers (torch.int64) such as token "
        "ids, which cannot be mixed: mix after the embedding or a block instead. "
        "layermix.points(model, x) lists the points that can"
    )
    assert lm.Mixer(net, at="0")(x, torch.zeros(6, dtype=torch.int64))[0].shape == (6, 5)


def test_uint8_images_raise_at_the_input() -> None:
    net = nn.Sequential(Float(), nn.Flatten(), nn.Linear(12, 5))
    x = torch.randint(256, (6, 3, 2, 2), dtype=torch.uint8)
    with pytest.raises(lm.InputError) as error:
        lm.Mixer(net, at="input")(x, torch.zeros(6, dtype=torch.int64))
    assert str(error.value) == (
        "mix point 'input' cannot be mixed: its values are integers (torch.uint8) such as the "
        "bytes of images, which cannot be mixed: convert them with .float() first. "
        "layermix.points(model, x) lists the points that can"
    )


def test_token_ids_raise_with_an_explicit_plan() -> None:
    net = nn.Sequential(nn.Embedding(10, 4), nn.Flatten(), nn.Linear(12, 5))
    mixer = lm.Mixer(net, at="input")
    with pytest.raises(lm.InputError) as error, mixer.apply(mixer.draw(6)):
        net(torch.randint(10, (6, 3)))
    assert str(error.value) == (
        "mix point 'input' cannot be mixed: its values are integers (torch.int64) such as token "
        "ids, which cannot be mixed: mix after the embedding or a block instead. "
        "layermix.points(model, x) lists the points that can"
    )


def test_plan_for_another_batch_size_raises() -> None:
    mixer, (x, _) = lm.Mixer(Mlp(), at="blocks.0"), batch("mlp", 6)
    with pytest.raises(lm.InputError) as error, mixer.apply(mixer.draw(5)):
        mixer.model(x)
    assert str(error.value) == (
        "at mix point 'blocks.0': cannot mix a tensor of shape (6, 8) with a plan drawn for a "
        "batch of 5: the first dimension must be the batch"
    )


def test_plan_at_an_unknown_point_raises() -> None:
    mixer = lm.Mixer(Mlp(), at=["input", "final"])
    plan = lm.Plan("blocks.0", torch.tensor(0.5), torch.tensor([0, 1]))
    with pytest.raises(lm.InputError) as error, mixer.apply(plan):
        pytest.fail("the block was entered")
    assert str(error.value) == (
        "unknown mix point of this mixer 'blocks.0': known are 'input', 'final'"
    )


def test_with_block_without_a_forward_raises() -> None:
    mixer = lm.Mixer(Mlp(), at="final")
    with pytest.raises(lm.RunError) as error, mixer.apply(mixer.draw(2)):
        pass
    assert str(error.value) == (
        "nothing was mixed: no forward pass reached mix point 'final', or the hooks of the "
        "mixer were removed. Call the model inside the block, build the mixer before the first "
        "call of a compiled model (after torch.compiler.reset() if another model of its class was "
        "compiled), and disable layers that are skipped at random (layerdrop=0)"
    )


def test_model_that_is_not_a_module_raises() -> None:
    with pytest.raises(lm.InputError) as error:
        lm.Mixer(torch.relu, at="input")
    assert str(error.value) == (
        "the model is a builtin_function_or_method, but must be a torch.nn.Module, compiled or not"
    )


def test_labels_that_are_not_a_tensor_raise() -> None:
    mixer, (x, y) = lm.Mixer(Mlp(), at="final"), batch("mlp", 6)
    with pytest.raises(lm.InputError, match=r"^the labels are a list, but must be a tensor: torch"):
        mixer(x, y.tolist())  # pyright: ignore[reportCallIssue, reportArgumentType]


def test_failed_probe_error_states_the_number_of_examples() -> None:
    net = nn.Sequential(nn.Linear(4, 5))
    with pytest.raises(lm.InputError) as error:
        lm.Mixer(net, at="final")(torch.randn(16, 7), torch.zeros(16, dtype=torch.int64))
    assert str(error.value).startswith("Sequential failed on a batch of shape (2, 7): ")
    assert str(error.value).endswith("(mix points are probed on 3 of your 16 examples)")


def test_labels_of_another_batch_size_raise() -> None:
    mixer, (x, y) = lm.Mixer(Mlp(), at="final"), batch("mlp", 6)
    with pytest.raises(lm.InputError, match=r"^the labels have shape \(4,\), but the plan was"):
        mixer(x, y[:4])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"alpha": 0.0}, "alpha is 0.0, but Beta(alpha, alpha) needs a finite alpha > 0: use 1.0"),
        ({"ratio": 1.5}, "the ratio is 1.5, but must be a number in [0, 1]"),
        ({"alpha": "1"}, "alpha is '1', but must be a number, or a schedule of numbers"),
        ({"blend": "linar"}, "unknown blend 'linar': did you mean 'linear'?"),
        (
            {"at": ["final", "input", "final"]},
            "mix point 'final' is given 2 times: name it once, and use weights to draw",
        ),
        ({"at": ["final", 3]}, "a mix point is 3, but must be a name such as 'input'"),
        ({"weights": [1.0, 2.0]}, "weights are [1.0, 2.0], but 1 mix points need 1 numbers >= 0"),
        ({"per": "step"}, "unknown value of per 'step': known are 'batch', 'sample', 'epoch'"),
    ],
)
def test_invalid_arguments_raise_at_construction(options: dict[str, Any], text: str) -> None:
    with pytest.raises(lm.InputError) as error:
        lm.Mixer(Mlp(), **options)
    assert str(error.value).startswith(text)
