"""The settings of a study as they were used: what was left out is shown as what it became."""

from typing import Any

from layermix.experiments.data.sources import SOURCES
from layermix.experiments.display import SUBSETS
from layermix.experiments.study import Study, as_json, flat
from layermix.mixing.methods import find_method, is_method

_LEFT_OUT = {
    "train_size": "all",
    "image_size": "as they are",
    "image_column": "found by type and name",
    "label_column": "found by type and name",
    "alpha": "1 at the input, 2 elsewhere",
}
_NOT_CUDA = ("cpu", "mps")  # what `conditions` calls a device that has no name


def used_settings(study: Study, run: dict[str, Any], subset: str) -> dict[str, Any]:
    """Return every setting by its name on the command line, with the value that it had.

    Parameters
    ----------
    study
        The study.
    run
        The ``config.json`` of one of its runs, whose recipe is complete.
    subset
        How its training images were chosen (see `Dataset`).
    """
    asked = flat(as_json(study.config))
    used = {k: _LEFT_OUT.get(k) if value is None else value for k, value in asked.items()}
    used |= {name: run["recipe"][name] for name in ("crop", "flip")}
    if asked["train_size"] is not None and subset in SUBSETS:
        used["train_images"] = SUBSETS[subset]
    if asked["data"] in SOURCES:
        used |= dict.fromkeys(("image_column", "label_column"), f"no effect on {asked['data']}")
    for name in filter(is_method, used.get("variants") or ()):
        _, blend, partner, ratio, _ = find_method(name).row
        used[name] = f"{blend}; partner {partner}; ratio {ratio}"
    device = study.conditions["device"]
    if asked["device"] != device:
        used["device"] = f"{asked['device']} ({device})"
    if asked["amp"] and device in _NOT_CUDA:
        used["amp"] = f"no ({device.upper()})"
    return used


def in_words(used: dict[str, Any]) -> list[tuple[str, str]]:
    """Return name and value of each setting as a report shows them."""
    return [(name.replace("_", " "), _words(value)) for name, value in used.items()]


def _words(value: Any) -> str:
    if value is None:
        return "not given"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)
