"""Tests of terminal output: literal names, and the progress of studies."""

import io
import re
import shutil
import time
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from layermix.lab import (
    DataConfig,
    Execution,
    Recipe,
    RunResult,
    StudyConfig,
    StudyFolder,
    configure,
    train_study,
)
from layermix.lab.display import (
    StudyDisplay,
    open_console,
    print_text,
    show_status,
)
from stored_runs import run_folder


def test_print_text_wraps_between_words_only_with_fold() -> None:
    text = io.StringIO()
    console = Console(file=text, width=20, highlight=False)
    print_text(console, "[a] sentence of more than one line", fold=True)
    print_text(console, "runs/a/path/of/more/than/one/line")
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    assert lines == ["[a] sentence of more", "than one line", "runs/a/path/of/more/than/one/line"]


def test_status_without_a_terminal_prints_one_line() -> None:
    text = io.StringIO()
    with show_status(Console(file=text, width=20), "Building runs/[a]/report.html"):
        assert text.getvalue() == "Building runs/[a]/report.html ...\n"


@pytest.mark.parametrize("name", ["own:m:net", ":star:", "[b]", "[/]", "C:\\[data]"])
def test_names_are_printed_without_markup_or_emoji(name: str) -> None:
    console = open_console()
    with console.capture() as shown:
        print_text(console, name)
        print_text(console, name, fold=True)
        console.print(Table("column", title=name))
        with show_status(console, name):
            pass
    assert shown.get().count(name) == 4


@pytest.mark.parametrize(("columns", "expected"), [(None, 110), ("80", 110), ("150", 150)])
def test_console_width_without_a_terminal_is_at_least_110(
    columns: str | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns:
        monkeypatch.setenv("COLUMNS", columns)
    assert open_console().width == expected


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study") / "whole"
    recipe = Recipe(epochs=2, batch_size=20, monitor=1)
    config = configure(DataConfig(train_size=100), "mlp", recipe, ("none", "input"), seeds=2)
    train_study(config, folder, Execution(workers=1))
    return folder


@pytest.fixture
def study(finished: Path, tmp_path: Path) -> StudyFolder:
    """Return a study in which one of four runs is missing."""
    shutil.copytree(finished, tmp_path / "study")
    shutil.rmtree(run_folder(tmp_path / "study", "input-seed1"))
    return StudyFolder.open(tmp_path / "study")


@pytest.fixture
def frequent_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Poll every 0.1 seconds, and print a progress line at least every 0.5 seconds."""
    monkeypatch.setattr("layermix.lab.display._POLL_SECONDS", 0.1)
    monkeypatch.setattr("layermix.lab.display._LINE_SECONDS", 0.5)


def printed_lines(study: StudyFolder) -> list[str]:
    text = io.StringIO()
    with StudyDisplay(Console(file=text, width=200), study, workers=1):
        pass
    return text.getvalue().splitlines()


def test_resumed_study_prints_finished_runs_and_settings(study: StudyFolder) -> None:
    assert printed_lines(study) == [
        "3 of 4 runs are finished, continuing.",
        "100 training (class-balanced), 300 validation and 1,197 test images of 10 classes. "
        "Variants: 2, seeds: 2, runs: 4, epochs: 2, parallel: 1. The time left is estimated after "
        "the first epochs.",
    ]


def test_finished_study_prints_one_line(finished: Path) -> None:
    assert printed_lines(StudyFolder.open(finished)) == ["All 4 runs are finished."]


def test_finished_run_prints_its_validation_accuracy(study: StudyFolder) -> None:
    text, expected = io.StringIO(), study.run_results()
    train_study(
        study.config,
        study.folder,
        Execution(workers=1),
        console=Console(file=text, width=200),
    )
    (cell,) = study.run_results().keys() - expected.keys()
    accuracy = study.run_results()[cell].val["accuracy"]
    line = f"4/4  input seed 1: validation accuracy {accuracy:.1%}, 0:00:00 left"
    assert text.getvalue().splitlines()[-1] == line


def test_terminal_row_shows_mean_and_std_of_a_variant(study: StudyFolder) -> None:
    text = io.StringIO()
    with StudyDisplay(Console(file=text, width=100, force_terminal=True), study, workers=1):
        pass
    first, second = (
        r.val["accuracy"] for c, r in study.run_results().items() if c.variant == "none"
    )
    (row,) = {line.strip() for line in re.findall(r"none .*", text.getvalue())}
    mean, deviation = (first + second) / 2, abs(first - second) / 2**0.5
    assert row.endswith(f"2/2  validation accuracy {mean:.2%} (SD {deviation:.2%})")
    assert "3/4  time left unknown" in text.getvalue()


def test_time_left_is_estimated_without_worker_startup(
    tmp_path: Path,
) -> None:
    config = StudyConfig(DataConfig(), "mlp", Recipe(epochs=100), ("none", "input"), (0, 1))
    study, clock = StudyFolder(config, tmp_path / "study"), [0.0]
    display = StudyDisplay(Console(quiet=True), study, workers=2)
    display.progress.get_time = lambda: clock[0]
    cell = next(study.cells())
    for clock[0], epochs, left in (
        (100.0, 0, "time left unknown"),
        (200.0, 1, "time left unknown"),
        (202.0, 2, "0:13:16 left"),  # 398 epochs of 2 seconds
        (203.0, 4, "0:06:36 left"),  # 396 epochs of 1 second
    ):
        display.record(cell, epochs)
        display.update()
        assert display.time_left == left
    clock[0] = 303.0
    result = RunResult({"accuracy": 0.5}, {"accuracy": 0.5})
    display.add(cell, result)
    assert display.time_left == "0:05:13 left"  # 300 epochs of 103 / 99 seconds


def test_epoch_progress_is_printed_at_a_limited_rate(
    study: StudyFolder, frequent_updates: None
) -> None:
    text, (cell,) = io.StringIO(), study.missing()
    with StudyDisplay(Console(file=text, width=200), study, workers=1) as display:
        for epoch in range(30):
            display.record(cell, epoch)
            time.sleep(0.05)
    lines = text.getvalue().splitlines()[2:]
    assert 2 <= len(lines) <= 4
    assert all(re.match(r"3/4  running: input-seed1 epoch \d+/2; ", line) for line in lines)


def test_failed_run_is_printed_with_its_error(study: StudyFolder) -> None:
    text = io.StringIO()
    with StudyDisplay(Console(file=text, width=200), study, workers=1) as display:
        display.add(study.missing()[0], "no memory")
    assert text.getvalue().splitlines()[-1] == "input-seed1 failed: no memory"
