"""The configuration of a small profile."""

from pathlib import Path
from typing import Any

from layermix.experiments.profiling import ProfileConfig


def few(model: str, weights: Path | None = None, **settings: Any) -> ProfileConfig:
    """Return the configuration of a small profile. The digits are resized for timm models."""
    size = None if model == "mlp" else 32
    return ProfileConfig(model, weights, image_size=size, examples=100, mixed=16, **settings)
