"""Tests of the program as a process: missing modules, lazy imports, Ctrl-C, and closed pipes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from command_line import FEW, STAR_STUDY, children, heed_interrupts, start, write_star

STUDY = "compare --data digits --model mlp --train-size 60 --epochs 100000 --monitor 1 --workers 2"
STUDY += " --variants none final --seeds 6"  # more runs than the queue of the workers holds
BLOCKED = """
import runpy, sys
sys.modules.update({name: None for name in sys.argv[1].split(",")})
del sys.argv[1]
runpy.run_module("layermix", run_name="__main__", alter_sys=True)
"""
HEAVY = "scipy,sklearn,matplotlib,pandas,datasets,torchmetrics,jinja2,joblib,transformers,PIL"


def slow(*values: str) -> Any:
    """Return the values of a slow case."""
    return pytest.param(*values, marks=pytest.mark.slow)


def run_without(modules: str, words: str) -> subprocess.CompletedProcess[str]:
    """Run the program in a process in which these modules cannot be imported."""
    command = [sys.executable, "-c", BLOCKED, modules, *words.split()]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("words", ["points --model mlp", *map(slow, ["--help", "methods"])])
def test_short_commands_do_not_need_the_large_libraries(words: str) -> None:
    done = run_without(HEAVY, words)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("tyro", "--help"),
        slow("rich", "points"),
        slow("timm", "points --model timm:resnet18"),
        slow("sklearn", "profile --model mlp"),  # first needed by the command
        slow("torchmetrics", f"train {FEW} --epochs 100000"),  # first needed after the training
        slow("torchmetrics", f"compare {FEW} --epochs 100000"),
        slow("matplotlib", f"compare {FEW} --epochs 100000"),  # first needed by the report
    ],
)
def test_missing_module_error_contains_the_install_command(
    module: str, words: str, tmp_path: Path
) -> None:
    out = f" --out {tmp_path / 'new'}" if "--epochs" in words else ""
    done = run_without(module, words + out)
    assert done.returncode == 1
    package = "timm" if module == "timm" else "'layermix[lab]'"
    message = f"layermix: the module {module!r} is not installed: run pip install {package}\n"
    assert done.stderr == message
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_importing_experiments_without_rich_gives_the_install_command() -> None:
    code = "import sys; sys.modules['rich'] = None; import layermix.lab"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    last = done.stderr.splitlines()[-1]
    assert last.endswith("the module 'rich' is not installed: run pip install 'layermix[lab]'")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
@pytest.mark.parametrize(
    "stop", [os.killpg, os.kill]
)  # as from a terminal, and as from a supervisor
def test_stopped_study_writes_checkpoints_and_stops_all_workers(
    stop: Callable[[int, int], None], number: int, code: int, tmp_path: Path
) -> None:
    with (tmp_path / "out").open("w") as out:
        process = start(
            f"{STUDY} --out {tmp_path / 'study'}",
            stdout=out,
            preexec_fn=heed_interrupts,
            start_new_session=True,
        )
        while len(list(tmp_path.glob("study/runs/*/epochs.jsonl"))) < 2:
            assert process.poll() is None
            time.sleep(0.05)
        workers = children(process.pid)
        assert len(workers) == 2
        stop(process.pid, number)
        _, err = process.communicate()
    assert process.returncode == code
    assert err == "layermix: stopped. Finished runs are kept; repeat the command to continue\n"
    assert "Traceback" not in (tmp_path / "out").read_text()
    assert len(list(tmp_path.glob("study/runs/*-unfinished/checkpoint-0.json"))) == 2
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_run_continues_from_its_checkpoint(number: int, code: int, tmp_path: Path) -> None:
    words = f"train --train-size 60 --model mlp --epochs 2000 --monitor 1 --out {tmp_path / 'run'}"
    process = start(words, preexec_fn=heed_interrupts)
    while not list(tmp_path.glob("run-unfinished/epochs.jsonl")):
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, number)
    _, err = process.communicate()
    assert process.returncode == code
    assert "repeat the command to continue from the last checkpoint" in err
    again = start(words)
    out, err = again.communicate()
    assert again.returncode == 0, err
    assert "epoch 0/2000" not in out
    assert "after record" in (tmp_path / "run/log.txt").read_text()


@pytest.mark.slow
def test_workers_ignore_keyboard_interrupts(tmp_path: Path) -> None:
    write_star(tmp_path)
    process = start(
        f"{STAR_STUDY} --workers 2 --out study",
        stdout=subprocess.DEVNULL,
        stderr=None,
        cwd=tmp_path,
        preexec_fn=heed_interrupts,
    )
    assert process.wait() == 0
    ignored = {path.stem: path.read_text() for path in tmp_path.glob("*.ignored")}
    assert ignored.pop(str(process.pid)) == "False"
    assert set(ignored.values()) == {"True"}


@pytest.mark.slow
@pytest.mark.parametrize("words", ["methods", "points --all", "--help"])
def test_closed_output_pipe_exits_without_traceback(words: str) -> None:
    process = start(words)
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert err == ""
    assert process.wait() in (0, 141)
