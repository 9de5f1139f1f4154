"""Tests of disks that are full, read-only or removed, and of odd paths, in whole processes."""

import contextlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import command_line
from layermix.lab.store.listing import list_runs

STUDY = "compare --train-size 60 --model mlp --epochs 2 --batch-size 20 --monitor 1 --seeds 1"
STUDY += " --variants none input --no-geometry"


def can_mount() -> bool:
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        command = ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
        return subprocess.run(command, capture_output=True, timeout=10).returncode == 0
    return False


def on_disk(options: str, folder: Path, words: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a mount namespace, with a file system of its own at the folder."""
    folder.mkdir()
    program = f"{sys.executable} -m layermix {words}"
    script = f"mount -t tmpfs -o {options} tmpfs {folder} && exec {program}"
    return subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True)


@pytest.mark.skipif(not can_mount(), reason="needs the permission to mount")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("size=60k", "the disk is full: free some space"),
        pytest.param("size=400k", "the disk is full: free some space", marks=pytest.mark.slow),
        ("ro", "the file system is read-only: use another folder"),
    ],
)
def test_disk_that_cannot_be_written_is_named(options: str, message: str, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    done = on_disk(options, disk, f"{STUDY} --out {disk}/study --workers 1")
    assert done.returncode == 1
    assert f"layermix: cannot write the study in {disk}/study: {message}" in done.stderr


@pytest.mark.slow
def test_removed_folder_is_named_and_stays_removed(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    process = command_line.start(f"{STUDY} --epochs 5000 --workers 2 --out {folder}")
    while not list(folder.glob("runs/*/epochs.jsonl")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=True)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "it was removed meanwhile: repeat the command" in err
    assert not folder.exists()


@pytest.mark.slow
def test_study_in_a_folder_with_an_odd_name(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"a b\n'q' \"<i>&amp;</i>\" \xc3\xa9\xff")
    for words in (STUDY.split(), ["report"], ["runs"], ["work"]):
        out = ["--out", str(folder)] if words[0] == "compare" else [str(folder)]
        command = [sys.executable, "-m", "layermix", *words, *out]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
        assert (done.returncode, done.stderr) == (0, ""), words
    assert [run.status for run in list_runs(folder / "runs")] == ["finished"] * 2
    assert "<i>" not in (folder / "report.html").read_text(encoding="utf-8").split("<body")[1]
