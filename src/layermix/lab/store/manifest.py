"""The manifest of a run: it is written last, and shows if the files are complete and unchanged.

`manifest.json` has the format of the folder, the name and the key of the run, size and SHA-256 of
each file, the conditions (versions and hardware), and the attempts that were needed. The key is a
hash of the configuration, the digests of the data and the version of layermix.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from layermix.errors import RunError
from layermix.lab.store.files import disk_problem, json_bytes, json_digest, parse_lines, sha256

FORMAT = 2
LOGITS, WEIGHTS, FEATURES = "logits.safetensors", "weights.safetensors", "features.safetensors"
MANIFEST = "manifest.json"
RECORDS = ("config.json", "epochs.jsonl", "result.json")
LARGE = (WEIGHTS, FEATURES)
"""Files whose hashes are checked when they are used, and by `verify`."""
_TYPES = {"format": int, "name": str, "key": str, "files": dict, "conditions": dict}
_TYPES |= {"attempts": list, "run": dict}
_DIGEST = b',\n  "digest": '  # of all bytes before it
_OVERVIEW = {"variant", "seed", "epochs", "accuracy", "seconds"}


class DamagedRun(RunError):
    """Error for a run whose files are incomplete, changed, or those of another run."""


def manifest_bytes(name: str, files: dict[str, bytes], attempts: list[dict[str, Any]]) -> bytes:
    """Return the manifest of a run with these files."""
    config, lines, result = parsed_records(files)
    content = {
        "format": FORMAT,
        "name": name,
        "key": _key(config, result),
        "files": {
            name: {"size": len(content), "sha256": sha256(content)}
            for name, content in files.items()
        },
        "run": _overview(config, lines, result),
        "conditions": result["conditions"],
        "attempts": attempts,
    }
    head = json_bytes(content).removesuffix(b"\n}\n")
    return head + _DIGEST + b'"%s"\n}\n' % sha256(head).encode()


def _overview(config: dict[str, Any], lines: list[Any], result: dict[str, Any]) -> dict[str, Any]:
    """Return what a list of runs shows."""
    return {
        "variant": config["variant"],
        "seed": config["seed"],
        "epochs": max(0, len(lines) - 1),
        "accuracy": result["val"].get("accuracy"),  # of validation data
        "seconds": result["timings"].get("seconds"),
    }


def parsed_records(files: dict[str, bytes]) -> tuple[dict[str, Any], list[Any], dict[str, Any]]:
    """Return the contents of `RECORDS`: configuration, records of epochs, and result."""
    try:
        config, lines, result = (files[name] for name in RECORDS)
        return json.loads(config), parse_lines(lines), json.loads(result)
    except (ValueError, KeyError) as error:
        raise DamagedRun(f"its records cannot be read: {error}") from error


def _key(config: dict[str, Any], result: dict[str, Any]) -> str:
    version = result["conditions"].get("layermix", "")
    return json_digest([config, result["digests"], version])


def read_manifest(run: Path) -> dict[str, Any]:
    """Read the manifest of a run; a run without a valid one raises a `DamagedRun`."""
    try:
        content = (run / MANIFEST).read_bytes()
        found = json.loads(content)
    except (OSError, ValueError, RecursionError) as error:
        problem = disk_problem(error) if isinstance(error, OSError) else f"it is not JSON, {error}"
        raise DamagedRun(f"{MANIFEST} cannot be read: {problem}") from error
    if not isinstance(found, dict):
        raise DamagedRun(f"{MANIFEST} is no mapping")
    version = found.get("format")
    if isinstance(version, int) and version != FORMAT:
        raise DamagedRun(f"it has format {version}, but this version of layermix reads {FORMAT}")
    for name, kind in _TYPES.items():
        if not isinstance(found.get(name), kind):
            raise DamagedRun(f"{MANIFEST} has no valid {name!r}")
    if not set(found["run"]) >= _OVERVIEW:
        raise DamagedRun(f"{MANIFEST} has no valid 'run'")
    if found.get("digest") != sha256(content.rpartition(_DIGEST)[0]):
        raise DamagedRun(f"{MANIFEST} was changed after the run")
    if found["name"] != run.name:
        raise DamagedRun(f"it is the folder of {found['name']!r}")
    for name in RECORDS:
        if name not in found["files"]:
            raise DamagedRun(f"{MANIFEST} does not list {name}")
    for name, about in found["files"].items():
        if Path(name).name != name or not isinstance(about, dict):
            raise DamagedRun(f"{MANIFEST} lists {name!r}, which is no file of a run")
    return found


def verified(run: Path, names: Iterable[str], *, optional: bool = False) -> dict[str, bytes]:
    """Return files of a run whose sizes and hashes are those of the manifest.

    With `optional`, files that the manifest does not list are left out. Otherwise these, and all
    missing or changed files, raise a `DamagedRun`.
    """
    listed = read_manifest(run)["files"]
    return {
        name: _checked(run / name, listed.get(name))
        for name in names
        if not optional or name in listed
    }


def _checked(path: Path, listed: Any) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DamagedRun(f"{path.name} cannot be read: {disk_problem(error)}") from error
    if listed is None:
        raise DamagedRun(f"{MANIFEST} does not list {path.name}")
    if len(content) != listed.get("size"):
        raise DamagedRun(f"{path.name} has {len(content):,} bytes, and had {listed.get('size')}")
    if sha256(content) != listed.get("sha256"):
        raise DamagedRun(f"{path.name} was changed after the run")
    return content


def state_of(run: Path) -> tuple[tuple[int, int] | None, ...]:
    """Return time and size of the manifest and the records, which show if they changed."""
    found = []
    for name in (MANIFEST, *RECORDS, LOGITS, *LARGE):
        try:
            status = (run / name).stat()
            found.append((status.st_mtime_ns, status.st_size))
        except OSError:
            found.append(None)
    return tuple(found)


def checked_records(run: Path) -> dict[str, bytes]:
    """Return the files of a run except large ones, of which only the sizes are checked.

    A missing or changed file raises a `DamagedRun`.
    """
    listed = read_manifest(run)["files"]
    for name in LARGE:
        if name in listed and listed[name].get("size") != (found := _size(run / name)):
            raise DamagedRun(f"{name} has {found:,} bytes, and had {listed[name].get('size')}")
    return verified(run, [name for name in listed if name not in LARGE])


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def verify(run: Path) -> None:
    """Check the hash of every file of a run; raise a `DamagedRun` if one was changed."""
    listed = read_manifest(run)
    files = verified(run, listed["files"])
    config, _, result = parsed_records(files)
    if _key(config, result) != listed["key"]:
        raise DamagedRun(f"its key in {MANIFEST} is that of another run")
