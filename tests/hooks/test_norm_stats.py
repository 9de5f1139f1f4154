"""Tests of the running statistics of batch norms over unmixed examples."""

import copy
from typing import Any

import pytest
import torch
import torch.utils.checkpoint
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn
from torch.utils.data import DataLoader, TensorDataset

import layermix as lm
from layermix.errors import InputError, RunError

POINTS = ("input", "0", "3")


def network() -> Any:
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()),
        *(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(4 * 16, 5)),
    )


def images(count: int = 70) -> Tensor:
    return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def stats(model: nn.Module) -> list[Tensor]:
    return [b.clone() for name, b in model.named_buffers() if "running" in name]


def equal(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(stats(one), stats(other), strict=True))


def test_statistics_are_those_of_torch() -> None:
    ours, theirs = network(), network()
    loader = DataLoader(TensorDataset(images(), torch.zeros(70)), batch_size=16)
    lm.update_norm_stats(ours, loader)
    update_bn(loader, theirs)
    assert equal(ours, theirs)


def test_statistics_are_those_of_a_pass_with_momentum_none() -> None:
    ours, reference = network().double(), network().double()
    x = images().double()
    lm.update_norm_stats(ours, x, batch_size=35)
    for module in reference:
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    reference.train()
    for batch in x.split(35):
        reference(batch)
    assert equal(ours, reference)


def test_statistics_of_one_batch_are_its_mean_and_variance() -> None:
    model, x = network().double(), images().double()
    lm.update_norm_stats(model, x)
    before = model[0](x).transpose(0, 1).flatten(1)
    assert torch.allclose(model[1].running_mean, before.mean(1), rtol=1e-12)
    assert torch.allclose(model[1].running_var, before.var(1), rtol=1e-12)


@pytest.mark.parametrize(
    "data",
    [
        images(),
        (images(), torch.zeros(70)),
        {"input": images(), "label": torch.zeros(70)},
        [images()],
        [(images(), torch.zeros(70))],
        [{"input": images(), "label": torch.zeros(70)}],
    ],
    ids=["tensor", "pair", "mapping", "list", "list of pairs", "list of mappings"],
)
def test_data_may_have_any_form(data) -> None:
    model, reference = network(), network()
    lm.update_norm_stats(model, data)
    update_bn([images()], reference)
    assert equal(model, reference)


def test_modes_momenta_and_random_numbers_are_restored() -> None:
    model = network()
    model.append(nn.Dropout(0.5))
    model[1].eval()
    modes = [module.training for module in model.modules()]
    state = torch.get_rng_state()
    lm.update_norm_stats(model, images())
    assert [module.training for module in model.modules()] == modes
    assert model[1].momentum == model[4].momentum == 0.1
    assert torch.equal(torch.get_rng_state(), state)


def test_dropout_is_off_and_other_norms_do_not_change() -> None:
    model: Any = nn.Sequential(
        nn.InstanceNorm2d(3, track_running_stats=True), nn.Dropout(0.5), nn.BatchNorm2d(3)
    )
    plain: Any = nn.Sequential(
        nn.InstanceNorm2d(3, track_running_stats=True).eval(), nn.BatchNorm2d(3)
    )
    before = model[0].running_mean.clone()
    lm.update_norm_stats(model, images())
    lm.update_norm_stats(plain, images())
    assert torch.equal(model[0].running_mean, before)
    assert torch.equal(model[2].running_var, plain[1].running_var)


def test_a_norm_that_no_batch_reaches_keeps_its_statistics() -> None:
    class WithHelper(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.helper = network(), nn.BatchNorm1d(5)

        def forward(self, x: Tensor) -> Tensor:
            output = self.body(x)
            return self.helper(output) if self.training else output

    model: Any = WithHelper()
    model.helper.running_mean.fill_(3)
    model.helper.num_batches_tracked.fill_(7)
    lm.update_norm_stats(model, images())
    assert model.helper.running_mean.tolist() == [3.0] * 5
    assert int(model.helper.num_batches_tracked) == 7


def test_models_without_batch_norm_do_not_change() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4))
    before = copy.deepcopy(model.state_dict())
    lm.update_norm_stats(model, torch.randn(8, 4))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_statistics_are_not_mixed_inside_apply() -> None:
    model, reference = network(), network()
    lm.update_norm_stats(reference, images())
    mixer = lm.Mixer(model, at="input", seed=0)
    mixer(images(8), torch.arange(8) % 5)
    with mixer.apply(mixer.draw(70)):
        lm.update_norm_stats(model, images())
        assert equal(model, reference)
        model(images())


@pytest.mark.parametrize(
    ("data", "size", "message"),
    [
        ([], 256, "no batches"),
        (torch.zeros(0, 3, 8, 8), 256, "no batches"),
        (torch.zeros(4, 3, 8, 8), 1, "batch_size is 1"),
    ],
)
def test_error_names_what_is_missing(data, size: int, message: str) -> None:
    model, reference = network(), network()
    with pytest.raises(InputError, match=message):
        lm.update_norm_stats(model, data, batch_size=size)
    assert equal(model, reference)


def test_an_error_of_the_model_restores_the_statistics() -> None:
    model, reference = network(), network()
    with pytest.raises(RuntimeError):
        lm.update_norm_stats(model, [images(), torch.zeros(2, 1, 8, 8)])
    assert equal(model, reference)
    assert model[1].momentum == 0.1


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
