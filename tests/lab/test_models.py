"""Tests of the models: shapes, mix points, and invalid names."""

from pathlib import Path

import pytest
import torch

import layermix as lm
from layermix.lab.data.modality import map_arguments
from layermix.lab.models import MODELS, build

OF_TEXTS = [name for name in MODELS if name.startswith("text-")]
OF_FEATURES = [name for name in MODELS if name not in OF_TEXTS]


@pytest.mark.parametrize("name", OF_FEATURES)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (1, 32, 40)])
def test_model_maps_images_to_logits(name: str, shape: tuple[int, int, int]) -> None:
    assert build(name, 7, map_arguments(shape))(torch.randn(2, *shape)).shape == (2, 7)


@pytest.mark.parametrize("name", OF_FEATURES)
def test_model_has_blocks_and_a_final_layer(name: str) -> None:
    found = lm.points(build(name, 7, map_arguments((3, 32, 32))), torch.randn(3, 3, 32, 32))
    stage = "layer" if "resnet18" in name else "block"
    assert found.blocks == [f"{stage}{k}" for k in range(1, 5 if stage == "layer" else 4)]
    assert found.names == ["input", *found.blocks, "final", "logits"]


@pytest.mark.parametrize("name", OF_FEATURES)
def test_ratio_0_is_the_partner_at_every_default_point(name: str) -> None:
    torch.manual_seed(0)
    net, x = build(name, 7, map_arguments((3, 8, 8))).double().eval(), torch.randn(4, 3, 8, 8)
    x, partner, ratio = x.double(), torch.tensor([1, 2, 3, 0]), torch.zeros((), dtype=torch.float64)
    with torch.no_grad():
        expected = net(x[partner])
        for row in lm.points(net, x):
            mixer = lm.Mixer(net, at=row.name, always=True)
            with mixer.apply(lm.Plan(row.name, ratio, partner)):
                torch.testing.assert_close(net(x), expected)
            mixer.remove()


def test_resnet18_has_the_published_number_of_parameters() -> None:
    # ResNet-18 for CIFAR-10, as in the mixup papers' code: 11,173,962.
    assert (
        sum(p.numel() for p in build("resnet18", 10, map_arguments((3, 32, 32))).parameters())
        == 11_173_962
    )


def test_preactresnet18_has_the_published_number_of_parameters() -> None:
    # The papers' code has 11,171,146 parameters. It lacks the last norm (1,024 parameters).
    net = build("preactresnet18", 10, map_arguments((3, 32, 32)))
    assert sum(p.numel() for p in net.parameters()) == 11_171_146 + 1_024


def test_timm_model_is_built_for_the_image_shape() -> None:
    net = build("timm:vit_tiny_patch16_224", 5, map_arguments((1, 32, 32)))
    assert net(torch.randn(2, 1, 32, 32)).shape == (2, 5)


def test_user_factory_receives_the_arguments_it_accepts() -> None:
    net = build("layermix.lab.models.mlp:MLP", 4, map_arguments((1, 6, 6)))
    assert net(torch.randn(2, 1, 6, 6)).shape == (2, 4)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet81", "unknown model 'resnet81': did you mean 'resnet18'"),
        ("timm:vit_tiny", "unknown timm model 'vit_tiny': did you mean"),
        ("nowhere.module:f", "cannot find the model 'nowhere.module:f'"),
        ("layermix.lab.models.networks:Mlp", "cannot find the model"),
        ("collections:Counter", "returned a Counter, not a torch.nn.Module"),
        ("math:pi", "math:pi is a float, which cannot be called"),
    ],
)
def test_invalid_model_raises(name: str, message: str) -> None:
    with pytest.raises(lm.InputError, match=message):
        build(name, 10, map_arguments((3, 32, 32)))


def test_factory_with_non_square_images_raises() -> None:
    with pytest.raises(lm.InputError, match="needs square images, but these are 8 × 6 pixels"):
        build("timm:resnet18", 10, map_arguments((1, 8, 6)))


@pytest.mark.parametrize("name", ["text-cnn", "table-resnet", "resnet18"])
def test_model_for_other_data_raises(name: str) -> None:
    images, texts = map_arguments((1, 8, 8)), {"vocab_size": 9, "max_length": 5, "pad_token_id": 0}
    with pytest.raises(lm.InputError, match=f"{name} needs .*, but the data have none"):
        build(name, 10, images if name in OF_TEXTS else texts)


def test_factory_with_kwargs_receives_the_known_arguments() -> None:
    net = build("torchvision.models:resnet18", 7, map_arguments((3, 32, 32)))
    assert net(torch.randn(2, 3, 32, 32)).shape == (2, 7)


def test_user_module_with_a_syntax_error_raises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_model.py").write_text("def net(:\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        lm.InputError, match=r"cannot find the model 'broken_model:net': SyntaxError: "
    ):
        build("broken_model:net", 10, map_arguments((3, 32, 32)))
