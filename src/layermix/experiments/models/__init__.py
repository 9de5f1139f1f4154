"""Models: the library's own networks, and any other model by name.

Import from here: `build`, and `MODELS`, the names of the library's own.
"""

from layermix.experiments.models.build import MODELS, build

__all__ = ["MODELS", "build"]
