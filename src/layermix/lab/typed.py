"""Check settings and stored records against the types of dataclasses, by pydantic."""

import functools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import numpy as np

from layermix.errors import InputError, RunError, brief

T = TypeVar("T")


def validated(kind: type[T], content: Any, path: Path) -> T:
    """Return JSON content as an object of a type.

    Content of other types, or with unknown entries, raises a `RunError`.
    """
    with _errors(kind, content, str(path)):
        return _adapter(kind).validate_python(content)


def parsed(kind: type[T], content: bytes, name: str, *, lines: bool = False) -> T:
    """Return JSON as an object of a type, without conversions such as of ``"1"`` to 1.

    If `lines` is True, each line is an entry of a list. Other content raises a `RunError`, whose
    message begins with `name`.
    """
    whole = b"[" + b",".join(content.splitlines()) + b"]" if lines else content
    with _errors(kind, json.loads(whole) if is_dataclass(kind) else None, name):
        return _adapter(kind).validate_json(whole, strict=True)


def check_types(settings: Any) -> None:
    """Raise an `InputError` if a field of a dataclass has a value of another type."""
    from pydantic import ValidationError

    for name, kind in _hints(type(settings)).items():
        value = getattr(settings, name)
        if isinstance(value, np.generic) and not isinstance(value, float):
            raise InputError(f"{name} is {value!r}, but must be a Python number: use .item()")
        try:
            _adapter(kind).validate_python(value, strict=True)
        except ValidationError as error:
            messages = [each["msg"] for each in error.errors(include_url=False)]
            allowed = " or ".join(
                dict.fromkeys(m.removeprefix("Input should be ") for m in messages)
            )
            raise InputError(f"{name} is {brief(value)}, but must be {allowed}") from error


def require_range(name: str, value: float | None, low: float, high: float) -> None:
    """Raise an `InputError` if a setting is not from `low` to `high`; None is allowed."""
    if value is not None and not low <= value <= high:
        raise InputError(f"{name} is {value}, but must be from {low:,} to {high:,}")


@contextmanager
def _errors(kind: Any, content: Any, name: str) -> Iterator[None]:
    from pydantic import ValidationError

    if unknown := list(_unknown(kind, content)):
        raise RunError(
            f"{name} is damaged: {brief(unknown[0])} is no entry of it. Restore or remove it"
        )
    try:
        yield
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        message = first["msg"][:1].lower() + first["msg"][1:]
        raise RunError(f"{name} is damaged: {where}: {message}. Restore or remove it") from error


def _unknown(kind: Any, content: Any) -> Iterator[str]:
    """Yield the names in mappings that are no fields of their dataclasses."""
    if not is_dataclass(kind) or not isinstance(content, dict):
        return
    hints = _hints(kind)
    for name, value in content.items():
        if name in hints:
            yield from _unknown(hints[name], value)
        else:
            yield name


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


@functools.cache
def _adapter(kind: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)
