"""Short commands, and functions that run the program as a process."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

FEW = "--train-size 60 --model mlp --epochs 1 --monitor 1"
STAR_STUDY = "compare --data digits --train-size 60 --epochs 1 --monitor 0 --no-geometry --seeds 1"
STAR_STUDY += " --model starry:star --variants none final"
_STAR = """
import os, pathlib, signal
from torch import nn


def star(num_classes):
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    pathlib.Path(f"{os.getpid()}.ignored").write_text(str(ignored))
    return nn.Sequential(nn.Flatten(), nn.Linear(64, num_classes))
"""


def write_star(folder: Path) -> None:
    """Write the module of `STAR_STUDY`. Its model records if its process ignores Ctrl-C."""
    (folder / "starry.py").write_text(_STAR)


def start(words: str, **options: Any) -> subprocess.Popen[str]:
    """Start the program with pipes for its output."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [sys.executable, "-m", "layermix", *words.split()]
    return subprocess.Popen(command, text=True, **{**pipes, **options})


def heed_interrupts() -> None:
    """Enable Ctrl-C again. A shell starts background commands with interrupts ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def children(pid: int) -> list[int]:
    """Return the children of a process that are workers of the local engine."""
    found = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    return [p for p in found if "engines.worker" in Path(f"/proc/{p}/cmdline").read_text()]
