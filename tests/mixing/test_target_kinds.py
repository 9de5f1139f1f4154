"""Targets of soft, multilabel, regression and dense labels, of Remix, and of mappings."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import layermix as lm
from layermix.mixing import AppendClean, Cut, MultiMixTarget, PlanSampler, Remix

RATIOS = [torch.tensor(0.3), torch.tensor([0.3, 0.9, 0.5, 1.0])]
PARTNER = torch.tensor([2, 0, 3, 1])


def plan(ratio: Tensor, **more: object) -> lm.Plan:
    return lm.Plan("input", ratio, PARTNER, **more)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("ratio", RATIOS)
def test_soft_labels_are_mixed_linearly(ratio: Tensor) -> None:
    soft, logits = torch.rand(4, 3).softmax(1), torch.randn(4, 3)
    target = plan(ratio).target(soft)
    lam = ratio.expand(4)[:, None]
    mixed = lam * soft + (1 - lam) * soft[PARTNER]
    torch.testing.assert_close(target.dense(), mixed)
    torch.testing.assert_close(target.loss(logits), F.cross_entropy(logits, mixed))
    expected = mixed.gather(1, logits.argmax(1, keepdim=True)).mean()
    torch.testing.assert_close(target.accuracy(logits), expected)


@pytest.mark.parametrize("ratio", RATIOS)
def test_multilabel_loss_equals_loss_of_mixed_labels(ratio: Tensor) -> None:
    y, logits = torch.randint(2, (4, 6)).float(), torch.randn(4, 6)
    target = plan(ratio).target(y)
    expected = F.binary_cross_entropy_with_logits(logits, target.dense())
    torch.testing.assert_close(target.loss(logits, torch.nn.BCEWithLogitsLoss()), expected)


@pytest.mark.parametrize("ratio", RATIOS)
def test_regression_gradient_equals_that_of_mixed_labels(ratio: Tensor) -> None:
    y, output = torch.randn(4, 2), torch.randn(4, 2, requires_grad=True)
    target = plan(ratio).target(y)
    (one,) = torch.autograd.grad(target.loss(output, torch.nn.MSELoss()), output)
    (other,) = torch.autograd.grad(F.mse_loss(output, target.dense()), output)
    torch.testing.assert_close(one, other)


@pytest.mark.parametrize("ratio", RATIOS)
def test_label_smoothing_commutes_with_mixing(ratio: Tensor) -> None:
    y, logits, s = torch.tensor([0, 1, 2, 0]), torch.randn(4, 3), 0.1
    target = plan(ratio).target(y)
    smoothed_then_mixed = plan(ratio).target((1 - s) * F.one_hot(y, 3).float() + s / 3)
    found = target.loss(logits, label_smoothing=s)
    torch.testing.assert_close(found, smoothed_then_mixed.loss(logits))
    torch.testing.assert_close(found, F.cross_entropy(logits, (1 - s) * target.dense(3) + s / 3))


@pytest.mark.parametrize("ratio", RATIOS)
def test_class_weights_and_ignore_index_equal_cross_entropy(ratio: Tensor) -> None:
    y, logits = torch.tensor([0, 7, 2, 0]), torch.randn(4, 3)
    weight = torch.tensor([0.5, 1.0, 3.0])
    target = plan(ratio).target(y)
    loss, norm = 0.0, 0.0
    for i, lam in enumerate(ratio.expand(4).tolist()):
        for share, label in ((lam, int(y[i])), (1 - lam, int(y[PARTNER[i]]))):
            if label != 7:
                loss -= share * weight[label] * logits[i].log_softmax(0)[label]
                norm += share * weight[label]
    found = target.loss(logits, weight=weight, ignore_index=7)
    torch.testing.assert_close(found, loss / norm)
    same = torch.nn.CrossEntropyLoss(weight, ignore_index=7)
    torch.testing.assert_close(target.loss(logits, same), found)


def test_class_weights_of_clean_target_equal_torch() -> None:
    y, logits, weight = torch.tensor([0, 1, 2, 0]), torch.randn(4, 3), torch.tensor([0.5, 1.0, 3.0])
    clean = lm.MixedTarget.clean(y)
    for smoothing in (0.0, 0.2):
        found = clean.loss(logits, weight=weight, label_smoothing=smoothing)
        expected = F.cross_entropy(logits, y, weight, label_smoothing=smoothing)
        torch.testing.assert_close(found, expected)


def test_accuracy_excludes_ignored_labels() -> None:
    logits = torch.eye(3)[[0, 1, 2, 2]]
    target = lm.MixedTarget.clean(torch.tensor([0, 1, -100, 0]))
    assert target.accuracy(logits) == pytest.approx(2 / 3)


def test_top_k_accuracy_weights_both_labels() -> None:
    logits = torch.tensor([[3.0, 2.0, 1.0, 0.0]])
    target = lm.MixedTarget(torch.tensor([1]), torch.tensor([2]), torch.tensor(0.7))
    found = [float(target.accuracy(logits, k)) for k in (1, 2, 3, 9)]
    assert found == pytest.approx([0, 0.7, 1, 1])


def test_nll_has_no_gradient() -> None:
    logits = torch.randn(4, 3, requires_grad=True)
    target = plan(RATIOS[1]).target(torch.tensor([0, 1, 2, 0]))
    nll = target.nll(logits)
    assert not nll.requires_grad
    torch.testing.assert_close(nll, F.cross_entropy(logits, target.dense(3)).detach())


@pytest.mark.parametrize("per", ["batch", "sample"])
@pytest.mark.parametrize("blend", ["cut", "fourier", "grid", "patches", "salient"])
def test_pixel_labels_are_mixed_by_the_mask(blend: str, per: str) -> None:
    drawn = PlanSampler(["input"], blend=blend, per=per).draw(4)  # pyright: ignore[reportArgumentType]
    y = torch.randint(5, (4, 8, 8))
    soft = F.one_hot(y, 5).movedim(-1, 1).float()
    mixed, target = lm.mix(soft, drawn, y)  # labels mixed like images
    torch.testing.assert_close(target.dense(5), mixed)


def test_pixel_labels_use_nearest_position_of_smaller_map() -> None:
    drawn = PlanSampler(["input"], blend="cut", ratio=0.5).draw(4)
    blended = drawn.mix(torch.randn(4, 3, 4, 4))
    target = drawn.target(torch.zeros(4, 8, 8, dtype=torch.int64), blended.label_weights)
    assert isinstance(target, lm.MixedTarget)
    mask = blended.mask
    assert mask is not None
    expected = mask.repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert target.ratio.equal(expected.float())


def test_dense_regression_labels_are_mixed_by_the_mask() -> None:
    drawn = PlanSampler(["input"], blend="cut", per="sample").draw(4)
    y = torch.randn(4, 2, 8, 8)
    mixed, target = lm.mix(y, drawn, y)
    torch.testing.assert_close(target.dense(), mixed)
    assert target.loss(mixed, torch.nn.L1Loss()) == 0


@pytest.mark.parametrize("blend", ["resize", "aligned"])
def test_pixel_labels_reject_blends_that_move_positions(blend: str) -> None:
    drawn = PlanSampler(["input"], blend=blend).draw(4)
    labels = torch.zeros(4, 8, 8, dtype=torch.int64)
    with pytest.raises(lm.InputError, match=r"^the labels .* but the blend .* moves"):
        lm.mix(torch.randn(4, 3, 8, 8), drawn, labels)


def test_target_of_a_cut_requires_mixing_first() -> None:
    drawn = PlanSampler(["input"], blend="cut").draw(4)
    with pytest.raises(lm.RunError) as error:
        drawn.target(torch.arange(4))
    assert str(error.value) == (
        "the label weights of the blend Cut() exist only after mixing: use mixed, target = "
        "lm.mix(x, plan, labels), or mixed.target(labels) after `with mixer.apply(plan) as mixed`"
    )


def test_remix_assigns_the_rare_label() -> None:
    y = torch.tensor([0, 1, 0, 0])
    ratio = torch.tensor([0.3, 0.6, 0.3, 0.7])
    partner = torch.tensor([1, 0, 3, 1])
    target = lm.Plan("input", ratio, partner, remix=Remix((90, 10))).target(y)
    assert isinstance(target, lm.MixedTarget)
    # frequent, small ratio: 0; rare, large ratio: 1; equal counts: lam; frequent, large ratio: lam
    assert target.ratio.tolist() == pytest.approx([0.0, 1.0, 0.3, 0.7])


def test_remix_keeps_the_ratio_of_ignored_labels() -> None:
    """With 101 classes or more, -100 could be read as an index from the end of the counts."""
    remix, lam = Remix((1, 900, *[5] * 99)), torch.tensor(0.3)
    y, other = torch.tensor([-100, 1, -100, 1]), torch.tensor([0, -100, -100, 0])
    assert remix(lam, y, other).tolist() == pytest.approx([0.3, 0.3, 0.3, 0.0])


def test_remix_requires_a_count_for_each_class() -> None:
    y = torch.tensor([0, 2])
    with pytest.raises(lm.InputError, match=r"^the largest label is 2, but Remix has counts for 2"):
        Remix((3, 1))(torch.tensor(0.5), y, y.flip(0))


def test_mapping_of_labels_is_mixed_by_one_plan() -> None:
    y = {"kind": torch.tensor([0, 1, 2, 0]), "size": torch.randn(4, 1)}
    output = {"kind": torch.randn(4, 3), "size": torch.randn(4, 1)}
    targets = plan(RATIOS[1]).target(y)
    found = targets.loss(output, {"size": torch.nn.MSELoss()}, weights={"size": 0.5})
    kind, size = (plan(RATIOS[1]).target(y[name]) for name in ("kind", "size"))
    expected = kind.loss(output["kind"]) + 0.5 * size.loss(output["size"], torch.nn.MSELoss())
    torch.testing.assert_close(found, expected)
    assert list(targets) == ["kind", "size"]


@pytest.mark.parametrize(
    ("output", "criterion", "message"),
    [
        (
            {"a": torch.randn(4, 3)},
            None,
            "the labels are a mapping with 'kind', but the",
        ),
        (torch.randn(4, 3), None, "the labels are a mapping with 'kind', but"),
        ({"kind": torch.randn(4, 3)}, {"kid": F.mse_loss}, "unknown target 'kid': did you mean"),
    ],
)
def test_mapping_of_labels_requires_matching_outputs(
    output: object, criterion: object, message: str
) -> None:
    targets = plan(RATIOS[0]).target({"kind": torch.tensor([0, 1, 2, 0])})
    with pytest.raises(lm.InputError, match=f"^{message}"):
        targets.loss(output, criterion)  # pyright: ignore[reportArgumentType]


def test_multimix_loss_equals_cross_entropy_of_soft_labels() -> None:
    y, weights = torch.tensor([0, 1, 2, 0]), torch.rand(9, 4).softmax(1)
    logits, target = torch.randn(9, 3), MultiMixTarget(y, weights)
    soft = weights @ F.one_hot(y, 3).float()
    torch.testing.assert_close(target.dense(3), soft)
    torch.testing.assert_close(target.loss(logits), F.cross_entropy(logits, soft))
    torch.testing.assert_close(
        target.loss(logits, label_smoothing=0.1), F.cross_entropy(logits, soft, label_smoothing=0.1)
    )
    expected = soft.gather(1, logits.argmax(1, keepdim=True)).mean()
    torch.testing.assert_close(target.accuracy(logits), expected)
    with pytest.raises(lm.InputError, match=r"^the output has 4 rows, but 9 mixes were made of 4"):
        target.loss(logits[:4])


def test_append_clean_loss_is_sum_of_both_losses() -> None:
    drawn = PlanSampler(["input"], blend=AppendClean(Cut(), eta=0.5)).draw(4)
    y, x = torch.tensor([0, 1, 2, 0]), torch.randn(4, 3, 8, 8)
    both, target = lm.mix(x, drawn, y)
    assert both.shape == (8, 3, 8, 8)
    assert both[:4].equal(x)
    logits = torch.randn(8, 3)
    soft = target.dense(3)
    expected = F.cross_entropy(logits[:4], y) + 0.5 * F.cross_entropy(logits[4:], soft[4:])
    torch.testing.assert_close(target.loss(logits), expected)
