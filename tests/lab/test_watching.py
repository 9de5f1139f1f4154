"""Tests of the progress that `layermix runs --watch` shows of other processes."""

import io
import shutil
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console

from layermix.errors import RunError
from layermix.lab import DataConfig, Execution, Recipe, StudyFolder, configure, train_study
from layermix.lab.store import RunWriter
from layermix.lab.watching import watch_study
from stored_runs import run_folder

MIXED = "multimix@final:k=8"  # its folder has another name


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("watched") / "study"
    recipe = Recipe(epochs=1, batch_size=20, monitor=1, geometry=False)
    config = configure(DataConfig(train_size=60), "mlp", recipe, ("none", MIXED), seeds=2)
    train_study(config, folder, Execution(workers=1))
    return folder


@pytest.mark.parametrize("terminal", [True, False])
def test_watching_shows_the_runs_of_another_process_until_the_end(
    whole: Path, tmp_path: Path, terminal: bool
) -> None:
    study = StudyFolder.open(shutil.copytree(whole, tmp_path / "study"))
    aside = run_folder(study.folder, "multimix@final-k=8-seed1").rename(tmp_path / "aside")
    last = list(study.cells())[-1]
    writer = RunWriter.claim(study.path(last))
    assert writer
    writer.begin("elsewhere", 0)
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=120)
    watching = threading.Thread(target=watch_study, args=(study, console), daemon=True)
    watching.start()
    deadline = time.monotonic() + 60
    wanted = "seed 1 epoch 0/1" if terminal else f"{last.folder_name} epoch 0/1"
    while wanted not in text.getvalue() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert wanted in text.getvalue()
    assert "3/4" in text.getvalue()
    assert (MIXED in text.getvalue()) == terminal
    assert "4/4" not in text.getvalue()
    writer.release()
    aside.rename(study.path(last))
    watching.join(60)
    assert not watching.is_alive()
    assert "4/4" in text.getvalue()


def test_watching_ends_if_the_folder_is_removed(whole: Path, tmp_path: Path) -> None:
    study = StudyFolder.open(shutil.copytree(whole, tmp_path / "study"))
    shutil.rmtree(tmp_path / "study")
    with pytest.raises(RunError, match=r"the folder .*study was removed"):
        watch_study(study, Console(file=io.StringIO()))
