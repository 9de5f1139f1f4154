"""The command line that repeats a study, with every setting that is not a default."""

import shlex
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from layermix.lab.data import DataConfig
from layermix.lab.study import StudyConfig
from layermix.lab.training.recipe import Recipe

DEFAULT_NET = "resnet-small"


def compare_command(config: StudyConfig) -> str:
    """Return the `layermix compare` command that gives a study, without its output folder."""
    words = ["layermix", "compare", *_changed(config.data, DataConfig())]
    if config.net != DEFAULT_NET:
        words += ["--net", config.net]
    words += ["--variants", *config.variants, "--seeds", str(len(config.seeds))]
    if config.threads != 1:
        words += ["--threads", str(config.threads)]
    return shlex.join([*words, *_changed(config.recipe, Recipe())])


def _changed(settings: Any, default: Any) -> Iterator[str]:
    for field in fields(settings):
        value, usual = getattr(settings, field.name), getattr(default, field.name)
        flag = field.name.replace("_", "-")
        if value == usual:
            continue
        if isinstance(usual, bool):
            yield f"--{flag}" if value else f"--no-{flag}"
        else:
            yield from (f"--{flag}", str(value))
