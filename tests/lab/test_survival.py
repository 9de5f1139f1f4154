"""Tests of studies whose processes are killed: no run is lost, repeated or damaged."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import command_line
import crash_server
from layermix.lab import StudyFolder
from layermix.lab.store import verify
from layermix.lab.store.listing import list_runs
from layermix.reporting import summarize

STUDY = "compare --train-size 100 --model mlp --epochs 40 --batch-size 20 --monitor 2 --seeds 6"
STUDY += " --variants none input final --checkpoint-every 0.02 --no-geometry"


def results(folder: Path) -> dict[str, Any]:
    """Return the results of the report, without the times."""
    content = summarize(StudyFolder.open(folder)).to_json()
    content.pop("timings")
    return content


def checked(folder: Path) -> dict[str, int]:
    """Return the times of the finished runs by name, whose files must be whole."""
    found = {run.name: run.path for run in list_runs(folder / "runs") if run.status == "finished"}
    for path in found.values():
        verify(path)
    return {name: (path / "manifest.json").stat().st_mtime_ns for name, path in found.items()}


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    script = Path(crash_server.__file__)
    # One thread: a child that is forked has none of the others.
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    pipes["env"] = environment
    with subprocess.Popen([sys.executable, str(script)], **pipes) as process:
        assert process.stdin
        assert process.stdout

        def train(number: int, folder: Path) -> int:
            print(number, folder, file=process.stdin, flush=True)
            return int(next(iter(process.stdout or ())))

        yield train
        process.stdin.close()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("undisturbed") / "study"
    crash_server.train(folder)
    return results(folder)


@pytest.mark.parametrize(
    "steps", [range(5, 1000, 13), pytest.param(range(1, 1000), marks=pytest.mark.slow)]
)
def test_study_survives_a_kill_at_steps_on_the_disk(
    steps: range, server: Any, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    for number in steps:
        folder = tmp_path / str(number)
        status = server(number, folder)
        if status == 0:  # there are fewer steps
            assert number > 100
            return
        assert os.WTERMSIG(status) == signal.SIGKILL
        before = checked(folder)
        assert server(0, folder) == 0
        after = checked(folder)
        assert {name: after[name] for name in before} == before
        assert results(folder) == undisturbed
        assert [run.status for run in list_runs(folder / "runs")] == ["finished"] * 2
    pytest.fail("the study was never finished")


def start(folder: Path, *more: str) -> subprocess.Popen[str]:
    return command_line.start(" ".join([STUDY, "--out", str(folder), *more]))


@pytest.mark.slow
def test_study_survives_random_kills_of_leader_and_workers(tmp_path: Path) -> None:
    whole = start(tmp_path / "whole", "--workers", "2")
    _, err = whole.communicate()
    assert whole.returncode == 0, err
    rng, folder, kills, before = random.Random(0), tmp_path / "study", 0, dict[str, int]()
    kinds = {"leader": 0, "worker": 0, "both": 0}
    while True:
        process = start(folder, "--workers", "2")
        begun = _written(folder)
        while process.poll() is None and _written(folder) in (begun, -1):
            time.sleep(0.005)
        time.sleep(rng.random() * 0.8)
        workers = command_line.children(process.pid) if process.poll() is None else []
        kind = rng.choice(list(kinds))
        chosen = [] if kind == "leader" else [rng.choice(workers)] if workers else []
        chosen += [] if kind == "worker" else [process.pid]
        for pid in chosen if process.poll() is None else ():
            os.kill(pid, signal.SIGKILL)
            kills, kinds[kind] = kills + 1, kinds[kind] + 1
        if kind == "worker":
            time.sleep(rng.random())
            if process.poll() is None:
                process.kill()
                kills += 1
        process.communicate()
        after = checked(folder)
        assert {name: after[name] for name in before} == before
        before = after
        if process.returncode == 0:
            break
    print(f"{kills} kills: {kinds}")
    assert kills >= 50
    assert results(folder) == results(tmp_path / "whole")


def _written(folder: Path) -> int:
    """Return a number that changes when an epoch is recorded or a run is finished."""
    with contextlib.suppress(FileNotFoundError):  # removed between two looks
        return sum(path.stat().st_size for path in folder.glob("runs/*/epochs.jsonl"))
    return -1
