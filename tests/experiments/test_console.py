"""What reaches a terminal: characters it does not know, and tables that are wider than it."""

import fcntl
import io
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest
from rich.console import Console
from rich.table import Table

from layermix.experiments.console import doing, open_console, say, stacked, tell

TABLE = """\
mix point   features  SNNL ↓  probe ↑     NC1 ↓
input            192   1.000    0.500         –
the final     12,288   0.123    1.000  1.23e−12"""


def test_a_table_that_fits_stays_as_it_is() -> None:
    assert stacked(TABLE, 47) == TABLE


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
    assert stacked(TABLE, width) == expected


def test_a_column_that_is_too_wide_has_a_block_of_its_own() -> None:
    assert stacked("a  b  c\n1  2  3", 1) == "a  b\n1  2\n\na  c\n1  3"
    assert stacked("a  b\n1  2", 1) == "a  b\n1  2"


def test_sentences_are_folded_between_words_where_lines_are_not() -> None:
    text = io.StringIO()
    console = Console(file=text, width=20, highlight=False)
    tell(console, "[a] sentence of more than one line")
    say(console, "runs/a/path/of/more/than/one/line")
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    assert lines == ["[a] sentence of more", "than one line", "runs/a/path/of/more/than/one/line"]


def test_what_takes_its_time_is_a_line_where_there_is_no_terminal() -> None:
    text = io.StringIO()
    with doing(Console(file=text, width=20), "Building runs/[a]/report.html"):
        assert text.getvalue() == "Building runs/[a]/report.html ...\n"


@pytest.mark.parametrize("name", ["own:m:net", ":star:", "[b]", "[/]", "C:\\[data]"])
def test_names_are_shown_as_they_are(name: str) -> None:
    console = open_console()
    with console.capture() as shown:
        say(console, name)
        tell(console, name)
        console.print(Table("column", title=name))
        with doing(console, name):
            pass
    assert shown.get().count(name) == 4


PROFILE = [sys.executable, "-m", "layermix", "profile", "--net", "mlp", "--examples", "40"]


def test_output_that_is_not_utf_8_has_question_marks() -> None:
    done = subprocess.run(
        [*PROFILE, "--mixed", "0"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
    )
    assert b"SNNL ?" in done.stdout
    assert done.stderr == b""


@pytest.mark.parametrize(("columns", "expected"), [(None, 110), ("80", 110), ("150", 150)])
def test_text_that_is_kept_is_wide_and_wider_where_the_environment_says_so(
    columns: str | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns:
        monkeypatch.setenv("COLUMNS", columns)
    assert open_console().width == expected


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
