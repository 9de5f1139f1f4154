"""The table of a profile on a terminal, and without one."""

import fcntl
import os
import pty
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


def test_a_table_that_fits_stays_as_it_is() -> None:
    assert split_table(TABLE, 47) == TABLE


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (
            46,
            """\
mix point  features  SNNL ↓
input           192   1.000
the final    12,288   0.123

mix point  probe ↑     NC1 ↓
input        0.500         –
the final    1.000  1.23e−12""",
        ),
        (
            20,
            """\
mix point  features
input           192
the final    12,288

mix point  SNNL ↓
input       1.000
the final   0.123

mix point  probe ↑
input        0.500
the final    1.000

mix point     NC1 ↓
input             –
the final  1.23e−12""",
        ),
    ],
)
def test_a_wider_table_is_cut_into_blocks_that_all_have_the_mix_point(
    width: int, expected: str
) -> None:
    assert split_table(TABLE, width) == expected


def test_a_column_that_is_too_wide_has_a_block_of_its_own() -> None:
    assert split_table("a  b  c\n1  2  3", 1) == "a  b\n1  2\n\na  c\n1  3"
    assert split_table("a  b\n1  2", 1) == "a  b\n1  2"


def test_output_that_is_not_utf_8_has_question_marks() -> None:
    done = subprocess.run(
        [*PROFILE, "--mixed", "0"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
    )
    assert b"SNNL ?" in done.stdout
    assert done.stderr == b""


@pytest.mark.parametrize("width", [80, 200])
def test_a_profile_fits_into_a_terminal(width: int) -> None:
    above, below = pty.openpty()
    fcntl.ioctl(below, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    process = subprocess.Popen(
        [*PROFILE, "--mixed", "8"], stdout=below, stderr=subprocess.DEVNULL, env=terminal()
    )
    os.close(below)
    shown = b""
    while part := _read(above):
        shown += part
    assert process.wait() == 0
    lines = shown.decode().replace("\r", "").splitlines()
    assert max(map(len, lines)) <= width
    names = [line.split()[0] for line in lines[: lines.index("")]]
    assert names == ["mix", "input", "block1", "block2", "block3", "final", "logits"]
    headings = [line for line in lines if line.startswith("mix point ")]
    assert len(headings) == (1 if width == 200 else 2)


def terminal() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k != "COLUMNS"} | {"TERM": "xterm"}


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:  # the other side was closed
        return b""
