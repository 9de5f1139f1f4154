"""Tests of `FeatureCapture`: features with gradients, for an additional loss."""

import copy
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import layermix as lm
from tiny_nets import NETS, Mlp, ResNet, batch, tiny_vit

POINTS = ["input", "blocks.0", "blocks.1.0", "final", "logits"]


def gradients(net: nn.Module, loss: Tensor) -> list[Tensor]:
    net.zero_grad()
    loss.backward()
    return [p.grad.clone() for p in net.parameters() if p.grad is not None]


def reference_activations(name: str, net: Any, x: Tensor) -> dict[str, Tensor]:
    """Return all activations of the reference forward."""
    found: dict[str, Tensor] = {}
    NETS[name][1](net, x, found.setdefault)
    return found


CASES = [
    *(("mlp", point) for point in POINTS[1:]),
    *(("resnet", point) for point in ("conv", "stage1.0", "stage2", "final", "logits")),
    *(("vit", point) for point in ("blocks.0", "blocks.1", "final")),
]


@pytest.mark.parametrize(("name", "point"), CASES)
def test_feature_loss_has_the_reference_gradient(name: str, point: str) -> None:
    net, (x, _) = NETS[name][0]().double(), batch(name, 8, torch.float64)
    y = torch.arange(8) % 3
    reference, criterion = copy.deepcopy(net), lm.SoftNearestNeighborLoss()
    capture = lm.FeatureCapture(net, at=point)
    found = gradients(net, F.cross_entropy(net(x), y) + 0.3 * criterion(capture[point], y))
    flow = reference_activations(name, reference, x)
    loss = F.cross_entropy(flow["logits"], y) + 0.3 * criterion(flow[point], y)
    expected = gradients(reference, loss)
    assert any(gradient.abs().max() > 1e-4 for gradient in expected)
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-12)


def test_all_points_are_captured_in_one_forward() -> None:
    net, (x, _) = Mlp(), batch("mlp", 6)
    capture, twin = lm.FeatureCapture(net, at=POINTS), copy.deepcopy(net)
    net(x)
    flow = reference_activations("mlp", twin, x)
    assert capture.names == tuple(POINTS)
    assert list(capture) == list(dict(capture)) == POINTS
    assert len(capture) == 5
    for point, features in dict(capture).items():
        assert features.equal(flow[point])
        assert features.requires_grad == (point != "input")
    assert capture["input"] is x


def test_capture_accepts_the_same_points_as_a_mixer() -> None:
    net, (x, _) = Mlp(), batch("mlp", 6)
    table = lm.points(net, x)
    assert lm.FeatureCapture(net, at=table).names == tuple(table.names)
    assert lm.FeatureCapture(net, at=table[1]).names == ("blocks.0",)
    assert lm.FeatureCapture(nn.DataParallel(net), at="final").names == ("final",)


def test_each_training_forward_replaces_the_features() -> None:
    net = Mlp()
    capture = lm.FeatureCapture(net, at="blocks.0")
    for size in (6, 3):
        x, _ = batch("mlp", size)
        twin = copy.deepcopy(net)
        net(x)
        assert capture["blocks.0"].equal(reference_activations("mlp", twin, x)["blocks.0"])


def test_evaluation_and_probes_do_not_replace_features() -> None:
    net, (x, _) = Mlp(), batch("mlp", 6)
    capture = lm.FeatureCapture(net, at=POINTS)
    net(x)
    kept = dict(capture)
    with torch.no_grad():
        net(2 * x)
    lm.activations(net, 2 * x, POINTS)
    lm.Mixer(net, at="final").check(2 * x)
    capture.check(2 * x)
    net.blocks[0](2 * x)  # a call of one block is not a forward pass of the model
    net.eval()
    net(2 * x)
    assert all(capture[point] is kept[point] for point in POINTS)


def test_capture_works_with_a_frozen_layer() -> None:
    net, (x, _) = ResNet(), batch("resnet", 4)
    net.bn.eval()
    capture = lm.FeatureCapture(net, at="stage1")
    net(x)
    assert capture["stage1"].requires_grad


def test_always_captures_in_eval_mode() -> None:
    net, (x, _) = Mlp().eval(), batch("mlp", 6)
    usual, always = (
        lm.FeatureCapture(net, at="final"),
        lm.FeatureCapture(net, at="final", always=True),
    )
    net(x)
    assert always["final"].equal(reference_activations("mlp", net, x)["final"])
    with pytest.raises(lm.InputError, match=r"^nothing was captured at mix point 'final' yet"):
        usual["final"]
    kept = always["final"]
    with torch.no_grad():
        net(2 * x)
    assert always["final"] is kept


@pytest.mark.parametrize("point", ["input", "blocks.0", "final", "logits"])
def test_capture_built_before_the_mixer_returns_unmixed_features(point: str) -> None:
    net, (x, _) = Mlp(), batch("mlp", 6)
    before = lm.FeatureCapture(net, at=POINTS)
    mixer = lm.Mixer(net, at=point)
    after = lm.FeatureCapture(net, at=POINTS)
    flow, plan = reference_activations("mlp", copy.deepcopy(net), x), mixer.draw(6)
    with mixer.apply(plan):
        net(x)
    assert before[point].equal(flow[point])
    assert after[point].equal(lm.mix(flow[point], plan))
    for later in POINTS[POINTS.index(point) + 1 :]:
        assert not before[later].allclose(flow[later])
    assert all(before[p] is after[p] for p in POINTS if p != point)


@pytest.mark.parametrize("first", ["capture", "mixer"])
def test_feature_loss_at_the_mixed_layer_has_the_reference_gradient(first: str) -> None:
    net, (x, _) = Mlp().double(), batch("mlp", 9, torch.float64)
    y, reference, criterion = torch.arange(9) % 3, copy.deepcopy(net), lm.SoftNearestNeighborLoss()
    build: Any = {
        "capture": lambda: lm.FeatureCapture(net, at="blocks.0"),
        "mixer": lambda: lm.Mixer(net, at="blocks.0", per="sample", seed=3),
    }
    made = {name: build[name]() for name in sorted(build, key=first.__ne__)}
    output, target = made["mixer"](x, y)
    found = gradients(net, target.loss(output) + criterion(made["capture"]["blocks.0"], y))

    plan = lm.Mixer(Mlp().double(), at="blocks.0", per="sample", seed=3).draw(9)
    a = reference.blocks[0](x)
    mixed = lm.mix(a, plan)
    loss = target.loss(reference.head(reference.blocks[1](mixed)))
    loss = loss + criterion(a if first == "capture" else mixed, y)
    torch.testing.assert_close(found, gradients(reference, loss), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("point", ["blocks.0", "final"])
def test_capture_supports_tuples_mappings_and_keyword_arguments(point: str) -> None:
    class Model(nn.Module):
        """The blocks return tuples, the head has a keyword argument, the output is a dict."""

        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList([Pair(), Pair()])
            self.head = nn.Linear(4, 5)

        def forward(self, pixel_values: Tensor) -> dict[str, Tensor]:
            a, _ = self.blocks[1](self.blocks[0](pixel_values)[0])
            return {"hidden": a, "logits": self.head(input=a)}

    net, x = Model(), torch.randn(3, 4)
    capture = lm.FeatureCapture(net, at=["input", point, "logits"])
    output = net(pixel_values=x)
    first = net.blocks[0](x)[0]
    assert capture["input"] is x
    assert capture["logits"] is output["logits"]
    assert capture[point].equal(first if point == "blocks.0" else output["hidden"])


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.linear(x), x


def test_capture_does_not_change_the_output() -> None:
    net, (x, _) = tiny_vit(), batch("vit", 3)
    expected = net(x)
    lm.FeatureCapture(net, at=["input", "blocks.0", "final", "logits"])
    assert net(x).equal(expected)
