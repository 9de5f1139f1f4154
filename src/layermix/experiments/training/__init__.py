"""Training: the recipe and the presets, the loop, and the evaluation of a model.

Import from here: `Recipe`, `Preset` and `PRESETS`. The `Trainer` is in `loop`.
"""

from layermix.experiments.training.recipe import PRESETS, Preset, Recipe

__all__ = ["PRESETS", "Preset", "Recipe"]
