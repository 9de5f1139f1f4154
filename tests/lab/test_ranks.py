"""Tests of one run on several processes of torchrun, against the same run of one process."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import rank_training
import shard_checks
from layermix.lab.store import read_result
from layermix.lab.training.joined_norm import JoinedBatchNorm, with_joined_norms

TRAIN = "train --data digits --train-size 200 --model resnet-small --batch-size 40 --monitor 2"
TRAIN += " --variant input --threads 1"


def torchrun(words: list[str], count: int = 2) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={count}", *words]
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, text=True, start_new_session=True, **pipes)


def train(out: Path, epochs: int, *more: str) -> subprocess.Popen[str]:
    words = [*TRAIN.split(), "--epochs", str(epochs), "--out", str(out), *more]
    return torchrun(["-m", "--", "layermix", *words])


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, list[float]]]:
    """Return the numbers of one process, and of two."""
    folder, script = tmp_path_factory.mktemp("ranks"), rank_training.__file__
    one = subprocess.Popen([sys.executable, script, str(folder / "1")])
    two = torchrun([script, str(folder / "2")])
    _, err = two.communicate()
    assert (one.wait(), two.returncode) == (0, 0), err[:5000]
    return [json.loads((folder / name).read_text()) for name in ("1", "2")]


@pytest.mark.parametrize("case", rank_training.CASES, ids=" ".join)
def test_two_processes_train_as_one(case: tuple, both: list[dict[str, list[float]]]) -> None:
    alone, together = (found[" ".join(case)] for found in both)
    assert len(alone) == 8
    assert together == pytest.approx(alone, rel=1e-9)


def test_weights_are_divided_only_where_that_is_right() -> None:
    process = torchrun([shard_checks.__file__])
    out, err = process.communicate(timeout=100)
    assert process.returncode == 0, err[:5000]
    assert out.count("all checks passed") == 2


def test_joined_norm_of_one_process_is_that_of_torch() -> None:
    x = torch.randn(6, 4, 3, 3, dtype=torch.float64)
    conv, norm = nn.Conv2d(4, 4, 3, padding=1).double(), nn.BatchNorm2d(4).double()
    names = nn.Sequential(conv, norm).state_dict().keys()
    joined = with_joined_norms(nn.Sequential(conv, norm))
    _, found = joined.children()
    assert isinstance(found, JoinedBatchNorm)
    assert joined.state_dict().keys() == names
    assert torch.equal(joined(x), nn.functional.batch_norm(conv(x), None, None, training=True))
    assert found.weight is norm.weight


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), ("--shard", "--optimizer", "adamw", "--lookahead")])
def test_killed_process_ends_the_run_with_a_message_and_it_resumes(
    tmp_path: Path, more: tuple[str, ...]
) -> None:
    out = tmp_path / "run"
    process = train(out, 80, "--checkpoint-every", "0.1", *more)
    until = time.monotonic() + 60
    while not (tmp_path / "run-unfinished/checkpoint-1.json").exists():
        assert time.monotonic() < until
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    ranks = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(ranks[1]), signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "layermix: " in err
    assert "epeat the command to continue from the last checkpoint" in err
    log = (tmp_path / "run-unfinished/log.txt").read_text()
    assert "stopped" in log or "another process of the run ended" in log
    again = train(out, 80, *more)
    _, err = again.communicate(timeout=100)
    assert again.returncode == 0, err
    assert "after record" in (out / "log.txt").read_text()
    assert read_result(out).conditions["processes"] == "2"
    undisturbed = train(tmp_path / "other", 80, *more)
    undisturbed.communicate(timeout=200)
    assert undisturbed.returncode == 0
    assert read_result(out).test == pytest.approx(read_result(tmp_path / "other").test, rel=1e-6)


def test_batch_that_cannot_be_divided_is_refused(tmp_path: Path) -> None:
    process = train(tmp_path / "run", 1, "--batch-size", "41")
    _, err = process.communicate(timeout=60)
    assert "the batch size is 41, but must be a multiple of the 2 processes" in err
    assert not list(tmp_path.iterdir())
