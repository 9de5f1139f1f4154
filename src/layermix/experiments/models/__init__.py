"""Models: networks for small images, and any other model by name.

`build` returns a model by name. `MODELS` has the networks of this package.
"""

from layermix.experiments.models.build import MODELS, build

__all__ = ["MODELS", "build"]
