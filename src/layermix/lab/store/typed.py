"""Check stored records against the types of dataclasses, by pydantic."""

import functools
from pathlib import Path
from typing import Any, TypeVar

from layermix.errors import RunError
from layermix.lab.store.files import read_json

T = TypeVar("T")


def validated(kind: type[T], content: Any, path: Path) -> T:
    """Return JSON content as an object of a type; content of other types raises a `RunError`."""
    from pydantic import ValidationError

    try:
        return _adapter(kind).validate_python(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        message = first["msg"][:1].lower() + first["msg"][1:]
        raise RunError(f"{path} is damaged: {where}: {message}. Restore or remove it") from error


def read_typed(kind: type[T], path: Path) -> T:
    """Read a JSON file as an object of a type; see `validated`."""
    return validated(kind, read_json(path), path)


@functools.cache
def _adapter(kind: type) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)
