"""Tests of methods as variants of a study: listed, checked, trained and reported."""

from collections import Counter
from pathlib import Path

import pytest
import torch

import layermix as lm
from layermix import lab
from layermix.cli import run_cli
from layermix.lab.data.modality import map_arguments
from layermix.lab.models import build
from layermix.lab.variants import check_variants, mix_points, mixer_settings
from layermix.mixing import METHODS, Cut, Linear, MultiMix, Permutation
from short_training import trainer
from stored_runs import run_folder

TEN = ("mixup", "cutmix", "fmix", "gridmix", "resizemix", "saliencymix", "patchup", "regmixup")
TEN += ("mixstyle@block1", "multimix@final:k=2")


def small_points() -> lm.Points:
    return lm.points(
        build("resnet-small", 10, map_arguments((1, 8, 8))), torch.zeros(3, 1, 8, 8), all=True
    )


def test_method_variant_mixes_at_its_mix_points() -> None:
    points = small_points()
    assert mix_points("cutmix", points) == ("input",)
    assert mix_points("cutmix@block1", points) == ("block1",)
    assert mix_points("patchup", points) == tuple(points.blocks)
    assert mix_points("manifold-mixup", points) == ("input", *points.blocks)
    assert mix_points("dense-multimix", points) == (points.blocks[-1],)


def test_unset_method_settings_come_from_the_recipe() -> None:
    recipe = lab.Recipe(alpha=0.7, per="sample")
    points = small_points()
    assert mixer_settings("final", points, recipe) == {"alpha": 0.7, "per": "sample"}
    found = mixer_settings("cutmix", points, recipe)
    assert (found["blend"], found["alpha"], found["per"]) == (Cut(), 1.0, "sample")
    assert "alpha" not in mixer_settings("moex", points, recipe)


def test_multimix_ignores_the_ratio_settings_of_the_recipe() -> None:
    points, recipe = small_points(), lab.Recipe(alpha=0.7, per="sample")
    found = mixer_settings("multimix@final:k=8", points, recipe)
    assert found == {"blend": MultiMix(k=8), "partner": Permutation()}
    with pytest.raises(lm.InputError, match="so that alpha=1 would be ignored"):
        check_variants(["multimix@final:alpha=1"], points)


def test_joined_methods_are_drawn_each_at_its_mix_points() -> None:
    points, recipe = small_points(), lab.Recipe(alpha=0.7, per="sample")
    variant = "mixup+cutmix:alpha=2+multimix@final:k=2"
    assert mix_points(variant, points) == ("input", "final")
    own = trainer(mix_points(variant, points), **mixer_settings(variant, points, recipe))
    assert own.mixer
    plans = [own.mixer.draw(64) for _ in range(200)]
    drawn = Counter((plan.point, type(plan.blend)) for plan in plans)
    assert set(drawn) == {("input", Linear), ("input", Cut), ("final", MultiMix)}
    assert min(drawn.values()) > 40  # of 67 expected
    by_blend = {type(plan.blend): plan.ratio.shape for plan in plans}
    assert by_blend == {Linear: (64,), Cut: (64,), MultiMix: ()}  # MultiMix ignores `per`


def test_joined_methods_equal_a_mixer_with_a_method_list() -> None:
    points, at = small_points(), mix_points("mixup+cutmix", small_points())
    own = trainer(at, **mixer_settings("mixup+cutmix", points, lab.Recipe()))
    assert own.mixer
    mixer = lm.Mixer(own.raw_model, method=["mixup", "cutmix"], seed=own.seeds.mix)
    for _ in range(20):
        found, expected = own.mixer.draw(8), mixer.draw(8)
        assert (found.point, found.blend) == (expected.point, expected.blend)
        assert found.ratio.equal(expected.ratio)
        assert found.partner.equal(expected.partner)


def test_each_joined_method_is_validated() -> None:
    points = small_points()
    assert check_variants(["mixup", "mixup+cutmix"], points) == ("mixup", "mixup+cutmix")
    for variants, message in (
        (["mixup+cutmx"], r"^unknown method 'cutmx': did you mean 'cutmix'"),
        (["mixup+final"], r"^unknown method 'final'"),
        (["mixup+cutmix@blck1"], r"^unknown mix point of 'cutmix@blck1': 'blck1': did you mean"),
        (["mixup+cutmix@final"], r"^the variant 'cutmix@final' cannot mix at 'final'"),
        (["mixup+cutmix", "cutmix+mixup"], r"'mixup\+cutmix' and 'cutmix\+mixup' are the same"),
    ):
        with pytest.raises(lm.InputError, match=message):
            check_variants(variants, points)


def test_study_of_joined_methods_writes_a_report(tmp_path: Path) -> None:
    words = "compare --data digits --epochs 1 --monitor 0 --no-geometry --batch-size 256 --seeds 1"
    out = tmp_path / "study"
    run_cli(
        [*words.split(), "--workers", "1", "--out", str(out), "--variants", "none", "mixup+cutmix"]
    )
    assert (run_folder(out, "mixup+cutmix-seed0") / "result.json").exists()
    assert "mixup+cutmix" in (out / "report.md").read_text(encoding="utf-8")
    assert lab.StudyFolder.open(out).config.variants == ("none", "mixup+cutmix")


def test_train_accepts_joined_methods(tmp_path: Path) -> None:
    words = "train --data digits --variant mixup+cutmix --epochs 1 --monitor 0 --no-geometry"
    run_cli([*words.split(), "--out", str(tmp_path / "run")])
    assert (tmp_path / "run" / "result.json").exists()


def test_method_can_draw_its_ratio_per_epoch() -> None:
    how = mixer_settings("mixup:per=epoch", small_points(), lab.Recipe())
    own = trainer(("input",), **how)
    assert own.mixer
    ratios = []
    for epoch in (1, 2, 3):
        own.run_epoch(epoch)
        ratios.append(float(own.mixer.draw(2).ratio))
    assert len(set(ratios)) == 3


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ("cutmx@input", r"^unknown method 'cutmx': did you mean 'cutmix'"),
        ("cutmix@blck1", r"^unknown mix point of 'cutmix@blck1': 'blck1': did you mean 'block1'"),
        ("cutmix@final", r"^the variant 'cutmix@final' cannot mix at 'final': an activation of sh"),
    ],
)
def test_invalid_variant_raises(variant: str, message: str) -> None:
    with pytest.raises(lm.InputError, match=message):
        check_variants([variant], small_points())


def test_two_names_of_the_same_method_raise() -> None:
    with pytest.raises(lm.InputError) as error:
        check_variants(["none", "mixup", "mixup@input:alpha=1.0"], small_points())
    assert str(error.value) == (
        "the variants 'mixup' and 'mixup@input:alpha=1.0' are the same: leave one out"
    )


@pytest.mark.parametrize(
    ("variants", "alpha"),
    [
        (("input", "mixup"), None),
        (("final", "mixup@final:alpha=2"), None),
        (("final", "mixup@final"), 1.0),
        (("random", "manifold-mixup"), 2.0),
        (("last", "block3"), None),
    ],
)
def test_mix_point_and_method_with_equal_mixing_raise(
    variants: tuple[str, str], alpha: float | None
) -> None:
    message = f"the variants '{variants[0]}' and '{variants[1]}' are the same: leave one out"
    with pytest.raises(lm.InputError, match=message):
        check_variants(variants, small_points(), lab.Recipe(alpha=alpha))


@pytest.mark.parametrize(
    ("variants", "alpha"),
    [
        (("final", "mixup@final"), None),
        (("input", "mixup"), 2.0),
        (("random", "manifold-mixup"), None),
        (("input", "cutmix", "regmixup"), None),
    ],
)
def test_variants_with_different_mixing_are_accepted(
    variants: tuple[str, ...], alpha: float | None
) -> None:
    assert check_variants(variants, small_points(), lab.Recipe(alpha=alpha)) == variants


def test_default_variants_omit_random_for_models_without_blocks() -> None:
    points = lm.points(torch.nn.Linear(8, 4), torch.zeros(3, 8), all=True)
    assert "random" not in check_variants((), points)


def test_methods_command_lists_every_method(capsys: pytest.CaptureFixture[str]) -> None:
    run_cli(["methods"])
    listed = capsys.readouterr().out
    for name, method in METHODS.items():
        assert name in listed
        assert method.source.split(",")[0].split()[0] in listed


@pytest.mark.slow
def test_study_of_ten_methods_writes_a_report(tmp_path: Path) -> None:
    words = "compare --data digits --epochs 1 --monitor 0 --no-geometry --batch-size 256 --seeds 1"
    out = tmp_path / "study"
    run_cli([*words.split(), "--workers", "1", "--out", str(out), "--variants", "none", *TEN])
    report = (out / "report.md").read_text(encoding="utf-8")
    for name in TEN:
        assert name in report
    used = [
        line for line in report.splitlines() if "partner permutation; ratio Beta(10, same)" in line
    ]
    assert used  # RegMixup has a fixed ratio distribution
    assert (out / "report.html").exists()
