"""torch.compile: the same numbers, one compilation, and an error where nothing would be mixed."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounter, CompileCounterWithBackend

import layermix as lm
from layermix.mixing import Per
from mixed_step import step
from tiny_blends import TINY
from tiny_nets import NETS, Mlp, batch

pytestmark = [
    pytest.mark.usefixtures("fresh_compiler"),
    # Dynamo hides this warning of its own where warnings are not errors.
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor"),
]
POINTS = {
    "mlp": ["input", "blocks.0", "blocks.1.0", "final", "logits"],
    "resnet": ["stage1"],
    "vit": ["blocks.0"],
}
CASES = [(net, point) for net, points in POINTS.items() for point in points]


def compiled(model: nn.Module, backend: Any = "aot_eager") -> nn.Module:
    """Compile a model as a whole; a graph break is an error."""
    result = torch.compile(model, backend=backend, fullgraph=True)
    assert isinstance(result, nn.Module)
    return result


@pytest.mark.parametrize(("net", "point"), CASES)
def test_a_compiled_model_is_mixed_like_an_eager_one(net: str, point: str) -> None:
    eager, (x, y) = NETS[net][0](), batch(net, 6)
    models = [eager, compiled(copy.deepcopy(eager))]
    mixers = [lm.Mixer(model, at=point, per="sample", seed=1) for model in models]
    for _ in range(2):
        expected, found = (step(mixer, x, y) for mixer in mixers)
        torch.testing.assert_close(found, expected)


LIKE_CUT = ("fourier", "grid", "resize", "salient", "patches")  # their masks differ, not the mix


@pytest.mark.parametrize(
    ("blend", "per"),
    [
        pytest.param(b, per, marks=[pytest.mark.slow] if per == "batch" and b in LIKE_CUT else [])
        for b in TINY
        for per in ("batch", "sample")
        if (b, per) != ("multimix", "sample")
    ],
)
def test_every_blend_compiles_as_a_whole(blend: str, per: Per) -> None:
    eager, (x, y) = NETS["resnet"][0]().double(), batch("resnet", 6, torch.float64)
    models = [
        eager,
        compiled(copy.deepcopy(eager), counter := CompileCounterWithBackend("aot_eager")),
    ]
    mixers = [lm.Mixer(model, at="stage1", blend=TINY[blend], per=per, seed=1) for model in models]
    for _ in range(3):
        expected, found = (step(mixer, x, y) for mixer in mixers)
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    assert counter.frame_count == 1


def test_a_model_compiled_in_place_is_mixed_like_an_eager_one() -> None:
    eager, (x, y) = Mlp(), batch("mlp", 6)
    other = copy.deepcopy(eager)
    other.compile(backend="aot_eager", fullgraph=True)
    mixers = [lm.Mixer(model, at=["blocks.0", "final"], seed=1) for model in (eager, other)]
    for _ in range(6):
        expected, found = (step(mixer, x, y) for mixer in mixers)
        torch.testing.assert_close(found, expected)


def test_a_mixer_built_before_compiling_works_through_the_compiled_model() -> None:
    net, (x, y) = Mlp(), batch("mlp", 6)
    mixer, twin = lm.Mixer(net, at="blocks.0"), lm.Mixer(copy.deepcopy(net), at="blocks.0")
    plan = mixer.draw(6)
    with mixer.apply(plan):
        output = compiled(net)(x)
    torch.testing.assert_close(output, twin(x, y)[0])


@pytest.mark.parametrize("per", ["batch", "sample"])
@pytest.mark.parametrize("point", ["input", "blocks.0", "logits"])
def test_steps_at_one_point_compile_once(point: str, per: Per) -> None:
    counter, (x, y) = CompileCounter(), batch("mlp", 6)
    mixer = lm.Mixer(compiled(Mlp(), counter), at=point, per=per)
    mixer(x, y)
    frames = counter.frame_count
    assert frames >= 1
    for _ in range(20):
        mixer(x, y)
    assert counter.frame_count == frames


def test_steps_at_several_points_compile_once_for_each() -> None:
    counter, (x, _) = CompileCounterWithBackend("aot_eager"), batch("mlp", 6)
    at = ["blocks.0", "blocks.1.0", "final"]
    mixer = lm.Mixer(compiled(Mlp(), counter), at=at)
    plans = [mixer.draw(6) for _ in range(20)]
    assert {plan.point for plan in plans} == set(at)
    for plan in plans:
        with mixer.apply(plan):
            mixer.model(x)
    assert counter.frame_count == len(at)


def test_going_back_and_forth_between_training_and_evaluation_does_not_recompile() -> None:
    counter, (x, y) = CompileCounter(), batch("mlp", 6)
    mixer = lm.Mixer(compiled(Mlp(), counter), at="blocks.0")
    frames = []
    for _ in range(3):
        for mode in (True, False):
            mixer.model.train(mode)
            with torch.set_grad_enabled(mode):
                mixer(x, y)
        frames.append(counter.frame_count)
    assert len(set(frames)) == 1


def test_a_compiled_model_in_eval_mode_is_not_mixed() -> None:
    net, (x, y) = Mlp(), batch("mlp", 6)
    mixer = lm.Mixer(compiled(net), at="blocks.0", ratio=0.5)
    mixer(x, y)
    mixer.model.eval()
    with torch.no_grad():
        torch.testing.assert_close(mixer(x, y)[0], net(x))


@pytest.mark.parametrize("point", ["blocks.0", "final"])
def test_a_mixer_built_too_late_says_that_nothing_was_mixed(point: str) -> None:
    net, (x, y) = Mlp(), batch("mlp", 6)
    model = compiled(net)
    model(x)
    mixer = lm.Mixer(model, at=point)
    expected = (
        f"nothing was mixed: no forward pass reached mix point '{point}', or the hooks of the "
        "mixer were removed. Call the model inside the block, build the mixer before the first "
        "call of a compiled model (after torch.compiler.reset() if another model of its class was "
        "compiled), and disable layers that are skipped at random (layerdrop=0)"
    )
    with pytest.raises(lm.RunError) as error:
        mixer(x, y)
    assert str(error.value) == expected


@pytest.mark.parametrize("point", ["input", "logits"])
def test_input_and_logits_are_mixed_even_by_a_mixer_built_late(point: str) -> None:
    net, (x, y) = Mlp(), batch("mlp", 6)
    model = compiled(net)
    model(x)
    eager = lm.Mixer(copy.deepcopy(net), at=point)
    torch.testing.assert_close(lm.Mixer(model, at=point)(x, y)[0], eager(x, y)[0])


@pytest.mark.parametrize("in_place", [True, False])
def test_looking_at_a_compiled_model_compiles_nothing(in_place: bool) -> None:
    counter, net, (x, _) = CompileCounter(), Mlp(), batch("mlp", 6)
    expected = lm.points(net, x)
    model = net if in_place else compiled(net, counter)
    net.compile(backend=counter)
    assert lm.points(model, x) == expected
    lm.Mixer(model, at="blocks.0").check(x)
    lm.activations(model, x, ["final"])
    assert counter.frame_count == 0


def test_a_compiled_function_that_calls_the_model_is_mixed() -> None:
    net, (x, y) = Mlp(), batch("mlp", 6)
    mixer, twin = lm.Mixer(net, at="final"), lm.Mixer(copy.deepcopy(net), at="final")

    @torch.compile(backend="aot_eager", fullgraph=True)
    def forward(model: nn.Module, x: Tensor) -> Tensor:
        return model(x) * 2

    with mixer.apply(mixer.draw(6)):
        output = forward(net, x)
    torch.testing.assert_close(output, 2 * twin(x, y)[0])
