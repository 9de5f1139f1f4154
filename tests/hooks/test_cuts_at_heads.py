"""Tests that the final layer is a cut with several heads or adapters, and one head is not."""

from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

import layermix as lm
from cut_models import REFUSED, Heads, gap


@pytest.mark.parametrize("kept", ["dict", "list", "attributes"])
@pytest.mark.parametrize("returned", ["dict", "list", "sum", "mean"])
def test_final_layer_contains_all_heads(kept: str, returned: str) -> None:
    net, x = Heads(kept, returned), torch.randn(6, 5)
    assert gap(net, x, "final") < 1e-6
    assert "final" in lm.points(net, x).names


@pytest.mark.parametrize(
    ("returned", "where"), [("dict", "the outputs 'sex'"), ("mean", "the output")]
)
def test_one_of_several_heads_raises_with_the_bypassed_outputs(returned: str, where: str) -> None:
    with pytest.raises(lm.InputError) as error:
        lm.Mixer(Heads("attributes", returned), at="age_head").check(torch.randn(6, 5))
    message = str(error.value)
    assert message.startswith(f"mix point 'age_head' {REFUSED}: ")
    assert f"of an example bypasses it to {where}, while its label" in message
    assert "layermix.points(model, x)" in message
    assert "allow_partial=True" in message
    assert message.count(". ") <= 1  # two sentences


def test_allow_partial_mixes_and_warns_once() -> None:
    net, x, y = Heads("attributes", "mean"), torch.randn(6, 5), torch.arange(6) % 3
    mixer = lm.Mixer(net, at="age_head", allow_partial=True, seed=1)
    with pytest.warns(UserWarning, match=r"not cuts of the network. 'age_head': \d+\.\d+% of an"):
        output, _ = mixer(x, y)
    plan = lm.Mixer(net, at="age_head", seed=1).draw(6)
    h = net.trunk(x)
    expected = (lm.mix(net.age_head(h), plan) + net.sex_head(h)) / 2
    torch.testing.assert_close(output, expected)
    mixer.check(x)
    mixer(x, y)  # a second warning would be an error


class Adapted(nn.Module):
    """A linear layer with a zero-initialized low-rank adapter (LoRA)."""

    def __init__(self, base_layer: nn.Linear) -> None:
        super().__init__()
        self.base_layer, self.dropout = base_layer, nn.Dropout(0.1)
        self.lora_A = nn.Linear(base_layer.in_features, 2, bias=False)
        self.lora_B = nn.Linear(2, base_layer.out_features, bias=False)
        nn.init.zeros_(self.lora_B.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.base_layer(x) + 2 * self.lora_B(self.lora_A(self.dropout(x)))


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(5, 8), nn.ReLU())
        self.classifier: nn.Module = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.body(x))


def adapt(net: Any) -> None:
    net.classifier = Adapted(net.classifier)
    nn.init.normal_(net.classifier.lora_B.weight)
    net.classifier.dropout.p = 0.0


def test_final_layer_is_the_whole_adapted_layer() -> None:
    net, x = Classifier(), torch.randn(6, 5)
    net.classifier = Adapted(nn.Linear(8, 3))
    (row,) = (row for row in lm.points(net, x) if row.kind == "final")
    assert (row.module, row.shape, row.cut) == ("Adapted", (8,), 0.0)


def test_base_layer_of_a_zero_adapter_raises() -> None:
    net, x = Classifier(), torch.randn(6, 5)
    net.classifier = Adapted(nn.Linear(8, 3))
    weight = net.classifier.lora_B.weight
    with pytest.raises(lm.InputError, match=REFUSED):
        lm.Mixer(net, at="classifier.base_layer").check(x)
    assert net.classifier.lora_B.weight is weight
    assert not weight.any()


@pytest.mark.parametrize("mixed", [False, True], ids=["built", "already mixed"])
def test_layer_adapted_after_construction_is_mixed_as_a_whole(mixed: bool) -> None:
    net, x, y = Classifier(), torch.randn(6, 5), torch.arange(6) % 3
    mixer = lm.Mixer(net, at="final", ratio=0.0, partner="derangement")
    if mixed:
        mixer(x, y)
    adapt(net)
    for use_apply in (False, True):
        plan = mixer.draw(6)
        if use_apply:
            with mixer.apply(plan):
                output = net(x)
            torch.testing.assert_close(output, net(x[plan.partner]))
        else:
            mixer(x, y)


def test_replaced_layer_is_mixed() -> None:
    net, x, y = Classifier(), torch.randn(6, 5), torch.arange(6) % 3
    mixer = lm.Mixer(net, at="body.0", ratio=0.0, partner="derangement")
    mixer(x, y)
    net.body[0] = nn.Linear(5, 8)
    mixer(x, y)
    plan = mixer.draw(6)
    with mixer.apply(plan):
        output = net(x)
    torch.testing.assert_close(output, net(x[plan.partner]))


class WithFeatures(nn.Module):
    """Returns logits and their features, as a dict or as a tuple."""

    def __init__(self, named: bool) -> None:
        super().__init__()
        self.f, self.fc, self.named = nn.Linear(5, 8), nn.Linear(8, 3), named

    def forward(self, x: Tensor) -> Any:
        h = self.f(x)
        return {"logits": self.fc(h), "hidden": h} if self.named else (self.fc(h), h)


def test_features_returned_with_named_logits_are_ignored_at_final() -> None:
    x = torch.randn(6, 5)
    lm.Mixer(WithFeatures(True), at="final").check(x)
    with pytest.raises(lm.InputError, match="bypasses it to the outputs '1'"):
        lm.Mixer(WithFeatures(False), at="final").check(x)


@pytest.mark.parametrize("name", ["swiftformer_xs", "repvit_m0_9"])
def test_timm_models_with_averaged_heads_have_a_final_layer(name: str) -> None:
    model, x = timm.create_model(name, num_classes=5), torch.randn(3, 3, 64, 64)
    assert "final" in lm.points(model, x).names
    if name == "swiftformer_xs":
        with pytest.raises(lm.InputError, match=REFUSED):
            lm.Mixer(model, at="head").check(x)
