"""Tests of claims: one process has a folder, until it releases it or ends."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from layermix.lab.store.claims import FolderClaim

_HOLD = (
    "import sys, time; from pathlib import Path; from layermix.lab.store.claims import FolderClaim;"
    "claim = FolderClaim.take(Path(sys.argv[1]), 3.0); print(claim is not None, flush=True);"
    "time.sleep(20)"
)


@pytest.fixture(params=["flock", "lease"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("LAYERMIX_LOCKS", request.param)
    return request.param


def test_folder_is_claimed_once(kind: str, tmp_path: Path) -> None:
    claim = FolderClaim.take(tmp_path / "run")
    assert claim
    assert claim.is_held
    assert FolderClaim.take(tmp_path / "run") is None
    claim.release()
    again = FolderClaim.take(tmp_path / "run")
    assert again
    again.release(remove=True)
    assert not (tmp_path / "run").exists()


def test_claim_of_a_killed_process_can_be_taken(kind: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", _HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "True\n"
        until = time.monotonic() + 4.5  # longer than the lease, which its owner renews
        while time.monotonic() < until:
            assert FolderClaim.take(tmp_path, 3.0) is None
            time.sleep(0.1)
        process.kill()
    until = time.monotonic() + 30
    while (claim := FolderClaim.take(tmp_path, 3.0)) is None:
        assert time.monotonic() < until
        time.sleep(0.1)
    claim.release()
