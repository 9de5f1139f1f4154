"""Presets: a net and a recipe that go together, by name. Flags of the command line change them."""

import functools
import inspect
import itertools
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

from layermix.experiments.training.recipe import Recipe

PresetName = Literal["plain", "speed"]
DEFAULT_PRESET: PresetName = "plain"


class Preset(NamedTuple):
    """A net's name and how it is trained."""

    net: str
    recipe: Recipe


# The recipe of the speed records (Jordan, 2024), in the terms of a mean loss: 11.5 / 7851 x 512
# images for the learning rate, 0.0153 / 11.5 for the weight decay.
SPEED = Recipe(
    epochs=8,
    batch_size=512,
    lr=0.75,
    warmup=0.23,
    momentum=0.85,
    weight_decay=1.33e-3,
    bias_lr=64.0,
    label_smoothing=0.2,
    crop=2,
    alternate=True,
    lookahead=True,
    views=True,
    watch=1,
    bfloat16=True,
)

PRESETS: dict[str, Preset] = {
    DEFAULT_PRESET: Preset("resnet-small", Recipe()),
    "speed": Preset("speed", SPEED),
}


PLAIN = PRESETS[DEFAULT_PRESET]


def preset_in(words: Sequence[str]) -> Preset:
    """Return the preset that a command line names, the plain one where it names none.

    What is not a preset's name is left to whoever reads the whole line.
    """
    name = DEFAULT_PRESET
    for word, following in itertools.pairwise([*words, ""]):
        if word == "--preset":
            name = following
        elif word.startswith("--preset="):
            name = word.removeprefix("--preset=")
    return PRESETS.get(name, PRESETS[DEFAULT_PRESET])


def starting_from(start: Preset, command: Callable[..., None]) -> Callable[..., None]:
    """Return a command whose arguments `net` and `recipe` are those of a preset when left out."""

    @functools.wraps(command)
    def started(*args: Any, **settings: Any) -> None:
        command(*args, **settings)

    signature = inspect.signature(command)
    arguments = [
        each.replace(default=getattr(start, name)) if name in start._fields else each
        for name, each in signature.parameters.items()
    ]
    started.__signature__ = signature.replace(parameters=arguments)  # pyright: ignore[reportAttributeAccessIssue]
    return started
