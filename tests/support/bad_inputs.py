"""Give bad inputs to the program, and check that it handles each of them in a safe and clear way.

An input is refused by a message of at most two sentences, or accepted. Never is there a traceback,
a control character in the output, a hang, or a file outside the working directory.
"""

import re
import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import pytest

from layermix.cli import run_cli

SECONDS = 20
HTML = "<script>alert(1)</script>"
LONGEST = 6000  # characters of a message, which may have a long path
_SENTENCES = 2


class Hang(BaseException):
    """A call took too long; no handler of an `Exception` catches it."""


class Outcome(NamedTuple):
    """Exit code of a command, and its outputs."""

    code: int
    out: str
    err: str


@contextmanager
def time_limit(seconds: int = SECONDS) -> Iterator[None]:
    """Raise a `Hang` if the block takes more seconds."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Hang(f"no end after {seconds} s: signal {number} at {frame}")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def attempt(words: Sequence[str], capsys: pytest.CaptureFixture[str]) -> Outcome:
    """Run a command, and check its output as `check_output` does."""
    capsys.readouterr()
    with time_limit(), warnings.catch_warnings():
        warnings.simplefilter("always")  # as in the program
        try:
            run_cli(list(words))
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
    out, err = capsys.readouterr()
    check_output(code, out, err)
    return Outcome(code, out, err)


def check_output(code: int, out: str, err: str) -> None:
    """Check the exit code, that messages are clear, and that no output has control characters."""
    for text in (out, err):
        assert "This is a bug" not in text, text
        assert "Traceback" not in text, text
        assert controls(text) == set(), text
    assert code in (0, 1, 2), err
    if err.startswith("layermix: "):
        check_message(err.removeprefix("layermix: "))
    elif code:  # the parser of the command line shows the allowed values
        assert (code, "-----" in err) == (2, True), err


def check_message(message: str) -> None:
    """Check that an error message has at most two sentences, and no traceback of a library."""
    assert "Exception raised from" not in message, message
    assert 0 < len(message.strip()) <= LONGEST, message
    assert sentences(message) <= _SENTENCES, message


def sentences(message: str) -> int:
    """Return the number of sentences; text in quotes and after a line break does not count."""
    plain = re.sub(r"'[^']*'|\"[^\"]*\"", "quoted", message.strip())
    return len(re.split(r"[.!?]\)?\s+(?=[A-Z])", plain))


def controls(text: str) -> set[str]:
    """Return the control characters in a text, except line breaks."""
    return set(re.findall(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text))


def files_below(folder: Path) -> set[Path]:
    """Return all files and folders in a folder."""
    return set(folder.rglob("*"))


def refused(call: Callable[[], object], part: str, kind: type[Exception]) -> None:
    """Check that a call raises an error of this type, whose message is clear and has a part."""
    with time_limit(), pytest.raises(kind) as found:
        call()
    message = str(found.value)
    check_message(message)
    assert controls(message) == set()
    assert part in message
