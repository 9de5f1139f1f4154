"""Tests of the execution of studies: stored weights, lost processes, and other processes."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from layermix import InputError, RunError
from layermix.cli import run_cli
from layermix.lab import DataConfig, Execution, Recipe, StudyFolder, configure, train_study
from layermix.lab.engines.local import LocalEngine
from layermix.lab.store import RunWriter
from layermix.lab.study_training import continue_study

FEW = DataConfig(train_size=60)
SHORT = Recipe(epochs=2, batch_size=20, monitor=1, geometry=False)
_HANGS = """
import os, pathlib, signal, time
import torch
from torch import nn


class Net(nn.Sequential):
    calls = 0

    def forward(self, input):
        in_worker = "engines.worker" in pathlib.Path("/proc/self/cmdline").read_text()
        Net.calls += self.training and torch.is_grad_enabled() and in_worker
        marks = pathlib.Path({marks!r})
        if Net.calls == 4 and self.training and len(list(marks.iterdir())) < {times}:
            (marks / str(os.getpid())).touch()
            {action}
        return super().forward(input)


def net(num_classes):
    return Net(nn.Flatten(), nn.Linear(64, num_classes))
"""


def study_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: str, times: int
) -> tuple[Any, Path]:
    """Return a study whose training does an action in its second epoch, the first times."""
    marks = tmp_path / "marks"
    marks.mkdir()
    code = _HANGS.format(marks=str(marks), times=times, action=action)
    name = f"net_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    config = configure(FEW, f"{name}:net", SHORT, ("none",), seeds=2)
    return config, tmp_path / "study"


def logs(folder: Path) -> str:
    return "\n".join(path.read_text() for path in folder.glob("runs/*/log.txt"))


@pytest.mark.parametrize(("weights", "stored"), [("all", 4), ("first", 2), ("none", 0)])
def test_weights_are_stored_as_chosen(weights: Any, stored: int, tmp_path: Path) -> None:
    config = configure(FEW, "mlp", SHORT, ("none", "final"), seeds=2)
    execution = Execution(workers=1, weights=weights)
    study = train_study(config, tmp_path / "study", execution)
    assert len(list(study.runs.glob("*/weights.safetensors"))) == stored
    assert len(study.finished()) == 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"workers": 0}, "workers is 0, but must be from 1 to 10,000"),
        ({"checkpoint_every": 0.0}, "checkpoint_every is 0.0"),
        ({"stall_timeout": -1.0}, "stall_timeout is -1.0"),
    ],
)
def test_invalid_settings_raise(settings: Any, message: str, tmp_path: Path) -> None:
    config = configure(FEW, "mlp", SHORT, ("none",), seeds=1)
    with pytest.raises(InputError, match=message):
        train_study(config, tmp_path / "study", Execution(**settings))


@pytest.mark.slow
def test_hanging_process_is_ended_and_its_run_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, folder = study_of(tmp_path, monkeypatch, "time.sleep(1000)", 1)
    execution = Execution(workers=2, stall_timeout=15.0, checkpoint_every=1e-9)
    study = train_study(config, folder, execution)
    assert len(study.finished()) == 2
    assert "its process did nothing for 15 seconds, and was ended" in logs(folder)
    assert "after record 2" in logs(folder)


@pytest.mark.slow
def test_run_whose_process_always_dies_fails_after_three_attempts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    action = "os.kill(os.getpid(), signal.SIGKILL)"
    config, folder = study_of(tmp_path, monkeypatch, action, 100)
    with pytest.raises(RunError, match=r"2 of 2 runs failed.*ended by SIGKILL.*3 attempts"):
        train_study(config, folder, Execution(workers=2))
    assert len(list((tmp_path / "marks").iterdir())) == 6


def test_claimed_run_is_left_to_its_process(tmp_path: Path) -> None:
    config = configure(FEW, "mlp", SHORT, ("none", "final"), seeds=1)
    study = StudyFolder(config, tmp_path / "study")
    first, second = study.cells()
    writer = RunWriter.claim(study.path(first))
    assert writer
    continue_study(study, Execution(workers=1), waits=False)
    assert study.finished() == [second]
    waiting = threading.Timer(1.0, writer.release)
    waiting.start()
    continue_study(study, Execution(workers=1))  # waits, and takes it over
    assert study.finished() == [first, second]


def test_function_that_cannot_be_sent_is_named(tmp_path: Path) -> None:
    lock = threading.Lock()

    def train(*_: Any) -> Any:
        return lock

    from layermix.lab import configure_own

    config = configure_own(FEW, train, ("none",), seeds=2)
    with pytest.raises(InputError, match="cannot be sent to another process: use --workers 1"):
        train_study(config, tmp_path / "study", Execution(workers=2), train=train)


def test_worker_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    code = (
        "import os, time; from layermix.lab.engines.local import LocalEngine; "
        "engine = LocalEngine(1); engine._waiting.append(('x', b'')); engine._distribute(); "
        "print(engine._workers[0]._process.pid, flush=True); time.sleep(100)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    worker = int(process.stdout.readline())
    process.kill()
    process.communicate()
    until = time.monotonic() + 20
    while Path(f"/proc/{worker}").exists():
        assert time.monotonic() < until
        time.sleep(0.05)
    assert LocalEngine(1).slots == 1
    assert os.getpid() != worker


@pytest.mark.parametrize("words", ["work", "evaluate", "profile --run"])
def test_code_in_a_stored_record_is_only_imported_if_trusted(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config, folder = study_of(tmp_path, monkeypatch, "pass", 0)
    study = train_study(config, folder, Execution(workers=1))
    path = study.path(next(study.cells())) if words.startswith("profile") else folder
    module = config.model.partition(":")[0]
    sys.modules.pop(module)
    with pytest.raises(SystemExit) as end:
        run_cli([*words.split(), str(path)])
    assert end.value.code == 2
    assert (
        f"is '{module}:net', whose code would be imported: add --trust" in capsys.readouterr().err
    )
    assert module not in sys.modules
    run_cli(["report", str(folder)])
    assert module not in sys.modules
    if words == "work":
        run_cli(["work", str(folder), "--trust"])
