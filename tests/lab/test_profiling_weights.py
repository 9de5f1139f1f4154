"""Tests of `layermix profile` with the weights of a file and of a run of a study."""

import shlex
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

import layermix as lm
from few_examples import few
from layermix.cli import run_cli
from layermix.lab.data import DataConfig, load
from layermix.lab.data.modalities.images import Normalize
from layermix.lab.data.modality import map_arguments
from layermix.lab.models import build
from layermix.lab.profile_config import ProfileConfig
from layermix.lab.profiling import take_profile

pytestmark = [
    pytest.mark.usefixtures("empty_caches"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]


def test_weights_of_a_wrapped_model_are_loaded(tmp_path: Path) -> None:
    torch.manual_seed(5)
    model = timm.create_model("test_resnet", num_classes=10, in_chans=1)
    wrapped = {f"_orig_mod.{name}": value for name, value in model.state_dict().items()}
    save_file({k: v.contiguous() for k, v in wrapped.items()}, tmp_path / "w.safetensors")
    found = take_profile(few("timm:test_resnet", tmp_path / "w.safetensors"))
    other = take_profile(few("timm:test_resnet"))
    assert found["final"].snnl != other["final"].snnl
    assert found["input"].snnl == other["input"].snnl
    assert not any("random, of seed" in notice for notice in found.notices)


PREFIXED = """
from torch import nn


class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.module = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU())
        self.fc = nn.Linear(8, num_classes)

    def forward(self, x):
        return self.fc(self.module(x))
"""


@pytest.fixture(autouse=True)
def importable_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "prefixed", raising=False)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.module.", "module._orig_mod."])
def test_prefix_is_removed_only_if_all_names_have_it(tmp_path: Path, prefix: str) -> None:
    (tmp_path / "prefixed.py").write_text(PREFIXED)
    model = build("prefixed:Net", 10, map_arguments((1, 8, 8)))
    own = model.state_dict()
    assert {name.startswith("module.") for name in own} == {True, False}
    save_file(own, tmp_path / "plain.safetensors")
    wrapped = {f"{prefix}{name}": value for name, value in own.items()}
    save_file(wrapped, tmp_path / "wrapped.safetensors")
    plain, other = (
        take_profile(ProfileConfig("prefixed:Net", tmp_path / f"{name}.safetensors", mixed=0))
        for name in ("plain", "wrapped")
    )
    assert plain.layers == other.layers


@pytest.mark.parametrize("classes", [10, 12])
def test_weights_with_another_class_count_raise_unless_classes_is_set(
    tmp_path: Path, classes: int
) -> None:
    model = timm.create_model("test_resnet", num_classes=12, in_chans=1)
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    config = few("timm:test_resnet", tmp_path / "w.safetensors", classes=classes)
    if classes == 12:
        assert "The model has 12 classes, the data 10" in take_profile(config).notices[0]
    else:
        with pytest.raises(
            lm.InputError,
            match=r"size mismatch for \S+weight: .*\[12, \d+\].* --classes sets the number",
        ):
            take_profile(config)


def test_error_for_weights_of_another_model_is_short(tmp_path: Path) -> None:
    weights = timm.create_model("test_vit", num_classes=10, in_chans=1).state_dict()
    save_file(weights, tmp_path / "w.safetensors")
    with pytest.raises(lm.InputError, match=r"Missing key\(s\).*Unexpected key\(s\)") as error:
        take_profile(few("timm:test_resnet", tmp_path / "w.safetensors"))
    assert len(str(error.value)) < 600


def test_run_is_profiled_with_its_model_weights_and_data(tmp_path: Path) -> None:
    run_cli(
        shlex.split(
            "train --train-size 60 --model mlp --epochs 2 --variant none --monitor 1 "
            f"--out {tmp_path}/run"
        )
    )
    found = take_profile(ProfileConfig(run=tmp_path / "run"))
    data = load(DataConfig(train_size=60))
    net = build("mlp", 10, map_arguments(data.train.inputs.shape[1:]))
    net.load_state_dict(load_file(tmp_path / "run/weights.safetensors"))
    expected = lm.profile(net, (Normalize.of(data.train.inputs)(data.val.inputs), data.val.labels))
    assert found.layers == expected.layers
    with pytest.raises(lm.InputError, match="leave out --model or --run"):
        take_profile(ProfileConfig("resnet18", run=tmp_path / "run"))
    with pytest.raises(lm.InputError, match="not the folder of a finished run"):
        take_profile(ProfileConfig(run=tmp_path))
    of_run = ProfileConfig(run=tmp_path / "run")
    for name in ("image_column", "label_column", "text_column", "tokenizer"):
        flag = name.replace("_", "-")
        with pytest.raises(lm.InputError, match=f"{name}: leave out --{flag} or --run"):
            take_profile(replace(of_run, **{name: "foo"}))
