"""What cannot be captured is refused, in words that show what was wrong and help."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import layermix as lm
from tiny_nets import Mlp, ResNet, batch


def refused(capture: lm.FeatureCapture, point: str) -> str:
    with pytest.raises(lm.InputError) as error:
        capture[point]
    return str(error.value)


@pytest.mark.parametrize("eval_mode", [True, False])
def test_asking_before_a_training_forward_says_what_to_do(eval_mode: bool) -> None:
    net, (x, _) = Mlp(), batch("mlp", 6)
    capture = lm.FeatureCapture(net, at="blocks.0")
    if eval_mode:
        net.eval()
        net(x)
    assert refused(capture, "blocks.0") == (
        "nothing was captured at mix point 'blocks.0' yet: call the model first, in training mode "
        "(or build the capture with always=True) and with gradients on"
    )


class Skipping(Mlp):
    """Leaves its second block out where `skip` says so."""

    skip = False

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.blocks
        return self.head(first(x) if self.skip else second(first(x)))


def test_a_layer_that_the_last_forward_left_out_has_no_features_of_an_older_one() -> None:
    net, (x, _) = Skipping(), batch("mlp", 6)
    capture = lm.FeatureCapture(net, at=["blocks.0", "blocks.1"])
    net(x)
    assert capture["blocks.1"].shape == (6, 8)
    net.skip = True
    net(x)
    assert capture["blocks.0"].shape == (6, 8)
    assert refused(capture, "blocks.1") == (
        "nothing was captured at mix point 'blocks.1': the last forward pass did not call it. "
        "Build the capture before the first call of a compiled model, and capture a module that "
        "every forward calls"
    )


def test_a_module_called_several_times_is_refused_with_its_count() -> None:
    net, (x, _) = ResNet(), batch("resnet", 4)
    capture = lm.FeatureCapture(net, at=["stage1.0.relu", "stage1"])
    with pytest.raises(lm.InputError) as error:
        capture.check(x)
    assert str(error.value) == (
        "mix point 'stage1.0.relu' cannot be captured: it is called 2 times in one forward pass, "
        "but a mix happens once. layermix.points(model, x) lists the points that can"
    )
    net(x)
    assert refused(capture, "stage1.0.relu") == (
        "mix point 'stage1.0.relu' cannot be captured: it was called 2 times in the last forward "
        "pass. layermix.points(model, x) lists the points that are called once"
    )
    assert capture["stage1"].shape == (4, 6, 8, 8)


def test_features_that_a_later_layer_changed_in_place_are_refused() -> None:
    net, (x, _) = ResNet(), batch("resnet", 4)
    capture = lm.FeatureCapture(net, at=["stage1.0.bn1", "stage1.0.conv1"])
    net(x)
    assert capture["stage1.0.conv1"].requires_grad
    assert refused(capture, "stage1.0.bn1") == (
        "mix point 'stage1.0.bn1' cannot be captured: its features were changed in place by a "
        "later layer, such as ReLU(inplace=True): build that layer with inplace=False, or capture "
        "its output"
    )


def test_a_forward_without_gradients_inside_the_model_is_told() -> None:
    class Frozen(Mlp):
        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                x = self.blocks(x)
            return self.head(x)

    net, (x, _) = Frozen(), batch("mlp", 6)
    capture = lm.FeatureCapture(net, at=["blocks.0", "logits"])
    net(x)
    assert capture["logits"].requires_grad
    assert refused(capture, "blocks.0").startswith(
        "mix point 'blocks.0' cannot be captured: it ran without gradients, like blocks inside "
    )


@pytest.mark.parametrize("returned", ["nothing", None, {"a": 1}])
def test_an_output_without_a_tensor_is_refused(returned: Any) -> None:
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


def test_a_point_the_capture_was_not_built_for_is_refused() -> None:
    capture = lm.FeatureCapture(Mlp(), at=["blocks.0", "final"])
    assert refused(capture, "block.0") == (
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
def test_wrong_settings_are_refused(model: Any, at: Any, text: str) -> None:
    with pytest.raises(lm.InputError) as error:
        lm.FeatureCapture(model, at=at)
    assert str(error.value).startswith(text)


def test_a_forward_that_failed_counts_for_nothing() -> None:
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
