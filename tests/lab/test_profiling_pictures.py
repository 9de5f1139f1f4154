"""Tests of `layermix profile` on images: normalization, resizing, and invalid settings."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import layermix as lm
from few_examples import few
from layermix.lab.data import Split
from layermix.lab.data.modalities.images import Normalize, resize
from layermix.lab.models import build
from layermix.lab.profile_config import ProfileConfig
from layermix.lab.profiling import LazyImages, take_profile

pytestmark = [
    pytest.mark.usefixtures("empty_caches"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]


def image_folder(folder: Path) -> str:
    """Create a folder of color images of two classes, 30 images each."""
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for row in range(30):
            pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{row}.png")
    return str(folder)


def test_normalize_model_uses_the_statistics_of_the_model(tmp_path: Path) -> None:
    data = image_folder(tmp_path / "pets")
    own = take_profile(few("timm:test_vit", data=data, split="train"))
    theirs = take_profile(few("timm:test_vit", data=data, split="train", normalize="model"))
    assert own["final"].snnl != theirs["final"].snnl
    assert "mean and deviation of the model" in theirs.notices[1]
    with pytest.raises(
        lm.InputError, match="MLP has no mean and deviation for images of 1 channel:"
    ):
        take_profile(ProfileConfig("mlp", normalize="model"))
    with pytest.raises(lm.InputError, match="has no mean and deviation for images of 1 channel:"):
        take_profile(few("timm:test_vit", normalize="model"))


def write_vit_config(folder: Path) -> str:
    folder.mkdir()
    config = {"model_type": "vit", "hidden_size": 16, "num_hidden_layers": 2, "patch_size": 16}
    config |= {"num_attention_heads": 2, "intermediate_size": 32, "num_channels": 3}
    (folder / "config.json").write_text(json.dumps(config))
    return f"transformers:{folder}"


def test_transformers_model_is_built_for_the_image_channels(tmp_path: Path) -> None:
    found = take_profile(few(write_vit_config(tmp_path / "vit")))
    assert found["input"].shape == (1, 32, 32)
    assert found.model == "ViTForImageClassification"
    with pytest.raises(
        lm.InputError, match="data are texts, but transformers has no classifier of texts"
    ):
        build(f"transformers:{tmp_path / 'vit'}", 2, {})


def test_text_flags_with_images_raise(tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "pets")
    for config in (
        ProfileConfig("mlp", tokenizer="x"),
        ProfileConfig("mlp", data=folder, tokenizer="x"),
        ProfileConfig("mlp", text_column="x"),
        ProfileConfig("mlp", data=folder, image_column="image", text_column="x"),
    ):
        flag = "tokenizer" if config.tokenizer else "text-column"
        with pytest.raises(lm.InputError, match=f"has no texts.*: leave out --{flag}"):
            take_profile(config)


def test_lazy_images_resize_and_normalize_each_item() -> None:
    images = torch.randint(0, 256, (5, 3, 8, 8), dtype=torch.uint8)
    split = Split(images, torch.arange(5))
    normalize = Normalize.of(split.inputs)
    lazy = LazyImages(split, normalize, 20)
    assert len(lazy) == 5
    x, label = lazy[3]
    assert x.equal(normalize(resize(images, 20))[3])
    assert label == 3
    assert LazyImages(split, normalize)[3][0].equal(normalize(images)[3])


def test_only_profiled_examples_are_resized(monkeypatch: pytest.MonkeyPatch) -> None:
    resized = []
    monkeypatch.setattr(
        "layermix.lab.profiling.resize",
        lambda image, size: (resized.append(len(image)), resize(image, size))[1],
    )
    found = take_profile(ProfileConfig("mlp", image_size=20, examples=100, mixed=0))
    assert found.n == 100
    assert sum(resized) == 100
    assert found["input"].shape == (1, 20, 20)
