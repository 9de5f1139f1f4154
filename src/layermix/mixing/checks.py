"""Checks of settings in `__post_init__`: a wrong value is an `InputError` where it is written."""

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
    """Refuse a setting, by its name, that is not a whole number >= 1."""
    value = getattr(of, name)
    ensure(of, name, is_whole(value) and value >= 1, "a whole number >= 1")


def positive(of: object, name: str, otherwise: str = "") -> None:
    """Refuse a setting that is not a finite number > 0; `otherwise` adds to the rule."""
    value = getattr(of, name)
    ensure(of, name, is_finite(value) and value > 0, "a finite number > 0" + otherwise)


def at_least(of: object, name: str, least: float = 0) -> None:
    """Refuse a setting that is not a finite number from `least` on."""
    ensure(of, name, is_finite(getattr(of, name), least), f"a finite number >= {least:g}")


def share(of: object, name: str) -> None:
    """Refuse a setting that is not a number in [0, 1]."""
    value = getattr(of, name)
    ensure(of, name, is_number(value) and 0 <= value <= 1, "a number in [0, 1]")


def ensure(of: object, name: str, good: bool, rule: str) -> None:
    """Refuse a setting unless it is good; the error has the rule."""
    if not good:
        value = brief(getattr(of, name))
        raise InputError(f"{name} of {type(of).__name__} is {value}, but must be {rule}")
