"""Tests of a mixed training step with `Mixer`."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import layermix as lm
from layermix.mixing import BLENDS, Blend, Blended, Per
from tiny_nets import NETS, Mlp, ResNet, batch

POINTS = ["input", "blocks.0", "blocks.1", "final", "logits"]


def one_hot_net(classes: int) -> nn.Sequential:
    """Return a model of one linear layer, the identity."""
    net = nn.Sequential(nn.Linear(classes, classes, bias=False))
    nn.init.eye_(net[0].weight)  # pyright: ignore[reportArgumentType]
    return net


@pytest.mark.parametrize("at", ["input", "0", "final", "logits"])
@pytest.mark.parametrize("per", ["batch", "sample", "epoch"])
@pytest.mark.parametrize("size", [1, 2, 7, 8])
def test_labels_and_activations_use_the_same_plan(at: str, per: Per, size: int) -> None:
    y = torch.randint(5, (size,))
    mixer = lm.Mixer(one_hot_net(5), at=at, per=per, alpha=1.0)
    for _ in range(3):
        output, target = mixer(torch.eye(5)[y], y)  # the features are the one-hot labels
        torch.testing.assert_close(output, target.dense(5))


def test_example_has_weight_ratio_and_its_partner_the_rest() -> None:
    net = one_hot_net(3)
    plan = lm.Plan("input", torch.tensor([0.25, 0.5, 1.0]), torch.tensor([1, 2, 0]))
    with lm.Mixer(net, at="input").apply(plan) as applied:
        output = net(torch.eye(3))
    assert output.tolist() == [[0.25, 0.75, 0.0], [0.0, 0.5, 0.5], [0.0, 0.0, 1.0]]
    assert applied.target(torch.arange(3)).dense(3).equal(output)


@pytest.mark.parametrize("point", POINTS)
def test_only_the_requested_point_is_mixed(point: str) -> None:
    net, (x, _) = Mlp().double(), batch("mlp", 6, torch.float64)
    plan = lm.Plan(point, torch.tensor(0.3), torch.tensor([1, 0, 3, 2, 5, 4]))
    clean = recorded_activations(net, x)
    with lm.Mixer(net, at=POINTS).apply(plan):
        mixed = recorded_activations(net, x)
    assert mixed[point].equal(lm.mix(clean[point], plan))
    for upstream in POINTS[: POINTS.index(point)]:
        assert mixed[upstream].equal(clean[upstream])


def recorded_activations(net: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """Return the activations of an MLP, recorded by hooks that run after those of the mixer."""
    seen: dict[str, Tensor] = {}

    def keep(name: str, value: Tensor) -> None:
        seen[name] = value

    named = {"logits": net, **dict(net.named_modules())}
    handles = [
        net.register_forward_pre_hook(lambda _, args: keep("input", args[0])),
        named["head"].register_forward_pre_hook(lambda _, args: keep("final", args[0])),
    ]
    for name in ("blocks.0", "blocks.1", "logits"):
        hook = lambda _, args, output, name=name: keep(name, output)  # noqa: E731
        handles.append(named[name].register_forward_hook(hook))
    net(x)
    for handle in handles:
        handle.remove()
    return seen


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("at", ["input", "final"])
def test_input_tensor_is_not_modified(net: str, at: str) -> None:
    x, y = batch(net, 4)
    before = x.clone()
    lm.Mixer(NETS[net][0](), at=at, ratio=0.5)(x, y)
    assert x.equal(before)
    assert x._version == 0


@pytest.mark.parametrize("point", POINTS)
def test_eval_mode_is_not_mixed(point: str) -> None:
    net, (x, y) = Mlp().eval(), batch("mlp", 6)
    with torch.no_grad():
        expected = net(x)
        output, target = lm.Mixer(net, at=point, ratio=0.5)(x, y)
    assert output.equal(expected)
    assert target.dense(5).equal(torch.eye(5)[y])
    torch.testing.assert_close(target.loss(output), nn.functional.cross_entropy(expected, y))


def test_eval_mode_draws_no_plan() -> None:
    net, (x, y) = Mlp(), batch("mlp", 6)
    mixer = lm.Mixer(net, at=POINTS, per="sample")
    before = mixer.state_dict()
    net.eval()
    with torch.no_grad():
        mixer(x, y)
    assert mixer.state_dict() == before


def test_eval_mode_with_gradients_warns_once() -> None:
    net, (x, y) = Mlp().eval(), batch("mlp", 6)
    mixer = lm.Mixer(net, at="final")
    with pytest.warns(UserWarning, match=r"in eval mode, .* always=True to mix"):
        mixer(x, y)
    mixer(x, y)  # a second warning would be an error


def test_always_mixes_in_eval_mode() -> None:
    net, (x, y) = Mlp().double().eval(), batch("mlp", 6, torch.float64)
    output, _ = lm.Mixer(net, at="final", always=True, seed=1)(x, y)
    plan = lm.Mixer(net, at="final", seed=1).draw(6)
    torch.testing.assert_close(output, lm.mix(net(x), plan))


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("point", ["input", "stage1", "final", "logits"])
def test_batches_of_any_size_are_mixed(point: str, size: int) -> None:
    x, y = batch("resnet", size)
    output, target = lm.Mixer(ResNet(), at=point, per="sample")(x, y)
    assert output.shape == (size, 5)
    assert target.loss(output).isfinite()


def test_batch_of_one_is_mixed_with_itself() -> None:
    net, (x, y) = ResNet(), batch("resnet", 1)
    output, target = lm.Mixer(net, at="final", ratio=0.4)(x, y)
    torch.testing.assert_close(output, net(x))
    torch.testing.assert_close(target.dense(5), torch.eye(5)[y])


def test_batches_of_changing_size_are_mixed() -> None:
    mixer = lm.Mixer(Mlp(), at=POINTS, per="sample")
    assert [len(mixer(*batch("mlp", size))[0]) for size in (8, 3, 8, 2)] == [8, 3, 8, 2]


def test_forward_outside_the_with_block_is_not_mixed() -> None:
    net, (x, _) = Mlp().eval(), batch("mlp", 6)
    expected = net(x)
    mixer = lm.Mixer(net, at="final", ratio=0.5)
    with mixer.apply(mixer.draw(6)):
        assert not net(x).equal(expected)
    assert net(x).equal(expected)


def test_failed_forward_deactivates_the_plan() -> None:
    net, (x, _) = Mlp(), batch("mlp", 6)
    expected = net(x)
    mixer = lm.Mixer(net, at="final", ratio=0.5)
    mixer.check(x)
    with (
        pytest.raises(RuntimeError, match="shapes cannot be multiplied"),
        mixer.apply(mixer.draw(6)),
    ):
        net(x[:, :2])
    assert net(x).equal(expected)


def test_all_points_of_a_list_are_drawn() -> None:
    mixer = lm.Mixer(Mlp(), at=POINTS)
    assert mixer.points == tuple(POINTS)
    assert {mixer.draw(2).point for _ in range(60)} == set(POINTS)


def test_two_mixers_of_one_model_are_independent() -> None:
    net, (x, _) = Mlp().eval(), batch("mlp", 6)
    one, other = (lm.Mixer(net, at="final", ratio=r, seed=4) for r in (0.5, 1.0))
    clean = net(x)
    with other.apply(other.draw(6)):
        torch.testing.assert_close(net(x), clean)
    with one.apply(one.draw(6)):
        assert not net(x).allclose(clean)


def test_check_does_not_change_the_model() -> None:
    net, (x, _) = ResNet(), batch("resnet", 4)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    lm.Mixer(net, at="stage1").check(x)
    assert all(value.equal(before[name]) for name, value in net.state_dict().items())
    assert net.training
    assert all(module.training for module in net.modules())
    assert all(parameter.grad is None for parameter in net.parameters())


def test_check_keeps_the_mode_of_every_module() -> None:
    net, (x, _) = ResNet(), batch("resnet", 4)
    net.bn.eval()  # a frozen batch norm
    lm.Mixer(net, at="stage1").check(x)
    assert [name for name, module in net.named_modules() if not module.training] == ["bn"]


def test_registered_blend_is_selected_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    class Swap(Blend):
        def __call__(self, own: Tensor, other: Tensor, ratio: Tensor, *more: Any) -> Blended:
            return Blended(other, ratio)

    monkeypatch.setitem(BLENDS, "swap", Swap)
    mixer = lm.Mixer(one_hot_net(5), at="final", blend="swap")
    plan = mixer.draw(5)
    with mixer.apply(plan):
        output = mixer.model(torch.eye(5))
    assert plan.blend == Swap()
    assert output.equal(torch.eye(5)[plan.partner])


def test_repr_shows_points_and_blend() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Linear(3, 2))
    assert repr(lm.Mixer(model)) == "Mixer(Sequential, at='final', per='batch', blend=Linear())"
    several = lm.Mixer(model, ["input", "0"], per="sample")
    assert repr(several) == "Mixer(Sequential, at=['input', '0'], per='sample', blend=Linear())"
    assert "at='auto'" in repr(lm.Mixer(model, "auto"))
