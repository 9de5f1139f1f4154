"""Tests of studies on a Ray cluster, whose processes and nodes are killed."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import command_line
from layermix import InputError, RunError
from layermix.lab import DataConfig, Execution, Recipe, StudyFolder, configure, train_study
from layermix.lab.data import Source, write_source
from layermix.lab.engines.ray_engine import RayEngine
from layermix.reporting import summarize

pytest.importorskip("ray")
pytestmark = pytest.mark.slow
STUDY = "compare --train-size 100 --model mlp --epochs 400 --batch-size 20 --monitor 1 --seeds 2"
STUDY += " --variants none final --no-geometry --checkpoint-every 0.1"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def ray(*words: str) -> None:
    command = [str(Path(sys.executable).with_name("ray")), *words]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Start a cluster by the documented command, and return its address."""
    port = free_port()
    ray("start", "--head", f"--port={port}", "--num-cpus=2", "--include-dashboard=false")
    yield f"127.0.0.1:{port}"
    ray("stop", "--force")


def on_ray(address: str, **settings: Any) -> Execution:
    return Execution(engine="ray", ray_address=address, **settings)


def results(folder: Path) -> dict[str, Any]:
    content = summarize(StudyFolder.open(folder)).to_json()
    content.pop("timings")
    return content


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("local") / "study"
    process = command_line.start(f"{STUDY} --out {folder}")
    _, err = process.communicate()
    assert process.returncode == 0, err
    return results(folder)


def start(folder: Path, address: str) -> subprocess.Popen[str]:
    return command_line.start(f"{STUDY} --out {folder} --engine ray --ray-address {address}")


def wait_for_checkpoints(folder: Path, count: int) -> None:
    until = time.monotonic() + 60
    while len(list(folder.glob("runs/*-unfinished/checkpoint-1.json"))) < count:
        assert time.monotonic() < until
        time.sleep(0.01)


def processes(pattern: str) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if re.search(pattern, path.read_text().replace("\0", " ")):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def test_numbers_equal_those_of_the_local_engine(
    address: str, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    process = start(tmp_path / "study", address)
    _, err = process.communicate()
    assert process.returncode == 0, err
    assert results(tmp_path / "study") == undisturbed


def test_data_are_sent_to_the_cluster(address: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.integers(0, 255, (90, 1, 8, 8), dtype=np.uint8))
    labels = torch.arange(90) % 3
    path = tmp_path / "data.safetensors"
    write_source(Source.of({"train": (images, labels)}), path)
    recipe = Recipe(epochs=2, batch_size=20, monitor=1, geometry=False)
    config = configure(DataConfig(str(path)), "mlp", recipe, ("none",), seeds=1)
    engine_config = on_ray(address)
    study = train_study(config, tmp_path / "ray", engine_config)
    local = train_study(config, tmp_path / "local", Execution(workers=1))
    (one,), (other,) = study.run_results().values(), local.run_results().values()
    assert (one.test, one.digests) == (other.test, other.digests)


@pytest.mark.parametrize("kill", ["worker", "driver"])
def test_killed_processes_lose_no_run(
    kill: str, address: str, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    process = start(tmp_path / "study", address)
    wait_for_checkpoints(tmp_path / "study", 2)
    if kill == "worker":
        for pid in processes("^ray::_train")[:1]:
            os.kill(pid, signal.SIGKILL)
    else:
        process.kill()
        process.communicate()
        process = start(tmp_path / "study", address)
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert results(tmp_path / "study") == undisturbed
    if kill == "worker":
        assert "its task was lost" in out
    else:
        logs = (tmp_path / "study").glob("runs/*/log.txt")
        assert any("after record" in path.read_text() for path in logs)


def test_killed_node_loses_no_run(
    address: str, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    before = processes("raylet/raylet")
    ray("start", f"--address={address}", "--num-cpus=2")
    (node,) = set(processes("raylet/raylet")) - set(before)
    process = start(tmp_path / "study", address)
    wait_for_checkpoints(tmp_path / "study", 4)
    os.kill(node, signal.SIGKILL)
    _, err = process.communicate()
    assert process.returncode == 0, err
    assert results(tmp_path / "study") == undisturbed


def test_two_studies_share_a_cluster(
    address: str, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    both = [start(tmp_path / name, address) for name in ("one", "other")]
    for process in both:
        _, err = process.communicate()
        assert process.returncode == 0, err
    assert results(tmp_path / "one") == results(tmp_path / "other") == undisturbed


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"cpus": 1000}, InputError, "of a run, CPU 1000: the largest have CPU 2. Use fewer"),
        ({"gpus": 0.5}, InputError, "CPU 1 and GPU 0.5: the largest have CPU 2 and GPU 0."),
        ({"address": "127.0.0.1:1"}, RunError, "there is no Ray cluster at '127.0.0.1:1'"),
        ({"address": "nonsense"}, RunError, "there is no Ray cluster at 'nonsense'"),
    ],
)
def test_impossible_requests_raise(
    settings: dict[str, Any], error: type[Exception], message: str, address: str
) -> None:
    made: Callable[..., RayEngine] = RayEngine
    with pytest.raises(error, match=re.escape(message)):
        made(DataConfig(), **{"address": address, **settings})
