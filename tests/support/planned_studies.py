"""Arguments of the study that a `layermix compare` command configures."""

import shlex
from typing import Any

import pytest

from layermix.cli import run_cli


class Stop(Exception):
    """Stops a command before it trains."""


def planned(words: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, ...]:
    """Return data, model, recipe, variants, seeds and threads of a `layermix compare` command."""
    found: list[Any] = []

    def stop(data: Any, **settings: Any) -> None:
        names = ("model", "recipe", "variants", "seeds", "threads")
        found.extend([data, *(settings[name] for name in names)])
        raise Stop

    monkeypatch.setattr("layermix.cli.compare.lab.configure", stop)
    with pytest.raises(Stop):
        run_cli([*shlex.split(words), "--debug"])
    return tuple(found)
