"""Tests of models that return tuples, named tuples and mappings."""

import copy
from collections import OrderedDict
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from transformers import ViTConfig, ViTForImageClassification
from transformers.modeling_outputs import ImageClassifierOutput

import layermix as lm
from tiny_nets import batch

PLAN: dict[str, Any] = {"ratio": torch.tensor(0.3), "partner": torch.tensor([1, 2, 0])}


class Pair(NamedTuple):
    logits: Tensor
    features: Tensor


class Body(nn.Module):
    """A linear layer that returns `wrap(output, input)`."""

    def __init__(self, wrap: Any, width: int) -> None:
        super().__init__()
        self.linear, self.wrap = nn.Linear(4, width), wrap

    def forward(self, x: Tensor) -> Any:
        return self.wrap(self.linear(x), x)


class Model(nn.Module):
    """A body with several outputs, and a head for the first of them."""

    def __init__(self, wrap: Any) -> None:
        super().__init__()
        self.body, self.fc = Body(wrap, 6), nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(parts(self.body(x))[0])


# functions of the activation and the input of a model
WRAPS: dict[str, Any] = {
    "tuple": lambda a, x: (a, x),
    "list": lambda a, x: [a, x],
    "nested": lambda a, x: ((a, x), x),
    "namedtuple": Pair,
    "dict": lambda a, x: {"logits": a, "features": x},
    "logits last": lambda a, x: {"features": x, "logits": a},
    "ordered": lambda a, x: OrderedDict(last_hidden_state=a, features=x),
    "mask first": lambda a, x: {"mask": torch.ones(3, dtype=torch.int64), "hidden": a},
}


def parts(output: Any) -> list[Tensor]:
    """Return the tensors of an output in order."""
    if isinstance(output, Tensor):
        return [output]
    return [t for v in (output.values() if isinstance(output, dict) else output) for t in parts(v)]


@pytest.mark.parametrize("wrap", WRAPS)
def test_output_keeps_its_type_and_floating_tensors_are_mixed(wrap: str) -> None:
    net, x, plan = Body(WRAPS[wrap], 5), torch.randn(3, 4), lm.Plan("logits", **PLAN)
    clean = net(x)
    with lm.Mixer(net, at="logits").apply(plan):
        mixed = net(x)
    assert type(mixed) is type(clean)
    for own, tensor in zip(parts(mixed), parts(clean), strict=True):
        assert own.equal(lm.mix(tensor, plan) if tensor.is_floating_point() else tensor)


@pytest.mark.parametrize("wrap", ["tuple", "list", "nested", "namedtuple", "dict"])
def test_module_with_several_outputs_can_be_mixed(wrap: str) -> None:
    net, x, plan = Model(WRAPS[wrap]), torch.randn(3, 4), lm.Plan("body", **PLAN)
    mixer = lm.Mixer(net, at="body")
    mixer.check(x)
    with mixer.apply(plan):
        output = net(x)
    torch.testing.assert_close(output, net.fc(lm.mix(net.body.linear(x), plan)))


@pytest.mark.parametrize("wrap", WRAPS)
def test_returned_object_is_not_modified(wrap: str) -> None:
    returned: list[Any] = []

    def remember(a: Tensor, x: Tensor) -> Any:
        returned.append(WRAPS[wrap](a, x))
        return returned[-1]

    net, x = Body(remember, 5), torch.randn(3, 4)
    clean = parts(net(x))
    with lm.Mixer(net, at="logits").apply(lm.Plan("logits", **PLAN)):
        net(x)
    assert all(r.equal(c) for r, c in zip(parts(returned[-1]), clean, strict=True))


def test_loss_accepts_a_named_tuple_with_logits() -> None:
    net, x, y = Body(Pair, 5), torch.randn(3, 4), torch.tensor([0, 1, 2])
    output, target = lm.Mixer(net, at="final")(x, y)
    assert isinstance(output, Pair)
    assert target.loss(output).equal(target.loss(output.logits))


def tiny_hugging_face_vit() -> ViTForImageClassification:
    config = ViTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=16,
        patch_size=8,
        id2label={k: str(k) for k in range(5)},
    )
    return ViTForImageClassification(config).double()


def hugging_face_reference(net: Any, x: Tensor, plan: lm.Plan) -> Tensor:
    """Reference forward: embeddings, layers, norm, classifier of the first token."""

    def at(name: str, a: Tensor) -> Tensor:
        lam = plan.ratio.double()
        return lam * a + (1 - lam) * a[plan.partner] if name == plan.point else a

    a = net.vit.embeddings(x)
    for index, layer in enumerate(net.vit.layers):
        a = at(f"vit.layers.{index}", layer(a))
    return at("logits", net.classifier(at("final", net.vit.layernorm(a)[:, 0])))


@pytest.mark.parametrize("point", ["vit.layers.0", "vit.layers.1", "final", "logits"])
def test_hugging_face_model_equals_the_reference_forward(point: str) -> None:
    net, (x, y) = tiny_hugging_face_vit(), batch("vit", 3, torch.float64)
    net.train()
    assert point in lm.points(net, x).names
    reference = copy.deepcopy(net)
    plan = lm.Plan(point, **PLAN)
    with lm.Mixer(net, at=point).apply(plan) as applied:
        output = net(x)
    expected = hugging_face_reference(reference, x, plan)
    assert type(output) is ImageClassifierOutput
    assert output.logits is output["logits"]
    torch.testing.assert_close(output.logits, expected, rtol=1e-6, atol=1e-12)

    applied.target(y).loss(output).backward()
    applied.target(y).loss(expected).backward()
    for mine, theirs in zip(net.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-6, atol=1e-12)


def test_hugging_face_model_is_mixed_at_a_keyword_input() -> None:
    net, (x, _) = tiny_hugging_face_vit(), batch("vit", 3, torch.float64)
    plan = lm.Plan("input", **PLAN)
    with lm.Mixer(net, at="input").apply(plan):
        output = net(pixel_values=x, interpolate_pos_encoding=None)
    torch.testing.assert_close(output.logits, net(lm.mix(x, plan)).logits)


def test_loss_accepts_a_hugging_face_output() -> None:
    net, (x, y) = tiny_hugging_face_vit(), batch("vit", 3, torch.float64)
    net.train()
    output, target = lm.Mixer(net, at="final")(x, y)
    assert isinstance(output, ImageClassifierOutput)
    assert target.loss(output).equal(target.loss(output.logits))
    assert target.accuracy(output).equal(target.accuracy(output.logits))
