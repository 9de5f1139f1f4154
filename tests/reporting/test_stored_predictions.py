"""Tests of results from stored logits: metrics again, classes, bins, disagreement."""

import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from layermix.lab import DataConfig, Execution, Recipe, StudyFolder, configure, train_study
from layermix.reporting import Summary, summarize, write_report
from layermix.reporting.statistics import crossed_estimate
from layermix.reporting.tables import all_tables
from stored_runs import remove_file, run_folder

SEEDS = 2


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    recipe = Recipe(epochs=2, batch_size=20, monitor=1)
    data = DataConfig(train_size=60, fixed_split=True)
    config = configure(data, "mlp", recipe, ("none", "input", "final"), seeds=SEEDS)
    return train_study(config, tmp_path_factory.mktemp("stored") / "study", Execution(workers=1))


@pytest.fixture(scope="module")
def summary(study: StudyFolder) -> Summary:
    return summarize(study)


def stored(study: StudyFolder) -> dict[tuple[str, int], dict[str, torch.Tensor]]:
    paths = {(c.variant, c.seed): study.path(c) / "logits.safetensors" for c in study.cells()}
    return {key: load_file(path) for key, path in paths.items()}


def test_class_gaps_are_paired_differences_of_class_accuracy(study, summary) -> None:
    found = summary.predictions
    assert found is not None
    assert "none" in (found.variant, found.baseline)
    runs = stored(study)
    for gap in found.classes:
        k, expected = int(gap.label), []
        for seed in range(SEEDS):
            shares = []
            for name in (found.variant, found.baseline):
                logits, labels = (runs[name, seed][f"test.{part}"] for part in ("logits", "labels"))
                predicted = logits.double().argmax(1)
                shares.append(float((predicted == labels)[labels == k].double().mean()))
            expected.append(shares[0] - shares[1])
        assert gap.gap.values == pytest.approx(expected)


def test_bins_hold_all_test_images_and_their_accuracy(study, summary) -> None:
    assert summary.predictions is not None
    for name, bins in summary.predictions.bins.items():
        total = sum(each.count for each in bins)
        assert total == SEEDS * summary.sizes["test"]
        accuracy = sum(each.accuracy * each.count for each in bins) / total
        assert accuracy == pytest.approx(summary.variant(name).test["accuracy"].mean)
        assert [each.confidence for each in bins] == sorted(each.confidence for each in bins)


def test_disagreement_is_the_share_of_different_predictions(study, summary) -> None:
    runs, found = stored(study), summary.predictions
    assert found is not None
    shares = []
    for seed in range(SEEDS):
        one, other = (runs[name, seed]["test.logits"].argmax(1) for name in ("input", "final"))
        shares.append(float((one != other).double().mean()))
    assert found.disagreement["input"]["final"] == pytest.approx(np.mean(shares))
    assert found.disagreement["none"]["none"] == 0


def test_interval_over_seeds_and_images_needs_equal_test_images(study, summary) -> None:
    runs, found = stored(study), summary.predictions
    assert found is not None
    correct = {
        name: np.stack(
            [
                (runs[name, s]["test.logits"].argmax(1) == runs[name, s]["test.labels"])
                for s in (0, 1)
            ]
        ).astype(float)
        for name in ("final", "input")
    }
    assert found.crossed["claim"] == crossed_estimate(correct["final"] - correct["input"])


def test_report_without_logits_leaves_their_tables_out(study: StudyFolder, tmp_path: Path) -> None:
    copy = shutil.copytree(study.folder, tmp_path / "copy")
    remove_file(run_folder(copy, "none-seed0"), "logits.safetensors")
    found, path = write_report(StudyFolder.open(copy))
    assert found.predictions is None
    assert (all_tables(found).classes, all_tables(found).disagreement) == (None, None)
    assert path.exists()


def test_report_has_all_tables_and_figures(study: StudyFolder) -> None:
    found, path = write_report(study)
    tables = all_tables(found)
    absent = [name for name, table in tables._asdict().items() if table is None]
    assert absent == ["tuning", "conditions"]
    names = {each.stem for each in (study.folder / "figures").iterdir()}
    assert {"accuracy", "differences", "reliability", "curves-seeds", "examples"} <= names
    page = path.read_text()
    for table in (tables.norms, tables.calibration, tables.classes):
        assert table is not None
        assert table.caption in page


def test_geometry_has_its_reliability_on_four_batches_of_two_sizes(study, summary) -> None:
    cell = next(cell for cell in study.cells() if cell.variant == "none")
    batches = study.run_results()[cell].records[-1]["batches"]
    assert {size: len(each) for size, each in batches.items()} == {"256": 4, "128": 4}
    rows = summary.unmixed.reliability["knn"]
    assert [(row.size, row.batches) for row in rows] == [(256, 4), (128, 4)]
    assert rows[0].agreement == pytest.approx(1)
    assert all(-1 <= row.value <= 1 and not math.isnan(row.value) for row in rows)
    knn = summary.unmixed.geometry_end["knn"]["final"][0]
    values = [batch["final"]["knn"] for batch in batches["256"]]
    assert knn == pytest.approx(np.mean(values))
