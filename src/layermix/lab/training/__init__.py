"""Train one net once: the recipe, the loop, what is watched on the way, and how it is judged."""

from layermix.lab.training.recipe import Recipe
from layermix.lab.training.train import Trainer
from layermix.lab.training.trained import Record, Trained

__all__ = ["Recipe", "Record", "Trained", "Trainer"]
