"""Tests of `Mixer` with torch.compile."""

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
    # Dynamo suppresses this warning unless warnings are errors.
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor"),
]
POINTS = {
    "mlp": ["input", "blocks.0", "blocks.1.0", "final", "logits"],
    "resnet": ["stage1"],
    "vit": ["blocks.0"],
}
CASES = [(net, point) for net, points in POINTS.items() for point in points]


def compiled(model: nn.Module, backend: Any = "aot_eager") -> nn.Module:
    """Compile a model with fullgraph=True, so that a graph break is an error."""
    result = torch.compile(model, backend=backend, fullgraph=True)
    assert isinstance(result, nn.Module)
    return result


@pytest.mark.parametrize(("net", "point"), CASES)
def test_compiled_mixing_equals_eager_mixing(net: str, point: str) -> None:
    eager, (x, y) = NETS[net][0](), batch(net, 6)
    models = [eager, compiled(copy.deepcopy(eager))]
    mixers = [lm.Mixer(model, at=point, per="sample", seed=1) for model in models]
    for _ in range(2):
        expected, found = (step(mixer, x, y) for mixer in mixers)
        torch.testing.assert_close(found, expected)


FAST = [("linear", "batch"), *((name, "sample") for name in ("fourier", "noisy", "append_clean"))]


@pytest.mark.parametrize(
    ("blend", "per"),
    [
        pytest.param(b, per, marks=[] if (b, per) in FAST or b == "multimix" else pytest.mark.slow)
        for b in TINY
        for per in ("batch", "sample")
        if (b, per) != ("multimix", "sample")
    ],
)
def test_every_blend_compiles_without_graph_breaks(blend: str, per: Per) -> None:
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


def test_model_compiled_inplace_equals_the_eager_model() -> None:
    eager, (x, y) = Mlp(), batch("mlp", 6)
    other = copy.deepcopy(eager)
    other.compile(backend="aot_eager", fullgraph=True)
    mixers = [lm.Mixer(model, at=["blocks.0", "final"], seed=1) for model in (eager, other)]
    for _ in range(6):
        expected, found = (step(mixer, x, y) for mixer in mixers)
        torch.testing.assert_close(found, expected)


def test_mixer_built_before_compilation_mixes_the_compiled_model() -> None:
    net, (x, y) = Mlp(), batch("mlp", 6)
    mixer, twin = lm.Mixer(net, at="blocks.0"), lm.Mixer(copy.deepcopy(net), at="blocks.0")
    plan = mixer.draw(6)
    with mixer.apply(plan):
        output = compiled(net)(x)
    torch.testing.assert_close(output, twin(x, y)[0])


@pytest.mark.parametrize("per", ["batch", pytest.param("sample", marks=pytest.mark.slow)])
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


def test_steps_at_several_points_compile_once_per_point() -> None:
    counter, (x, _) = CompileCounterWithBackend("aot_eager"), batch("mlp", 6)
    at = ["blocks.0", "blocks.1.0", "final"]
    mixer = lm.Mixer(compiled(Mlp(), counter), at=at)
    plans = [mixer.draw(6) for _ in range(20)]
    assert {plan.point for plan in plans} == set(at)
    for plan in plans:
        with mixer.apply(plan):
            mixer.model(x)
    assert counter.frame_count == len(at)


def test_alternating_train_and_eval_does_not_recompile() -> None:
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


def test_compiled_model_in_eval_mode_is_not_mixed() -> None:
    net, (x, y) = Mlp(), batch("mlp", 6)
    mixer = lm.Mixer(compiled(net), at="blocks.0", ratio=0.5)
    mixer(x, y)
    mixer.model.eval()
    with torch.no_grad():
        torch.testing.assert_close(mixer(x, y)[0], net(x))


@pytest.mark.parametrize("point", ["blocks.0", "final"])
def test_mixer_built_after_compilation_raises(point: str) -> None:
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
def test_mixer_built_after_compilation_mixes_input_and_logits(point: str) -> None:
    net, (x, y) = Mlp(), batch("mlp", 6)
    model = compiled(net)
    model(x)
    eager = lm.Mixer(copy.deepcopy(net), at=point)
    torch.testing.assert_close(lm.Mixer(model, at=point)(x, y)[0], eager(x, y)[0])


@pytest.mark.parametrize("in_place", [True, False])
def test_points_check_and_activations_do_not_compile(in_place: bool) -> None:
    counter, net, (x, _) = CompileCounter(), Mlp(), batch("mlp", 6)
    expected = lm.points(net, x)
    model = net if in_place else compiled(net, counter)
    net.compile(backend=counter)
    assert lm.points(model, x) == expected
    lm.Mixer(model, at="blocks.0").check(x)
    lm.activations(model, x, ["final"])
    assert counter.frame_count == 0


def test_mixing_works_inside_a_compiled_function() -> None:
    net, (x, y) = Mlp(), batch("mlp", 6)
    mixer, twin = lm.Mixer(net, at="final"), lm.Mixer(copy.deepcopy(net), at="final")

    @torch.compile(backend="aot_eager", fullgraph=True)
    def forward(model: nn.Module, x: Tensor) -> Tensor:
        return model(x) * 2

    with mixer.apply(mixer.draw(6)):
        output = forward(net, x)
    torch.testing.assert_close(output, 2 * twin(x, y)[0])
