"""Tests of the running statistics of batch norms over unmixed examples."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn
from torch.utils.data import DataLoader, TensorDataset

import layermix as lm
from layermix.errors import InputError
from normed_nets import equal, images, network


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
        TensorDataset(images(), torch.zeros(70)),
        ((images(),), torch.zeros(70)),
    ],
    ids=["tensor", "pair", "mapping", "list", "pairs", "mappings", "data set", "tuple"],
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
        (torch.zeros(1, 3, 8, 8), 256, "one example"),
        (None, 256, "data is of type NoneType"),
        ([{"pixel_values": images()}], 256, r"entries \['pixel_values'\], none of which is an arg"),
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
