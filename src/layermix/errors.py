"""The two errors of layermix, its warnings, and hints for misspelled names.

All errors that layermix raises on purpose are a `LayermixError`. An `InputError` means that an
argument is invalid (exit code 2 of the command line). A `RunError` means that a run failed after
it started (exit code 1).
"""

import difflib
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager

_HIDDEN = re.compile(
    r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_LONG = 80  # a value with a longer repr is shown by its type and size
_SHORT = 5  # names up to this length need a higher similarity
_INSIDE = ("layermix", "torch", "contextlib")
_FAR = 0.2  # maximum difference from the similarity of the closest name


class LayermixError(Exception):
    """Base class of the errors that layermix raises.

    Examples
    --------
    >>> import layermix as lm
    >>> import torch
    >>> try:
    ...     lm.Mixer(torch.nn.Linear(2, 2), at="finale")
    ... except lm.LayermixError as error:
    ...     print(error)
    unknown mix point 'finale': did you mean 'final'?
    """


class InputError(LayermixError, ValueError):
    """Error for an invalid argument. The message has the argument's value and how to fix it.

    Examples
    --------
    >>> import layermix as lm
    >>> import torch
    >>> lm.Mixer(torch.nn.Linear(2, 2), method="cutmixx")
    Traceback (most recent call last):
    layermix.errors.InputError: unknown method 'cutmixx': did you mean 'cutmix'?
    """


class RunError(LayermixError, RuntimeError):
    """Error in a run that has started. The message has its cause, where it occurred and a fix.

    Examples
    --------
    >>> try:
    ...     raise RunError("the loss became NaN in step 7: try a lower --lr")
    ... except RuntimeError as error:
    ...     print(error)
    the loss became NaN in step 7: try a lower --lr
    """


def printable(text: str) -> str:
    """Replace control characters except line breaks by escapes, so that text cannot hide any.

    These are also characters that change the direction of text, and parts of names of files that
    are no UTF-8.

    Examples
    --------
    >>> print(printable("a\\x1b[31mb"))
    a\\x1b[31mb
    """
    return _HIDDEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def brief(value: object) -> str:
    """Format a value for an error message: its repr, or its type and size if the repr is long.

    Examples
    --------
    >>> brief(0.5), brief(list(range(100)))
    ('0.5', 'a list of 100')
    """
    shape, name = getattr(value, "shape", None), type(value).__name__
    if isinstance(shape, tuple) and shape:
        dtype = str(getattr(value, "dtype", "")).removeprefix("torch.")
        return f"a {dtype} {name} of shape {tuple(shape)}"
    text = repr(value)
    if len(text) <= _LONG and "\n" not in text:
        return text
    article = "an" if name[0].lower() in "aeiou" else "a"
    return f"{article} {name}" + (f" of {len(value)}" if isinstance(value, Sized) else "")


class LayermixWarning(UserWarning):
    """The warnings of layermix."""


def warn(message: str) -> None:
    """Issue a warning that shows the user's line of code, not one of layermix or torch."""
    level, frame = 1, sys._getframe()
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in _INSIDE:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, LayermixWarning, stacklevel=level)


@contextmanager
def recorded_warnings() -> Iterator[list[str]]:
    """Yield a list that gets the text of each warning of layermix; issue them at the end, once."""
    texts: list[str] = []
    caught: list[warnings.WarningMessage] = []
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", LayermixWarning)
            yield texts
    finally:
        found = {str(each.message): each for each in caught}
        texts += [t for t, each in found.items() if issubclass(each.category, LayermixWarning)]
        for each in found.values():
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)


def unknown(what: str, name: object, known: Iterable[str]) -> InputError:
    """Return the error for an unknown name, with suggestions of similar names.

    Parameters
    ----------
    what
        Kind of the name, for example ``"mix point"``.
    name
        The unknown name.
    known
        All valid names.
    """
    names, close = list(known), []
    if isinstance(name, str):
        close = _closest(name, names)
    if close:
        hint = "did you mean " + " or ".join(repr(n) for n in close) + "?"
    else:
        shown = ", ".join(repr(n) for n in names[:12])
        more = f", ... ({len(names)} in all)" if len(names) > 12 else ""
        hint = f"known are {shown}{more}"
    return InputError(f"unknown {what} {brief(name)}: {hint}")


def _closest(name: str, names: list[str]) -> list[str]:
    close = difflib.get_close_matches(name, names, n=4, cutoff=0.6 if len(name) <= _SHORT else 0.4)
    alike = [difflib.SequenceMatcher(None, name, other).ratio() for other in close]
    return [other for other, like in zip(close, alike, strict=True) if like > alike[0] - _FAR]
