"""Training on 60 digits for a few epochs, and its records."""

from pathlib import Path

from layermix.lab import DataConfig, Recipe, RunConfig, run
from layermix.lab.data import load
from layermix.lab.run_setup import fresh_model
from layermix.lab.training.loop import Trainer

SHORT = Recipe(epochs=2, batch_size=20, monitor=1, crop=1, flip=False, channels_last=False)
FEW = DataConfig(train_size=60)


def trainer(
    variant: tuple[str, ...] = (), recipe: Recipe = SHORT, seed: int = 0, **how: object
) -> Trainer:
    """Return a trainer of an MLP. `how` has mixer settings; the default is those of the recipe."""
    data = load(FEW)
    net, settings = fresh_model("mlp", data, seed), how or None
    points = ("input", "block3")
    return Trainer(net, data, recipe, variant, mix_settings=settings, monitor_at=points, seed=seed)


def records(folder: Path, variant: str, **settings: object) -> list[dict]:
    recipe = Recipe(epochs=4, batch_size=20, monitor=2, **settings)  # pyright: ignore[reportArgumentType]
    return run(RunConfig(FEW, "mlp", recipe, variant, 0), folder).records
