"""Tests of `FeatureCapture` with torch.compile."""

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from test_compile import CASES, compiled
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounter, CompileCounterWithBackend
from torch.utils.checkpoint import checkpoint

import layermix as lm
from tiny_nets import NETS, Mlp, batch

pytestmark = [
    pytest.mark.usefixtures("fresh_compiler"),
    # Dynamo suppresses this warning unless warnings are errors.
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor"),
]
POINTS = ["input", "blocks.0", "blocks.1.0", "final", "logits"]


def step(model: nn.Module, capture: lm.FeatureCapture, x: Tensor, y: Tensor) -> list[Tensor]:
    """Return output, features and gradients of a step with a loss at every captured point."""
    model.zero_grad()
    output = model(x)
    features = list(dict(capture).values())
    loss = F.cross_entropy(output, y)
    for value in features:
        loss = loss + 0.3 * lm.SoftNearestNeighborLoss(temperature=1.0)(value, y)
    loss.backward()
    return [output, *features, *(p.grad.clone() for p in model.parameters() if p.grad is not None)]


@pytest.mark.parametrize(("net", "point"), CASES)
def test_compiled_capture_equals_eager_capture(net: str, point: str) -> None:
    eager, (x, _) = NETS[net][0]().double(), batch(net, 6, torch.float64)
    y, models = torch.arange(6) % 2, [eager, compiled(copy.deepcopy(eager))]
    captures = [lm.FeatureCapture(model, at=point) for model in models]
    for _ in range(2):
        expected, found = (step(m, c, x, y) for m, c in zip(models, captures, strict=True))
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("at", [*(pytest.param(p, marks=pytest.mark.slow) for p in POINTS), POINTS])
def test_captured_steps_compile_once(at: Any) -> None:
    counter, (x, _) = CompileCounterWithBackend("aot_eager"), batch("mlp", 6)
    y, model = torch.arange(6) % 2, compiled(Mlp(), counter)
    capture = lm.FeatureCapture(model, at=at)
    step(model, capture, x, y)
    frames = counter.frame_count
    assert frames >= 1
    for _ in range(5):
        step(model, capture, x, y)
    assert counter.frame_count == frames


def test_clear_and_eval_do_not_recompile() -> None:
    counter, (x, _) = CompileCounter(), batch("mlp", 6)
    model = compiled(Mlp(), counter)
    capture, frames = lm.FeatureCapture(model, at=POINTS), []
    for _ in range(3):
        model.train()
        model(x)
        capture.clear()
        model.eval()
        with torch.no_grad():
            model(x)
        frames.append(counter.frame_count)
    assert len(set(frames)) == 1


@pytest.mark.parametrize(
    ("point", "first"),
    [
        ("blocks.0", "mixer"),
        ("final", "capture"),
        pytest.param("blocks.0", "capture", marks=pytest.mark.slow),
        pytest.param("final", "mixer", marks=pytest.mark.slow),
    ],
)
def test_compiled_capture_of_a_mixed_model_equals_eager_capture(point: str, first: str) -> None:
    eager, (x, _) = Mlp(), batch("mlp", 6)
    y, results = torch.arange(6) % 2, []
    for model in (eager, compiled(copy.deepcopy(eager))):
        build: Any = {
            "capture": lambda model=model: lm.FeatureCapture(model, at=point),
            "mixer": lambda model=model: lm.Mixer(model, at=[point, "logits"], seed=5),
        }
        made = {name: build[name]() for name in sorted(build, key=first.__ne__)}
        for _ in range(4):
            output, target = made["mixer"](x, y)
            features = made["capture"][point]
            model.zero_grad()
            (target.loss(output) + features.square().mean()).backward()
            grads = [p.grad.clone() for p in model.parameters() if p.grad is not None]
            results.append([output, features, *grads])
    for one, other in zip(results[:4], results[4:], strict=True):
        torch.testing.assert_close(one, other)


class InPlace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.relu, self.fc = nn.Linear(4, 8), nn.ReLU(inplace=True), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.relu(self.body(x)))


def test_compiled_capture_keeps_features_before_an_inplace_change() -> None:
    net, (x, _) = InPlace(), batch("mlp", 6)
    model = compiled(net)
    capture = lm.FeatureCapture(model, at="body")
    model(x)
    torch.testing.assert_close(capture["body"], net.body(x))
    assert (capture["body"] < 0).any()


def test_capture_built_after_compilation_raises() -> None:
    net, (x, _) = Mlp(), batch("mlp", 6)
    model = compiled(net)
    model(x)
    capture = lm.FeatureCapture(model, at="blocks.0")
    model(x)
    with pytest.raises(lm.InputError) as error:
        capture["blocks.0"]
    assert str(error.value).startswith(
        "nothing was captured at mix point 'blocks.0': the last forward pass did not call it. "
        "Build the capture before the first call of a compiled model"
    )


def test_capture_works_inside_a_compiled_step() -> None:
    net, (x, _) = Mlp(), batch("mlp", 6)
    capture, twin = lm.FeatureCapture(net, at=POINTS), copy.deepcopy(net)

    @torch.compile(backend="aot_eager", fullgraph=True)
    def loss(x: Tensor) -> Tensor:
        return net(x).square().mean() + capture["blocks.0"].square().mean()

    for _ in range(2):
        a = twin.blocks[0](x)
        expected = twin.head(twin.blocks[1](a)).square().mean() + a.square().mean()
        torch.testing.assert_close(loss(x), expected)


class Checkpointed(Mlp):
    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = checkpoint(block, x, use_reentrant=False)  # pyright: ignore[reportAssignmentType]
        return self.head(x)


@pytest.mark.parametrize("point", ["blocks.0", "blocks.0.0", "final"])
def test_capture_works_with_compile_and_checkpointing(point: str) -> None:
    eager, (x, _) = Mlp(), batch("mlp", 6)
    net = Checkpointed()
    net.load_state_dict(eager.state_dict())
    y, models = torch.arange(6) % 2, [eager, torch.compile(net, backend="aot_eager")]
    captures = [lm.FeatureCapture(model, at=point) for model in models]
    for _ in range(2):
        expected, found = (step(m, c, x, y) for m, c in zip(models, captures, strict=True))
        torch.testing.assert_close(found, expected)
