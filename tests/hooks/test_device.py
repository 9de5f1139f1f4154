"""Tests of `device_of`: the device of the first parameter of a model."""

import pytest
import torch
from torch import nn

from layermix.hooks.sites import as_module, device_of


@pytest.mark.parametrize(
    "model",
    [
        nn.Linear(2, 2, device="meta"),
        nn.Sequential(nn.ReLU(), nn.Sequential(), nn.Linear(2, 2, device="meta"), nn.Linear(2, 2)),
        nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2, device="meta")),
        nn.BatchNorm1d(2, affine=False),
        nn.ParameterList([torch.zeros(1, device="meta")]),
    ],
)
def test_device_is_that_of_the_first_parameter(model: nn.Module) -> None:
    first = next(model.parameters(), torch.zeros(()))
    assert device_of(model) == first.device


def test_none_parameters_and_modules_are_skipped() -> None:
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, device="meta"))
    model[0].register_parameter("weight", None)
    model.register_module("free", None)
    assert device_of(model) == torch.device("meta")


def test_device_of_a_compiled_model_is_that_of_its_module() -> None:
    compiled = torch.compile(nn.Sequential(nn.ReLU(), nn.Linear(2, 2, device="meta")))
    assert device_of(as_module(compiled)) == torch.device("meta")
