"""Tests of studies: resuming after a kill, reproducible results, and invalid folders."""

import contextlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

import command_line
import layermix as lm
from layermix import InputError, RunError
from layermix.cli import run_cli
from layermix.lab import (
    DataConfig,
    Execution,
    Recipe,
    RunConfig,
    StudyFolder,
    configure,
    run,
    train_study,
)
from layermix.lab.engines.dispatch import Dispatcher
from layermix.lab.engines.inline import InlineEngine
from layermix.lab.engines.job import JobSettings
from layermix.reporting import summarize, write_report

FEW = DataConfig(train_size=100)
SHORT = Recipe(epochs=3, batch_size=20, monitor=1)
VARIANTS = ("none", "input", "final")
STUDY = "compare --train-size 100 --model mlp --epochs 3 --batch-size 20 --monitor 1 --seeds 2"
STUDY += f" --variants {' '.join(VARIANTS)}"


def start(out: Path, *more: str) -> subprocess.Popen:
    return command_line.start(" ".join([STUDY, "--out", str(out), *more]))


def results(folder: Path) -> dict[str, Any]:
    content = json.loads((folder / "results.json").read_text())
    content.pop("timings")
    return content


def wait_for_runs(folder: Path, count: int, process: subprocess.Popen) -> None:
    while len(finished_runs(folder)) < count:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def finished_runs(folder: Path) -> list[Path]:
    return [path for path in folder.glob("runs/*") if not path.name.endswith("-unfinished")]


@pytest.fixture(scope="module")
def finished_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run a study with one worker and without interruption, and return its folder."""
    folder = tmp_path_factory.mktemp("whole") / "study"
    with contextlib.redirect_stdout(io.StringIO()) as out:
        run_cli([*STUDY.split(), "--out", str(folder), "--workers=1"])
    text = " ".join(out.getvalue().split())
    assert "The claim that mixing at the final layer beats mixing at the input" in text
    assert f"Report: {folder}/report.html" in text
    return folder


def test_study_writes_a_report_and_one_folder_per_run(finished_study: Path) -> None:
    runs = sorted(path.name.rpartition("-")[0] for path in (finished_study / "runs").iterdir())
    assert runs == sorted(f"{variant}-seed{seed}" for variant in VARIANTS for seed in (0, 1))
    for name in ("report.html", "report.md", "results.json", "study.json"):
        assert (finished_study / name).stat().st_size > 0


def test_killed_study_resumed_with_other_workers_has_equal_results(
    finished_study: Path, tmp_path: Path
) -> None:
    process = start(tmp_path / "study", "--workers", "1")
    wait_for_runs(tmp_path / "study", 2, process)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "study/results.json").exists()

    config = configure(FEW, "mlp", SHORT, VARIANTS, seeds=2)
    write_report(train_study(config, tmp_path / "study", Execution(workers=2)))
    assert results(tmp_path / "study") == results(finished_study)


@pytest.mark.slow
def test_workers_exit_when_the_main_process_is_killed(tmp_path: Path) -> None:
    process = start(tmp_path / "study", "--epochs", "300", "--workers", "2")
    while len(list((tmp_path / "study").glob("runs/*/epochs.jsonl"))) < 2:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    workers = command_line.children(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    while any(Path(f"/proc/{pid}/task").exists() for pid in workers):
        time.sleep(0.01)
    assert finished_runs(tmp_path / "study") == []


def test_killed_worker_is_replaced_and_its_run_continues(
    finished_study: Path, tmp_path: Path
) -> None:
    process = start(tmp_path / "study", "--workers", "2", "--checkpoint-every", "0.001")
    while not list((tmp_path / "study").glob("runs/*-unfinished/checkpoint-0.json")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.001)
    os.kill(command_line.children(process.pid)[0], signal.SIGKILL)
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert re.search(r"\w+-seed\d: its process was ended by SIGKILL", out)
    assert results(tmp_path / "study") == results(finished_study)


def test_report_rebuilt_from_the_folder_is_identical(finished_study: Path) -> None:
    before = {
        name: (finished_study / name).read_bytes() for name in ("results.json", "report.html")
    }
    write_report(StudyFolder.open(finished_study))
    assert {name: (finished_study / name).read_bytes() for name in before} == before


def test_folder_of_another_study_raises_with_the_first_difference(finished_study: Path) -> None:
    config = configure(FEW, "mlp", Recipe(epochs=4, batch_size=20, monitor=1), VARIANTS, seeds=2)
    with pytest.raises(InputError, match="belongs to another study, with epochs = 3 instead of 4"):
        train_study(config, finished_study)


def test_non_empty_folder_without_a_study_raises(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(InputError, match=r"is not empty and has no study\.json"):
        train_study(configure(FEW, "mlp", SHORT, seeds=1), tmp_path)


def test_failed_runs_do_not_stop_the_others(tmp_path: Path) -> None:
    explosive = Recipe(epochs=3, batch_size=20, lr=1e30, warmup=0.0, monitor=1)
    config = configure(FEW, "mlp", explosive, ("none",), seeds=2)
    with pytest.raises(RunError, match=r"2 of 2 runs failed.*none-seed\d: the loss became"):
        train_study(config, tmp_path / "study", Execution(workers=1))
    left = sorted(path.name for path in (tmp_path / "study/runs").iterdir())
    assert [re.sub(r"-\w{10}-", "-", name) for name in left] == [
        "none-seed0-unfinished",
        "none-seed1-unfinished",
    ]


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        (("none", "blok1"), "unknown variant 'blok1': did you mean 'block1'"),
        (("none", "none"), "the variant 'none' is given 2 times"),
        (("none", "flatten.1"), "unknown variant 'flatten.1': did you mean 'flatten'"),
    ],
)
def test_configure_raises_for_invalid_variants(variants: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        configure(FEW, "mlp", SHORT, variants)


def test_mix_points_are_computed_once_per_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []

    def counted(*arguments: Any, **settings: Any) -> lm.Points:
        found.append(lm.points(*arguments, **settings))
        return found[-1]

    module = sys.modules["layermix.lab.run_setup"]  # `experiments.run` is the function
    monkeypatch.setattr(module, "points", counted)
    config = configure(FEW, "mlp", SHORT, VARIANTS, seeds=2)
    study = train_study(config, tmp_path / "study", Execution(workers=1))
    assert len(found) == 1
    for cell in (RunConfig(FEW, "mlp", SHORT, name, 1) for name in VARIANTS):
        shutil.rmtree(study.path(cell))
    train_study(StudyFolder.open(study.folder).config, study.folder, Execution(workers=1))
    assert len(found) == 2
    result = run(RunConfig(FEW, "mlp", SHORT, "input", 1), tmp_path / "one")
    assert len(found) == 3
    assert result.test == study.run_results()[RunConfig(FEW, "mlp", SHORT, "input", 1)].test


def test_returned_results_equal_the_results_on_disk(tmp_path: Path) -> None:
    config = configure(FEW, "mlp", SHORT, ("none", "auto"), seeds=1)
    study = StudyFolder(config, tmp_path / "study")
    settings = JobSettings(1, all_points=config.all_points)
    passed_on = dict(Dispatcher(study, InlineEngine(), settings).outcomes())
    assert passed_on == study.run_results()


def test_default_variants_are_none_input_each_block_final_random_and_auto() -> None:
    found = configure(FEW, "resnet-small", SHORT).variants
    assert found == ("none", "input", "block1", "block2", "block3", "final", "random", "auto")


def test_default_number_of_seeds_is_ten() -> None:
    assert configure(FEW, "mlp", SHORT).seeds == tuple(range(10))


def test_results_contain_the_command_of_the_study(finished_study: Path) -> None:
    command = results(finished_study)["command"]
    assert command == (
        "layermix compare --train-size 100 --model mlp --variants none input final --seeds 2 "
        "--epochs 3 --batch-size 20 --monitor 1"
    )


def test_variant_can_be_any_mixable_module(tmp_path: Path) -> None:
    config = configure(FEW, "mlp", SHORT, ("none", "block1.0"), seeds=1)
    summary = summarize(train_study(config, tmp_path / "study", Execution(workers=1)))
    assert [row.name for row in summary.variants] == ["none", "block1.0"]


def test_unmixable_variant_raises_with_the_reason() -> None:
    with pytest.raises(InputError) as error:
        configure(FEW, "resnet-small", SHORT, ("none", "block1.relu"))
    assert str(error.value) == (
        "variant 'block1.relu' cannot be mixed: it is called 2 times in one forward pass, but a "
        "mix happens once"
    )


def test_runs_in_the_calling_process_restore_settings(tmp_path: Path) -> None:
    torch.set_flush_denormal(False)
    before = torch.get_num_threads(), warnings.filters[:]
    config = configure(FEW, "mlp", SHORT, ("none",), seeds=1)
    train_study(config, tmp_path / "study", Execution(workers=1))
    assert (torch.get_num_threads(), warnings.filters[:]) == before
    assert torch.tensor(1e-310, dtype=torch.float64) + 0.0 > 0
