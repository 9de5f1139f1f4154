"""The program as a process: a module that is missing, Ctrl-C, and a reader that goes away."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

STUDY = "compare --data digits --net mlp --train-size 60 --epochs 100000 --watch 1 --workers 2"
STUDY += " --variants none final --seeds 6"  # more runs than wait in the queue of the workers
BLOCKED = """
import runpy, sys
sys.modules.update({name: None for name in sys.argv[1].split(",")})
del sys.argv[1]
runpy.run_module("layermix", run_name="__main__", alter_sys=True)
"""


def without(modules: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the program where some modules cannot be imported."""
    command = [sys.executable, "-c", BLOCKED, modules, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("module", "words"), [("tyro", "--help"), ("rich", "points")])
def test_a_module_that_is_missing_is_named_with_the_command_that_installs_it(
    module: str, words: str
) -> None:
    done = without(module, words)
    assert done.returncode == 1
    assert done.stderr == (
        f"layermix: the module {module!r} is not installed: run pip install 'layermix[lab]'\n"
    )


def test_a_module_that_is_first_needed_by_a_command_is_named_too() -> None:
    done = without("sklearn", *["profile", "--net", "mlp"])
    assert done.returncode == 1
    assert done.stderr == (
        "layermix: the module 'sklearn' is not installed: run pip install 'layermix[lab]'\n"
    )


def test_a_module_that_runs_need_is_missed_before_they_begin(tmp_path: Path) -> None:
    words = f"compare --data digits --train-size 60 --epochs 1 --out {tmp_path / 'study'}"
    done = without("torchmetrics", *words.split())
    assert done.returncode == 1
    assert done.stderr == (
        "layermix: the module 'torchmetrics' is not installed: run pip install 'layermix[lab]'\n"
    )


def test_importing_the_lab_without_its_libraries_says_what_installs_them() -> None:
    code = "import sys; sys.modules['rich'] = None; import layermix.experiments"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    last = done.stderr.splitlines()[-1]
    assert last.endswith("the module 'rich' is not installed: run pip install 'layermix[lab]'")


def heed_interrupts() -> None:
    """Undo what a shell does to commands in the background: they and their children ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.parametrize(  # as a terminal does, and a supervisor
    "stop", [os.killpg, pytest.param(os.kill, marks=pytest.mark.slow)]
)
def test_a_study_that_is_interrupted_says_one_line_and_leaves_no_worker(
    stop: Callable[[int, int], None], tmp_path: Path
) -> None:
    with (tmp_path / "out").open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "layermix", *STUDY.split(), "--out", str(tmp_path / "study")],
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=heed_interrupts,
            start_new_session=True,
        )
        while len(list(tmp_path.glob("study/runs/.*/epochs.jsonl"))) < 2:
            assert process.poll() is None
            time.sleep(0.05)
        stop(process.pid, signal.SIGINT)
        _, err = process.communicate()
    assert process.returncode == 130
    assert err == "layermix: stopped. What was finished is kept: the same command continues\n"
    assert "Traceback" not in (tmp_path / "out").read_text()
    deadline = time.monotonic() + 30
    while group_lives(process.pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_workers_ignore_an_interrupt_which_reaches_them_too(tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text(
        "import os, pathlib, signal\n"
        "from torch import nn\n"
        "def star(num_classes):\n"
        "    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN\n"
        "    pathlib.Path(f'{os.getpid()}.ignored').write_text(str(ignored))\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, num_classes))\n"
    )
    words = "compare --data digits --train-size 60 --epochs 1 --watch 0 --no-geometry --seeds 1"
    words += " --workers 2 --net m:star --variants none final --out study"
    process = subprocess.Popen(
        [sys.executable, "-m", "layermix", *words.split()],
        stdout=subprocess.DEVNULL,
        cwd=tmp_path,
        preexec_fn=heed_interrupts,
    )
    assert process.wait() == 0
    ignored = {path.stem: path.read_text() for path in tmp_path.glob("*.ignored")}
    assert ignored.pop(str(process.pid)) == "False"
    assert set(ignored.values()) == {"True"}


def group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    "words",
    ["methods", *(pytest.param(w, marks=pytest.mark.slow) for w in ("points --all", "--help"))],
)
def test_a_reader_that_goes_away_ends_a_command_quietly(words: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "layermix", *words.split()],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert err == ""
    assert process.wait() in (0, 141)
