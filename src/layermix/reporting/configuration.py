"""The configuration of a study as it was used, and the command line that repeats it."""

import shlex
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from layermix.lab.data import DataConfig
from layermix.lab.display import SUBSETS
from layermix.lab.study_config import StudyConfig, as_json, flat
from layermix.lab.training import PRESETS
from layermix.lab.tuning import settings_text
from layermix.mixing.methods import find_method, is_method, method_names

_DEFAULTS = {
    "train_size": "all",
    "image_size": "as they are",
    "alpha": "1 at the input, 2 elsewhere",
}
_NOT_CUDA = ("cpu", "mps")  # values of the condition `device` without a name of a GPU


def used_settings(
    config: StudyConfig, run: dict[str, Any], subset: str, device: str
) -> dict[str, Any]:
    """Return the value of every setting of a finished study, by its name on the command line.

    `run` is the ``config.json`` of one of the runs, whose recipe is complete; `subset` is how the
    training examples were chosen (see `Dataset`).
    """
    asked = flat(as_json(config))
    if config.train:  # a function of the user has no recipe
        recipe = {field.name for field in fields(config.recipe)}
        return {name: value for name, value in asked.items() if name not in recipe}
    used = {
        k: _DEFAULTS.get(k, "not given") if value is None else value for k, value in asked.items()
    }
    completed = ("crop", "flip", "optimizer", "lr", "weight_decay")
    used |= {name: run["recipe"][name] for name in completed if name in run["recipe"]}
    if asked["train_size"] is not None and subset in SUBSETS:
        used["train_examples"] = SUBSETS[subset]
    methods = [name for variant in used.get("variants") or () for name in method_names(variant)]
    for name in filter(is_method, methods):
        _, blend, partner, ratio, _ = find_method(name).row
        used[name] = f"{blend}; partner {partner}; ratio {ratio}"
    if asked["device"] != device:
        used["device"] = f"{asked['device']} ({device})"
    if asked["amp"] and device in _NOT_CUDA:
        used["amp"] = f"no ({device.upper()})"
    return used


def setting_text(value: Any) -> str:
    """Return the value of a setting as text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return "; ".join(f"{name}: {settings_text(each)}" for name, each in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value)


def compare_command(config: StudyConfig) -> str:
    """Return the `layermix compare` command of a study, without its output folder.

    It starts from the preset that leaves the fewest settings to name. If a function of the user
    trains, it is a call of `layermix.experiments.compare`.
    """
    if config.train:
        name = config.train.partition(":")[2].partition("#")[0]
        data, variants = config.data.data, list(config.variants)
        return f"compare({name}, {variants}, {len(config.seeds)}, data={data!r}, out=...)"
    return min((_command_from(config, name) for name in PRESETS), key=len)


def _command_from(config: StudyConfig, name: str) -> str:
    start = PRESETS[name]
    words = ["layermix", "compare"]
    if name != "plain" or set(PRESETS) & set(config.variants):
        words.append(name)  # first, so that no variant is read as a preset
    words += _changed(config.data, DataConfig())
    if config.model != start.model:
        words += ["--model", config.model.partition("#")[0]]  # without the hash of a function
    words += ["--variants", *config.variants]
    if config.looks:
        words += ["--looks", *map(str, config.looks)]
    else:
        words += ["--seeds", str(len(config.seeds))]
    if config.margin != StudyConfig.margin:
        words += ["--margin", f"{config.margin:g}"]
    if config.tune:
        words += ["--tune", *config.tune]
    if config.threads != 1:
        words += ["--threads", str(config.threads)]
    return shlex.join([*words, *_changed(config.recipe, start.recipe)])


def _changed(settings: Any, default: Any) -> Iterator[str]:
    for field in fields(settings):
        value, usual = getattr(settings, field.name), getattr(default, field.name)
        flag = field.name.replace("_", "-")
        if value == usual:
            continue
        if isinstance(value, bool) and isinstance(usual, bool):
            yield f"--{flag}" if value else f"--no-{flag}"
        elif isinstance(value, tuple):
            yield from (f"--{flag}", *map(str, value))
        else:
            yield from (f"--{flag}", str(value))
