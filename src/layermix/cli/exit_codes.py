"""How a command ends: its exit code, and one line in place of a traceback.

Exit codes: 2 for what cannot be done as asked, 1 for a failure, 130 where it was interrupted, 141
where the reader of its output is gone (as the shell has them, 128 and the number of the signal).
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from layermix.errors import InputError, LayermixError
from layermix.extras import missing_module


@contextmanager
def exit_codes(stopped: str, debug: bool = False) -> Iterator[None]:
    """End the program with the exit code of an error, and say in one line what it was.

    Parameters
    ----------
    stopped
        What to say where the command was interrupted.
    debug
        Keep the traceback of an error.
    """
    try:
        yield
    except KeyboardInterrupt as stop:
        sys.exit(_fail(str(stop) or stopped, 130))
    except BrokenPipeError:
        _discard_output()
        sys.exit(141)
    except Exception as error:
        if debug:
            raise
        if isinstance(error, LayermixError | OSError):
            sys.exit(_fail(str(error), 2 if isinstance(error, InputError) else 1))
        if isinstance(error, ModuleNotFoundError):
            sys.exit(_fail(missing_module(error), 1))
        kind = type(error).__name__
        sys.exit(_fail(f"{kind}: {error}. This is a bug: --debug shows where it happened", 1))


def _fail(message: str, code: int) -> int:
    print(f"layermix: {message}", file=sys.stderr)
    return code


def _discard_output() -> None:
    """Send the rest of the output nowhere, so that closing the streams raises no error."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            os.dup2(nowhere, stream.fileno())
