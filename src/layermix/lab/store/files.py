"""Files that survive a crash: they are written whole or not at all, and synced to the disk."""

import errno
import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from layermix.errors import RunError
from layermix.lab.typed import validated

T = TypeVar("T")
STAGED = ".staged-"
"""Begins the name of a file until it is written; one that remains is of a process that ended."""
_LONG = 400  # characters of a path in an error message

_REMEDIES = {
    errno.ENOSPC: "the disk is full: free some space",
    errno.EDQUOT: "the disk quota is used up: free some space",
    errno.EROFS: "the file system is read-only: use another folder",
    errno.EACCES: "the permission is missing: change the mode of the folder, or use another one",
    errno.EPERM: "the permission is missing: change the mode of the folder, or use another one",
    errno.ENOENT: "it was removed meanwhile: repeat the command",
    errno.ENOTDIR: "a file has the name of a folder: remove it, or use another folder",
    errno.EEXIST: "a file has the name of a folder: remove it, or use another folder",
    errno.ENAMETOOLONG: "the name is too long: use a shorter folder",
    errno.EIO: "the disk failed: check it, and repeat the command",
}


@contextmanager
def disk_errors(action: str) -> Iterator[None]:
    """Convert an `OSError` of the block to a `RunError` with the remedy; `action` begins it."""
    try:
        yield
    except OSError as error:
        raise RunError(f"{action}: {disk_problem(error)}") from error


def disk_problem(error: OSError) -> str:
    """Return the cause and the remedy of an `OSError`, and the path if it has one."""
    cause = _REMEDIES.get(error.errno or 0, error.strerror or str(error))
    path = error.filename2 or error.filename
    return cause if path is None else f"{cause} ({_shown(os.fsdecode(path))})"


def _shown(path: str) -> str:
    return path if len(path) <= _LONG else f"{path[: _LONG // 2]} ... {path[-_LONG // 2 :]}"


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file; after a crash it has the old content or the new, never a part."""
    staged = path.with_name(f"{STAGED}{secrets.token_hex(8)}")
    try:
        create_file(staged, content)
        staged.replace(path)
    except BaseException:
        with suppress(OSError):
            staged.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def create_file(path: Path, content: bytes) -> None:
    """Write a new file and sync it; a file that exists raises a `FileExistsError`."""
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Sync the names of the files in a folder, where the system can do so."""
    with suppress(OSError):  # not on Windows
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def sha256(content: bytes) -> str:
    """Return the SHA-256 of bytes as hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def json_bytes(content: Any) -> bytes:
    """Return JSON as it is written; numbers keep all their digits."""
    return (json.dumps(content, indent=2) + "\n").encode()


def json_lines(contents: list[Any]) -> bytes:
    """Return a JSONL file, a line for each value."""
    return "".join(json.dumps(content) + "\n" for content in contents).encode()


def json_digest(content: Any) -> str:
    """Return the SHA-256 of a JSON value, which does not depend on the order of keys."""
    return sha256(json.dumps(content, sort_keys=True).encode())


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file, as `write_bytes` does."""
    write_bytes(path, json_bytes(content))


def read_json(path: Path) -> Any:
    """Read a JSON file; a file that cannot be read raises a `RunError`."""
    with disk_errors(f"cannot read {path}"):
        content = path.read_bytes()
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise RunError(f"cannot read {path}: it is not JSON ({error}). Restore or remove it") from (
            error
        )


def read_typed(kind: type[T], path: Path) -> T:
    """Read a JSON file as an object of a type; other content raises a `RunError`."""
    return validated(kind, read_json(path), path)


def parse_lines(content: bytes) -> list[Any]:
    """Return the values of a JSONL file."""
    return [json.loads(line) for line in content.splitlines()]
