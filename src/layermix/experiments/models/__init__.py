"""Models: networks for small images, and any other model by name.

Import from here: `build`, and `MODELS`, the networks by name.
"""

from layermix.experiments.models.build import MODELS, build

__all__ = ["MODELS", "build"]
