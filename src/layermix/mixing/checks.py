"""Checks of settings: a value of the wrong kind is refused when it is given.

Blends, ways to choose partners and `Remix` call these in their `__post_init__`, so that the error
is raised where the value was written and not in the middle of a training. It is an `InputError`
with the name of the setting, its value and the rule.
"""

import math
import numbers
from typing import Any

from layermix.errors import InputError, brief


def is_number(value: object) -> bool:
    """Return True for a real number; True and False are none."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def is_whole(value: object) -> bool:
    """Return True for a whole number, of Python or of numpy."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def is_finite(value: Any, least: float = -math.inf) -> bool:
    """Return True for a finite number, from `least` on."""
    return is_number(value) and math.isfinite(value) and value >= least


def whole(of: object, name: str) -> None:
    """Refuse a setting of an object, by name, that is not a whole number >= 1."""
    value = getattr(of, name)
    ensure(of, name, is_whole(value) and value >= 1, "a whole number >= 1")


def positive(of: object, name: str, otherwise: str = "") -> None:
    """Refuse a setting that is not a finite number > 0; `otherwise` is what else is allowed."""
    value = getattr(of, name)
    good = is_finite(value) and value > 0
    ensure(of, name, good, "a finite number > 0" + otherwise)


def at_least(of: object, name: str, least: float = 0) -> None:
    """Refuse a setting that is not a finite number from `least` on."""
    good = is_finite(getattr(of, name), least)
    ensure(of, name, good, f"a finite number >= {least:g}")


def share(of: object, name: str) -> None:
    """Refuse a setting that is not a number in [0, 1]."""
    value = getattr(of, name)
    ensure(of, name, is_number(value) and 0 <= value <= 1, "a number in [0, 1]")


def ensure(of: object, name: str, good: bool, rule: str) -> None:
    """Refuse a setting unless it is good; `rule` says what it must be."""
    if not good:
        value = getattr(of, name)
        raise InputError(f"{name} of {type(of).__name__} is {brief(value)}, but must be {rule}")
