"""Tests of at="auto": the candidates of a model, with equal weights until they are reweighed."""

import json
from typing import Any

import pytest
import torch
from scipy import stats
from test_compile import compiled
from test_tokens import BLOCKS, TOKENS, sentences, tiny_bert
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounter

import layermix as lm
from layermix.geometry import auto_weights
from tiny_nets import NETS, Mlp, batch

MLP = ("input", "blocks.0", "blocks.1", "final")


def equal_weights(points: Any) -> dict[str, Any]:
    return {point: pytest.approx(1 / len(points)) for point in points}


@pytest.mark.parametrize("net", NETS)
def test_auto_draws_input_blocks_and_final_with_equal_weights(net: str) -> None:
    model, (x, y) = NETS[net][0](), batch(net, 4)
    mixer = lm.Mixer(model, at="auto")
    points = [p for p in lm.points(model, x).names if p != "logits"]
    assert list(mixer.points) == points
    mixer(x, y)
    assert list(mixer.points) == points
    assert mixer.dropped == {}
    assert mixer.weights == equal_weights(points)
    assert mixer.weight_history == [mixer.weights]
    drawn = [mixer.draw(1).point for _ in range(2000)]
    assert stats.chisquare([drawn.count(point) for point in points]).pvalue > 0.01


def test_auto_omits_final_without_a_head() -> None:
    net = nn.Sequential(
        *(nn.Sequential(nn.BatchNorm1d(4), nn.PReLU(), nn.LayerNorm(4)) for _ in range(2))
    )
    assert lm.Mixer(net, at="auto").points == ("input", "0", "1")


def test_auto_ignores_a_module_named_auto() -> None:
    class Model(Mlp):
        def __init__(self) -> None:
            super().__init__()
            self.auto = nn.Identity()

        def forward(self, x: Tensor) -> Tensor:
            return self.auto(super().forward(x))

    net, (x, _) = Model(), batch("mlp", 4)
    assert lm.Mixer(net, at="auto").points == MLP
    listed = lm.Mixer(net, at=["auto", "final"])
    assert listed.points == ("auto", "final")
    listed.check(x)
    row = next(row for row in lm.points(net, x, all=True) if row.name == "auto")
    assert lm.Mixer(net, at=row).points == ("auto",)


@pytest.mark.parametrize("check", [True, False])
def test_auto_drops_the_input_of_token_models_with_a_reason(check: bool) -> None:
    mixer, (x, y) = lm.Mixer(tiny_bert(), at="auto", per="sample"), sentences()
    assert mixer.points == ("input", "bert.embeddings", *BLOCKS, "final")
    mixer.check(x) if check else mixer(x, y)
    assert mixer.dropped == {"input": TOKENS}
    assert mixer.points == ("bert.embeddings", *BLOCKS, "final")
    assert mixer.weight_history == [mixer.weights]
    assert mixer.weights == equal_weights(mixer.points)
    for _ in range(12):
        output, target = mixer(x, y)
        assert target.loss(output).isfinite()


def test_explicit_point_raises_instead_of_being_dropped() -> None:
    mixer, (x, _) = lm.Mixer(tiny_bert(), at=["input", "final"]), sentences()
    with pytest.raises(lm.InputError, match=r"^mix point 'input' cannot be mixed: its values are"):
        mixer.check(x)
    assert mixer.dropped == {}


def test_auto_raises_if_no_candidate_can_be_mixed() -> None:
    class OneHot(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.one_hot(x, 5).float().flatten(1)

    net = OneHot()
    with pytest.raises(lm.InputError) as error:
        lm.Mixer(net, at="auto")(torch.zeros(6, 1, dtype=torch.int64), torch.zeros(6).long())
    assert str(error.value) == (
        "no mix point with a weight above 0 is left, because these cannot be mixed: 'input': "
        f"{TOKENS}. layermix.points(model, x, all=True) lists all points of the model"
    )


def test_plan_at_a_dropped_point_raises() -> None:
    mixer, (x, _) = lm.Mixer(tiny_bert(), at="auto"), sentences()
    mixer.check(x)
    plan = lm.Plan("input", torch.tensor(0.5), torch.arange(6))
    with (
        pytest.raises(lm.InputError, match=r"^the plan mixes at 'input', which was dropped: "),
        mixer.apply(plan),
    ):
        pytest.fail("the block was entered")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"at": "auto", "weights": [1.0, 2.0]},
            "weights are [1.0, 2.0], but at='auto' chooses the points itself: call reweigh with a "
            "weight for each name in mixer.points",
        ),
        (
            {"at": ["auto", "logits"]},
            "'auto' is a group of mix points, so it cannot be combined with others: pass "
            "at='auto' alone, or name every point",
        ),
    ],
)
def test_auto_rejects_incompatible_arguments(options: dict[str, Any], text: str) -> None:
    with pytest.raises(lm.InputError) as error:
        lm.Mixer(Mlp(), **options)
    assert str(error.value) == text


@pytest.mark.parametrize("at", ["auto", list(MLP)])
def test_reweigh_changes_the_draws_and_the_weight_history(at: Any) -> None:
    mixer = lm.Mixer(Mlp(), at=at, seed=2)
    mixer.reweigh({"input": 1, "final": 3})
    assert mixer.weights == {"input": 0.25, "blocks.0": 0.0, "blocks.1": 0.0, "final": 0.75}
    assert mixer.weight_history == [equal_weights(MLP), mixer.weights]
    drawn = [mixer.draw(1).point for _ in range(2000)]
    assert set(drawn) == {"input", "final"}
    assert stats.binomtest(drawn.count("final"), 2000, 0.75).pvalue > 0.01


def test_mixer_attributes_return_copies() -> None:
    mixer = lm.Mixer(Mlp(), at="auto")
    mixer.weights["input"] = mixer.weight_history[0]["final"] = 7.0
    mixer.weight_history.clear()
    mixer.dropped["final"] = "why not"
    assert mixer.weight_history == [mixer.weights] == [equal_weights(MLP)]
    assert mixer.dropped == {}


def test_reweigh_rejects_unknown_points() -> None:
    mixer = lm.Mixer(Mlp(), at="auto")
    with pytest.raises(lm.InputError, match=r"^unknown mix point of this mixer 'logits': "):
        mixer.reweigh({"final": 1.0, "logits": 1.0})
    assert len(mixer.weight_history) == 1


@pytest.mark.parametrize("per", ["batch", "sample", "epoch"])
def test_resumed_run_equals_an_uninterrupted_run(per: Any) -> None:
    mixers = [lm.Mixer(tiny_bert(), at="auto", per=per, seed=seed) for seed in (1, 8)]
    (first, resumed), (x, y) = mixers, sentences()
    first.set_epoch(0)
    first(x, y)
    first.reweigh({BLOCKS[0]: 1.0, "final": 2.0})
    first(x, y)
    resumed.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert resumed.dropped == first.dropped
    assert resumed.weight_history == first.weight_history
    for step in range(12):
        if step == 6:
            first.set_epoch(1)
            resumed.set_epoch(1)
        one, other = (mixer(x, y)[1] for mixer in mixers)
        assert isinstance(one, lm.MixedTarget)
        assert isinstance(other, lm.MixedTarget)
        assert one.ratio.equal(other.ratio)
        assert one.partner_labels.equal(other.partner_labels)
        assert first.state_dict() == resumed.state_dict()


@pytest.mark.usefixtures("fresh_compiler")
def test_reweighing_does_not_recompile() -> None:
    counter, (x, y) = CompileCounter(), batch("mlp", 6)
    mixer = lm.Mixer(compiled(Mlp(), counter), at=["blocks.0", "final"])
    for point in mixer.points:
        mixer.reweigh({point: 1.0})
        mixer(x, y)
    frames = counter.frame_count
    for weight in (0.1, 0.5, 0.9):
        mixer.reweigh({"blocks.0": weight, "final": 1 - weight})
        for _ in range(5):
            mixer(x, y)
    assert counter.frame_count == frames >= 2


def test_reweigh_accepts_weights_from_a_profile() -> None:
    mixer = lm.Mixer(Mlp(), at="auto")
    mixer.reweigh(auto_weights({"input": 0.9, "blocks.0": 0.8, "blocks.1": 0.7, "final": 0.6}))
    assert list(mixer.weights.values()) == pytest.approx([0.1, 0.2, 0.3, 0.4])
