"""Checks for `__post_init__`: an invalid setting raises an `InputError` at construction."""

import math
import numbers
from typing import Any

from layermix.errors import InputError, brief


def is_number(value: object) -> bool:
    """Return True for a real number, and False for a boolean."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def is_whole(value: object) -> bool:
    """Return True for an integer of Python or numpy, and False for a boolean."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def is_finite(value: Any, least: float = -math.inf) -> bool:
    """Return True for a finite number >= `least`."""
    return is_number(value) and math.isfinite(value) and value >= least


def whole(config: object, name: str) -> None:
    """Raise an `InputError` unless the setting `name` is a whole number >= 1."""
    value = getattr(config, name)
    ensure(config, name, is_whole(value) and value >= 1, "a whole number >= 1")


def positive(config: object, name: str, otherwise: str = "") -> None:
    """Raise an `InputError` unless a setting is finite and > 0; `otherwise` ends the message."""
    value = getattr(config, name)
    ensure(config, name, is_finite(value) and value > 0, "a finite number > 0" + otherwise)


def at_least(config: object, name: str, least: float = 0) -> None:
    """Raise an `InputError` unless a setting is a finite number >= `least`."""
    ensure(config, name, is_finite(getattr(config, name), least), f"a finite number >= {least:g}")


def share(config: object, name: str) -> None:
    """Raise an `InputError` unless a setting is a number in [0, 1]."""
    value = getattr(config, name)
    ensure(config, name, is_number(value) and 0 <= value <= 1, "a number in [0, 1]")


def ensure(config: object, name: str, good: bool, rule: str) -> None:
    """Raise an `InputError` with the setting `name`, its value and the rule unless `good`."""
    if not good:
        value = brief(getattr(config, name))
        raise InputError(f"{name} of {type(config).__name__} is {value}, but must be {rule}")
