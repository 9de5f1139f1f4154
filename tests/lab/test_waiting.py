"""Tests of the order in which a process tries to claim the runs of a study."""

from dataclasses import replace
from pathlib import Path

import pytest

from layermix.lab import DataConfig, Recipe, StudyFolder, configure
from layermix.lab.engines.dispatch import Dispatcher
from layermix.lab.engines.inline import InlineEngine
from layermix.lab.engines.job import JobSettings
from layermix.lab.engines.waiting import WaitingRuns
from layermix.lab.store import RunConfig, RunWriter


@pytest.fixture
def study(tmp_path: Path) -> StudyFolder:
    data, variants = DataConfig(train_size=60), ("none", "input")
    config = configure(data, "mlp", Recipe(epochs=1), variants, seeds=30)
    return StudyFolder(config, tmp_path / "study")


@pytest.fixture
def waiting(study: StudyFolder) -> WaitingRuns:
    found = WaitingRuns(study)
    found.add(*study.cells())
    return found


def begin(study: StudyFolder, cells: list[RunConfig]) -> None:
    for cell in cells:
        writer = RunWriter.claim(study.path(cell))
        assert writer
        writer.begin("elsewhere", 0)
        writer.release()


def test_alone_runs_keep_their_order(study: StudyFolder, waiting: WaitingRuns) -> None:
    cells = list(study.cells())
    assert waiting.listed() == ([], cells)
    waiting.remove(cells[0])
    assert waiting.listed() == ([], cells[1:])


def test_runs_that_were_begun_come_first_at_first_and_then_last(
    study: StudyFolder, waiting: WaitingRuns
) -> None:
    cells = list(study.cells())
    begin(study, cells[4:6])  # stopped earlier: they may have a checkpoint
    _, found = waiting.listed()
    assert found[:2] == cells[4:6]
    assert set(found[2:5]) == set(cells[:3])
    assert found[5:] == [cells[3], *cells[6:]]
    _, found = waiting.listed()
    assert set(found[:3]) == set(cells[:3])
    assert found[3:] == [cells[3], *cells[6:], *cells[4:6]]


def test_of_many_begun_runs_only_some_are_tried_before_new_ones(
    study: StudyFolder, waiting: WaitingRuns
) -> None:
    cells = list(study.cells())
    begin(study, cells[:20])
    study.path(cells[30]).mkdir()
    finished, found = waiting.listed()
    assert finished == [cells[30]]
    assert set(found[:16]) < set(cells[:20])
    assert set(found[16:37]) == {*cells[20:30], *cells[31:42]}
    assert found[37:] == cells[42:]


def test_processes_choose_different_runs(study: StudyFolder, waiting: WaitingRuns) -> None:
    waiting.listed()
    begin(study, list(study.cells())[:20])
    assert len({waiting.listed()[1][0] for _ in range(40)}) > 8


def test_worker_that_does_not_wait_has_a_last_look(study: StudyFolder) -> None:
    study = StudyFolder(replace(study.config, seeds=(0,)), study.folder.with_name("small"))
    first, last = study.cells()
    held = RunWriter.claim(study.path(last))
    assert held
    dispatcher = Dispatcher(study, InlineEngine(), JobSettings(), waits=False)
    for cell, _ in dispatcher.outcomes():
        if cell == first:
            held.release()  # its process ends during a pause of this one
    assert study.finished() == [first, last]
