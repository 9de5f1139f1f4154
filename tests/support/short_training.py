"""Training on 60 digits for a few epochs, and what it records."""

from pathlib import Path

from layermix.experiments import DataConfig, Recipe, RunConfig, run
from layermix.experiments.data import load
from layermix.experiments.run import fresh_net
from layermix.experiments.store import read_epochs
from layermix.experiments.training.train import Trainer

SHORT = Recipe(epochs=2, batch_size=20, watch=1, crop=1, flip=False, channels_last=False)
FEW = DataConfig(train_size=60)


def trainer(
    variant: tuple[str, ...] = (), recipe: Recipe = SHORT, seed: int = 0, **how: object
) -> Trainer:
    """Return a trainer of an mlp; `how` are settings of its mixer, those of the recipe if none."""
    data, watched = load(FEW), ("input", "block3")
    net = fresh_net("mlp", data, seed)
    return Trainer(net, data, recipe, variant, watched, seed, how=how or None)


def records(folder: Path, variant: str, **settings: object) -> list[dict]:
    recipe = Recipe(epochs=4, batch_size=20, watch=2, **settings)  # pyright: ignore[reportArgumentType]
    run(RunConfig(FEW, "mlp", recipe, variant, 0), folder)
    return read_epochs(folder)
