"""The two errors of layermix, and the hint that goes with a misspelt name.

Everything layermix raises on purpose is a `LayermixError`. An `InputError` means that what was
asked for cannot be done as asked (the command line ends with exit code 2); a `RunError` means
that work that had begun could not go on (exit code 1).
"""

import difflib
from collections.abc import Iterable

_SHORT = 5  # letters of a name up to which a few shared ones say nothing
_FAR = 0.2  # less alike than the closest name by this much: not what was meant


class LayermixError(Exception):
    """Any error that layermix raises on purpose."""


class InputError(LayermixError, ValueError):
    """A value handed in cannot be used; the message names it and the remedy."""


class RunError(LayermixError, RuntimeError):
    """Work that had begun had to stop; the message says where, why and how to go on."""


def unknown(what: str, name: str, known: Iterable[str]) -> InputError:
    """Return the error for a name that does not exist, with the closest real ones.

    Parameters
    ----------
    what
        What the name stands for, for example ``"mix point"``.
    name
        The name that was given.
    known
        Every name that exists.
    """
    names = list(known)
    close = difflib.get_close_matches(name, names, n=4, cutoff=0.6 if len(name) <= _SHORT else 0.4)
    alike = [difflib.SequenceMatcher(None, name, other).ratio() for other in close]
    close = [other for other, like in zip(close, alike, strict=True) if like > alike[0] - _FAR]
    if close:
        hint = "did you mean " + " or ".join(repr(n) for n in close) + "?"
    else:
        shown = ", ".join(repr(n) for n in names[:12])
        more = f", ... ({len(names)} in all)" if len(names) > 12 else ""
        hint = f"known are {shown}{more}"
    return InputError(f"unknown {what} {name!r}: {hint}")
