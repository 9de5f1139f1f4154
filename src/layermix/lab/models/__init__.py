"""Models: networks for small images, and any other model by name.

`build` returns a model by name. `MODELS` has the networks of this package.
"""

from layermix.lab.models.build import MODELS, Factory, build

__all__ = ["MODELS", "Factory", "build"]
