"""The command line that repeats a study, with every setting that is not a default."""

import shlex
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from layermix.experiments.data import DataConfig
from layermix.experiments.study import StudyConfig
from layermix.experiments.training import PRESETS


def compare_command(config: StudyConfig) -> str:
    """Return the `layermix compare` command that gives a study, without its output folder.

    It starts from the preset that leaves the fewest settings to name.
    """
    return min((_from(config, name) for name in PRESETS), key=len)


def _from(config: StudyConfig, name: str) -> str:
    start = PRESETS[name]
    words = ["layermix", "compare"]
    if name != "plain" or set(PRESETS) & set(config.variants):
        words.append(name)  # first, so that no variant is taken for a preset
    words += _changed(config.data, DataConfig())
    if config.model != start.model:
        words += ["--model", config.model]
    words += ["--variants", *config.variants, "--seeds", str(len(config.seeds))]
    if config.threads != 1:
        words += ["--threads", str(config.threads)]
    return shlex.join([*words, *_changed(config.recipe, start.recipe)])


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
