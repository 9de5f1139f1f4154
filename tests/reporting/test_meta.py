"""Tests of the question over studies: does geometry predict where mixing gains most?"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from layermix.cli import run_cli
from layermix.errors import InputError
from layermix.reporting.meta_study import MetaPlan, hold_to_plan, layers_of
from layermix.reporting.statistics import estimate
from layermix.reporting.statistics.mixed_model import Layers, analyze, mixed_model
from layermix.reporting.statistics.paired import sign_flip_p
from made_summaries import made_summary

NAMES = ("input", "block1", "block2", "block3", "final")


def rho(one: Any, other: Any) -> float:
    found: Any = stats.spearmanr(one, other)
    return float(found.statistic)


def pairs(count: int, effect: float, noise: float = 0.5) -> list[Layers]:
    """Return pairs whose gain falls by `effect` points for each unit of the measure."""
    rng, found = np.random.default_rng(0), []
    for k in range(count):
        measure = rng.normal(size=5)
        gain = -effect * measure + 0.3 * (k % 4) + rng.normal(0, noise, 5)
        data, model = f"data{k % 4}", f"model{k // 4}"
        found.append(Layers(data, model, NAMES, tuple(measure.tolist()), tuple(gain.tolist())))
    return found


def test_rho_of_each_pair_is_spearman_times_the_expected_sign() -> None:
    found = pairs(6, 1.0)
    result = analyze(found, -1)
    expected = [-rho(pair.measure, pair.gain) for pair in found]
    assert list(result.rhos.values()) == pytest.approx(expected)
    depth = [rho(range(5), pair.gain) for pair in found]
    assert list(result.depth_rhos.values()) == pytest.approx(depth)
    assert result.lead.values == pytest.approx(np.array(expected) - depth)
    assert result.p == 2 / 2**6


def test_mixed_model_recovers_the_effect() -> None:
    found = pairs(16, 2.0)
    (measure, depth), problem = mixed_model(found, -1)
    spread = np.std([value for pair in found for value in pair.measure], ddof=1)
    assert measure.name == "measure"
    assert measure.low < 2 * spread < measure.high  # times the expected sign
    assert measure.p < 1e-6
    assert depth.low < 0 < depth.high
    assert isinstance(problem, str)


def test_mixed_model_equals_least_squares_without_random_effects() -> None:
    found = [replace(pair, model=f"m{k}") for k, pair in enumerate(pairs(8, 1.0, noise=1.0))]
    (measure, _), _ = mixed_model(found)
    x = np.array([value for pair in found for value in pair.measure])
    depth = np.tile(np.linspace(0, 1, 5), 8)
    design = np.stack([np.ones(40), (x - x.mean()) / x.std(ddof=1), depth], 1)
    gain = np.array([value for pair in found for value in pair.gain])
    plain = np.linalg.lstsq(design, gain, rcond=None)[0]
    assert measure.value == pytest.approx(plain[1], abs=0.2)


def test_mixed_model_needs_three_pairs_of_two_kinds() -> None:
    assert mixed_model(pairs(2, 1.0)) == (
        [],
        "the mixed model needs three pairs, of two data sets or two models",
    )


def test_unrelated_measures_are_rarely_shown() -> None:
    wrong = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        rhos = [rho(*rng.normal(size=(2, 5))) for _ in range(10)]
        wrong += sign_flip_p(rhos) < 0.05 and estimate(rhos).side != 0
    assert wrong / 300 <= 0.05 + 1.645 * (0.05 * 0.95 / 300) ** 0.5


def test_plan_is_written_first_and_kept(tmp_path: Path) -> None:
    plan = hold_to_plan(MetaPlan(pairs=12), tmp_path)
    assert json.loads((tmp_path / "meta-plan.json").read_text())["measure"] == "snnl"
    assert hold_to_plan(plan, tmp_path) == plan
    with pytest.raises(InputError, match="has measure = 'snnl' instead of 'knn'"):
        hold_to_plan(MetaPlan("knn", pairs=12), tmp_path)
    with pytest.raises(InputError, match="has size = 256 instead of 128"):
        hold_to_plan(MetaPlan(size=128, pairs=12), tmp_path)


def test_plan_has_its_power() -> None:
    assert MetaPlan(pairs=24).detectable == pytest.approx(0.5 * 0.597, abs=0.01)


def test_unknown_measure_raises(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown measure 'snnnl'"):
        hold_to_plan(MetaPlan("snnnl"), tmp_path)


def test_layers_of_a_study_are_means_over_seeds() -> None:
    summary = made_summary()
    found = layers_of(summary, MetaPlan(norm_stats="as trained"))
    assert isinstance(found, Layers)
    assert found.names == NAMES
    assert summary.unmixed is not None
    values = summary.unmixed.geometry_by_size[256]["snnl"]["final"].values()
    assert found.measure[-1] == pytest.approx(np.mean(list(values)))
    gap = summary.gap("final", "accuracy")
    assert gap is not None
    assert found.gain[-1] == pytest.approx(100 * gap.mean)


@pytest.mark.parametrize(
    ("settings", "plan", "reason"),
    [
        ({"variants": ("input", "final")}, MetaPlan(), "no finished run without mixing"),
        ({"planned_seeds": 9}, MetaPlan(), "only 56 of its 63 runs are finished"),
        ({}, MetaPlan(size=64), "not measured on batches of 64"),
        ({}, MetaPlan(size=128), "the reliability of snnl is 0.60"),
        ({"variants": ("none", "input", "final")}, MetaPlan(), "it has 2 layers"),
    ],
)
def test_study_that_cannot_be_used_has_a_reason(settings, plan, reason) -> None:
    found = layers_of(made_summary(**settings), plan)
    assert isinstance(found, str)
    assert reason in found


def test_command_without_studies_writes_the_plan(tmp_path, capsys) -> None:
    run_cli(["meta", "--out", str(tmp_path), "--pairs", "30"])
    assert "30 pairs of data and model were planned" in " ".join(capsys.readouterr().out.split())
    assert (tmp_path / "meta.md").exists()
