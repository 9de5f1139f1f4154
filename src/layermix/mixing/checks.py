"""Checks of settings: what is not a number of the right kind is refused when it is given.

Blends, ways to choose partners and `Remix` call these in their `__post_init__`, so that a bad value
is told where it was written and not in the middle of a training.
"""

import math
import numbers

from layermix.errors import InputError, brief


def is_number(value: object) -> bool:
    """Tell whether a value is a real number; True and False are none."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def is_whole(value: object) -> bool:
    """Tell whether a value is a whole number, of Python or of numpy."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def whole(of: object, name: str, least: int = 1) -> None:
    """Refuse a setting that is not a whole number from `least` on.

    Parameters
    ----------
    of
        What has the setting.
    name
        Of the setting.
    least
        The smallest number that is allowed.

    Raises
    ------
    InputError
        Naming the setting, its value and what is allowed; so do all checks here.
    """
    value = getattr(of, name)
    require(of, name, is_whole(value) and value >= least, f"a whole number >= {least}")


def positive(of: object, name: str, otherwise: str = "") -> None:
    """Refuse a setting that is not a finite number > 0; `otherwise` says what else it may be."""
    value = getattr(of, name)
    good = is_number(value) and math.isfinite(value) and value > 0
    require(of, name, good, "a finite number > 0" + otherwise)


def at_least(of: object, name: str, least: float = 0) -> None:
    """Refuse a setting that is not a finite number from `least` on."""
    value = getattr(of, name)
    good = is_number(value) and math.isfinite(value) and value >= least
    require(of, name, good, f"a finite number >= {least:g}")


def share(of: object, name: str) -> None:
    """Refuse a setting that is not a number in [0, 1]."""
    value = getattr(of, name)
    require(of, name, is_number(value) and 0 <= value <= 1, "a number in [0, 1]")


def require(of: object, name: str, good: bool, rule: str) -> None:
    """Refuse a setting unless it is good; `rule` says what it must be."""
    if not good:
        value = getattr(of, name)
        raise InputError(f"{name} of {type(of).__name__} is {brief(value)}, but must be {rule}")
