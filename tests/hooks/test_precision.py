"""Tests of mixing with half precision, autocast and memory formats."""

import copy

import pytest
import torch
from torch import Tensor, nn

import layermix as lm
from layermix.mixing import BLENDS, Per
from tiny_nets import NETS, Mlp, ResNet, batch

POINTS = ["input", "stage1", "final", "logits"]


class OutputRecorder:
    """Stores the last output of a module."""

    output: Tensor

    def __init__(self, module: nn.Module) -> None:
        module.register_forward_hook(self.record)

    def record(self, module: nn.Module, args: tuple, output: Tensor) -> None:
        self.output = output


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("point", POINTS)
def test_half_precision_model_keeps_its_dtype(point: str, dtype: torch.dtype) -> None:
    net, (x, y) = ResNet().to(dtype), batch("resnet", 4, dtype)
    mixer = lm.Mixer(net, at=point, per="sample")
    stage = OutputRecorder(net.stage1)
    output, target = mixer(x, y)
    target.loss(output).backward()
    assert stage.output.dtype == output.dtype == dtype
    assert {p.grad.dtype for p in net.parameters() if p.grad is not None} == {dtype}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("blend", BLENDS)
def test_every_blend_keeps_half_precision(blend: str, dtype: torch.dtype) -> None:
    net, (x, y) = ResNet().to(dtype), batch("resnet", 4, dtype)
    stage = OutputRecorder(net.stage2)
    per = "batch" if blend == "multimix" else "sample"
    output, target = lm.Mixer(net, at="stage1", blend=blend, per=per)(x, y)
    loss = target.loss(output)
    loss.backward()
    assert stage.output.dtype == output.dtype == dtype
    assert loss.isfinite()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("blend", BLENDS)
def test_every_blend_trains_under_autocast_with_a_scaled_loss(
    blend: str, dtype: torch.dtype
) -> None:
    net, (x, y) = ResNet(), batch("resnet", 6)
    other = copy.deepcopy(net)
    mixers = [lm.Mixer(model, at="stage1", blend=blend, seed=4) for model in (net, other)]
    output, target = mixers[1](x, y)
    target.loss(output).backward()
    scaler = torch.amp.GradScaler("cpu")
    optimizer = torch.optim.SGD(net.parameters())
    with torch.autocast("cpu", dtype):
        output, target = mixers[0](x, y)
        loss = target.loss(output)
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    found, expected = flat_gradient(net), flat_gradient(other)
    assert found.dtype == torch.float32
    error = (found - expected).norm() / expected.norm()
    assert error < {torch.bfloat16: 0.3, torch.float16: 0.08}[dtype]


def flat_gradient(net: nn.Module) -> Tensor:
    """Return the gradients of all parameters as one vector."""
    return torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None])


@pytest.mark.parametrize("point", ["input", "stage1", "final"])
def test_accumulated_gradients_are_the_sum_over_steps(point: str) -> None:
    net = ResNet().double()
    mixer = lm.Mixer(net, at=point, per="sample", seed=0)
    parts = []
    for steps in (1, 1, 1, 3):
        if steps == 3:
            mixer.load_state_dict(lm.Mixer(net, at=point, per="sample", seed=0).state_dict())
        net.zero_grad()
        for number in range(steps):
            torch.manual_seed(number + len(parts) * (steps == 1))
            output, target = mixer(*batch("resnet", 5, torch.float64))
            target.loss(output).backward()
        parts.append(flat_gradient(net))
    torch.testing.assert_close(parts[3], parts[0] + parts[1] + parts[2])


@pytest.mark.parametrize("point", POINTS)
def test_autocast_output_is_close_to_full_precision(point: str) -> None:
    net, (x, y) = ResNet(), batch("resnet", 6)
    other = copy.deepcopy(net)
    expected, _ = lm.Mixer(other, at=point, per="sample")(x, y)
    mixer = lm.Mixer(net, at=point, per="sample")
    with torch.autocast("cpu", torch.bfloat16):
        output, target = mixer(x, y)
        loss = target.loss(output)
    loss.backward()
    assert output.dtype == torch.bfloat16
    torch.testing.assert_close(output.float(), expected, rtol=0.05, atol=0.05)
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in net.parameters())


@pytest.mark.parametrize("point", ["input", "stage1"])
def test_channels_last_is_preserved(point: str) -> None:
    net, (x, y) = ResNet().to(memory_format=torch.channels_last), batch("resnet", 4)  # pyright: ignore[reportCallIssue]
    x = x.to(memory_format=torch.channels_last)
    mixer = lm.Mixer(net, at=point, per="sample")
    recorder = OutputRecorder(net.stage1)
    mixer(x, y)
    assert recorder.output.is_contiguous(memory_format=torch.channels_last)
    assert not recorder.output.is_contiguous()


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("per", ["batch", "sample"])
def test_ratio_one_equals_training_without_mixing(net: str, per: Per) -> None:
    plain, (x, y) = NETS[net][0](), batch(net, 5)
    mixed = copy.deepcopy(plain)
    output, target = lm.Mixer(mixed, at=lm.points(mixed, x).names, ratio=1.0, per=per)(x, y)
    target.loss(output).backward()
    nn.functional.cross_entropy(plain(x), y).backward()
    for mine, theirs in zip(mixed.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad)


def test_input_with_requires_grad_gets_a_gradient() -> None:
    net, (x, y) = Mlp().double(), batch("mlp", 4, torch.float64)
    x.requires_grad_()
    output, target = lm.Mixer(net, at="input", ratio=0.5)(x, y)
    target.loss(output).backward()
    assert x.grad is not None
    assert x.grad.norm() > 0
