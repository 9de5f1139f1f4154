"""Tests on a GPU: results equal to those on the CPU, and no synchronization with the device."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import layermix as lm
from layermix.lab import DataConfig, Recipe, RunConfig, run
from layermix.lab.data import load
from layermix.lab.data.modality import map_arguments
from layermix.lab.models import build
from layermix.lab.run_setup import fresh_model
from layermix.lab.training.loop import Trainer
from layermix.mixing import BLENDS, MultiMix, PlanSampler

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU"),
]

CUDA = torch.device("cuda")


@contextmanager
def no_synchronization() -> Iterator[None]:
    """Make every synchronization with the device an error."""
    with warnings.catch_warnings():  # torch warns that it does not detect all of them
        warnings.filterwarnings("ignore", "Synchronization debug mode is a prototype")
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def reference_mix(x: Tensor, plan: lm.Plan) -> Tensor:
    """Mix in float64 with the formula of the papers."""
    ratio = plan.ratio.double().reshape(-1, *[1] * (x.ndim - 1))
    return ratio * x.double() + (1 - ratio) * x.double()[plan.partner]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("per", ["batch", "sample"])
@pytest.mark.parametrize("shape", [(7, 5), (64, 3, 33, 31), (33, 64, 16, 16), (5, 1)])
def test_mix_and_gradients_equal_the_reference(
    dtype: torch.dtype, per: Any, shape: tuple[int, ...]
) -> None:
    plan = PlanSampler(["final"], per=per, seed=0).draw(shape[0], CUDA)
    formats = [torch.contiguous_format, *([torch.channels_last] if len(shape) == 4 else [])]
    for memory_format in formats:
        x = torch.randn(shape, device=CUDA).to(dtype, memory_format=memory_format).requires_grad_()
        g = torch.randn_like(x)
        mixed = lm.mix(x, plan)
        assert (mixed.dtype, mixed.stride()) == (x.dtype, x.stride())
        expected = reference_mix(x, plan)
        (found,) = torch.autograd.grad(mixed, x, g)
        (gradient,) = torch.autograd.grad(expected, x, g.double())
        slack = 4 * torch.finfo(dtype).eps
        assert (mixed.double() - expected).abs().max() <= slack * x.abs().max().double()
        assert (found.double() - gradient.double()).abs().max() <= slack * g.abs().max().double()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("ratio", [0.0, 1.0, [0.0, 1.0, 0.25]])
def test_value_with_weight_0_is_ignored(ratio: Any, dtype: torch.dtype) -> None:
    x = torch.tensor([[0.0, -torch.inf], [1.0, 2.0], [torch.inf, 3.0]], dtype=dtype, device=CUDA)
    plan = lm.Plan("final", torch.tensor(ratio), torch.tensor([1, 2, 0]))
    expected, found = lm.mix(x.cpu(), plan), lm.mix(x.requires_grad_(), plan.to(CUDA))
    torch.testing.assert_close(found.detach().cpu(), expected)
    (gradient,) = torch.autograd.grad(found, x, torch.ones_like(x))
    assert gradient.isfinite().all()


def test_mix_runs_one_custom_kernel() -> None:
    x = torch.randn(32, 64, 8, 8, device=CUDA)
    plan = PlanSampler(["final"], seed=0).draw(32, CUDA)
    lm.mix(x, plan)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        lm.mix(x, plan)
    kernels = [event.name for event in (profile.events() or []) if event.device_type.name == "CUDA"]
    assert len(kernels) == 1
    assert "_mix" in kernels[0]


@pytest.mark.parametrize(
    ("blend", "at"),
    [("linear", at) for at in ("input", "layer2", "final", "logits", "random")]
    + [("cut", at) for at in ("input", "layer2")],  # later layers have no positions to cut
)
def test_mixed_step_does_not_synchronize(blend: str, at: str) -> None:
    net = build("resnet18", 10, map_arguments((3, 32, 32))).to(CUDA)
    mixer = lm.Mixer(net, at, blend=blend)
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    x, y = torch.randn(16, 3, 32, 32, device=CUDA), torch.arange(16, device=CUDA) % 10

    def step() -> None:
        output, target = mixer(x, y)
        optimizer.zero_grad()
        target.loss(output).backward()
        target.accuracy(output)
        optimizer.step()

    step()
    with no_synchronization():
        for _ in range(40):  # so that plans are drawn several times
            step()


def test_training_steps_of_an_epoch_do_not_synchronize() -> None:
    data = load(DataConfig(train_size=200)).to(CUDA)
    recipe = Recipe(epochs=2, batch_size=20, monitor=1, crop=1, flip=True, alternate=True)
    net = fresh_model("resnet-small", data, 0).to(CUDA)
    trainer = Trainer(net, data, recipe, ("block1", "final"), monitor_at=("final",))
    trainer.run_epoch(1)
    batches = list(trainer.batches.epoch(2))
    with no_synchronization():
        for x, labels in batches:
            trainer.run_step(x, labels)


@pytest.mark.parametrize("name", BLENDS)
def test_every_blend_equals_the_cpu(name: str) -> None:
    plan = PlanSampler(["layer1"], blend=name, seed=0).draw(6)
    x = torch.randn(6, 8, 12, 12)
    found, expected = lm.mix(x.to(CUDA), plan.to(CUDA)), lm.mix(x, plan)
    tolerance = 1e-3 if isinstance(BLENDS[name](), MultiMix) else 1e-4
    torch.testing.assert_close(found.cpu(), expected, rtol=tolerance, atol=tolerance)


def test_compiled_mixing_equals_eager_mixing() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 5)).to(CUDA)
    x, y = torch.randn(12, 3, 8, 8, device=CUDA), torch.arange(12, device=CUDA) % 5
    grads = []
    for compiled in (False, True):
        mixer = lm.Mixer(net, ["1", "final"], seed=0)
        model: Any = torch.compile(net, fullgraph=True) if compiled else net
        for _ in range(3):
            output, target = mixer(x, y, model=model)
            net.zero_grad()
            target.loss(output).backward()
        grads.append([p.grad.clone() for p in net.parameters() if p.grad is not None])
        mixer.remove()
    for eager, compiled in zip(*grads, strict=True):
        torch.testing.assert_close(eager, compiled, rtol=1e-3, atol=1e-4)


def test_snnl_is_equal_on_both_devices() -> None:
    x, y = torch.randn(300, 20), torch.arange(300) % 3
    found, expected = lm.snnl(x.to(CUDA), y.to(CUDA)), lm.snnl(x, y)
    assert float(found.value) == pytest.approx(float(expected.value), rel=1e-4)


@pytest.mark.parametrize("variant", ["none", "final", "random"])
def test_run_trains_on_a_gpu(variant: str, tmp_path: Path) -> None:
    recipe = Recipe(epochs=15, device="cuda")
    result = run(RunConfig(DataConfig(), "resnet-small", recipe, variant, 0), tmp_path / "run")
    assert result.test["accuracy"] > 0.9
