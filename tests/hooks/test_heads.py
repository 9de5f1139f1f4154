"""Tests of the final layer: one or several heads, linear or convolutional."""

from typing import Any

import pytest
import timm
import torch
import torchvision
import transformers
from timm.models.crossvit import CrossVit
from timm.models.deit import VisionTransformerDistilled
from torch import Tensor, nn

import layermix as lm
from layermix.hooks.sites import find_heads
from layermix.mixing import MultiMix

TIMM = {
    "resnet18": ["fc"],
    "levit_128": ["head.linear", "head_dist.linear"],
    "crossvit_9_240": ["head.0", "head.1"],
    "deit_tiny_distilled_patch16_224": ["head", "head_dist"],
    "efficientvit_b0": ["head.classifier.4"],
    "convnext_atto": ["head.fc"],
}
TORCHVISION = {
    "squeezenet1_0": ["classifier.1"],
    "vgg11": ["classifier.6"],
    "vit_b_16": ["heads.head"],
    "maxvit_t": ["classifier.5"],
}


@pytest.mark.parametrize("name", TIMM)
def test_heads_of_timm_models(name: str) -> None:
    with torch.device("meta"):
        model = timm.create_model(name, num_classes=10)
    assert list(find_heads(model)) == TIMM[name]


@pytest.mark.parametrize("name", TORCHVISION)
def test_heads_of_torchvision_models(name: str) -> None:
    with torch.device("meta"):
        model = torchvision.models.get_model(name, weights=None)
    assert list(find_heads(model)) == TORCHVISION[name]


def test_both_heads_of_a_distilled_hugging_face_model_are_found() -> None:
    config = transformers.DeiTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    model = transformers.DeiTForImageClassificationWithTeacher(config)
    assert list(find_heads(model)) == ["cls_classifier", "distillation_classifier"]


def distilled() -> VisionTransformerDistilled:
    return VisionTransformerDistilled(
        img_size=16, patch_size=8, embed_dim=16, depth=1, num_heads=2, num_classes=5
    )


def crossvit() -> CrossVit:
    return CrossVit(
        img_size=32,
        num_classes=5,
        embed_dim=(8, 16),
        depth=((1, 1, 0),),
        num_heads=(2, 2),
        mlp_ratio=(1.0, 1.0, 1.0),
    )


SEVERAL: dict[str, Any] = {"distilled": (distilled, 16), "crossvit": (crossvit, 32)}


@pytest.mark.parametrize("name", SEVERAL)
def test_same_plan_is_applied_before_each_head(name: str) -> None:
    # Only linear layers and a mean follow, so mixing before them equals mixing the logits.
    build, size = SEVERAL[name]
    model, x = build().double().train(), torch.randn(4, 3, size, size, dtype=torch.float64)
    mixer = lm.Mixer(model, at="final", seed=1)
    mixer.check(x)
    plan = mixer.draw(4)
    clean = model(x)
    with mixer.apply(plan):
        mixed = model(x)
    torch.testing.assert_close(mixed, lm.mix(clean, plan))


@pytest.mark.parametrize("name", SEVERAL)
def test_final_activations_are_the_input_of_the_first_head(name: str) -> None:
    build, size = SEVERAL[name]
    model, x = build().train(), torch.randn(4, 3, size, size)
    first = next(iter(find_heads(model).values()))
    capture = lm.FeatureCapture(model, "final")
    capture.check(x)
    model(x)
    assert first(capture["final"]).shape == (4, 5)
    assert lm.activations(model, x, "final")["final"].shape == capture["final"].shape
    (row,) = (row for row in lm.points(model, x) if row.name == "final")
    assert row.shape == capture["final"].shape[1:]


def test_uncalled_head_is_ignored() -> None:
    class OneOfTwo(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.heads = nn.ModuleList([nn.Linear(4, 5), nn.Linear(4, 5)])

        def forward(self, x: Tensor) -> Tensor:
            return self.heads[0](x)

    net, x = OneOfTwo().double(), torch.randn(3, 4, dtype=torch.float64)
    mixer = lm.Mixer(net, at="final", seed=1)
    plan = mixer.draw(3)
    with mixer.apply(plan):
        output = net(x)
    torch.testing.assert_close(output, lm.mix(net(x), plan))


def test_heads_with_concatenated_outputs_are_the_final_layer() -> None:
    class Joined(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.heads = nn.ModuleList([nn.Linear(4, 5), nn.Linear(4, 2)])

        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([head(x) for head in self.heads], dim=1)

    assert "final" in lm.points(Joined(), torch.randn(3, 4)).names


class Convolutional(nn.Sequential):
    """A model with a convolutional classifier before the pooling, as in SqueezeNet."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 6, 3)
        self.classifier = nn.Sequential(nn.Conv2d(6, 5, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def test_convolutional_classifier_is_the_final_layer() -> None:
    model, x = Convolutional().double(), torch.randn(4, 3, 8, 8, dtype=torch.float64)
    mixer = lm.Mixer(model, at="final")
    mixer.check(x)
    plan = mixer.draw(4)
    with mixer.apply(plan):
        mixed = model(x)
    torch.testing.assert_close(mixed, lm.mix(model(x), plan))


def test_classifier_at_each_position_is_the_final_layer() -> None:
    class Tagger(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.score = nn.Linear(4, 5)

        def forward(self, x: Tensor) -> Tensor:
            return self.score(x)[:, -1]

    assert "final" in lm.points(Tagger(), torch.randn(3, 7, 4)).names


def test_multimix_at_a_linear_head_mixes_its_output() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).double()
    mixer, seen = lm.Mixer(model, at="final", blend=MultiMix(k=6)), []
    model[2].register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
    x = torch.randn(5, 4, dtype=torch.float64)
    mixer.check(x)
    seen.clear()
    plan = mixer.draw(5)
    with mixer.apply(plan):
        mixed = model(x)
    assert seen == [5]  # the classifier runs on 5 rows, not on 30
    weights = plan.draws["weights"].double()
    torch.testing.assert_close(mixed, model[2](weights @ model[:2](x)), rtol=1e-6, atol=1e-6)


def test_multimix_at_a_convolutional_head_mixes_its_input() -> None:
    model, x = Convolutional().double(), torch.randn(4, 3, 8, 8, dtype=torch.float64)
    mixer, seen = lm.Mixer(model, at="final", blend=MultiMix(k=2)), []
    mixer.check(x)
    model.classifier[0].register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
    with mixer.apply(mixer.draw(4)):
        assert model(x).shape == (8, 5)
    assert seen == [8]
