"""The reason of an error of another library, as a part of an error message of one sentence."""

import re
import textwrap

_HIDES = "An error occurred while generating the dataset"  # of `datasets`, which hides the cause
_LONGEST = 400  # characters


def reason_of(error: BaseException) -> str:
    """Return the first line of an error, or of its cause, without an end of a sentence.

    Examples
    --------
    >>> reason_of(ValueError("No header. Is it a table?"))
    'No header; Is it a table'
    """
    text = str(error).removeprefix(_HIDES).strip()
    while not text and error.__cause__:
        error = error.__cause__
        text = str(error).strip()
    if not text or isinstance(error, LookupError | SystemExit):
        text = f"{type(error).__name__} {text}".strip()
    line = re.sub(r"[.!?]+(\)?)\s+(?=[A-Z])", r"\1; ", text.splitlines()[0])
    line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in line).rstrip(" .:!?")
    return textwrap.shorten(line, _LONGEST, placeholder=" ...")
