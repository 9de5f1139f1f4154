"""Check stored records against the types of dataclasses, by pydantic."""

import functools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from layermix.errors import RunError
from layermix.lab.store.files import read_json

T = TypeVar("T")


def validated(kind: type[T], content: Any, path: Path) -> T:
    """Return JSON content as an object of a type.

    Content of other types, or with unknown entries, raises a `RunError`.
    """
    with _errors(kind, content, str(path)):
        return _adapter(kind).validate_python(content)


def read_typed(kind: type[T], path: Path) -> T:
    """Read a JSON file as an object of a type; see `validated`."""
    return validated(kind, read_json(path), path)


def parsed(kind: type[T], content: bytes, name: str, *, lines: bool = False) -> T:
    """Return JSON as an object of a type, without conversions such as of ``"1"`` to 1.

    If `lines` is True, each line is an entry of a list. Other content raises a `RunError`, whose
    message begins with `name`.
    """
    whole = b"[" + b",".join(content.splitlines()) + b"]" if lines else content
    with _errors(kind, json.loads(whole), name):
        return _adapter(kind).validate_json(whole, strict=True)


@contextmanager
def _errors(kind: Any, content: Any, name: str) -> Iterator[None]:
    from pydantic import ValidationError

    if unknown := list(_unknown(kind, content)):
        raise RunError(f"{name} is damaged: {unknown[0]} is no entry of it. Restore or remove it")
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
    hints = get_type_hints(kind)
    for name, value in content.items():
        if name in hints:
            yield from _unknown(hints[name], value)
        else:
            yield name


@functools.cache
def _adapter(kind: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)
