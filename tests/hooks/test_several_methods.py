"""Tests of a mixer with several methods, one of which is drawn in each step."""

import json
from typing import Any

import pytest
import torch
from scipy import stats

import layermix as lm
from layermix.mixing import AppendClean, Cut, Linear, Ramp
from tiny_nets import ResNet, batch

METHODS = ["mixup", "cutmix", "manifold-mixup@final:alpha=2"]


def drawn(mixer: lm.Mixer, count: int) -> list[lm.Plan]:
    return [mixer.draw(6) for _ in range(count)]


def test_each_step_uses_one_method() -> None:
    net, (x, y) = ResNet(), batch("resnet", 6)
    mixer, found = lm.Mixer(net, method=METHODS, seed=1), set()
    for _ in range(30):
        output, target = mixer(x, y)
        target.loss(output).backward()
        assert mixer.last is not None
        found.add((mixer.last.point, mixer.last.blend))
    assert found == {("input", Linear()), ("input", Cut()), ("final", Linear())}


def test_names_joined_by_plus_equal_a_list_of_methods() -> None:
    joined = lm.Mixer(ResNet(), method="+".join(METHODS), seed=1)
    several = lm.Mixer(ResNet(), method=METHODS, seed=1)
    assert [(p.point, p.blend, p.ratio) for p in drawn(joined, 20)] == [
        (p.point, p.blend, p.ratio) for p in drawn(several, 20)
    ]
    with pytest.raises(lm.InputError, match="unknown method 'cutmixx'"):
        lm.Mixer(ResNet(), method="mixup+cutmixx")


@pytest.mark.parametrize(
    ("prob", "shares"),
    [
        (None, [1 / 3, 1 / 3, 1 / 3, 0.0]),
        (0.6, [0.2, 0.2, 0.2, 0.4]),
        ([0.5, 0.2, 0.3], [0.5, 0.2, 0.3, 0.0]),
        (torch.tensor([0.5, 0.0, 0.25]), [0.5, 0.0, 0.25, 0.25]),
    ],
)
def test_methods_are_drawn_with_their_probabilities(prob: Any, shares: list[float]) -> None:
    mixer = lm.Mixer(ResNet(), method=METHODS, prob=prob, seed=1)
    kinds = [("input", "Linear"), ("input", "Cut"), ("final", "Linear"), "skip"]
    found = [
        "skip" if plan.skip else (plan.point, type(plan.blend).__name__)
        for plan in drawn(mixer, 3000)
    ]
    counts = [found.count(kind) for kind in kinds]
    assert sum(counts) == 3000
    possible = [(n, 3000 * share) for n, share in zip(counts, shares, strict=True) if share]
    assert sum(n for n, _ in possible) == 3000
    observed, expected = zip(*possible, strict=True)
    assert stats.chisquare(observed, expected).pvalue > 0.01


def test_method_with_a_probability_keeps_it() -> None:
    mixer = lm.Mixer(ResNet(), method=["patchup-hard@stage1", "mixup"], seed=1)
    plans = drawn(mixer, 2000)
    skipped = sum(plan.skip for plan in plans) / 2000
    assert abs(skipped - 0.15) < 4 * (0.15 * 0.85 / 2000) ** 0.5  # half of 1 - 0.7


def test_resumed_mixer_continues_all_methods() -> None:
    def built() -> lm.Mixer:
        return lm.Mixer(
            ResNet(), method=["mixup", "cutmix@random"], per="epoch", prob=Ramp(0.2, 1, over=9)
        )

    first, resumed = built(), built()
    first.set_epoch(3)
    drawn(first, 5)
    resumed.load_state_dict(json.loads(json.dumps(first.state_dict())))
    for one, other in zip(drawn(first, 20), drawn(resumed, 20), strict=True):
        assert (one.point, one.blend, one.skip) == (other.point, other.blend, other.skip)
        assert one.ratio.equal(other.ratio)
        assert one.partner.equal(other.partner)


def test_state_of_other_methods_raises() -> None:
    state = lm.Mixer(ResNet(), method=METHODS).state_dict()
    with pytest.raises(lm.InputError, match="the state has 3 methods, but this mixer has 2"):
        lm.Mixer(ResNet(), method=METHODS[:2]).load_state_dict(state)


def test_arguments_override_the_settings_of_each_method() -> None:
    mixer = lm.Mixer(ResNet(), method=["mixup", "cutmix"], at="stage1", ratio=0.25, per="sample")
    for plan in drawn(mixer, 20):
        assert plan.point == "stage1"
        assert plan.ratio.tolist() == [0.25] * 6
    assert {type(plan.blend) for plan in drawn(mixer, 20)} == {Linear, Cut}


def test_single_method_is_found_by_name() -> None:
    mixer = lm.Mixer(ResNet(), method="regmixup:eta=0.5", seed=1)
    assert mixer.draw(6).blend == AppendClean(eta=0.5)
    assert mixer.points == ("input",)
    assert set(lm.methods()) >= {"mixup", "cutmix", "regmixup"}
    assert str(lm.methods()).splitlines()[0].split()[0] == "method"


def test_weights_are_the_point_probabilities_in_a_mixed_step() -> None:
    mixer = lm.Mixer(ResNet(), method=["mixup", "cutmix@random"], prob=[0.25, 0.25])
    assert mixer.weights["input"] == pytest.approx(0.5 + 0.5 / len(mixer.points))
    assert sum(mixer.weights.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "mixpu"}, "unknown method 'mixpu': did you mean 'mixup'"),
        ({"method": []}, "method is an empty sequence: give at least one"),
        ({"method": METHODS, "prob": [0.5, 0.5]}, r"prob is \[0.5, 0.5\], but must be a number in"),
        ({"method": METHODS, "prob": [0.5, 0.4, 0.3]}, "or 3 numbers >= 0 with a sum of at most 1"),
        ({"method": METHODS, "prob": [1.0, -0.5, 0.2]}, r"prob is \[1.0, -0.5, 0.2\], but must be"),
        ({"method": "mixup", "prob": 1.1}, "prob is 1.1, but must be a number in"),
        ({"method": METHODS, "blend": "multimix", "alpha": 1.0}, "alpha=1.0 would be ignored"),
    ],
)
def test_invalid_methods_raise(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(lm.InputError, match=message):
        lm.Mixer(ResNet(), **arguments)


def test_reweigh_with_several_methods_raises() -> None:
    with pytest.raises(lm.InputError, match="the weights of several methods cannot be changed"):
        lm.Mixer(ResNet(), method=METHODS).reweigh({"input": 1.0})
