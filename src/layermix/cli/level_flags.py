"""Flags of `layermix compare` with several values, each of which gets a study of its own."""

from dataclasses import asdict, dataclass, fields
from typing import Annotated, Any

from tyro.conf import arg, subcommand

from layermix.errors import InputError
from layermix.lab import DataConfig, Recipe
from layermix.lab.training.recipe import PLAIN, SPEED, STANDARD, Preset


@dataclass(frozen=True)
class DataLevels(DataConfig):
    """Settings of the training data."""

    train_sizes: Annotated[tuple[int, ...], arg(help_behavior_hint="")] = ()
    """Several values of --train-size; the report shows the results over them."""
    label_noise: tuple[float, ...] = (0.0,)  # pyright: ignore[reportIncompatibleVariableOverride]
    """Share of training images whose label is replaced by a random other class; or several."""

    @property
    def first(self) -> DataConfig:
        """The settings with the first value of each."""
        _require_values("label-noise", self.label_noise)
        if self.train_sizes and self.train_size is not None:
            raise InputError(
                f"train_size is {self.train_size}, but --train-sizes sets it: leave out one of them"
            )
        size = self.train_sizes[0] if self.train_sizes else self.train_size
        settings: Any = _own(self, DataConfig)
        return DataConfig(**settings | {"label_noise": self.label_noise[0], "train_size": size})


@dataclass(frozen=True)
class RecipeLevels(Recipe):
    """Training settings: SGD with Nesterov momentum, linear warm-up, decay to zero."""

    epochs: tuple[int, ...] = (Recipe.epochs,)  # pyright: ignore[reportIncompatibleVariableOverride]
    """Number of epochs; or several, for which the report has a verdict each."""

    @property
    def first(self) -> Recipe:
        """The settings with the first value of each."""
        _require_values("epochs", self.epochs)
        settings: Any = _own(self, Recipe) | {"epochs": self.epochs[0]}
        return Recipe(**settings)


@dataclass(frozen=True)
class StudyPreset(Preset):
    """A model and the recipe to train it, as a preset of the command line."""

    recipe: RecipeLevels = RecipeLevels()

    @classmethod
    def of(cls, preset: Preset) -> "StudyPreset":
        """Convert a preset of a single run."""
        settings: Any = asdict(preset.recipe) | {"epochs": (preset.recipe.epochs,)}
        return cls(preset.model, RecipeLevels(**settings))


StudyPresetChoice = (
    Annotated[
        StudyPreset,
        subcommand(
            "plain", default=StudyPreset.of(PLAIN), description="resnet-small (the default)"
        ),
    ]
    | Annotated[
        StudyPreset,
        subcommand("speed", default=StudyPreset.of(SPEED), description="a fast model and recipe"),
    ]
    | Annotated[
        StudyPreset,
        subcommand("standard", default=StudyPreset.of(STANDARD), description="ResNet-18"),
    ]
)
DEFAULT = StudyPreset.of(PLAIN)


def _require_values(flag: str, values: tuple[float, ...]) -> None:
    if not values:
        raise InputError(f"--{flag} has no value: give one or more")


def _own(settings: Any, kind: type) -> dict[str, Any]:
    """Return the settings that a base class has."""
    return {field.name: getattr(settings, field.name) for field in fields(kind)}
