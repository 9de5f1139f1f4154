"""Tests of the profile table with and without a terminal."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest

from layermix.cli.profile_model import split_table

TABLE = """\
mix point   features  SNNL ↓  probe ↑     NC1 ↓
input            192   1.000    0.500         –
the final     12,288   0.123    1.000  1.23e−12"""


PROFILE = [sys.executable, "-m", "layermix", "profile", "--model", "mlp", "--examples", "40"]


def cells(table: str) -> list[list[str]]:
    return [re.split("   *", line.strip(" \\")) for line in table.splitlines()]


def test_table_that_fits_is_one_block() -> None:
    assert cells(split_table(TABLE, 60)) == cells(TABLE)


@pytest.mark.parametrize("width", [20, 40])
def test_wide_table_is_split_into_blocks_with_the_mix_point(width: int) -> None:
    blocks = split_table(TABLE, width).split("\n\n")
    assert len(blocks) == {20: 4, 40: 2}[width]
    assert max(len(line) for block in blocks for line in block.splitlines()) <= 22 * width // 20
    joined = [cells(block) for block in blocks]
    assert all([row[0] for row in block] == ["mix point", "input", "the final"] for block in joined)
    rows = [[cell for row in same for cell in row[1:]] for same in zip(*joined, strict=True)]
    assert rows == [row[1:] for row in cells(TABLE)]


@pytest.mark.slow
def test_ascii_output_replaces_symbols_with_question_marks() -> None:
    done = subprocess.run(
        [*PROFILE, "--mixed", "0"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
    )
    assert b"SNNL ?" in done.stdout
    assert done.stderr == b""


@pytest.mark.slow
@pytest.mark.parametrize("width", [80, 200])
def test_profile_fits_the_width_of_the_terminal(width: int) -> None:
    parent_fd, child_fd = pty.openpty()
    fcntl.ioctl(child_fd, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    process = subprocess.Popen(
        [*PROFILE, "--mixed", "8"],
        stdout=child_fd,
        stderr=subprocess.DEVNULL,
        env=terminal_environment(),
    )
    os.close(child_fd)
    shown = b""
    while part := _read(parent_fd):
        shown += part
    assert process.wait() == 0
    lines = shown.decode().replace("\r", "").splitlines()
    assert max(map(len, lines)) <= width
    names = [line.split()[0] for line in lines[: lines.index("")]]
    assert names == ["mix", "input", "block1", "block2", "block3", "final", "logits"]
    headings = [line for line in lines if line.startswith("mix point ")]
    assert len(headings) == (1 if width == 200 else 2)


def terminal_environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k != "COLUMNS"} | {"TERM": "xterm"}


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:  # the other side was closed
        return b""
