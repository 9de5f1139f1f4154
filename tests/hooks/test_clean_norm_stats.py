"""Tests of running statistics of batch norms that are kept clean during training."""

import pytest
import torch
import torch.utils.checkpoint
from torch import Tensor, nn

import layermix as lm
from layermix.errors import InputError, RunError
from normed_nets import equal, images, network, stats

POINTS = ("input", "0", "3")


@pytest.mark.parametrize("at", POINTS)
@pytest.mark.parametrize("every", [1, 3])
def test_clean_statistics_are_those_of_unmixed_passes(at: str, every: int) -> None:
    model, reference = network(), network()
    mixer = lm.Mixer(model, at=at, seed=0, norm_stats="clean", norm_stats_every=every)
    reference.train()
    for step in range(7):
        x = torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(step))
        mixer(x, torch.arange(8) % 5)
        if step % every == 0:
            for module in reference:
                if isinstance(module, nn.BatchNorm2d):
                    module.momentum = 1 - (1 - 0.1) ** every
            reference(x)
    assert equal(model, reference)
    assert model[1].momentum == 0.1


def test_clean_statistics_do_not_change_output_or_gradient() -> None:
    grads = []
    for option in ("mixed", "clean"):
        model = network()
        mixer = lm.Mixer(model, at="0", seed=0, norm_stats=option)
        output, target = mixer(images(8), torch.arange(8) % 5)
        target.loss(output).backward()
        grads.append([output, *(p.grad for p in model.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*grads, strict=True))


def test_unmixed_steps_update_the_statistics_as_usual() -> None:
    model, reference = network(), network()
    mixer = lm.Mixer(model, at="input", prob=0.0, seed=0, norm_stats="clean")
    for _ in range(3):
        mixer(images(8), torch.arange(8) % 5)
        reference(images(8))
    assert equal(model, reference)


def test_frozen_norms_stay_frozen() -> None:
    model = network()
    model[1].eval()
    before = model[1].running_mean.clone()
    mixer = lm.Mixer(model, at="input", seed=0, norm_stats="clean")
    mixer(images(8), torch.arange(8) % 5)
    assert torch.equal(model[1].running_mean, before)
    assert not torch.equal(model[4].running_mean, torch.zeros(4))


def test_clean_statistics_have_clear_errors() -> None:
    with pytest.raises(InputError, match="norm_stats 'clear'"):
        lm.Mixer(network(), norm_stats="clear")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="norm_stats_every is 0"):
        lm.Mixer(network(), norm_stats="clean", norm_stats_every=0)
    with pytest.raises(InputError, match="norm_stats_every is 4, which needs norm_stats='clean'"):
        lm.Mixer(network(), norm_stats_every=4)
    mixer = lm.Mixer(network(), at="input", norm_stats="clean")
    with pytest.raises(InputError, match="mixer\\(x, y\\)"), mixer.apply(mixer.draw(8)):
        pass
    model = network()
    model[1].momentum = None
    mixer = lm.Mixer(model, at="input", norm_stats="clean")
    with pytest.raises(InputError, match="momentum=None"):
        mixer(images(8), torch.arange(8) % 5)


def test_clean_statistics_refuse_activation_checkpointing() -> None:
    class Checkpointed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.fc = network()[:6], nn.Linear(64, 5)

        def forward(self, x: Tensor) -> Tensor:
            x = torch.utils.checkpoint.checkpoint(self.body, x, use_reentrant=False)
            return self.fc(x.flatten(1))

    mixer = lm.Mixer(Checkpointed(), at="body.0", seed=0, norm_stats="clean")
    output, target = mixer(images(8), torch.arange(8) % 5)
    target.loss(output).backward()
    with pytest.raises(RunError, match="checkpointing"):
        mixer(images(8), torch.arange(8) % 5)


def test_clean_statistics_of_a_compiled_model_equal_those_of_eager_code() -> None:
    model, reference = network(), network()
    compiled = torch.compile(model, backend="aot_eager")
    mixers = [lm.Mixer(m, at="0", seed=0, norm_stats="clean") for m in (compiled, reference)]
    for step in range(3):
        for mixer in mixers:
            output, target = mixer(images(8) + step, torch.arange(8) % 5)
            target.loss(output).backward()
    for one, other in zip(stats(model), stats(reference), strict=True):
        assert torch.allclose(one, other, atol=1e-6)
