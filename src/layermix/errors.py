"""The two errors of layermix, its warnings, and the hint that goes with a misspelt name.

Everything layermix raises on purpose is a `LayermixError`. An `InputError` means that what was
asked for cannot be done as asked (the command line ends with exit code 2); a `RunError` means
that work that had begun could not go on (exit code 1).
"""

import difflib
import sys
import warnings
from collections.abc import Iterable, Sized

_LONG = 80  # characters beyond which a value is described instead of shown
_SHORT = 5  # letters of a name up to which a few shared ones say nothing
_INSIDE = ("layermix", "torch", "contextlib")
_FAR = 0.2  # less alike than the closest name by this much: not what was meant


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
    """An argument is invalid. The message names its value and the remedy.

    Examples
    --------
    >>> import layermix as lm
    >>> import torch
    >>> lm.Mixer(torch.nn.Linear(2, 2), method="cutmixx")
    Traceback (most recent call last):
    layermix.errors.InputError: unknown method 'cutmixx': did you mean 'cutmix'?
    """


class RunError(LayermixError, RuntimeError):
    """Work that had begun cannot continue. The message names the place, the reason and the remedy.

    Examples
    --------
    >>> try:
    ...     raise RunError("the loss became NaN in step 7: try a lower --lr")
    ... except RuntimeError as error:
    ...     print(error)
    the loss became NaN in step 7: try a lower --lr
    """


def brief(value: object) -> str:
    """Return a value as text for an error message: its repr, or its type and size if that is long.

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


def warn(message: str) -> None:
    """Issue a `UserWarning` that points to the calling line outside of layermix and torch."""
    level, frame = 1, sys._getframe()
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in _INSIDE:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, UserWarning, stacklevel=level)


def unknown(what: str, name: object, known: Iterable[str]) -> InputError:
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
    """Return the names that may have been meant."""
    close = difflib.get_close_matches(name, names, n=4, cutoff=0.6 if len(name) <= _SHORT else 0.4)
    alike = [difflib.SequenceMatcher(None, name, other).ratio() for other in close]
    return [other for other, like in zip(close, alike, strict=True) if like > alike[0] - _FAR]
