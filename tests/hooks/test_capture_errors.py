"""Tests of the errors of `FeatureCapture`."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import layermix as lm
from tiny_nets import Mlp, ResNet, batch


def error_message(capture: lm.FeatureCapture, point: str) -> str:
    with pytest.raises(lm.InputError) as error:
        capture[point]
    return str(error.value)


@pytest.mark.parametrize("eval_mode", [True, False])
def test_access_before_a_training_forward_raises(eval_mode: bool) -> None:
    net, (x, _) = Mlp(), batch("mlp", 6)
    capture = lm.FeatureCapture(net, at="blocks.0")
    if eval_mode:
        net.eval()
        net(x)
    assert error_message(capture, "blocks.0") == (
        "nothing was captured at mix point 'blocks.0' yet: call the model first, in training mode "
        "(or build the capture with always=True) and with gradients on"
    )


class Skipping(Mlp):
    """A model that skips its second block if `skip` is True."""

    skip = False

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.blocks
        return self.head(first(x) if self.skip else second(first(x)))


def test_skipped_layer_does_not_return_old_features() -> None:
    net, (x, _) = Skipping(), batch("mlp", 6)
    capture = lm.FeatureCapture(net, at=["blocks.0", "blocks.1"])
    net(x)
    assert capture["blocks.1"].shape == (6, 8)
    net.skip = True
    net(x)
    assert capture["blocks.0"].shape == (6, 8)
    assert error_message(capture, "blocks.1") == (
        "nothing was captured at mix point 'blocks.1': the last forward pass did not call it. "
        "Build the capture before the first call of a compiled model, and capture a module that "
        "every forward calls"
    )


def test_module_called_twice_raises_with_the_call_count() -> None:
    net, (x, _) = ResNet(), batch("resnet", 4)
    capture = lm.FeatureCapture(net, at=["stage1.0.relu", "stage1"])
    with pytest.raises(lm.InputError) as error:
        capture.check(x)
    assert str(error.value) == (
        "mix point 'stage1.0.relu' cannot be captured: it is called 2 times in one forward pass, "
        "but a mix happens once. layermix.points(model, x) lists the points that can"
    )
    net(x)
    assert error_message(capture, "stage1.0.relu") == (
        "mix point 'stage1.0.relu' cannot be captured: it was called 2 times in the last forward "
        "pass. layermix.points(model, x) lists the points that are called once"
    )
    assert capture["stage1"].shape == (4, 6, 8, 8)


def test_features_changed_inplace_raise() -> None:
    net, (x, _) = ResNet(), batch("resnet", 4)
    capture = lm.FeatureCapture(net, at=["stage1.0.bn1", "stage1.0.conv1"])
    net(x)
    assert capture["stage1.0.conv1"].requires_grad
    assert error_message(capture, "stage1.0.bn1") == (
        "mix point 'stage1.0.bn1' cannot be captured: its features were changed in place by a "
        "later layer, such as ReLU(inplace=True): build that layer with inplace=False, or capture "
        "its output"
    )


def test_layer_run_under_no_grad_raises() -> None:
    class Frozen(Mlp):
        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                x = self.blocks(x)
            return self.head(x)

    net, (x, _) = Frozen(), batch("mlp", 6)
    capture = lm.FeatureCapture(net, at=["blocks.0", "logits"])
    net(x)
    assert capture["logits"].requires_grad
    assert error_message(capture, "blocks.0").startswith(
        "mix point 'blocks.0' cannot be captured: it ran without gradients, like blocks inside "
    )


@pytest.mark.parametrize("returned", ["nothing", None, {"a": 1}])
def test_output_without_a_tensor_raises(returned: Any) -> None:
    class Odd(nn.Module):
        def forward(self, x: Tensor) -> Any:
            return returned

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.odd, self.fc = Odd(), nn.Linear(4, 5)

        def forward(self, x: Tensor) -> Tensor:
            self.odd(x)
            return self.fc(x)

    net, (x, _) = Model(), batch("mlp", 6)
    with (
        lm.FeatureCapture(net, at="odd"),
        pytest.raises(lm.InputError, match=r"^at mix point 'odd': there is no tensor "),
    ):
        net(x)


def test_access_to_an_uncaptured_point_raises() -> None:
    capture = lm.FeatureCapture(Mlp(), at=["blocks.0", "final"])
    assert error_message(capture, "block.0") == (
        "unknown mix point of this capture 'block.0': did you mean 'blocks.0'?"
    )
    assert "block.0" not in capture


@pytest.mark.parametrize(
    ("model", "at", "text"),
    [
        (Mlp(), [], "no mix point was given: name at least one, for example 'final'"),
        (Mlp(), "fnal", "unknown mix point 'fnal': did you mean 'final'?"),
        (Mlp(), 3, "a mix point is 3, but must be a name such as 'input'"),
        (
            torch.relu,
            "final",
            "the model is a builtin_function_or_method, but must be a torch.nn.Module, compiled or",
        ),
    ],
)
def test_invalid_arguments_raise(model: Any, at: Any, text: str) -> None:
    with pytest.raises(lm.InputError) as error:
        lm.FeatureCapture(model, at=at)
    assert str(error.value).startswith(text)


def test_failed_forward_is_ignored() -> None:
    net = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 2))
    capture = lm.FeatureCapture(net, "0")
    with pytest.raises(RuntimeError):
        net(torch.randn(3, 5))
    net[0](torch.randn(3, 4))
    net(torch.randn(3, 4))
    assert capture["0"].shape == (3, 4)
    with pytest.raises(RuntimeError):
        net(torch.randn(3, 5))
    net[0](torch.randn(3, 4))
    with pytest.raises(lm.InputError):
        capture["0"]
