"""Train one net once: the recipe, the loop, what is watched on the way, and how it is judged."""

from layermix.experiments.training.recipe import Recipe
from layermix.experiments.training.train import Trainer
from layermix.experiments.training.trained import Record, Trained

__all__ = ["Recipe", "Record", "Trained", "Trainer"]
