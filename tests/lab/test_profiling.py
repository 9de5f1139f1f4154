"""`layermix profile`: nets of every family, weights, the runs of a study, and texts."""

import csv
import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import layermix as lm
from layermix.cli import main
from layermix.lab.data import DataConfig, Normalise, Split, load
from layermix.lab.data.dataset import resize
from layermix.lab.nets import build
from layermix.lab.profiling import ProfileConfig, take_profile
from layermix.lab.profiling.pictures import Pictures


def few(model: str, weights: Path | None = None, **settings: Any) -> ProfileConfig:
    """Return the configuration of a small profile, images of digits enlarged for timm."""
    size = None if model == "mlp" else 32
    return ProfileConfig(model, weights, image_size=size, examples=100, mixed=16, **settings)


pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture(autouse=True)
def own_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAYERMIX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "datasets"))


STAGES = {
    "mlp": ["block1", "block2", "block3"],
    "timm:test_resnet": None,
    "timm:test_vit": ["blocks.0", "blocks.1", "blocks.2", "blocks.3", "blocks.4", "blocks.5"],
    "timm:test_convnext": ["stages.0", "stages.1", "stages.2", "stages.3"],
}


@pytest.mark.parametrize("net", STAGES)
def test_nets_of_every_family_are_profiled_without_a_hint(net: str) -> None:
    found = take_profile(few(net))
    assert found.points[0] == "input"
    assert found.points[-2:] == ["final", "logits"]
    assert STAGES[net] in (None, found.points[1:-2])
    assert len(found.points) > 4
    assert found["final"].values["gap"] == pytest.approx(0, abs=1e-5)
    assert found.notices[0].startswith("Weights: random, of seed 0")


def test_weights_are_those_of_the_file_whatever_wrapped_the_model(tmp_path: Path) -> None:
    torch.manual_seed(5)
    model = timm.create_model("test_resnet", num_classes=10, in_chans=1)
    wrapped = {f"_orig_mod.{name}": value for name, value in model.state_dict().items()}
    save_file({k: v.contiguous() for k, v in wrapped.items()}, tmp_path / "w.safetensors")
    found = take_profile(few("timm:test_resnet", tmp_path / "w.safetensors"))
    other = take_profile(few("timm:test_resnet"))
    assert found["final"].snnl != other["final"].snnl
    assert found["input"].snnl == other["input"].snnl
    assert not any("random, of seed" in notice for notice in found.notices)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.module.", "module._orig_mod."])
def test_a_prefix_is_taken_off_only_where_all_names_have_it(tmp_path: Path, prefix: str) -> None:
    (tmp_path / "prefixed.py").write_text(PREFIXED)
    model = build("prefixed:Net", 10, (1, 8, 8))
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
def test_weights_of_another_net_are_refused_with_the_way_out(tmp_path: Path, classes: int) -> None:
    model = timm.create_model("test_resnet", num_classes=12, in_chans=1)
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    config = few("timm:test_resnet", tmp_path / "w.safetensors", classes=classes)
    if classes == 12:
        assert "The net has 12 classes, the data 10" in take_profile(config).notices[0]
    else:
        with pytest.raises(lm.InputError, match=r"size mismatch for .* --classes sets it"):
            take_profile(config)


def test_a_run_is_profiled_with_its_own_net_weights_and_data(tmp_path: Path) -> None:
    main(
        shlex.split(
            "train --train-size 60 --net mlp --epochs 2 --variant none --watch 1 "
            f"--out {tmp_path}/run"
        )
    )
    found = take_profile(ProfileConfig(run=tmp_path / "run"))
    data = load(DataConfig(train_size=60))
    net = build("mlp", 10, data.image_shape)
    net.load_state_dict(load_file(tmp_path / "run/weights.safetensors"))
    expected = lm.profile(net, (Normalise.of(data.train)(data.val.images), data.val.labels))
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
def own_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "prefixed", raising=False)


def pictures(folder: Path) -> str:
    """Make a folder of coloured images, 30 of each of two classes."""
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for row in range(30):
            pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{row}.png")
    return str(folder)


def test_images_are_normalised_as_a_model_was_trained_when_asked_to(tmp_path: Path) -> None:
    data = pictures(tmp_path / "pets")
    own = take_profile(few("timm:test_vit", data=data, split="train"))
    theirs = take_profile(few("timm:test_vit", data=data, split="train", normalise="model"))
    assert own["final"].snnl != theirs["final"].snnl
    assert "mean and deviation of the model" in theirs.notices[1]
    with pytest.raises(lm.InputError, match="MLP does not say how images of 1 channel were norm"):
        take_profile(ProfileConfig("mlp", normalise="model"))
    with pytest.raises(lm.InputError, match="does not say how images of 1 channel were norm"):
        take_profile(few("timm:test_vit", normalise="model"))


def vit(folder: Path) -> str:
    folder.mkdir()
    config = {"model_type": "vit", "hidden_size": 16, "num_hidden_layers": 2, "patch_size": 16}
    config |= {"num_attention_heads": 2, "intermediate_size": 32, "num_channels": 3}
    (folder / "config.json").write_text(json.dumps(config))
    return f"transformers:{folder}"


def test_a_configuration_is_built_for_the_channels_of_the_images(tmp_path: Path) -> None:
    found = take_profile(few(vit(tmp_path / "vit")))
    assert found["input"].shape == (1, 32, 32)
    assert found.model == "ViTForImageClassification"
    with pytest.raises(lm.InputError, match="data hold texts, for which transformers has no class"):
        build(f"transformers:{tmp_path / 'vit'}", 2)


def test_flags_for_texts_are_refused_with_images(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "pets")
    for config in (
        ProfileConfig("mlp", tokenizer="x"),
        ProfileConfig("mlp", data=folder, tokenizer="x"),
        ProfileConfig("mlp", text_column="x"),
        ProfileConfig("mlp", data=folder, image_column="image", text_column="x"),
    ):
        flag = "tokenizer" if config.tokenizer else "text-column"
        with pytest.raises(lm.InputError, match=f"is read as images, .*: leave out --{flag}"):
            take_profile(config)


def test_the_command_prints_the_table_and_writes_what_the_ending_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for ending in ("json", "csv", "svg"):
        main(shlex.split(f"profile --model mlp --examples 100 --out {tmp_path}/new/p.{ending}"))
    out = capsys.readouterr().out
    assert "mix point" in out
    assert "soft nearest neighbor loss over chance" in out
    assert json.loads((tmp_path / "new/p.json").read_text())["n"] == 100
    rows = list(csv.DictReader((tmp_path / "new/p.csv").read_text().splitlines()))
    assert [row["point"] for row in rows][-2:] == ["final", "logits"]
    assert "<svg" in (tmp_path / "new/p.svg").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--model resnet19", "unknown net 'resnet19'"),
        ("--weights nowhere.safetensors", "cannot read weights from nowhere.safetensors"),
        ("--model nowhere --out p.xlsx", "end it with .json, .csv, .svg"),
        ("--model mlp --out p.pkl", "end it with .json, .csv, .svg"),
        ("--model transformers:nowhere/x", "there is no configuration 'nowhere/x'"),
        ("--model mlp --points blok1", "unknown mix point 'blok1': did you mean 'block1'"),
        ("--examples 2", "examples is 2, but must be"),
    ],
)
def test_what_cannot_be_profiled_is_said(
    words: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(shlex.split(f"profile {words}"))
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_images_are_resized_and_normalised_one_by_one() -> None:
    images = torch.randint(0, 256, (5, 3, 8, 8), dtype=torch.uint8)
    split = Split(images, torch.arange(5))
    normalise = Normalise.of(split)
    pictures = Pictures(split, normalise, 20)
    assert len(pictures) == 5
    x, label = pictures[3]
    assert x.equal(normalise(resize(images, 20))[3])
    assert label == 3
    assert Pictures(split, normalise)[3][0].equal(normalise(images)[3])


def test_only_the_examples_that_are_measured_are_resized(monkeypatch: pytest.MonkeyPatch) -> None:
    resized = []
    monkeypatch.setattr(
        "layermix.lab.profiling.pictures.resize",
        lambda image, size: (resized.append(len(image)), resize(image, size))[1],
    )
    found = take_profile(ProfileConfig("mlp", image_size=20, examples=100, mixed=0))
    assert found.n == 100
    assert sum(resized) == 100
    assert found["input"].shape == (1, 20, 20)
