"""The progress of a study: what is said at its start, and how much time is left."""

import io
import os
import re
import shutil
import time
from pathlib import Path

import pytest
from rich.console import Console

from layermix.experiments import DataConfig, Recipe, Study, compare, plan
from layermix.experiments.progress import StudyView
from layermix.experiments.store import read_json


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study") / "whole"
    recipe = Recipe(epochs=2, batch_size=20, watch=1)
    config = plan(DataConfig(train_size=100), "mlp", recipe, ("none", "input"), seeds=2)
    compare(config, folder, workers=1)
    return folder


@pytest.fixture
def study(finished: Path, tmp_path: Path) -> Study:
    """A study of which one run of four is missing."""
    shutil.copytree(finished, tmp_path / "study")
    shutil.rmtree(tmp_path / "study/runs/input-seed1")
    return Study.open(tmp_path / "study")


@pytest.fixture
def restless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Report every tenth of a second, at the latest after half a second of silence."""
    monkeypatch.setattr("layermix.experiments.progress._LOOK", 0.1)
    monkeypatch.setattr("layermix.experiments.progress._SILENCE", 0.5)


def said(study: Study) -> str:
    text = io.StringIO()
    with StudyView(Console(file=text, width=100), study):
        pass
    return text.getvalue().strip()


def test_a_study_that_continues_says_how_far_it_is(study: Study) -> None:
    assert said(study) == "3 of 4 runs are finished, continuing."


def test_a_finished_study_says_that_nothing_is_left_to_do(finished: Path) -> None:
    assert said(Study.open(finished)) == "All 4 runs are finished."


def test_the_time_left_does_not_count_the_start_of_the_workers(study: Study) -> None:
    view = StudyView(Console(quiet=True), study)
    time.sleep(0.3)  # while workers start
    assert view._time_left() == "time left unknown yet"
    assert view.began is None
    run = study.runs / ".input-seed1.1"
    run.mkdir()
    (run / "epochs.jsonl").write_text("{}\n{}\n")  # before training, and one epoch of two
    before = time.monotonic()
    assert view._time_left() == "about 0 s left"
    assert view.began is not None
    assert view.began >= before


def test_the_clock_of_runs_that_nobody_watched_starts_with_the_first(study: Study) -> None:
    cell = next(cell for cell in study.cells() if cell.name == "none-seed1")
    aside = study.path(cell).rename(study.folder / "aside")
    text = io.StringIO()
    view = StudyView(Console(file=text, width=100), study)
    time.sleep(0.3)  # while workers start
    aside.rename(study.path(cell))
    spent = read_json(study.path(cell) / "result.json")["timings"]["total_seconds"]
    now = time.monotonic()
    view.finished(cell, None)
    assert view.began is not None
    assert 0 <= view.began - (now - spent) < 0.25
    assert "3/4  none seed 1: validation accuracy" in text.getvalue()


def test_a_study_says_at_once_what_it_is_about_to_do(study: Study) -> None:
    text = io.StringIO()
    compare(study.config, study.folder, workers=1, console=Console(file=text, width=200))
    assert text.getvalue().splitlines()[:2] == [
        "3 of 4 runs are finished, continuing.",
        "100 training (class-balanced), 300 validation and 1,197 test images of 10 classes. "
        "2 variants × 2 seeds = 4 runs of 2 epochs, 1 at a time. The time left is estimated after "
        "the first epochs.",
    ]


def test_epochs_are_reported_as_they_pass_but_not_each_of_them(
    study: Study, restless: None
) -> None:
    run = study.runs / f".input-seed1.{os.getpid()}"
    text = io.StringIO()
    with StudyView(Console(file=text, width=200), study):
        run.mkdir()
        for _ in range(30):
            with (run / "epochs.jsonl").open("a") as file:
                file.write("{}\n")
            time.sleep(0.05)
    lines = text.getvalue().splitlines()[1:]
    assert 2 <= len(lines) <= 4
    assert all(re.match(r"3/4  under way: input-seed1 epoch \d+/2; about ", line) for line in lines)


def test_the_time_left_counts_from_the_start_of_the_first_run_under_way(study: Study) -> None:
    run = study.runs / f".input-seed1.{os.getpid()}"
    run.mkdir()
    (run / "epochs.jsonl").write_text("{}\n{}\n")  # before training, and one epoch of two
    (run / "config.json").write_text("{}")
    begun = time.time() - 60
    os.utime(run / "config.json", (begun, begun))
    view = StudyView(Console(quiet=True), study)
    assert re.match(r"about 1 min [0-5] s left", view._time_left())
