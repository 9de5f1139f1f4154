"""Training: recipes and presets, the training loop, and the evaluation of a model.

`Recipe`, `Preset` and `PRESETS` are imported from here. The `Trainer` is in `loop`.
"""

from layermix.lab.training.recipe import PRESETS, Preset, Recipe

__all__ = ["PRESETS", "Preset", "Recipe"]
