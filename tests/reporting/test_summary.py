"""Tests of the summary of a study: settings, class names, conditions, and missing runs."""

import json
import re
import shutil
from pathlib import Path

import pytest

from layermix.errors import RunError
from layermix.lab import DataConfig, Execution, Recipe, StudyFolder, configure, train_study
from layermix.lab.store import RunWriter, read_result
from layermix.reporting import summarize, write_report
from layermix.reporting.tables import all_tables
from layermix.reporting.text import warning_texts
from layermix.reporting.write import render
from stored_runs import edit_run, run_folder

VARIANTS = ("none", "input", "final")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study") / "whole"
    recipe = Recipe(epochs=1, batch_size=20, monitor=1)
    train_study(
        configure(DataConfig(train_size=100), "mlp", recipe, VARIANTS, seeds=2),
        folder,
        Execution(workers=1),
    )
    return folder


@pytest.fixture
def study(finished: Path, tmp_path: Path) -> Path:
    """Return a copy of a finished study that a test can modify."""
    return shutil.copytree(finished, tmp_path / "study")


def test_report_shows_the_settings_that_were_used(finished: Path) -> None:
    summary = summarize(StudyFolder.open(finished))
    used = summary.config["used"]
    assert (used["crop"], used["flip"], used["train_size"]) == (1, False, 100)
    assert used["train_examples"] == "class-balanced"
    assert used["alpha"] == "1 at the input, 2 elsewhere"
    assert used["image_size"] == "as they are"
    assert used["image_column"] == "not given"
    device = summary.conditions["device"]
    assert used["device"] == f"auto ({device})"
    assert used["amp"] == ("no (CPU)" if device == "cpu" else True)
    page = render("report.html", summary, [])
    assert "<dt>crop</dt><dd>1</dd>" in page
    assert "default</dd>" not in page
    assert "alpha: 1 at the input, 2 elsewhere" in render("report.md", summary, [])


def test_results_contain_requested_and_used_settings(finished: Path) -> None:
    config = summarize(StudyFolder.open(finished)).to_json()["config"]
    assert config["asked"] == json.loads((finished / "study.json").read_text())["config"]
    assert config["asked"]["recipe"]["crop"] == "auto"
    assert config["used"]["crop"] == 1
    assert None not in config["used"].values()


def test_class_names_come_from_the_runs(study: Path) -> None:
    for path in study.glob("runs/*"):
        result = read_result(path)
        assert result.classes == [str(digit) for digit in range(10)]
        assert result.sizes["classes"] == 10
        edit_run(path, "result.json", classes=[f"digit {digit}" for digit in range(10)])
    summary, _ = write_report(StudyFolder.open(study))
    assert summary.classes[3] == "digit 3"
    assert "digit 3" in (study / "figures/embedding-end.svg").read_text()


def test_run_of_another_configuration_is_left_out(study: Path) -> None:
    edit_run(run_folder(study, "final-seed1"), "config.json", model="resnet18")
    summary = summarize(StudyFolder.open(study))
    assert summary.done == 5
    (text,) = [text for text in warning_texts(summary) if "damaged" in text]
    assert text.startswith("The run final-seed1 is damaged and left out: it has model = 'resnet18'")


def test_data_changed_between_runs_raise(study: Path) -> None:
    run = run_folder(study, "final-seed1")
    edit_run(run, "result.json", sizes=read_result(run).sizes | {"train": 7})
    with pytest.raises(RunError, match=r"changed: final-seed1 has train = 7 instead of 100\."):
        summarize(StudyFolder.open(study))


def test_new_run_on_other_data_raises(study: Path) -> None:
    for run in study.glob("runs/*"):
        edit_run(run, "result.json", sizes=read_result(run).sizes | {"train": 101})
    shutil.rmtree(run_folder(study, "final-seed1"))
    with pytest.raises(RunError, match="a new run has train = 100 instead of 101"):
        train_study(StudyFolder.open(study).config, study)


def test_different_conditions_of_runs_are_all_listed(study: Path) -> None:
    run = run_folder(study, "final-seed1")
    usual = read_result(run).conditions
    edit_run(run, "result.json", conditions=usual | {"device": "NVIDIA H100"})
    summary = summarize(StudyFolder.open(study))
    assert summary.conditions["device"] == f"{usual['device']} / NVIDIA H100"
    (text,) = (text for text in warning_texts(summary) if "different conditions: device." in text)
    assert "1 run and the runs of none with the same seed differ in them" in text
    table = all_tables(summary).conditions
    assert table
    assert [row.heading for row in table.rows] == [
        f"device {usual['device']}",
        "device NVIDIA H100",
    ]
    assert [row.cells[0].text for row in table.rows] == [str(summary.done - 1), "1"]
    assert table.rows[1].cells[-1].text.endswith(", n = 1")
    assert {cell.text for cell in table.rows[1].cells[1:-1]} == {"–"}


def test_condition_that_another_version_does_not_record_is_unknown(study: Path) -> None:
    run = run_folder(study, "none-seed0")
    kept = {k: v for k, v in read_result(run).conditions.items() if k != "scipy"}
    edit_run(run, "result.json", conditions=kept)
    summary = summarize(StudyFolder.open(study))
    assert summary.conditions["scipy"].startswith("unknown / ")
    (text,) = (text for text in warning_texts(summary) if "different conditions: scipy." in text)
    assert "2 runs and the runs of none with the same seed" in text


def test_failed_run_is_reported(study: Path) -> None:
    run = run_folder(study, "input-seed1")
    shutil.rmtree(run)
    writer = RunWriter.claim(run)
    assert writer
    writer.begin("test", 0)
    writer.end("failed: the loss became NaN")
    writer.release()
    summary = summarize(StudyFolder.open(study))
    assert summary.failed == {"input": [1]}
    text = render("report.md", summary, [])
    assert "5 of 6 runs are done, and 1 failed or was stopped." in text


def test_unfinished_study_lists_missing_runs_in_every_format(study: Path) -> None:
    for name in ("none-seed0", "final-seed0", "final-seed1"):
        shutil.rmtree(run_folder(study, name))
    summary = summarize(StudyFolder.open(study))
    assert (summary.done, summary.total) == (3, 6)
    assert summary.verdict.claim.waiting == ["final"]
    markdown, page = (render(f"report.{kind}", summary, []) for kind in ("md", "html"))
    for content in (markdown, page):
        assert "3 of 6 runs" in content
        assert "none 1/2, input 2/2, final 0/2" in content
    assert "| final | 0/2 | – | – | – | – | – | – |" in markdown
    assert re.search(r"\| (\*\*)?none(\*\*)? \| 1/2 \| ", markdown)
